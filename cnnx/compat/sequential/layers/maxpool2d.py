"""`MaxPool2d` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import ops
from ..._arrays import floats, images
from ..module import Module

__all__ = ["MaxPool2d"]


class MaxPool2d(Module):
    """Maximum over windows, which may overlap; the first maximum of a window gets its gradient.

    `max_indices` (n, c, oh, ow) are the positions of the maxima in their windows, row * kernel_size
    + column.

    >>> MaxPool2d()(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """

    def __init__(self, kernel_size: int = 2, stride: int = 2) -> None:
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.x = images("MaxPool2d", x)
        y, self.max_indices = ops.max_pool2d(self.x, self.kernel_size, self.stride)
        return y

    def backward(self, dvalues: Any) -> np.ndarray:
        shape = self._saved().shape
        dvalues = floats("MaxPool2d", dvalues)
        return ops.max_pool2d_backward(
            dvalues, self.max_indices, shape, self.kernel_size, self.stride
        )
