"""Metrics as functions of all predictions and targets."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import checks, targets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "LARGEST_TABLE",
    "RENUMBER",
    "accuracy",
    "class_pairs",
    "confusion_matrix",
    "count_classes",
    "integers",
    "iou",
    "mean_iou",
    "precision_recall_f1",
    "top_k_accuracy",
    "warn_of_nan",
]

LARGEST_TABLE = 10_000  # classes: 800 MB of counts
_MOST_RATIOS = 1 << 24  # classes: 500 MB of three counts and a ratio
RENUMBER = (
    ": number the classes from 0 without gaps, as np.unique(labels, return_inverse=True) does"
)


def accuracy(pred: ArrayLike, target: ArrayLike, threshold: float | None = None) -> float:
    """The fraction of samples whose predicted class is the true one, between 0 and 1.

    pred    scores (n, k, ...), the largest along axis 1 being the prediction (logits or
            probabilities); one score per sample, (n, 1, ...) or (n,): yes from the threshold on; or
            predicted class numbers in target's shape
    target  class numbers (n, ...) or (n, 1, ...), one-hot rows (n, k, ...) of any dtype, or
            probabilities like pred
    threshold  the score from which the answer is yes. None: 0, which is right for logits, with a
            warning if every score is between 0 and 1; for probabilities pass 0.5. With a threshold
            and a target of 0 and 1 in pred's shape, each score is a separate answer: several
            classes at once

    A prediction that is NaN has no class: it counts as wrong, with a RuntimeWarning. If the shapes
    are ambiguous, `cnnx.targets.read_classes` has the rule.

    ValueError for mismatched shapes, no samples, and a target without classes.

    Example: ``accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])`` is 0.5.
    """
    op = "accuracy"
    predicted, right, lost, _ = targets.read_classes(op, pred, target, threshold)
    _check_samples(op, right)
    hits = predicted == right
    if lost is not None:
        hits &= ~lost
        warn_of_nan(op, lost)
    return np.count_nonzero(hits) / hits.size


def confusion_matrix(
    pred: ArrayLike, target: ArrayLike, classes: int | None = None, threshold: float | None = None
) -> np.ndarray:
    """counts[i, j]: how many samples of class i were predicted as class j; (k, k) int64.

    pred, target, threshold  as in `accuracy`
    classes  rows and columns; None: the number of scores per sample in pred, or of labels

    ValueError for mismatched shapes, no samples, a label outside 0..classes-1, and a prediction
    that is NaN, which has no class.

    Example: ``confusion_matrix([0, 1, 1], [0, 0, 1])`` is ``[[1, 1], [0, 1]]``.
    """
    op = "confusion_matrix"
    predicted, right, k = class_pairs(op, pred, target, classes, threshold)
    if k > LARGEST_TABLE:
        raise ValueError(
            f"{op}: a table of {k} classes would take {8 * k * k / 1e9:,.1f} GB, and at most "
            f"{LARGEST_TABLE} are expected{RENUMBER}"
        )
    cells = right.astype(np.intp) * k + predicted.astype(np.intp)
    return np.bincount(cells, minlength=k * k).reshape(k, k).astype(np.int64, copy=False)


def class_pairs(
    op: str,
    pred: ArrayLike,
    target: ArrayLike,
    classes: int | None = None,
    threshold: float | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Predicted and true classes (n,), and the number of classes.

    Arguments and errors are those of `confusion_matrix`, except for the size of a table.
    """
    predicted, right, lost, known = targets.read_classes(op, pred, target, threshold)
    _check_samples(op, right)
    if lost is not None:
        raise ValueError(
            f"{op}: {np.count_nonzero(lost)} of {lost.size} predictions are NaN, which is no "
            "class: look for NaN in the data and the weights"
        )
    predicted, right = integers(predicted), integers(right)
    return predicted, right, count_classes(op, predicted, right, known, classes)


def iou(
    pred: ArrayLike, target: ArrayLike, classes: int | None = None, threshold: float | None = None
) -> np.ndarray:
    """Intersection over union of every class, for segmentation; (k,) float64.

    iou[c] = |P & T| / |P | T|,  P where c was predicted, T where c is true,  over all of pred

    pred, target, threshold  as in `accuracy`: scores (n, k, h, w) or classes (n, h, w), and true
             classes (n, h, w)
    classes  their number; None: the number of scores in pred, or of labels

    1 means a class found exactly, 0 one that was never correct, NaN one that is in neither: 0 / 0.
    A prediction that is NaN has no class: it counts as wrong, with a RuntimeWarning.

    ValueError for mismatched shapes, no samples, and a label outside 0..classes-1.

    P. Jaccard, "The Distribution of the Flora in the Alpine Zone", New Phytologist 11, 1912;
    M. Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 88, 2010.

    Example: ``iou([0, 1, 1], [0, 0, 1], classes=3)`` is ``[0.5, 0.5, nan]``.
    """
    op = "iou"
    return _ratios(op, targets.read_classes(op, pred, target, threshold), classes)


