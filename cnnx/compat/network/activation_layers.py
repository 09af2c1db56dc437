"""Activations as layers, in the dialect `network`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats
from .activations import (
    leaky_relu,
    leaky_relu_derivative,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    softmax,
    tanh,
    tanh_derivative,
)
from .base import Layer

__all__ = [
    "Activation",
    "LeakyReLULayer",
    "ReLULayer",
    "SigmoidLayer",
    "SoftmaxLayer",
    "TanhLayer",
]

Function = Callable[[Any], np.ndarray]


class Activation(Layer):
    """An elementwise function and its derivative; `input_cache` is the last input.

    >>> Activation(np.sin, np.cos).forward([[0.0]]).tolist()
    [[0.0]]
    """

    input_cache: Any = None

    def __init__(self, activation_function: Function, derivative_function: Function) -> None:
        self.activation_function = activation_function
        self.derivative_function = derivative_function

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.input_cache = floats(type(self).__name__, x)
        return self.activation_function(self.input_cache)

    def backward(self, grad_output: Any) -> np.ndarray:
        return grad_output * self.derivative_function(self._saved())


class ReLULayer(Activation):
    """`relu` as a layer.

    >>> ReLULayer().forward([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    def __init__(self) -> None:
        super().__init__(relu, relu_derivative)

    def backward(self, grad_output: Any) -> np.ndarray:
        return ops.relu_backward(floats("ReLULayer", grad_output), self._saved())


class SigmoidLayer(Activation):
    """`sigmoid` as a layer.

    >>> SigmoidLayer().forward([[0.0]]).tolist()
    [[0.5]]
    """

    def __init__(self) -> None:
        super().__init__(sigmoid, sigmoid_derivative)

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = super().forward(x)
        return y

    def backward(self, grad_output: Any) -> np.ndarray:
        return ops.sigmoid_backward(floats("SigmoidLayer", grad_output), self._saved())


class TanhLayer(Activation):
    """`tanh` as a layer.

    >>> TanhLayer().forward([[0.0]]).tolist()
    [[0.0]]
    """

    def __init__(self) -> None:
        super().__init__(tanh, tanh_derivative)

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = super().forward(x)
        return y

    def backward(self, grad_output: Any) -> np.ndarray:
        return ops.tanh_backward(floats("TanhLayer", grad_output), self._saved())


class LeakyReLULayer(Activation):
    """`leaky_relu` as a layer.

    >>> LeakyReLULayer(0.5).forward([[-1.0, 2.0]]).tolist()
    [[-0.5, 2.0]]
    """

    def __init__(self, alpha: float = 0.01) -> None:
        self.alpha = alpha
        super().__init__(
            lambda x: leaky_relu(x, self.alpha), lambda x: leaky_relu_derivative(x, self.alpha)
        )

    def backward(self, grad_output: Any) -> np.ndarray:
        grad = floats("LeakyReLULayer", grad_output)
        return ops.leaky_relu_backward(grad, self._saved(), self.alpha)

    def options(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class SoftmaxLayer(Activation):
    """`softmax` as a layer, with the full Jacobian in backward; `output_cache` is its last output.

    >>> SoftmaxLayer().forward([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    output_cache: Any = None

    def __init__(self) -> None:
        pass  # its derivative is not elementwise

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.output_cache = softmax(x)
        return self.output_cache

    def backward(self, grad_output: Any) -> np.ndarray:
        return ops.softmax_backward(floats("SoftmaxLayer", grad_output), self._saved(), axis=-1)
