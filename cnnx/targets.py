"""Forms of targets accepted by losses, metrics, `fit`, `evaluate` and the command line.

Scores of two or more classes, (n, k, ...):
    labels         (n, ...), or (n, 1, ...) with an axis for the class: integers of any dtype,
                   booleans, or integral floats
    one-hot        (n, k, ...) of any real dtype: along axis 1 a single 1 among zeros
    probabilities  (n, k, ...) of floats: along axis 1 from 0 to 1, with sum 1

One score per sample, (n, 1, ...) or (n,):
    yes or no      1 or 0 as integers, booleans or floats; or the probability of yes
    numbers        regression targets, for MSELoss
    in both cases with or without the axis of length 1, which carries no information

The shapes of pred and target determine the form. If they are ambiguous, which can only happen in
`read_classes` (it accepts predicted classes as well as scores), its docstring has the rule.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from cnnx import checks

__all__ = [
    "Classes",
    "are_classes",
    "is_one_hot",
    "numbers",
    "read_answers",
    "read_classes",
    "read_distribution",
    "read_labels",
    "read_numbers",
    "refuse_nan",
    "without",
]

Shape = tuple[int, ...]

_SUM_ERROR = 0.01  # of a sum of probabilities: the rounding of a thousand classes in float16


def numbers(op: str, name: str, value: Any) -> np.ndarray:
    """The value as an array of real numbers. TypeError for None, text, objects, masked arrays."""
    if type(value) is not np.ndarray:
        value = checks.from_anything(op, name, value)
    if value.dtype.kind not in "biuf":
        raise TypeError(
            f"{op}: {name} has dtype {value.dtype}, but real numbers are expected; of names, "
            "np.unique(names, return_inverse=True) makes class numbers"
        )
    return value


def read_distribution(
    op: str, target: np.ndarray, shape: Shape, dtype: Any, ignore_index: int | None = None
) -> np.ndarray:
    """The target for scores (n, k, ...): labels (n, ...) int64, or probabilities in their dtype.

    Labels that are ignore_index become -1. ValueError, with advice, for any other form, for labels
    outside 0 ... k - 1 and for scores of a single class.
    """
    if len(shape) < 2 or shape[1] == 1:
        raise ValueError(
            f"{op}: pred has shape {shape}, one output per sample, whose softmax is always "
            "1: use loss=BCEWithLogitsLoss() for yes or no, loss=MSELoss() for a number, or a "
            "model with one output per class"
        )
    if target.shape == shape:
        return _probabilities(op, target).astype(dtype, copy=False)
    labels = (shape[0], *shape[2:])
    if target.shape != labels and target.shape != (shape[0], 1, *shape[2:]):
        raise ValueError(
            f"{op}: target has shape {target.shape}, but pred {shape} expects labels {labels}, or "
            f"one-hot rows or probabilities {shape}"
        )
    return checks.labels(op, _whole(op, target).reshape(labels), shape[1], ignore_index)


def read_labels(op: str, target: np.ndarray) -> np.ndarray:
    """Integers (n,) from labels (n,) or (n, 1), or from one-hot rows (n, k), without scores.

    ValueError if the target does not contain classes.
    """
    if target.ndim == 2 and target.shape[1] > 1:
        rows = _probabilities(op, target)
        if not is_one_hot(rows):
            first = np.flatnonzero(((rows != 0) & (rows != 1)).any(axis=1))[0]
            raise ValueError(
                f"{op}: target[{first}] is not a one-hot row: labels (n,) or rows with a single 1 "
                "among zeros are expected"
            )
        return rows.argmax(axis=1)
    if target.ndim not in (1, 2):
        raise ValueError(
            f"{op}: target has shape {target.shape}, but labels (n,) or one-hot rows (n, classes) "
            "are expected"
        )
    return _whole(op, target).reshape(-1)


def read_numbers(op: str, target: np.ndarray, shape: Shape, dtype: Any) -> np.ndarray:
    """The target in pred's shape and dtype; an axis 1 of length 1 may be missing in either."""
    if target.shape != shape:
        if not _same_but_for_axis_1(target.shape, shape):
            raise ValueError(
                f"{op}: target has shape {target.shape}, but that of pred, {shape}, is expected; "
                "for labels and an output for each class there is CrossEntropyLoss(), and "
                "cnnx.data.one_hot makes rows of labels"
            )
        target = target.reshape(shape)
    return target.astype(dtype, copy=False)


def read_answers(op: str, target: np.ndarray, shape: Shape, dtype: Any) -> np.ndarray:
    """`read_numbers` for yes and no: ValueError for values outside 0 to 1."""
    read = read_numbers(op, target, shape, dtype)
    if read.size and not (read.min() >= 0 and read.max() <= 1):
        where, value = _first(target, ~((target >= 0) & (target <= 1)))
        raise ValueError(
            f"{op}: target{where} is {value}, but 0 (no), 1 (yes) or a probability is expected; "
            "for class numbers use one output per class and CrossEntropyLoss(), for regression "
            "MSELoss() without accuracy"
        )
    return read


