"""Measures of how good predictions are."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["accuracy", "confusion_matrix"]


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


def confusion_matrix(pred: Any, target: Any, classes: int | None = None) -> np.ndarray:
    """counts[i, j]: how many samples of class i were predicted to be class j; (k, k) int64.

    pred     scores (n, k), of which the largest counts, or predicted class numbers (n,)
    target   class numbers (n,)
    classes  rows and columns; None: as many as scores has columns, or as there are labels

    ValueError where the shapes do not fit, there is no sample, or a label is outside 0..classes-1.

    Example: ``confusion_matrix([0, 1, 1], [0, 0, 1])`` is ``[[1, 1], [0, 1]]``.
    """
    pred, target = np.asarray(pred), np.asarray(target)
    given = pred.shape
    if pred.ndim == 2:
        classes = max(pred.shape[1], classes or 0)
        pred = pred.argmax(axis=1) if pred.size else np.empty(0, np.int64)
    if target.ndim != 1 or pred.shape != target.shape or len(target) == 0:
        raise ValueError(
            f"confusion_matrix: pred has shape {given} and target {target.shape}, expected scores "
            "(n, classes) or classes (n,), and classes (n,), of at least one sample"
        )
    for name, labels in (("pred", pred), ("target", target)):
        if labels.dtype.kind not in "iub":
            raise ValueError(f"confusion_matrix: {name} is {labels.dtype}, expected class numbers")
    largest = int(max(pred.max(), target.max()))
    k = largest + 1 if classes is None else classes
    if largest >= k or min(pred.min(), target.min()) < 0:
        wrong = largest if largest >= k else int(min(pred.min(), target.min()))
        raise ValueError(f"confusion_matrix: a label is {wrong}, expected 0 to {k - 1}")
    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (target.astype(np.intp), pred.astype(np.intp)), 1)
    return counts
