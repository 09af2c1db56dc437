"""`Softmax` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import ops
from ..._arrays import floats
from ..module import Module

__all__ = ["Softmax"]


class Softmax(Module):
    """exp(x) / sum of exp(x) for every row, with the full Jacobian in backward.

    >>> Softmax()([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.output = ops.softmax(floats("Softmax", x), axis=-1)
        return self.output

    def backward(self, dvalues: Any) -> np.ndarray:
        self.dx = ops.softmax_backward(floats("Softmax", dvalues), self._saved(), axis=-1)
        return self.dx
