"""Losses of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, ops, targets
from cnnx.losses.base import OfOp

__all__ = ["HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss"]


class _Errors(OfOp):
    """A loss of the differences between pred and target."""

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in pred's shape and dtype."""
        return targets.read_numbers(type(self).__name__, target, shape, dtype)


class MSELoss(_Errors):
    """Mean of (pred - target)^2 over all numbers. For regression.

    pred    of any shape and float dtype
    target  numbers of the same shape, except that an axis 1 of length 1 may be missing: (n,) for
            (n, 1); cast to pred's dtype

    ValueError for mismatched shapes.

    Example: ``MSELoss()(np.array([1.0, 3.0]), [1.0, 1.0])`` is 2.
    """

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        return ops.mse(pred, target, reduction)


class L1Loss(_Errors):
    """Mean of |pred - target| over all numbers. For regression with outliers.

    pred, target  as in `MSELoss`

    The gradient is 0 where the difference is 0. ValueError for mismatched shapes.

    Example: ``L1Loss()(np.array([1.0, 3.0]), [1.0, 1.0])`` is 1.
    """

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        return ops.l1(pred, target, reduction)


class HuberLoss(_Errors):
    """Mean over all numbers of d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with
    d = pred - target: squared near 0, absolute far from it.

    pred, target  as in `MSELoss`
    delta         above 0

    P. Huber, "Robust Estimation of a Location Parameter", 1964.

    Example: ``HuberLoss()(np.array([1.0, 4.0]), [0.0, 0.0])`` is (0.5 + 3.5) / 2 = 2.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = checks.real("HuberLoss", "delta", delta, 0.0)
        if not self.delta:
            raise ValueError("HuberLoss: delta=0, expected a number above 0")

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        return ops.huber(pred, target, self.delta, reduction)


class SmoothL1Loss(_Errors):
    """Mean over all numbers of d^2 / (2 * beta) where |d| < beta, else |d| - beta / 2, with
    d = pred - target: `HuberLoss` with delta = beta, divided by beta.

    pred, target  as in `MSELoss`
    beta          at least 0; 0 is `L1Loss`

    R. Girshick, "Fast R-CNN", ICCV 2015.

    Example: ``SmoothL1Loss()(np.array([1.0, 4.0]), [0.0, 0.0])`` is (0.5 + 3.5) / 2 = 2.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = checks.real("SmoothL1Loss", "beta", beta, 0.0)

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        return ops.smooth_l1(pred, target, self.beta, reduction)
