"""`Loss`, the base of losses in the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Loss"]


class Loss:
    """`forward(y_pred, y_true)` returns losses, `calculate` their mean, `backward` the gradient.

    >>> class Absolute(Loss):
    ...     def forward(self, y_pred, y_true):
    ...         return np.abs(np.subtract(y_pred, y_true))
    >>> Absolute().calculate([3.0, 1.0], [1.0, 1.0])
    1.0
    """

    def forward(self, y_pred: Any, y_true: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no forward(y_pred, y_true)")

    def backward(self, y_pred: Any, y_true: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no backward(y_pred, y_true)")

    def calculate(self, y_pred: Any, y_true: Any) -> float:
        """The mean of `forward`."""
        return float(np.mean(self.forward(y_pred, y_true)))
