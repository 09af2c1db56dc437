"""Activations, each with its backward; and those that other ops can fuse: `ENDINGS`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

__all__ = [
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]
# The ops that conv2d, linear and batch_norm accept as `activation`, by name.
ENDINGS = ("relu", "relu6", "hardsigmoid", "hardswish")


def ending(op: str, value: Any) -> str | None:
    """Check an argument `activation`: one of `ENDINGS`, or None. ValueError for others."""
    return value if value is None else checks.choice(op, "activation", value, ENDINGS)


def relu(x: Any) -> np.ndarray:
    """Rectified linear unit: y = max(x, 0), elementwise. NaN stays NaN.

    >>> ops.relu(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]

    Source: Nair, Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines (2010).
    """
    return backend().relu(checks.array("relu", "x", x))


def relu_backward(dy: Any, y: Any) -> np.ndarray:
    """Gradient of `relu` from its result y: dx = dy where y > 0, else 0.

    >>> ops.relu_backward(np.array([5.0, 5.0]), np.array([0.0, 2.0])).tolist()
    [0.0, 5.0]
    """
    return backend().relu_backward(*with_saved("relu_backward", dy, "y", y))


def relu6(x: Any) -> np.ndarray:
    """Rectified linear unit with an upper bound: y = min(max(x, 0), 6). NaN stays NaN.

    >>> ops.relu6(np.array([-1.0, 2.0, 7.0])).tolist()
    [0.0, 2.0, 6.0]

    Source: Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10 (2010).
    """
    return backend().relu6(checks.array("relu6", "x", x))


def relu6_backward(dy: Any, y: Any) -> np.ndarray:
    """Gradient of `relu6` from its result y: dx = dy where 0 < y < 6, else 0.

    >>> ops.relu6_backward(np.array([5.0, 5.0, 5.0]), np.array([0.0, 2.0, 6.0])).tolist()
    [0.0, 5.0, 0.0]
    """
    return backend().relu6_backward(*with_saved("relu6_backward", dy, "y", y))


def hardsigmoid(x: Any) -> np.ndarray:
    """Piecewise linear sigmoid: y = min(max(x + 3, 0), 6) / 6. NaN stays NaN.

    >>> ops.hardsigmoid(np.array([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]

    Source: Courbariaux, Bengio, David, BinaryConnect (2015), with a slope of 1/2; with 1/6 Howard
    et al., Searching for MobileNetV3 (2019).
    """
    return backend().hardsigmoid(checks.array("hardsigmoid", "x", x))


def hardsigmoid_backward(dy: Any, y: Any) -> np.ndarray:
    """Gradient of `hardsigmoid` from its result y: dx = dy / 6 where 0 < y < 1, else 0.

    >>> ops.hardsigmoid_backward(np.array([3.0, 3.0, 3.0]), np.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.5, 0.0]
    """
    return backend().hardsigmoid_backward(*with_saved("hardsigmoid_backward", dy, "y", y))


def hardswish(x: Any) -> np.ndarray:
    """y = x * hardsigmoid(x): 0 where x <= -3, x where x >= 3, else x * (x + 3) / 6.

    NaN stays NaN; -inf gives 0, and inf gives inf.

    >>> ops.hardswish(np.array([-4.0, 1.5, 4.0])).tolist()
    [0.0, 1.125, 4.0]

    Source: Howard et al., Searching for MobileNetV3 (2019).
    """
    return backend().hardswish(checks.array("hardswish", "x", x))


def hardswish_backward(dy: Any, x: Any) -> np.ndarray:
    """Gradient of `hardswish` from its input x: dx = 0 where x <= -3, dy where x >= 3, else
    dy * (2 * x + 3) / 6. y does not determine it, as hardswish has a minimum of -3/8 at x = -3/2.

    >>> ops.hardswish_backward(np.array([2.0, 2.0, 2.0]), np.array([-4.0, 0.0, 4.0])).tolist()
    [0.0, 1.0, 2.0]
    """
    return backend().hardswish_backward(*with_saved("hardswish_backward", dy, "x", x))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> np.ndarray:
    """Leaky rectified linear unit: y = x where x > 0, else negative_slope * x.

    >>> ops.leaky_relu(np.array([-1.0, 2.0]), 0.1).tolist()
    [-0.1, 2.0]

    Source: Maas, Hannun, Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models
    (2013).
    """
    op = "leaky_relu"
    return backend().leaky_relu(
        checks.array(op, "x", x), checks.real(op, "negative_slope", negative_slope)
    )


def leaky_relu_backward(dy: Any, x: Any, negative_slope: float = 0.01) -> np.ndarray:
    """Gradient of `leaky_relu` from its input x: dx = dy where x > 0, else negative_slope * dy.

    >>> ops.leaky_relu_backward(np.array([5.0, 5.0]), np.array([-1.0, 2.0]), 0.1).tolist()
    [0.5, 5.0]
    """
    op = "leaky_relu_backward"
    dy, x = with_saved(op, dy, "x", x)
    return backend().leaky_relu_backward(dy, x, checks.real(op, "negative_slope", negative_slope))


def sigmoid(x: Any) -> np.ndarray:
    """Logistic function: y = 1 / (1 + exp(-x)), without overflow for any x.

    >>> ops.sigmoid(np.array([0.0])).tolist()
    [0.5]
    """
    return backend().sigmoid(checks.array("sigmoid", "x", x))


def sigmoid_backward(dy: Any, y: Any) -> np.ndarray:
    """Gradient of `sigmoid` from its result y: dx = dy * y * (1 - y).

    >>> ops.sigmoid_backward(np.array([4.0]), np.array([0.5])).tolist()
    [1.0]
    """
    return backend().sigmoid_backward(*with_saved("sigmoid_backward", dy, "y", y))


def tanh(x: Any) -> np.ndarray:
    """Hyperbolic tangent, elementwise.

    >>> ops.tanh(np.array([0.0])).tolist()
    [0.0]
    """
    return backend().tanh(checks.array("tanh", "x", x))


def tanh_backward(dy: Any, y: Any) -> np.ndarray:
    """Gradient of `tanh` from its result y: dx = dy * (1 - y^2).

    >>> ops.tanh_backward(np.array([4.0]), np.array([0.5])).tolist()
    [3.0]
    """
    return backend().tanh_backward(*with_saved("tanh_backward", dy, "y", y))


def softmax(x: Any, axis: int = 1) -> np.ndarray:
    """Probabilities along one axis: y[k] = exp(x[k]) / sum over j of exp(x[j]), without overflow.

    x (any shape), axis, negative ones counted from the end  ->  y as x; an axis of size 0 gives an
    empty y

    >>> ops.softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    x = checks.array("softmax", "x", x)
    return backend().softmax(_around("softmax", axis, "x", x), 1).reshape(x.shape)


def softmax_backward(dy: Any, y: Any, axis: int = 1) -> np.ndarray:
    """Gradient of `softmax` from its result y: dx[k] = y[k] * (dy[k] - sum over j of dy[j] * y[j]).

    >>> ops.softmax_backward(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).tolist()
    [[0.25, -0.25]]
    """
    op = "softmax_backward"
    dy, y = with_saved(op, dy, "y", y)
    return (
        backend()
        .softmax_backward(_around(op, axis, "dy", dy), _around(op, axis, "y", y), 1)
        .reshape(y.shape)
    )


def log_softmax(x: Any, axis: int = 1) -> np.ndarray:
    """Logarithm of `softmax`: y[k] = x[k] - log(sum over j of exp(x[j])), without overflow.

    >>> ops.log_softmax(np.array([[0.0, 0.0]])).round(4).tolist()
    [[-0.6931, -0.6931]]
    """
    x = checks.array("log_softmax", "x", x)
    return backend().log_softmax(_around("log_softmax", axis, "x", x), 1).reshape(x.shape)


def log_softmax_backward(dy: Any, y: Any, axis: int = 1) -> np.ndarray:
    """Gradient of `log_softmax` from its result y: dx[k] = dy[k] - exp(y[k]) * sum over j of dy[j].

    >>> ops.log_softmax_backward(np.array([[1.0, 0.0]]), np.log([[0.5, 0.5]])).tolist()
    [[0.5, -0.5]]
    """
    op = "log_softmax_backward"
    dy, y = with_saved(op, dy, "y", y)
    return (
        backend()
        .log_softmax_backward(_around(op, axis, "dy", dy), _around(op, axis, "y", y), 1)
        .reshape(y.shape)
    )


def with_saved(op: str, dy: Any, name: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """dy and what forward saved: same shape, same dtype."""
    (dy, saved), _ = (_by_output if name == "y" else _by_input)(op, (dy, value))
    return dy, saved


@gate("dy", "y")
def _by_output(op: str, shapes: Any) -> None:
    checks.same_shape(op, "dy", *shapes, "the shape of y")


@gate("dy", "x")
def _by_input(op: str, shapes: Any) -> None:
    checks.same_shape(op, "dy", *shapes, "the shape of x")


def _around(op: str, axis: Any, name: str, x: np.ndarray) -> np.ndarray:
    """x as (outer, k, inner), k being the size along the axis."""
    axis = checks.axis(op, axis, name, x.ndim)
    k = x.shape[axis]
    return x.reshape(math.prod(x.shape[:axis]), k, math.prod(x.shape[axis + 1 :]))
