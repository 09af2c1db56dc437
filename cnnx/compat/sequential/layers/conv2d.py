"""`Conv2d` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import ops
from ..._arrays import floats, images
from .weighted import Weighted

__all__ = ["Conv2d"]


class Conv2d(Weighted):
    """Convolution of (n, in_channels, h, w).

    `weights` (out, in, k, k), then `biases` (out,): np.random.uniform(-b, b), b = 1 / (in*k*k).

    >>> Conv2d(1, 2)(np.ones((1, 1, 5, 5))).shape
    (1, 2, 5, 5)
    """

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

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.x = images("Conv2d", x)
        biases = self.biases.reshape(-1)
        self.output = ops.conv2d(self.x, self.weights, biases, self.stride, self.padding)
        return self.output

    def backward(self, dvalues: Any) -> np.ndarray:
        dx, self.dweights, dbiases = ops.conv2d_backward(
            floats("Conv2d", dvalues), self._saved(), self.weights, self.stride, self.padding
        )
        self.dbiases = dbiases.reshape(self.biases.shape)
        assert dx is not None
        return dx
