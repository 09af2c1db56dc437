"""Activations of the dialect `network`: functions, their derivatives, and layers of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats
from .layers import Layer

__all__ = [
    "Activation",
    "LeakyReLULayer",
    "ReLULayer",
    "SigmoidLayer",
    "SoftmaxLayer",
    "TanhLayer",
    "leaky_relu",
    "leaky_relu_derivative",
    "relu",
    "relu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "tanh",
    "tanh_derivative",
]

LIMIT = 500.0  # sigmoid and softmax clip their input here: exp(-500) is still above zero


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
    """exp(x) / sum of exp(x) along the last axis, x clipped to +-500.

    >>> softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    return ops.softmax(np.clip(floats("softmax", x), -LIMIT, LIMIT), axis=-1)


class ReLULayer(Layer):
    """`relu` as a layer.

    >>> ReLULayer().forward([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = relu(x)
        return y

    def backward(self, grad: Any) -> np.ndarray:
        return ops.relu_backward(floats("ReLULayer", grad), self._saved())


class SigmoidLayer(Layer):
    """`sigmoid` as a layer.

    >>> SigmoidLayer().forward([[0.0]]).tolist()
    [[0.5]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = sigmoid(x)
        return y

    def backward(self, grad: Any) -> np.ndarray:
        return ops.sigmoid_backward(floats("SigmoidLayer", grad), self._saved())


class TanhLayer(Layer):
    """`tanh` as a layer.

    >>> TanhLayer().forward([[0.0]]).tolist()
    [[0.0]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = tanh(x)
        return y

    def backward(self, grad: Any) -> np.ndarray:
        return ops.tanh_backward(floats("TanhLayer", grad), self._saved())


class LeakyReLULayer(Layer):
    """`leaky_relu` as a layer.

    >>> LeakyReLULayer(0.5).forward([[-1.0, 2.0]]).tolist()
    [[-0.5, 2.0]]
    """

    def __init__(self, alpha: float = 0.01) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> np.ndarray:
        self._kept = floats("LeakyReLULayer", x)
        return ops.leaky_relu(self._kept, self.alpha)

    def backward(self, grad: Any) -> np.ndarray:
        grad = floats("LeakyReLULayer", grad)
        return ops.leaky_relu_backward(grad, self._saved(), self.alpha)

    def options(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class SoftmaxLayer(Layer):
    """`softmax` as a layer, with the full Jacobian in backward.

    >>> SoftmaxLayer().forward([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = softmax(x)
        return y

    def backward(self, grad: Any) -> np.ndarray:
        return ops.softmax_backward(floats("SoftmaxLayer", grad), self._saved(), axis=-1)


class Activation(Layer):
    """A function f of each number, and its derivative df.

    >>> Activation(np.sin, np.cos).forward([[0.0]]).tolist()
    [[0.0]]
    """

    def __init__(
        self, f: Callable[[np.ndarray], np.ndarray], df: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self.f, self.df = f, df

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.input = floats("Activation", x)
        return self.f(self.input)

    def backward(self, grad: Any) -> np.ndarray:
        return grad * self.df(self._saved())
