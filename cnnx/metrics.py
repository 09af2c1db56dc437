"""Measures of how good predictions are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cnnx import checks, targets

__all__ = ["accuracy", "class_pairs", "confusion_matrix"]

_LARGEST_TABLE = 10_000  # classes: 800 MB of counts


def accuracy(pred: Any, target: Any, threshold: float | None = None) -> float:
    """The share of samples whose predicted class is the right one, between 0 and 1.

    pred    scores (n, k, ...), of which the largest along axis 1 counts (logits or probabilities);
            one score a sample, (n, 1, ...) or (n,): yes from the threshold on; or predicted class
            numbers in target's shape
    target  class numbers (n, ...) or (n, 1, ...), one-hot rows (n, k, ...) of any dtype, or
            probabilities like pred
    threshold  where yes begins. None: 0, which is right for logits, with a warning if every score
            lies between 0 and 1; for probabilities give 0.5. With a threshold and a target of 0 and
            1 in pred's shape each score counts for itself: several classes at once

    A prediction that is NaN is of no class: it counts as wrong, with a RuntimeWarning. Where the
    shapes leave open what is meant, `cnnx.targets.read_classes` has the rule.

    ValueError where the shapes do not fit, there is no sample, or target holds no classes.

    Example: ``accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])`` is 0.5.
    """
    predicted, right, lost, _ = targets.read_classes("accuracy", pred, target, threshold)
    if right.size == 0:
        raise ValueError("accuracy: there is no sample to count: give at least one")
    hits = predicted == right
    if lost is not None:
        hits &= ~lost
        warnings.warn(
            f"accuracy: {np.count_nonzero(lost)} of {lost.size} predictions are NaN, and count as "
            "wrong: look for NaN in the data and the weights",
            RuntimeWarning,
            stacklevel=2,
        )
    return float(np.mean(hits))


def confusion_matrix(
    pred: Any, target: Any, classes: int | None = None, threshold: float | None = None
) -> np.ndarray:
    """counts[i, j]: how many samples of class i were predicted to be class j; (k, k) int64.

    pred, target, threshold  as in `accuracy`
    classes  rows and columns; None: as many as pred has scores a sample, or as there are labels

    ValueError where the shapes do not fit, there is no sample, a label is outside 0..classes-1, or
    a prediction is NaN: it has no place in the table.

    Example: ``confusion_matrix([0, 1, 1], [0, 0, 1])`` is ``[[1, 1], [0, 1]]``.
    """
    op = "confusion_matrix"
    predicted, right, k = class_pairs(op, pred, target, classes, threshold)
    if k > _LARGEST_TABLE:
        raise ValueError(
            f"{op}: a table of {k} classes would take {8 * k * k / 1e9:,.1f} GB, and at most "
            f"{_LARGEST_TABLE} are expected: number the classes from 0 without gaps, as "
            "np.unique(labels, return_inverse=True) does"
        )
    cells = right.astype(np.intp) * k + predicted.astype(np.intp)
    return np.bincount(cells, minlength=k * k).reshape(k, k).astype(np.int64, copy=False)


def class_pairs(
    op: str, pred: Any, target: Any, classes: int | None = None, threshold: float | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Predicted and right classes (n,), and how many classes there are.

    Arguments and errors are those of `confusion_matrix`, but for the size of a table.
    """
    predicted, right, lost, known = targets.read_classes(op, pred, target, threshold)
    if right.size == 0:
        raise ValueError(f"{op}: there is no sample to count: give at least one")
    if lost is not None:
        raise ValueError(
            f"{op}: {np.count_nonzero(lost)} of {lost.size} predictions are NaN, which is no "
            "class: look for NaN in the data and the weights"
        )
    predicted, right = predicted.ravel(), right.ravel()
    if predicted.dtype.kind == "f":
        predicted = predicted.astype(np.int64)
    smallest = int(min(predicted.min(), right.min()))
    largest = int(max(predicted.max(), right.max()))
    k = largest + 1 if classes is None else checks.integer(op, "classes", classes, least=1)
    k = max(k, known)
    if largest >= k or smallest < 0:
        wrong = largest if largest >= k else smallest
        raise ValueError(
            f"{op}: a label is {wrong}, expected 0 to {k - 1}: number the classes from 0, as "
            "np.unique(labels, return_inverse=True) does"
        )
    return predicted, right, k
