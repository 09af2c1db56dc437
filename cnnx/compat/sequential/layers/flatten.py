"""`Flatten` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._arrays import floats
from ..module import Module

__all__ = ["Flatten"]


class Flatten(Module):
    """(n, ...) -> (n, product of the rest).

    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.x = floats("Flatten", x)
        return self.x.reshape(len(self.x), -1)

    def backward(self, dvalues: Any) -> np.ndarray:
        self.dx = np.reshape(dvalues, self._saved().shape)
        return self.dx
