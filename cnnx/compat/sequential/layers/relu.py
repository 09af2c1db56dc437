"""`ReLU` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import ops
from ..._arrays import floats
from ..module import Module

__all__ = ["ReLU"]


class ReLU(Module):
    """max(x, 0).

    >>> ReLU()([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.x = floats("ReLU", x)
        return ops.relu(self.x)

    def backward(self, dvalues: Any) -> np.ndarray:
        self.dx = ops.relu_backward(floats("ReLU", dvalues), self._saved())
        return self.dx
