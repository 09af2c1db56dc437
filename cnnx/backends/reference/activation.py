"""Activations: a function of one element (relu ... tanh), or of one vector (softmax, log_softmax).

x may have any shape; softmax takes (outer, k, inner) and works along the middle axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

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


def relu(x):
    """y = max(x, 0). NaN stays NaN.

    Source: Nair, Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines (2010).
    """
    return np.maximum(x, 0)


def relu_backward(dy, y):
    """dx = dy where y > 0 (or y is NaN), else 0."""
    return np.where(y <= 0, dy.dtype.type(0), dy)


def relu6(x):
    """y = min(max(x, 0), 6). NaN stays NaN.

    Source: Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10 (2010).
    """
    return np.minimum(np.maximum(x, 0), 6)


def relu6_backward(dy, y):
    """dx = dy where 0 < y < 6 (or y is NaN), else 0."""
    return np.where((y <= 0) | (y >= 6), dy.dtype.type(0), dy)


def hardsigmoid(x):
    """y = min(max(x + 3, 0), 6) / 6. NaN stays NaN.

    Source: Courbariaux, Bengio, David, BinaryConnect (2015), there of another slope; Howard et al.,
    Searching for MobileNetV3 (2019).
    """
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


def hardsigmoid_backward(dy, y):
    """dx = dy / 6 where 0 < y < 1 (or y is NaN), else 0."""
    return np.where((y <= 0) | (y >= 1), dy.dtype.type(0), dy / 6)


def hardswish(x):
    """y = x * hardsigmoid(x): 0 where x <= -3, x where x >= 3, else x * (x + 3) / 6. NaN stays NaN.

    Source: Howard et al., Searching for MobileNetV3 (2019).
    """
    between = np.clip(x, -3, 3)  # an infinity times 0 would be NaN
    y = np.where(x >= 3, x, between * (between + 3) / 6)
    return np.where(x <= -3, x.dtype.type(0), y)


def hardswish_backward(dy, x):
    """dx = 0 where x <= -3, dy where x >= 3, else dy * (2 * x + 3) / 6."""
    between = np.clip(x, -3, 3)
    dx = np.where(x >= 3, dy, dy * ((2 * between + 3) / 6))
    return np.where(x <= -3, dy.dtype.type(0), dx)


def leaky_relu(x, negative_slope):
    """y = x where x > 0, else negative_slope * x."""
    return np.where(x > 0, x, x.dtype.type(negative_slope) * x)


def leaky_relu_backward(dy, x, negative_slope):
    """dx = dy where x > 0, else negative_slope * dy."""
    return np.where(x > 0, dy, dy.dtype.type(negative_slope) * dy)


def sigmoid(x):
    """y = 1 / (1 + exp(-x)); exp is taken of a number that is never positive: no overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def sigmoid_backward(dy, y):
    """dx = dy * y * (1 - y)"""
    return dy * y * (1 - y)


def tanh(x):
    """y = tanh(x)"""
    return np.tanh(x)


def tanh_backward(dy, y):
    """dx = dy * (1 - y^2)"""
    return dy * (1 - y * y)


def softmax(x, axis):
    """y[k] = exp(x[k]) / sum over j of exp(x[j]); with the largest x subtracted: no overflow."""
    if not x.size:  # there is no maximum
        return x.copy()
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(dy, y, axis):
    """dx[k] = y[k] * (dy[k] - sum over j of dy[j] * y[j])"""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x, axis):
    """y[k] = x[k] - log(sum over j of exp(x[j])), with the largest x subtracted first."""
    if not x.size:
        return x.copy()
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_backward(dy, y, axis):
    """dx[k] = dy[k] - exp(y[k]) * sum over j of dy[j]"""
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)


class Ending(NamedTuple):
    """An activation that other ops may end in. `saves` is what its gradient takes after dy: the
    "input" x of the activation, or its "output" y."""

    function: Callable[..., np.ndarray]
    gradient: Callable[..., np.ndarray]
    saves: str


ENDINGS = {
    "relu": Ending(relu, relu_backward, "output"),
    "relu6": Ending(relu6, relu6_backward, "output"),
    "hardsigmoid": Ending(hardsigmoid, hardsigmoid_backward, "output"),
    "hardswish": Ending(hardswish, hardswish_backward, "input"),
}
