"""Metrics of predicted classes that hold counts only: accuracy, precision, recall, F1, IoU."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, targets

from .base import Metric, Value, read_weight
from .functions import LARGEST_TABLE, RENUMBER, count_classes, integers, warn_of_nan

__all__ = [
    "Accuracy",
    "ConfusionMatrix",
    "F1Score",
    "MeanIoU",
    "Precision",
    "Recall",
    "TopKAccuracy",
]

_AVERAGES = ("macro", "micro", "weighted", "binary")


class _WithThreshold(Metric):
    """A metric of the classes that `cnnx.targets` reads, with the threshold of yes."""

    def __init__(self, threshold: float | None, name: str | None) -> None:
        super().__init__(name)
        self.threshold = threshold

    def settle(self, threshold: float | None, several: bool) -> None:
        """Take over the run's threshold unless the user chose one."""
        if self.threshold is None:
            self.threshold = threshold


class Accuracy(_WithThreshold):
    """The fraction of samples whose predicted class is the true one: `cnnx.accuracy` in batches.

    accuracy = sum of w over samples that are right / sum of w,  w = 1 without weights

    threshold  as in `cnnx.accuracy`: from which score on one output means yes; None: 0, for logits

    A prediction that is NaN counts as wrong, with a RuntimeWarning. ValueError as in
    `cnnx.accuracy`.

    Example: ``Accuracy()([[0.1, 0.9], [0.8, 0.2]], [1, 1])`` is 0.5.
    """

    default_name = "accuracy"

    def __init__(self, threshold: float | None = None, name: str | None = None) -> None:
        super().__init__(threshold, name)

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        predicted, right, lost, _ = targets.read_classes(self.name, pred, target, self.threshold)
        hits = predicted == right
        if lost is not None:
            hits &= ~lost
            warn_of_nan(self.name, lost)
        return _fraction(self.name, hits, sample_weight)

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        return _ratio(self.name, state)


