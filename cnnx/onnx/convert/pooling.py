"""Pooling. In ONNX the stride is 1 by default, and a mean does not count the padding."""

from __future__ import annotations

from typing import Any

from cnnx.layers import AvgPool1D, AvgPool2D, GlobalAvgPool1D, GlobalAvgPool2D, MaxPool1D, MaxPool2D
from cnnx.onnx.convert.convolution import sizes
from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import AveragePool, GlobalPool, MaxPool
from cnnx.onnx.node import Node, Unsupported


@converter("MaxPool")
def max_pool(node: Node) -> Any:
    if node.get("storage_order", 0) and len(node.outputs) > 1:
        raise Unsupported("storage_order")
    kernel, stride, dilation, padding, ceil = _window(node)
    usual = _usual(kernel, padding)
    if usual is None:
        return node.apply(MaxPool(kernel, stride, padding, ceil, dilation), node.input(0))
    make: Any = MaxPool1D if len(kernel) == 1 else MaxPool2D
    return node.apply(make(kernel, stride, usual, ceil, dilation), node.input(0))


@converter("AveragePool")
def average_pool(node: Node) -> Any:
    counted = bool(node.get("count_include_pad", 0))
    kernel, stride, dilation, padding, ceil = _window(node)
    usual = _usual(kernel, padding)
    if usual is None or set(dilation) != {1}:
        layer = AveragePool(kernel, stride, padding, ceil, dilation, counted)
        return node.apply(layer, node.input(0))
    make: Any = AvgPool1D if len(kernel) == 1 else AvgPool2D
    return node.apply(make(kernel, stride, usual, ceil, counted), node.input(0))


@converter("GlobalAveragePool")
def global_average_pool(node: Node) -> Any:
    makes: dict[Any, Any] = {3: GlobalAvgPool1D, 4: GlobalAvgPool2D}
    make = makes.get(node.rank())
    return node.apply(GlobalPool("mean") if make is None else make(), node.input(0))


@converter("GlobalMaxPool")
def global_max_pool(node: Node) -> Any:
    return node.apply(GlobalPool("max"), node.input(0))


def _window(node: Node) -> tuple[Any, Any, Any, Any, bool]:
    """Kernel, stride, dilation, padding and ceil_mode."""
    kernel = tuple(node.get("kernel_shape", ()))
    n = len(kernel)
    if n not in (1, 2):
        raise Unsupported(f"kernel_shape {kernel}: one or two axes are expected")
    if min(kernel) < 1:
        raise ValueError(f"kernel_shape is {kernel}, expected numbers from 1 on")
    stride, dilation = sizes(node, "strides", n), sizes(node, "dilations", n)
    auto = node.get("auto_pad", "NOTSET")
    given = list(node.get("pads") or [0] * 2 * n)
    padding: Any
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        padding = auto.lower()
    elif auto == "VALID":
        padding = [(0, 0)] * n
    elif len(given) != 2 * n or min(given) < 0:
        raise ValueError(f"pads is {given}, expected {2 * n} numbers from 0 on")
    else:
        padding = list(zip(given[:n], given[n:]))
    return kernel, stride, dilation, padding, bool(node.get("ceil_mode", 0))


def _usual(kernel: Any, padding: Any) -> Any:
    """The padding as cnnx's pools take it, alike at both ends; None for any other."""
    if isinstance(padding, str):
        return None
    if any(before != after or 2 * before > k for (before, after), k in zip(padding, kernel)):
        return None
    return tuple(before for before, _ in padding)
