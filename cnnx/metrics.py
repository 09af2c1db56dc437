"""Measures of how good predictions are."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["accuracy"]


def accuracy(pred: Any, target: Any) -> float:
    """The share of samples whose predicted class is the right one, between 0 and 1.

    pred    scores (n, k, ...), of which the largest along axis 1 counts (logits or probabilities),
            or predicted class numbers in target's shape
    target  class numbers (n, ...), or one-hot rows (n, k, ...) like pred

    ValueError where the shapes do not fit or there is no sample.

    Example: ``accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])`` is 0.5.
    """
    pred, target = np.asarray(pred), np.asarray(target)
    given, expected = pred.shape, target.shape
    if target.ndim > 1 and pred.shape == target.shape and target.dtype.kind == "f":
        target = target.argmax(axis=1)
    if pred.ndim == target.ndim + 1:
        pred = pred.argmax(axis=1)
    if pred.shape != target.shape:
        raise ValueError(
            f"accuracy: pred has shape {given}, but target {expected} expects the same shape, or "
            "scores (n, classes, ...) of it"
        )
    if target.size == 0:
        raise ValueError("accuracy: there is no sample to count")
    return float(np.mean(pred == target))
