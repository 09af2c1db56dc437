"""Losses of the overlap of regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, ops, targets
from cnnx.losses.base import Loss, reduced
from cnnx.losses.classification import label_to_ignore

__all__ = ["DiceLoss"]


class DiceLoss(Loss):
    """1 - Dice coefficient of predicted and true regions, the mean over samples and classes.

    D = (2 * sum of p*t + smooth) / (sum of p^2 + sum of t^2 + smooth)

    with sums over the positions of one sample and class, and p the probabilities of pred.

    pred    logits (n, k, d1, ...): p = softmax(pred) over k at least 2 classes, or, for a single
            output (n, 1, d1, ...), sigmoid(pred)
    target  t: labels (n, d1, ...) or one-hot or probabilities in pred's shape; for a single output
            0 and 1, or probabilities

    smooth        above 0: the loss of an empty region that is predicted to be empty is 0
    ignore_index  label of positions that are left out of all sums (softmax)
    reduction     "mean" over the samples, "sum" over them, or "none": (n,)

    F. Milletari, N. Navab, S. Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric
    Medical Image Segmentation", 3DV 2016, equation 3, with smooth.

    Example: ``DiceLoss()(np.zeros((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))`` is 1 - 5/6 = 0.167.
    """

    def __init__(
        self, smooth: float = 1.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.smooth = checks.real("DiceLoss", "smooth", smooth, 0.0)
        if not self.smooth:
            raise ValueError("DiceLoss: smooth=0, expected a number above 0")
        self.ignore_index = label_to_ignore("DiceLoss", ignore_index)

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels as int64, ignored ones as -1, or numbers in pred's shape and dtype."""
        if len(shape) < 3:
            raise ValueError(f"DiceLoss: pred has shape {shape}, expected (n, k, d1, ...)")
        if shape[1] == 1:
            return targets.read_answers("DiceLoss", target, shape, dtype)
        return targets.read_distribution("DiceLoss", target, shape, dtype, self.ignore_index)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[Any, np.ndarray]:
        losses, gradient = self.terms(pred, target)
        return reduced(losses, gradient, np.ones_like(losses), losses.size, self.reduction)

    def terms(self, pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses (n,)."""
        single = pred.shape[1] == 1
        p = ops.sigmoid(pred) if single else ops.softmax(pred)
        kept: Any = 1
        if target.shape == pred.shape:
            t = target
        else:
            kept = np.expand_dims(target >= 0, 1)
            classes = np.arange(pred.shape[1]).reshape(-1, *[1] * (pred.ndim - 2))
            t = (np.expand_dims(target, 1) == classes).astype(pred.dtype)
        over = tuple(range(2, pred.ndim))
        above = 2 * (p * t).sum(over, keepdims=True) + self.smooth
        below = ((p * p + t * t) * kept).sum(over, keepdims=True) + self.smooth
        losses = (1 - above / below).reshape(pred.shape[:2]).mean(axis=1)
        dp = 2 * (p * above - t * below) / (below * below) * kept / pred.shape[1]
        dp = np.ascontiguousarray(dp, dtype=pred.dtype)
        gradient = ops.sigmoid_backward(dp, p) if single else ops.softmax_backward(dp, p)
        return losses.astype(pred.dtype, copy=False), gradient
