"""`MaxPool2D`, `Flatten` and `Dropout` of the dialect `network`: layers without parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats, images, saved
from .base import Layer

__all__ = ["Dropout", "Flatten", "MaxPool2D"]


class MaxPool2D(Layer):
    """Maximum over windows, which may overlap; the first maximum of a window gets its gradient.

    pool_size  an integer, or a pair          stride  None: as pool_size

    >>> MaxPool2D().forward(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """

    input_cache: Any = None

    def __init__(self, pool_size: Any = 2, stride: Any = None) -> None:
        self.pool_size = (
            tuple(pool_size) if isinstance(pool_size, (tuple, list)) else (pool_size,) * 2
        )
        self.stride = self.pool_size if stride is None else stride

    def forward(self, x: Any) -> np.ndarray:
        self.input_cache = images("MaxPool2D", x)
        y, argmax = ops.max_pool2d(self.input_cache, self.pool_size, self.stride)
        self._kept = argmax, self.input_cache.shape
        return y

    def backward(self, grad_output: Any) -> np.ndarray:
        argmax, x_shape = self._saved()
        grad = floats("MaxPool2D", grad_output)
        return ops.max_pool2d_backward(grad, argmax, x_shape, self.pool_size, self.stride)

    def options(self) -> dict[str, Any]:
        return {"pool_size": self.pool_size, "stride": self.stride}


class Flatten(Layer):
    """(n, ...) -> (n, product of the rest); `input_shape` is the input's shape.

    >>> Flatten().forward(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    input_shape: Any = None

    def forward(self, x: Any) -> np.ndarray:
        x = floats("Flatten", x)
        self.input_shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad_output: Any) -> np.ndarray:
        return np.reshape(grad_output, saved("Flatten", self.input_shape))


class Dropout(Layer):
    """In training x * mask / (1 - dropout_rate), mask = np.random.rand(*x.shape) > dropout_rate;
    otherwise x. A rate of 0 draws nothing.

    After the network's `eval()`, the mask is drawn but not applied: the old program dropped there
    too, and drawing the same random numbers keeps all later ones the same. After
    `set_training(False)` nothing is drawn.

    >>> layer = Dropout()
    >>> layer.set_training(False)
    >>> layer.forward([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, dropout_rate: float = 0.5) -> None:
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"Dropout: dropout_rate={dropout_rate}, expected from 0 to below 1")
        self.dropout_rate = dropout_rate
        self.mask: Any = None

    def forward(self, x: Any) -> np.ndarray:
        x = floats("Dropout", x)
        self.mask = None
        if self.training and self.dropout_rate > 0:
            drawn = np.random.rand(*x.shape) > self.dropout_rate
            self.mask = None if self.evaluating else drawn.astype(np.float32)
        return self._masked(x)

    def backward(self, grad_output: Any) -> np.ndarray:
        return self._masked(floats("Dropout", grad_output))

    def _masked(self, x: np.ndarray) -> np.ndarray:
        return x if self.mask is None else x * self.mask / (1 - self.dropout_rate)

    def options(self) -> dict[str, Any]:
        return {"dropout_rate": self.dropout_rate}
