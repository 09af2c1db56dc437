"""Activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnx.layers import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import Binary, Clip, SoftmaxOfRows, Unary, Where
from cnnx.onnx.node import Node, Unsupported, Value

_PLAIN: dict[str, Any] = {
    "HardSwish": Hardswish,
    "Mish": Mish,
    "Relu": ReLU,
    "Sigmoid": Sigmoid,
    "Softplus": Softplus,
    "Tanh": Tanh,
}


@converter(*_PLAIN)
def plain(node: Node) -> Any:
    node.ignore("consumed_inputs")
    return node.apply(_PLAIN[node.operator](), node.input(0))


@converter("Identity", "Dropout")
def identity(node: Node) -> Any:
    """Dropout does nothing in eval mode. Fine-tuning goes on without it."""
    node.ignore("ratio", "seed", "is_test")
    if node.operator == "Dropout" and node.input(2) is not None:
        mode = node.input(2)
        if not isinstance(mode, np.ndarray) or mode.item():
            raise Unsupported("training mode")
    return node.input(0)


@converter("LeakyRelu")
def leaky_relu(node: Node) -> Any:
    return node.apply(LeakyReLU(node.get("alpha", 0.01)), node.input(0))


@converter("PRelu")
def prelu(node: Node) -> Any:
    """Slopes (c, 1, 1) are those of channels. Others: max(x, 0) + slope * min(x, 0)."""
    x, slope = node.input(0), node.input(1)
    rank = node.rank()
    if isinstance(slope, np.ndarray) and isinstance(x, Value):
        per_channel = rank is not None and slope.ndim == rank - 1 and slope.size == slope.shape[0]
        if slope.size == 1 or (per_channel and rank is not None and rank > 1):
            return node.apply(_prelu(node, slope.reshape(-1)), x)
    above = node.apply(Clip(0.0, None), x)
    below = node.apply(Binary("mul"), node.apply(Clip(None, 0.0), x), slope)
    return node.apply(Binary("add"), above, below)


def _prelu(node: Node, slopes: np.ndarray) -> PReLU:
    return node.with_weights(PReLU(slopes.size), weight=slopes)


@converter("Elu")
def elu(node: Node) -> Any:
    return node.apply(ELU(node.get("alpha", 1.0)), node.input(0))


@converter("Selu")
def selu(node: Node) -> Any:
    """gamma * elu(x), with constants for which activations keep their variance."""
    alpha, gamma = node.get("alpha", 1.6732632423543772), node.get("gamma", 1.0507009873554805)
    y = node.apply(ELU(alpha), node.input(0))
    return node.apply(Binary("mul"), y, np.array(gamma, np.float32))


@converter("Celu")
def celu(node: Node) -> Any:
    """alpha * elu(x / alpha)."""
    alpha = np.array(node.get("alpha", 1.0), np.float32)
    y = node.apply(ELU(1.0), node.apply(Binary("div"), node.input(0), alpha))
    return node.apply(Binary("mul"), y, alpha)


@converter("Gelu")
def gelu(node: Node) -> Any:
    return node.apply(GELU(node.get("approximate", "none")), node.input(0))


@converter("Swish")
def swish(node: Node) -> Any:
    x, alpha = node.input(0), np.array(node.get("alpha", 1.0), np.float32)
    return node.apply(Binary("mul"), x, node.apply(Sigmoid(), node.apply(Binary("mul"), x, alpha)))


@converter("Erf")
def erf(node: Node) -> Any:
    return node.apply(Unary("erf"), node.input(0))


@converter("Softsign")
def softsign(node: Node) -> Any:
    """x / (1 + |x|)."""
    x = node.input(0)
    size = node.apply(Binary("add"), node.apply(Unary("abs"), x), np.array(1, np.float32))
    return node.apply(Binary("div"), x, size)


@converter("ThresholdedRelu")
def thresholded_relu(node: Node) -> Any:
    x, alpha = node.input(0), np.array(node.get("alpha", 1.0), np.float32)
    above = node.apply(Binary("greater"), x, alpha)
    return node.apply(Where(), above, x, np.array(0, np.float32))


@converter("HardSigmoid")
def hard_sigmoid(node: Node) -> Any:
    """min(max(alpha * x + beta, 0), 1); with 1/6 and 1/2 it is cnnx's."""
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return node.apply(Hardsigmoid(), node.input(0))
    y = node.apply(Binary("mul"), node.input(0), np.array(alpha, np.float32))
    y = node.apply(Binary("add"), y, np.array(beta, np.float32))
    return node.apply(Clip(0.0, 1.0), y)


@converter("Clip")
def clip(node: Node) -> Any:
    """The bounds are attributes before opset 11, then inputs, which may be absent."""
    x, bounds = node.input(0), [node.get("min"), node.get("max")]
    for number in (1, 2):
        if isinstance(node.input(number), Value):
            return _clip_by_values(node)
        if node.input(number) is not None:
            bounds[number - 1] = node.input(number).item()
    least, most = bounds
    if isinstance(x, Value) and (least, most) == (0, 6):
        return node.apply(ReLU6(), x)
    if isinstance(x, Value) and least == 0 and most is None:
        return node.apply(ReLU(), x)
    return node.apply(Clip(least, most), x)


def _clip_by_values(node: Node) -> Any:
    y = node.input(0)
    for number, function in ((1, "max"), (2, "min")):
        if node.input(number) is not None:
            y = node.apply(Binary(function), y, node.input(number))
    return y


@converter("Softmax", "LogSoftmax")
def softmax_of_rows(node: Node) -> Any:
    """Before opset 13: of all axes from `axis` on together."""
    axis, log = node.get("axis", 1), node.operator == "LogSoftmax"
    rank = node.rank()
    if rank and axis % rank == rank - 1:
        return node.apply(LogSoftmax(axis) if log else Softmax(axis), node.input(0))
    return node.apply(SoftmaxOfRows(axis, log), node.input(0))


@converter("Softmax", "LogSoftmax", since=13)
def softmax(node: Node) -> Any:
    make = LogSoftmax if node.operator == "LogSoftmax" else Softmax
    return node.apply(make(node.get("axis", -1)), node.input(0))