def mean_iou(
    pred: ArrayLike, target: ArrayLike, classes: int | None = None, threshold: float | None = None
) -> float:
    """The mean of `iou` over the classes that are in pred or target, between 0 and 1.

    mean_iou = mean over c of |P & T| / |P | T|

    Arguments and errors are those of `iou`. Every class has the same weight, however few pixels it
    has, whereas `accuracy` counts pixels.

    In ``metrics=["mean_iou"]`` of `evaluate`, and in the ``val_`` columns of `fit`, it is computed
    over all samples at once. In the training columns of `fit` it is a mean over the batches, each
    with the classes that occur in it: close to that of all samples, but not the same.

    J. Long, E. Shelhamer, T. Darrell, "Fully Convolutional Networks for Semantic Segmentation",
    CVPR 2015, section 5.

    Example: ``mean_iou([0, 1, 1], [0, 0, 1], classes=3)`` is 0.5.
    """
    op = "mean_iou"
    ratios = _ratios(op, targets.read_classes(op, pred, target, threshold), classes)
    return float(np.nanmean(ratios))


def top_k_accuracy(
    pred: ArrayLike, target: ArrayLike, k: int = 5, sample_weight: ArrayLike | None = None
) -> float:
    """The fraction of samples whose true class is among the k with the largest scores.

    pred    scores (n, classes, ...); of equal scores the lower class comes first, as in argmax
    target  class numbers (n, ...), one-hot rows or probabilities
    sample_weight  (n,): what each sample counts

    Errors are those of `cnnx.metrics.TopKAccuracy`, which adds up batches.

    Example: ``top_k_accuracy([[3, 2, 1], [3, 2, 1]], [1, 2], k=2)`` is 0.5.
    """
    from .classes import TopKAccuracy

    return float(TopKAccuracy(k, "top_k_accuracy")(pred, target, sample_weight))


def precision_recall_f1(
    pred: ArrayLike,
    target: ArrayLike,
    average: str | None = None,
    classes: int | None = None,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[Any, Any, Any]:
    """Precision, recall and F1 of every class, or their averages.

    pred, target, threshold  as in `accuracy`
    average  None: three arrays (k,); "macro", "micro", "weighted" or "binary": three numbers, as in
             `cnnx.metrics.Precision`
    classes  their number; None: the number of scores per sample in pred, or of labels
    sample_weight  (n,): what each sample counts

    The formulas, and the sources, are those of `cnnx.metrics.Precision`, `Recall` and `F1Score`,
    which add up batches.

    Example: ``precision_recall_f1([0, 1, 1], [0, 0, 1])`` is ``[1, 0.5], [0.5, 1], [2/3, 2/3]``.
    """
    from .classes import F1Score, Precision, Recall

    counted = Precision(average, classes, threshold, "precision_recall_f1")
    counted.update(pred, target, sample_weight)
    values: list[Any] = [counted.compute()]
    for make in (Recall, F1Score):
        other = make(average, name="precision_recall_f1")
        other.load_state_dict(counted.state_dict())
        values.append(other.compute())
    precision, recall, f1 = values
    return precision, recall, f1


def _ratios(op: str, read: targets.Classes, classes: int | None) -> np.ndarray:
    """Intersection over union of every class."""
    predicted, right, lost, known = read
    _check_samples(op, right)
    predicted, right = predicted.ravel(), integers(right)
    both = right
    if lost is not None:
        warn_of_nan(op, lost, stacklevel=4)
        seen = ~lost.ravel()
        predicted, both = predicted[seen], right[seen]
    predicted = integers(predicted)
    k = count_classes(op, predicted, right, known, classes)
    if k > _MOST_RATIOS:
        raise ValueError(f"{op}: {k} classes, expected at most {_MOST_RATIOS}{RENUMBER}")
    counts = [
        np.bincount(labels.astype(np.intp, copy=False), minlength=k)
        for labels in (predicted[predicted == both], predicted, right)
    ]
    union = counts[1] + counts[2] - counts[0]
    return np.divide(counts[0], union, out=np.full(k, np.nan), where=union > 0)


def _check_samples(op: str, right: np.ndarray) -> None:
    if right.size == 0:
        raise ValueError(f"{op}: there is no sample to count: give at least one")


def integers(labels: np.ndarray) -> np.ndarray:
    """Labels as a flat array, including integral floats."""
    labels = labels.ravel()
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels


def count_classes(
    op: str, predicted: np.ndarray, right: np.ndarray, known: int, classes: int | None
) -> int:
    """The number of classes; ValueError for a label that is not one of them."""
    smallest = int(min(part.min() for part in (predicted, right) if part.size))
    largest = int(max(part.max() for part in (predicted, right) if part.size))
    k = largest + 1 if classes is None else checks.integer(op, "classes", classes, least=1)
    k = max(k, known)
    if largest >= k or smallest < 0:
        wrong = largest if largest >= k else smallest
        raise ValueError(
            f"{op}: a label is {wrong}, expected 0 to {k - 1}: number the classes from 0, as "
            "np.unique(labels, return_inverse=True) does"
        )
    return k


def warn_of_nan(op: str, lost: np.ndarray, stacklevel: int = 3) -> None:
    warnings.warn(
        f"{op}: {np.count_nonzero(lost)} of {lost.size} predictions are NaN, and count as wrong: "
        "look for NaN in the data and the weights",
        RuntimeWarning,
        stacklevel=stacklevel,
    )
