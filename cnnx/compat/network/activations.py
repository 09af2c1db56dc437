"""Activations of the dialect `network`: functions and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats

__all__ = [
    "leaky_relu",
    "leaky_relu_derivative",
    "np",
    "relu",
    "relu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "tanh",
    "tanh_derivative",
]

LIMIT = 500.0  # sigmoid and softmax clip here: exp(-500) is still above zero


def relu(x: Any) -> np.ndarray:
    """max(x, 0).

    >>> relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return ops.relu(floats("relu", x))


def relu_derivative(x: Any) -> np.ndarray:
    """1 where x > 0, else 0.

    >>> relu_derivative([-1.0, 2.0]).tolist()
    [0.0, 1.0]
    """
    return (floats("relu_derivative", x) > 0).astype(float)


def sigmoid(x: Any) -> np.ndarray:
    """1 / (1 + exp(-x)), x clipped to +-500.

    >>> sigmoid([0.0]).tolist()
    [0.5]
    """
    return ops.sigmoid(np.clip(floats("sigmoid", x), -LIMIT, LIMIT))


def sigmoid_derivative(x: Any) -> np.ndarray:
    """sigmoid(x) * (1 - sigmoid(x)).

    >>> sigmoid_derivative([0.0]).tolist()
    [0.25]
    """
    y = sigmoid(x)
    return y * (1 - y)


def tanh(x: Any) -> np.ndarray:
    """Hyperbolic tangent.

    >>> tanh([0.0]).tolist()
    [0.0]
    """
    return ops.tanh(floats("tanh", x))


def tanh_derivative(x: Any) -> np.ndarray:
    """1 - tanh(x)^2.

    >>> tanh_derivative([0.0]).tolist()
    [1.0]
    """
    return 1 - tanh(x) ** 2


def leaky_relu(x: Any, alpha: float = 0.01) -> np.ndarray:
    """x where x > 0, else alpha * x.

    >>> leaky_relu([-1.0, 2.0], 0.5).tolist()
    [-0.5, 2.0]
    """
    return ops.leaky_relu(floats("leaky_relu", x), alpha)


def leaky_relu_derivative(x: Any, alpha: float = 0.01) -> np.ndarray:
    """1 where x > 0, else alpha.

    >>> leaky_relu_derivative([-1.0, 2.0], 0.5).tolist()
    [0.5, 1.0]
    """
    return np.where(floats("leaky_relu_derivative", x) > 0, 1.0, alpha)


def softmax(x: Any) -> np.ndarray:
    """exp(x - max) / sum of exp(x - max) along the last axis, x - max clipped to +-500.

    >>> softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    x = floats("softmax", x)
    return ops.softmax(np.maximum(x - x.max(axis=-1, keepdims=True), -LIMIT), axis=-1)
