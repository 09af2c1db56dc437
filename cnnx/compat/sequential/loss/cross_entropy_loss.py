"""`CrossEntropyLoss` of the dialect `sequential`, on probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._arrays import floats
from .loss_func import Loss

__all__ = ["CrossEntropyLoss"]

SMALLEST = 1e-7  # probabilities are clipped to SMALLEST and 1 - SMALLEST


class CrossEntropyLoss(Loss):
    """-log(p) at the target, for rows of probabilities; y_true: class indices or one-hot rows.

    backward  -onehot / p / n

    >>> CrossEntropyLoss().forward([[0.5, 0.5]], [1]).round(4).tolist()
    [0.6931]
    """

    def forward(self, y_pred: Any, y_true: Any) -> np.ndarray:
        p, t = self._both(y_pred, y_true)
        return -np.log((p * t).sum(axis=1))

    def backward(self, y_pred: Any, y_true: Any) -> np.ndarray:
        p, t = self._both(y_pred, y_true)
        self.dx = -t / p / len(p)
        return self.dx

    def _both(self, y_pred: Any, y_true: Any) -> tuple[np.ndarray, np.ndarray]:
        """Clipped probabilities and one-hot rows."""
        p = np.clip(floats("CrossEntropyLoss", y_pred), SMALLEST, 1 - SMALLEST)
        t = np.asarray(y_true)
        if t.ndim == 1 and p.ndim == 2:
            if t.dtype.kind not in "iu" or (t.size and not (t.min() >= 0 and t.max() < p.shape[1])):
                raise ValueError(
                    f"CrossEntropyLoss: y_true holds {t.dtype} from {t.min()} to {t.max()}, "
                    f"expected integers from 0 to {p.shape[1] - 1}"
                )
            t = np.eye(p.shape[1])[t]
        if t.shape != p.shape:
            raise ValueError(
                f"CrossEntropyLoss: y_pred has shape {p.shape}, y_true {np.shape(y_true)}"
            )
        return p, t