class Classes(NamedTuple):
    """Predicted and true classes, of the same shape.

    lost    mask of predictions that are NaN and so of no class; None if there are none
    scored  number of classes that have scores; 0 if class numbers were given instead
    """

    predicted: np.ndarray
    right: np.ndarray
    lost: np.ndarray | None
    scored: int


def read_classes(op: str, pred: Any, target: Any, threshold: float | None = None) -> Classes:
    """The class that pred gives to each sample, and the true one.

    pred    scores, the largest along axis 1 being the prediction; one score per sample, which means
            yes from the threshold on; or predicted class numbers
    target  any of the forms above; the largest of probabilities is the class
    threshold  None: 0, for logits. If given, every score is a separate answer, also those of
            (n, k, ...) with a target of that shape: several classes at once

    If shapes are ambiguous (pred and target of the same shape):
    - floats in pred are scores; but in (n,) they are class numbers if all are integral and >= 0,
      and in (n, 1, ...) if all are 0 or 1;
    - integers and booleans are class numbers, compared one by one; but with a target that is
      one-hot along axis 1 they are scores if they are one-hot too, or not all 0 or 1; and in
      (n, 1, ...) they are scores if one of them is negative and none of the target is.
    """
    pred, target = numbers(op, "pred", pred), numbers(op, "target", target)
    if threshold is not None:
        threshold = checks.real(op, "threshold", threshold)
        if target.shape == pred.shape or _same_but_for_axis_1(target.shape, pred.shape):
            return _answers(op, pred, target, threshold)
    if pred.ndim > 1 and pred.shape[1] > 1:
        labels = (pred.shape[0], *pred.shape[2:])
        if target.shape == labels or target.shape == (pred.shape[0], 1, *pred.shape[2:]):
            return _largest(pred, _whole(op, target).reshape(labels))
        if target.shape == pred.shape and _are_scores(pred, target):
            return _largest(pred, _probabilities(op, target, "threshold=0.0").argmax(axis=1))
    if target.shape != pred.shape and not _same_but_for_axis_1(target.shape, pred.shape):
        raise ValueError(
            f"{op}: pred has shape {pred.shape} and target {target.shape}; expected are scores "
            "(n, classes, ...) or predicted classes (n, ...), and a target of classes (n, ...) or "
            "one-hot rows (n, classes, ...)"
        )
    if _are_class_numbers(pred, target):
        return Classes(pred, _whole(op, target).reshape(pred.shape), _nan(pred), 0)
    return _answers(op, pred, target, None)


def are_classes(target: np.ndarray, shape: Shape) -> bool:
    """Whether target contains labels or one-hot rows for scores (n, k, ...) of k >= 2 classes."""
    if len(shape) < 2 or shape[1] < 2:
        return False
    if target.shape in ((shape[0], *shape[2:]), (shape[0], 1, *shape[2:])):
        return target.dtype.kind != "f" or bool((target == np.floor(target)).all())
    return target.shape == shape and is_one_hot(target)


def refuse_nan(op: str, outputs: np.ndarray) -> None:
    """ValueError if an output is NaN, which has no class."""
    if outputs.dtype.kind == "f" and np.isnan(outputs).any():
        lost = np.isnan(outputs).reshape(len(outputs), -1).any(axis=1)
        raise ValueError(
            f"{op}: {np.count_nonzero(lost)} of {len(lost)} outputs are NaN, the first that of "
            f"x[{lost.argmax()}], which has no class: look for NaN in x and in the weights"
        )


def without(label: int, pred: np.ndarray, target: np.ndarray, weight: Any = None) -> list[Any]:
    """Scores (m, k), labels (m,) and weights (m,) of the samples with another label than this one,
    from scores (n, k, ...) and weights (n,) or None; all unchanged if there are no such labels."""
    shape = (pred.shape[0], *pred.shape[2:])
    if pred.ndim < 2 or pred.shape[1] < 2 or target.size != math.prod(shape):
        return [pred, target, weight]
    labels = target.reshape(shape)
    kept = labels != label
    if np.logical_and.reduce(kept, axis=None):  # kept.all(), whose call takes longer
        return [pred, target, weight]
    if weight is not None:
        each = np.asarray(weight).reshape(-1, *[1] * (kept.ndim - 1))
        weight = np.broadcast_to(each, shape)[kept]
    return [np.moveaxis(pred, 1, -1)[kept], labels[kept], weight]


def is_one_hot(target: np.ndarray) -> bool:
    """Whether each row along axis 1 has a single 1 among zeros, and at least two entries."""
    if target.ndim < 2 or target.shape[1] < 2:
        return False
    ones = target == 1
    return bool((ones.sum(axis=1) == 1).all() and ((target == 0) | ones).all())


