"""Convolutions and matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import init
from cnnx.layers import Conv1D, Conv2D, ConvTranspose1D, ConvTranspose2D, Linear
from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import Binary, MatMul, Pad, SamePad, Transpose
from cnnx.onnx.layers.window import same_pads
from cnnx.onnx.node import Node, Unsupported

Pads = list[tuple[int, int]]


@converter("Conv")
def conv(node: Node) -> Any:
    x, weight = node.input(0), node.array(1, "weight")
    kernel, stride, dilation = window(node, weight)
    padding = paddings(node, kernel, stride, dilation)
    if padding is None:  # it depends on the size of the image
        lower = node.get("auto_pad") == "SAME_LOWER"
        x = node.apply(SamePad(kernel, stride, dilation, lower), x)
        padding = [(0, 0)] * len(kernel)
    groups = node.get("group", 1)
    channels = weight.shape[1] * groups, weight.shape[0]
    if len(kernel) == 1 and padding[0][0] != padding[0][1]:
        x, padding = (
            node.apply(Pad(), x, np.array([0, 0, padding[0][0], 0, 0, padding[0][1]])),
            [(0, 0)],
        )
    given: Any = padding[0][0] if len(kernel) == 1 else tuple(padding)
    make = Conv1D if len(kernel) == 1 else Conv2D
    bias = optional_bias(node, 2)
    with init.blank(weight.size):
        options = stride, given, dilation, groups, bias is not None
        layer: Any = make(*channels, kernel, *options)
    return node.apply(node.with_weights(layer, weight=weight, bias=bias), x)


@converter("ConvTranspose")
def conv_transpose(node: Node) -> Any:
    x, weight = node.input(0), node.array(1, "weight")
    kernel, stride, dilation = window(node, weight)
    n = len(kernel)
    extra = list(node.get("output_padding") or [0] * n)
    pads, extra = transposed_pads(node, kernel, stride, dilation, extra)
    crop: Pads = []
    if any(min(pair) < 0 for pair in pads) or (n == 1 and pads[0][0] != pads[0][1]):
        crop, pads = pads, [(0, 0)] * n
    groups = node.get("group", 1)
    channels = weight.shape[0], weight.shape[1] * groups
    given: Any = pads[0][0] if n == 1 else tuple(pads)
    make: Any = ConvTranspose1D if n == 1 else ConvTranspose2D
    bias = optional_bias(node, 2)
    with init.blank(weight.size):
        options = stride, given, tuple(extra), groups, bias is not None, dilation
        layer = make(*channels, kernel, *options)
    y = node.apply(node.with_weights(layer, weight=weight, bias=bias), x)
    if not crop:
        return y
    before, after = zip(*crop)
    return node.apply(Pad(), y, -np.array([0, 0, *before, 0, 0, *after]))


@converter("Gemm")
def gemm(node: Node) -> Any:
    """alpha * A B + beta * C, with A or B transposed."""
    a, b, c = node.input(0), node.input(1), node.input(2)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if node.get("transA", 0):
        a = node.apply(Transpose((1, 0)), a)
    transposed = node.get("transB", 0)
    row = isinstance(c, np.ndarray) and c.size in (1, c.shape[-1] if c.ndim else 1)
    if isinstance(b, np.ndarray) and b.ndim == 2 and (c is None or row):
        weight = b if transposed else np.ascontiguousarray(b.T)
        weight = weight if alpha == 1 else weight * weight.dtype.type(alpha)
        bias = None
        if c is not None:
            bias = c if c.shape == (len(weight),) else np.resize(c, len(weight))
            bias = bias if beta == 1 else bias * bias.dtype.type(beta)
        return node.apply(_linear(node, weight, bias), a)
    if transposed:
        b = node.apply(Transpose((1, 0)), b)
    y = node.apply(MatMul(), a, b)
    if alpha != 1:
        y = node.apply(Binary("mul"), y, np.array(alpha, np.float32))
    if c is None:
        return y
    if beta != 1:
        c = node.apply(Binary("mul"), c, np.array(beta, np.float32))
    return node.apply(Binary("add"), y, c)


@converter("MatMul")
def matmul(node: Node) -> Any:
    a, b = node.input(0), node.input(1)
    if isinstance(b, np.ndarray) and b.ndim == 2 and b.dtype.kind == "f" and node.rank() != 1:
        return node.apply(_linear(node, np.ascontiguousarray(b.T), None), a)
    return node.apply(MatMul(), a, b)


def _linear(node: Node, weight: np.ndarray, bias: np.ndarray | None) -> Linear:
    with init.blank(weight.size):
        layer = Linear(weight.shape[1], weight.shape[0], bias is not None)
    return node.with_weights(layer, weight=weight, bias=bias)


def optional_bias(node: Node, number: int) -> np.ndarray | None:
    return None if node.input(number) is None else node.array(number, "bias")


def window(node: Node, weight: np.ndarray) -> tuple[Any, Any, Any]:
    """Kernel, stride and dilation along each axis, of a convolution in one or two dimensions."""
    kernel = weight.shape[2:]
    if len(kernel) not in (1, 2):
        raise Unsupported(f"its weight has {weight.ndim} axes, but 3 or 4 are expected")
    if tuple(node.get("kernel_shape", kernel)) != kernel:
        raise ValueError(f"kernel_shape is {node.get('kernel_shape')}, but the weight's {kernel}")
    n = len(kernel)
    return kernel, sizes(node, "strides", n), sizes(node, "dilations", n)


def sizes(node: Node, name: str, count: int) -> tuple[int, ...]:
    """An attribute with a number from 1 on for each axis."""
    found = tuple(node.get(name) or (1,) * count)
    if len(found) != count or min(found) < 1:
        raise ValueError(f"{name} is {found}, expected {count} numbers from 1 on")
    return found


def paddings(node: Node, kernel: Any, stride: Any, dilation: Any) -> Pads | None:
    """(before, after) along each axis; None if it depends on an unknown size."""
    n, auto = len(kernel), node.get("auto_pad", "NOTSET")
    given = list(node.get("pads") or [0] * 2 * n)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        shape = node.known_shape()
        size: Any = [None] * n if shape is None else shape[2:]
        if set(stride) == {1}:  # then it does not depend on the size, which is at least 1
            size = [2**31] * n
        if not all(isinstance(each, int) for each in size):
            return None
        return same_pads(size, kernel, stride, dilation, auto == "SAME_LOWER")
    if auto not in ("NOTSET", "VALID", ""):
        raise ValueError(f"auto_pad is {auto!r}")
    if auto == "VALID":
        return [(0, 0)] * n
    if len(given) != 2 * n:
        raise ValueError(f"pads has {len(given)} numbers, expected {2 * n}")
    return list(zip(given[:n], given[n:]))


def transposed_pads(
    node: Node, kernel: Any, stride: Any, dilation: Any, extra: list[int]
) -> tuple[Pads, list[int]]:
    """What is removed at both ends of each axis, and output_padding."""
    n, auto = len(kernel), node.get("auto_pad", "NOTSET")
    to = node.get("output_shape")
    if to is None and auto not in ("SAME_UPPER", "SAME_LOWER"):
        pads = paddings(node, kernel, stride, dilation)
        assert pads is not None
        return pads, extra
    node.ignore("pads")
    shape = node.known_shape()
    if to is not None and (shape is None or not all(isinstance(m, int) for m in shape[2:])):
        raise Unsupported("output_shape for an image of unknown size")
    pads = []
    for i in range(n):
        reach = dilation[i] * (kernel[i] - 1) + 1 + extra[i] - stride[i]
        total = reach  # of SAME: the result has size * stride elements
        if to is not None:
            assert shape is not None
            total = reach + shape[2 + i] * stride[i] - to[-n:][i]
        small, large = total // 2, total - total // 2
        pads.append((small, large) if auto == "SAME_UPPER" else (large, small))
    return pads, extra
