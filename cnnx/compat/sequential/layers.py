"""Layers of the dialect `sequential`: `weights biases`, and `dweights dbiases` from backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from .._arrays import affine, affine_backward, floats, images, in_out
from .module import Module

__all__ = ["Conv2d", "Dropout", "Flatten", "Linear", "MaxPool2d", "ReLU", "Softmax"]


class Linear(Module):
    """y = x W + b, x (n, n_inputs).

    `weights` (n_inputs, n_neurons): np.random.uniform(-k, k), k = sqrt(2 / n_inputs); `biases`
    (1, n_neurons): zeros.

    >>> Linear(3, 2)(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(self, n_inputs: int, n_neurons: int) -> None:
        k = math.sqrt(2 / n_inputs)
        self.weights = in_out(np.random.uniform(-k, k, (n_inputs, n_neurons)))
        self.biases = np.zeros((1, n_neurons))
        self.zero_grad()

    dweights: Any
    dbiases: Any

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.inputs = floats("Linear", x)
        return affine("Linear", self.inputs, self.weights, self.biases)

    def backward(self, dvalues: Any) -> np.ndarray:
        dx, self.dweights, dbiases = affine_backward("Linear", dvalues, self._saved(), self.weights)
        self.dbiases = dbiases.reshape(self.biases.shape)
        return dx


class Conv2d(Module):
    """Convolution of (n, in_channels, h, w).

    `weights` (out, in, k, k), then `biases` (out,): np.random.uniform(-b, b), b = 1 / (in*k*k).

    >>> Conv2d(1, 2)(np.ones((1, 1, 5, 5))).shape
    (1, 2, 5, 5)
    """

    dweights: Any
    dbiases: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        b = 1 / (in_channels * kernel_size * kernel_size)
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weights = np.random.uniform(-b, b, shape)
        self.biases = np.random.uniform(-b, b, out_channels)
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.inputs = images("Conv2d", x)
        biases = self.biases.reshape(-1)
        return ops.conv2d(self.inputs, self.weights, biases, self.stride, self.padding)

    def backward(self, dvalues: Any) -> np.ndarray:
        dx, self.dweights, dbiases = ops.conv2d_backward(
            floats("Conv2d", dvalues), self._saved(), self.weights, self.stride, self.padding
        )
        self.dbiases = dbiases.reshape(self.biases.shape)
        assert dx is not None
        return dx


class MaxPool2d(Module):
    """Maxima of windows; the first maximum of each takes its gradient, windows may overlap.

    >>> MaxPool2d()(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """

    def __init__(self, kernel_size: int = 2, stride: int = 2) -> None:
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Any) -> np.ndarray:
        x = images("MaxPool2d", x)
        y, argmax = ops.max_pool2d(x, self.kernel_size, self.stride)
        self._kept = argmax, x.shape
        return y

    def backward(self, dvalues: Any) -> np.ndarray:
        argmax, x_shape = self._saved()
        dvalues = floats("MaxPool2d", dvalues)
        return ops.max_pool2d_backward(dvalues, argmax, x_shape, self.kernel_size, self.stride)


class Flatten(Module):
    """(n, ...) -> (n, the rest).

    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def forward(self, x: Any) -> np.ndarray:
        x = floats("Flatten", x)
        self._kept = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dvalues: Any) -> np.ndarray:
        return np.reshape(dvalues, self._saved())


class ReLU(Module):
    """max(x, 0).

    >>> ReLU()([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = y = ops.relu(floats("ReLU", x))
        return y

    def backward(self, dvalues: Any) -> np.ndarray:
        return ops.relu_backward(floats("ReLU", dvalues), self._saved())


class Softmax(Module):
    """exp(x) / sum of exp(x) for every row, with the full Jacobian in backward.

    >>> Softmax()([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.output = ops.softmax(floats("Softmax", x), axis=-1)
        return self.output

    def backward(self, dvalues: Any) -> np.ndarray:
        return ops.softmax_backward(floats("Softmax", dvalues), self._saved(), axis=-1)


class Dropout(Module):
    """x * mask / keep, keep = 1 - p, mask = np.random.binomial(1, keep, x.shape); x itself while
    `train_val` validates and in `test`.

    >>> Dropout(0.0)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p}, expected from 0 to below 1")
        self.p = p
        self.mask: Any = None

    def forward(self, x: Any) -> np.ndarray:
        x, keep = floats("Dropout", x), 1 - self.p
        self.mask = np.random.binomial(1, keep, x.shape) / keep if self.training else None
        return x if self.mask is None else x * self.mask

    def backward(self, dvalues: Any) -> np.ndarray:
        dvalues = floats("Dropout", dvalues)
        return dvalues if self.mask is None else dvalues * self.mask