def _largest(scores: np.ndarray, right: np.ndarray) -> Classes:
    lost = _nan(scores)
    rows = None if lost is None else np.logical_or.reduce(lost, axis=1)
    return Classes(scores.argmax(axis=1), right, rows, scores.shape[1])


def _answers(op: str, scores: np.ndarray, target: np.ndarray, threshold: float | None) -> Classes:
    """Each score as a separate yes or no."""
    right = read_answers(op, target, scores.shape, target.dtype)
    right = right if right.dtype.kind in "biu" else right >= 0.5
    if threshold is None:
        threshold = 0.0
        if scores.size and scores.min() >= 0 and scores.max() <= 1:
            warnings.warn(
                f"{op}: every pred is between 0 and 1, but is interpreted as a logit, which means "
                "yes from 0 on: pass threshold=0.5 for probabilities, or threshold=0.0",
                UserWarning,
                stacklevel=4,
            )
    yes = (scores >= threshold).astype(np.int64)
    return Classes(yes, right.astype(np.int64), _nan(scores), 2)


def _nan(pred: np.ndarray) -> np.ndarray | None:
    """Mask of NaN in pred; None if there are none."""
    found = np.isnan(pred) if pred.dtype.kind == "f" else None
    return None if found is None or not np.logical_or.reduce(found, axis=None) else found


def _are_scores(pred: np.ndarray, target: np.ndarray) -> bool:
    """Whether pred, in target's shape (n, k, ...), contains scores, not classes: see the rule."""
    if pred.dtype.kind == "f":
        return True
    return is_one_hot(target) and (is_one_hot(pred) or not ((pred == 0) | (pred == 1)).all())


def _are_class_numbers(pred: np.ndarray, target: np.ndarray) -> bool:
    """Whether pred, with one number per target, contains classes: see the rule."""
    if pred.dtype.kind != "f":
        column = pred.ndim > 1 and pred.shape[1] == 1
        return not (column and pred.size and pred.min() < 0 and target.min() >= 0)
    known = pred if _nan(pred) is None else pred[~np.isnan(pred)]
    if pred.ndim == 1:
        return bool(((known >= 0) & (known == np.floor(known))).all())
    return bool(((known == 0) | (known == 1)).all())


def _whole(op: str, target: np.ndarray) -> np.ndarray:
    """Labels as integers."""
    if target.dtype.kind == "f":
        wrong = ~(np.abs(target) < 2.0**63) | (target != np.floor(target))
        if wrong.any():
            where, value = _first(target, wrong)
            raise ValueError(
                f"{op}: target{where} is {value}, but labels must be integers; for regression use "
                "MSELoss() without accuracy"
            )
        return target.astype(np.int64)
    return target.astype(np.int64) if target.dtype.kind == "b" else target


def _probabilities(op: str, target: np.ndarray, several: str = "BCEWithLogitsLoss()") -> np.ndarray:
    """Rows that are one-hot, or floats from 0 to 1 with sum 1; ValueError names the first other."""
    error = _SUM_ERROR if target.dtype.kind == "f" else 0
    sums = target.sum(axis=1)
    # The usual case: this is called for every batch of a training.
    if not target.size or (
        target.min() >= 0 and sums.min() >= 1 - error and sums.max() <= 1 + error
    ):
        return target
    wrong = ~((sums >= 1 - error) & (sums <= 1 + error) & (target >= 0).all(axis=1))
    where, _ = _first(wrong, wrong)
    row = np.moveaxis(target, 1, -1)[tuple(np.argwhere(wrong)[0])]
    if ((row == 0) | (row == 1)).all():
        raise ValueError(
            f"{op}: target{where} holds {int(row.sum())} ones, but a one-hot row has a single "
            f"one; for several classes at once use {several}"
        )
    shown = ", ".join(f"{value:g}" for value in row[:4]) + (", ..." if len(row) > 4 else "")
    what = "probabilities" if target.dtype.kind == "f" else "a one-hot row"
    raise ValueError(
        f"{op}: target{where}, [{shown}], is not {what} (from 0 to 1, with sum 1): use "
        "MSELoss() to predict numbers, labels (n, ...) to predict classes"
    )


def _same_but_for_axis_1(one: Shape, other: Shape) -> bool:
    """Whether the shapes are equal except for an axis 1 of length 1."""
    long, short = (one, other) if len(one) > len(other) else (other, one)
    return len(long) == len(short) + 1 and long[1] == 1 and (long[0], *long[2:]) == short


def _first(values: np.ndarray, wrong: np.ndarray) -> tuple[str, Any]:
    """Position of the first wrong value, "[3]" or "[3, 0]", and the value."""
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    value = values[where]
    return str(list(where)), f"{value:g}" if values.dtype.kind == "f" else value
