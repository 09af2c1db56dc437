"""`MSE` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._arrays import floats
from .loss_func import Loss

__all__ = ["MSE"]


class MSE(Loss):
    """(y_pred - y_true)^2 of each number; backward 2 (y_pred - y_true) / n, n rows.

    >>> MSE().forward([[3.0]], [[1.0]]).tolist()
    [[4.0]]
    """

    def forward(self, y_pred: Any, y_true: Any) -> np.ndarray:
        self.output = self._difference(y_pred, y_true) ** 2
        return self.output

    def backward(self, y_pred: Any, y_true: Any) -> np.ndarray:
        difference = self._difference(y_pred, y_true)
        self.dx = 2 * difference / len(difference)
        return self.dx

    def _difference(self, y_pred: Any, y_true: Any) -> np.ndarray:
        p, t = floats("MSE", y_pred), floats("MSE", y_true)
        if p.shape != t.shape:
            raise ValueError(f"MSE: y_pred has shape {p.shape}, y_true {t.shape}")
        return p - t