class TopKAccuracy(Metric):
    """The fraction of samples whose true class is among the k with the largest scores.

    k  how many classes are looked at. Of equal scores the lower class comes first, as in argmax,
       so ``TopKAccuracy(1)`` is `Accuracy`

    pred is (n, classes, ...), target labels, one-hot rows or probabilities. A sample with a score
    that is NaN counts as wrong, with a RuntimeWarning. ValueError for fewer than k classes, and for
    predictions that are not scores.

    Example: ``TopKAccuracy(2)([[3, 2, 1], [3, 2, 1]], [1, 2])`` is 0.5.
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        self.k = checks.integer("TopKAccuracy", "k", k, least=1)
        self.default_name = f"top_{self.k}_accuracy"
        super().__init__(name)

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        scores = targets.numbers(self.name, "pred", pred)
        if scores.ndim < 2 or scores.shape[1] < self.k or scores.shape[1] < 2:
            raise ValueError(
                f"{self.name}: pred has shape {scores.shape}, but scores (n, classes, ...) of at "
                f"least {max(self.k, 2)} classes are expected"
            )
        # As floats: integers in target's shape may be read as classes, but here they are scores.
        read = targets.read_classes(self.name, scores.astype(np.float64), target)
        right = integers(read.right).reshape(read.right.shape)
        checks.labels(self.name, right, scores.shape[1])
        index = np.expand_dims(right, 1)
        own = np.take_along_axis(scores, index, axis=1)
        lower = np.arange(scores.shape[1]).reshape(1, -1, *[1] * (scores.ndim - 2)) < index
        ahead = (scores > own) | ((scores == own) & lower)
        hits = ahead.sum(axis=1) < self.k
        if read.lost is not None:
            hits &= ~read.lost
            warn_of_nan(self.name, read.lost)
        return _fraction(self.name, hits, sample_weight)

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        return _ratio(self.name, state)


class _Counts(_WithThreshold):
    """Counts per class: how often it was found, predicted, and true."""

    def __init__(self, classes: int | None, threshold: float | None, name: str | None) -> None:
        super().__init__(threshold, name)
        self.classes = classes

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        predicted, right, lost, known = targets.read_classes(
            self.name, pred, target, self.threshold
        )
        if right.size == 0:
            return {name: np.zeros(known) for name in ("found", "predicted", "true")}
        weight = read_weight(self.name, sample_weight, right.shape)
        flat = None if weight is None else weight.ravel()
        seen = np.ones(right.size, bool)
        if lost is not None:
            warn_of_nan(self.name, lost)
            seen = ~lost.ravel()
        guess, right = integers(np.where(seen, predicted.ravel(), 0)), integers(right)
        k = count_classes(self.name, guess[seen], right, known, self.classes)

        def counted(labels: np.ndarray, which: np.ndarray) -> np.ndarray:
            part = None if flat is None else flat[which]
            chosen = labels[which].astype(np.intp, copy=False)
            return np.bincount(chosen, part, minlength=k).astype(np.float64)

        every = np.ones(right.size, bool)
        return {
            "found": counted(right, seen & (guess == right)),
            "predicted": counted(guess, seen),
            "true": counted(right, every),
        }


class _Averaged(_Counts):
    """A ratio of counts per class, averaged over the classes."""

    def __init__(
        self,
        average: str | None = "macro",
        classes: int | None = None,
        threshold: float | None = None,
        name: str | None = None,
    ) -> None:
        if average is not None:
            checks.choice(type(self).__name__, "average", average, _AVERAGES)
        self.average = average
        if name is None and average != "macro":
            name = f"{self.default_name}_{average or 'by_class'}"
        super().__init__(classes, threshold, name)

    def _ratio(self, found: Any, predicted: Any, true: Any) -> np.ndarray:
        raise NotImplementedError

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        found, predicted, true = state["found"], state["predicted"], state["true"]
        if self.average == "micro":
            return float(self._ratio(found.sum(), predicted.sum(), true.sum()))
        ratios = self._ratio(found, predicted, true)
        if self.average is None:
            return ratios
        if self.average == "binary":
            if len(ratios) > 2:
                raise ValueError(
                    f'{self.name}: average="binary" is for yes or no, but there are {len(ratios)} '
                    'classes: use average="macro"'
                )
            return float(ratios[1]) if len(ratios) == 2 else 0.0
        occurs = (predicted + true) > 0
        if not occurs.any():
            raise ValueError(f"{self.name}: there is no sample to count: all weights are 0")
        if self.average == "weighted":
            return float(np.sum(ratios * true) / true.sum())
        return float(ratios[occurs].mean())


class Precision(_Averaged):
    """Of the samples predicted as a class, the fraction that is of it.

    precision[c] = found[c] / predicted[c];  0 where the class was never predicted

    average  "macro": the mean over the classes that occur in pred or target; "micro": from the sums
             over all classes; "weighted": the mean weighted by how often a class is true; "binary":
             of class 1 ("yes") alone; None: an array, one value for each class
    classes  their number; None: that of the scores in pred, or of labels so far
    threshold  as in `cnnx.accuracy`

    A prediction that is NaN is of no class: its sample was not found. Names and values are those of
    ``sklearn.metrics.precision_score(average=..., zero_division=0)``. With a threshold and several
    answers per sample, all answers are pooled as yes or no. ValueError as in `confusion_matrix`.

    Example: ``Precision(average=None)([0, 1, 1], [0, 0, 1])`` is ``[1, 0.5]``.
    """

    default_name = "precision"

    def _ratio(self, found: Any, predicted: Any, true: Any) -> np.ndarray:
        return _divide(found, predicted)


class Recall(_Averaged):
    """Of the samples of a class, the fraction that was predicted as it.

    recall[c] = found[c] / true[c];  0 where the class never occurs

    Arguments and errors are those of `Precision`; ``sklearn.metrics.recall_score``.

    Example: ``Recall(average=None)([0, 1, 1], [0, 0, 1])`` is ``[0.5, 1]``.
    """

    default_name = "recall"

    def _ratio(self, found: Any, predicted: Any, true: Any) -> np.ndarray:
        return _divide(found, true)


class F1Score(_Averaged):
    """The harmonic mean of precision and recall of each class.

    f1[c] = 2 * found[c] / (predicted[c] + true[c]);  0 where the class is in neither

    Arguments and errors are those of `Precision`; ``sklearn.metrics.f1_score``. The macro F1 is
    the mean of the classes' F1, not the F1 of the means.

    C. van Rijsbergen, "Information Retrieval", 2nd edition, 1979, chapter 7.

    Example: ``F1Score(average="micro")([0, 1, 1], [0, 0, 1])`` is 2/3.
    """

    default_name = "f1"

    def _ratio(self, found: Any, predicted: Any, true: Any) -> np.ndarray:
        return _divide(2 * found, predicted + true)


class MeanIoU(_Counts):
    """The mean intersection over union of the classes that occur: `cnnx.metrics.mean_iou`.

    mean over c of found[c] / (predicted[c] + true[c] - found[c])

    classes, threshold  as in `mean_iou`

    Over several batches it is the value of all samples at once, not the mean of the batches.

    Example: ``MeanIoU(classes=3)([0, 1, 1], [0, 0, 1])`` is 0.5.
    """

    default_name = "mean_iou"

    def __init__(
        self, classes: int | None = None, threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(classes, threshold, name)

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        union = state["predicted"] + state["true"] - state["found"]
        if not (union > 0).any():
            raise ValueError(f"{self.name}: there is no sample to count: all weights are 0")
        return float(np.mean(state["found"][union > 0] / union[union > 0]))


class ConfusionMatrix(_WithThreshold):
    """counts[i, j]: how many samples of class i were predicted as class j: `confusion_matrix`.

    classes, threshold  as in `confusion_matrix`

    `compute` returns (k, k) int64, or the sums of the weights in float64 if there were some.
    ValueError for a prediction that is NaN, as it has no class, and as in `confusion_matrix`.

    Example: ``ConfusionMatrix()([0, 1, 1], [0, 0, 1])`` is ``[[1, 1], [0, 1]]``.
    """

    default_name = "confusion_matrix"

    def __init__(
        self, classes: int | None = None, threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(threshold, name)
        self.classes = classes

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        read = targets.read_classes(self.name, pred, target, self.threshold)
        if read.right.size == 0:
            return {"counts": np.zeros((read.scored, read.scored)), "weighted": np.zeros(())}
        if read.lost is not None:
            raise ValueError(
                f"{self.name}: {np.count_nonzero(read.lost)} of {read.lost.size} predictions are "
                "NaN, which is no class: look for NaN in the data and the weights"
            )
        weight = read_weight(self.name, sample_weight, read.right.shape)
        predicted, right = integers(read.predicted), integers(read.right)
        k = count_classes(self.name, predicted, right, read.scored, self.classes)
        if k > LARGEST_TABLE:
            raise ValueError(
                f"{self.name}: a table of {k} classes would take {8 * k * k / 1e9:,.1f} GB, and at "
                f"most {LARGEST_TABLE} are expected{RENUMBER}"
            )
        cells = right.astype(np.intp) * k + predicted.astype(np.intp)
        counts = np.bincount(cells, None if weight is None else weight.ravel(), minlength=k * k)
        table = counts.reshape(k, k).astype(np.float64)
        return {"counts": table, "weighted": np.asarray(float(weight is not None))}

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        counts = state["counts"]
        return counts.copy() if state["weighted"] else counts.astype(np.int64)


def _fraction(op: str, hits: np.ndarray, sample_weight: Any) -> dict[str, np.ndarray]:
    """Weights of the answers that are right, and of all."""
    weight = read_weight(op, sample_weight, hits.shape)
    if weight is None:
        return {"right": np.array(float(np.count_nonzero(hits))), "all": np.array(float(hits.size))}
    return {"right": np.asarray(weight[hits].sum()), "all": np.asarray(weight.sum())}


def _ratio(op: str, state: dict[str, np.ndarray]) -> float:
    if state["all"] == 0:
        raise ValueError(f"{op}: there is no sample to count: none was given, or all weights are 0")
    return float(state["right"] / state["all"])


def _divide(part: Any, whole: Any) -> np.ndarray:
    """part / whole, 0 for 0 / 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
