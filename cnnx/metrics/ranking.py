"""Metrics of the order of scores: area under the ROC curve, average precision."""

# Design:
# Both are exact and treat ties as scikit-learn does, so they hold the scores: one column for yes
# or no in its own dtype, k columns of float64 for k classes. Everything else in `metrics` holds
# counts. Two columns of scores are one: the log-odds, which are s1 - s0 for logits and
# log p1 - log p0 for probabilities, the same number for both forms of one prediction. Scores of
# three and more classes are made probabilities, as logits of different samples do not compare.

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnx import checks, targets

from .base import Metric, Value, read_weight
from .functions import warn_of_nan

__all__ = ["AUROC", "AveragePrecision"]

_AVERAGES = ("macro", "weighted", "micro")


class _Ranking(Metric):
    """Holds scores and answers; a subclass has the area under its curve."""

    def __init__(
        self,
        average: str | None = "macro",
        multilabel: bool = False,
        name: str | None = None,
    ) -> None:
        op = type(self).__name__
        if average is not None:
            checks.choice(op, "average", average, _AVERAGES)
        self.average, self.multilabel = average, checks.flag(op, "multilabel", multilabel)
        if name is None and average != "macro":
            name = f"{self.default_name}_{average or 'by_class'}"
        super().__init__(name)

    def settle(self, threshold: float | None, several: bool) -> None:
        """A threshold for several outputs means that each is an answer of its own."""
        self.multilabel = self.multilabel or (threshold is not None and several)

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        scores, yes = _columns(self.name, pred, target, self.multilabel)
        weight = read_weight(self.name, sample_weight, (len(scores),))
        lost = np.isnan(scores)
        if lost.any():
            warn_of_nan(self.name, lost.any(axis=1))
            # As wrong as can be: a yes behind all others, a no before them.
            scores = np.where(lost, np.where(yes, -np.inf, np.inf).astype(scores.dtype), scores)
        weight = np.ones(len(scores)) if weight is None else np.array(weight)
        held = self._state.get("scores")
        if held is not None and held.shape[1] != scores.shape[1]:
            raise ValueError(
                f"{self.name}: this batch has {scores.shape[1]} columns of scores, those before "
                f"had {held.shape[1]}"
            )
        return {"scores": scores, "yes": yes, "weight": weight}

    def _joined(self, sum_so_far: np.ndarray | None, part: np.ndarray) -> np.ndarray:
        return part if sum_so_far is None else np.concatenate([sum_so_far, part])

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        scores, yes, weight = state["scores"], state["yes"], state["weight"]
        if len(scores) == 0:
            raise ValueError(f"{self.name}: there is no sample to count: give at least one")
        if self.average == "micro":
            repeated = np.repeat(weight, scores.shape[1])
            return self._area(scores.ravel(), yes.ravel(), repeated)
        areas = np.array([self._area(scores[:, c], yes[:, c], weight) for c in range(yes.shape[1])])
        if self.average is None:
            return areas
        defined = ~np.isnan(areas)
        if not defined.any():
            return float("nan")
        if self.average == "macro":
            return float(areas[defined].mean())
        support = (yes * weight[:, None]).sum(axis=0)[defined]
        return float(np.sum(areas[defined] * support) / support.sum())

    def _area(self, scores: np.ndarray, yes: np.ndarray, weight: np.ndarray) -> float:
        raise NotImplementedError


class AUROC(_Ranking):
    """The area under the ROC curve: how probably a yes has a higher score than a no.

    auroc = P(score of a yes > score of a no) + P(equal) / 2

    average  of several classes, each against the others: "macro", the mean; "weighted", by how
             often a class is true; "micro", of all answers pooled; None, an array. A class that
             always or never occurs has no area: NaN, and left out of the means
    multilabel  whether target has an answer for each column of pred, (n, k): several classes at
             once

    pred is one score per sample, (n,) or (n, 1), with targets of 0 and 1; or scores (n, k) with
    labels or one-hot rows. For two classes it is the area of class 1. Logits and probabilities give
    the same value; logits of three and more classes are made probabilities by softmax.

    Exact, with ties as in ``sklearn.metrics.roc_auc_score``: it holds all scores, 4 or 8 bytes for
    each sample and answer, and 9 for weight and answer. A score that is NaN counts as wrong.

    J. Hanley, B. McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 143, 1982.

    Example: ``AUROC()([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])`` is 0.75.
    """

    default_name = "auroc"

    def _area(self, scores: np.ndarray, yes: np.ndarray, weight: np.ndarray) -> float:
        right, wrong = _curve(scores, yes, weight)
        if right[-1] == 0 or wrong[-1] == 0:
            return float("nan")
        width, height = np.diff(wrong, prepend=0.0), np.diff(right, prepend=0.0)
        return float(np.sum(width * (right - height / 2)) / (right[-1] * wrong[-1]))


class AveragePrecision(_Ranking):
    """The area under the steps of precision over recall, from the highest score down.

    ap = sum over distinct scores of (recall_i - recall_(i-1)) * precision_i

    Arguments, forms and memory are those of `AUROC`; the values are those of
    ``sklearn.metrics.average_precision_score``, except NaN where no sample is a yes.

    M. Zhu, "Recall, Precision and Average Precision", University of Waterloo, 2004.

    Example: ``AveragePrecision()([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])`` is 0.8333...
    """

    default_name = "average_precision"

    def _area(self, scores: np.ndarray, yes: np.ndarray, weight: np.ndarray) -> float:
        right, wrong = _curve(scores, yes, weight)
        if right[-1] == 0:
            return float("nan")
        said = right + wrong
        precision = np.divide(right, said, out=np.zeros_like(said), where=said > 0)
        return float(np.sum(np.diff(right, prepend=0.0) * precision) / right[-1])


def _curve(scores: np.ndarray, yes: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weights of yes and of no with at least each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    scores, yes, weight = scores[order], yes[order], weight[order]
    # Compared, not subtracted: inf - inf is NaN.
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    return np.cumsum(weight * yes)[ends], np.cumsum(weight * ~yes)[ends]


def _columns(op: str, pred: Any, target: Any, multilabel: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, columns) of which larger means yes, and whether each is one."""
    pred, target = targets.numbers(op, "pred", pred), targets.numbers(op, "target", target)
    scores = pred if pred.dtype.kind == "f" else pred.astype(np.float64)
    if scores.dtype == np.float16:
        scores = scores.astype(np.float32)
    if scores.ndim > 2:  # pixels are samples
        raise ValueError(
            f"{op}: pred has shape {pred.shape}, but one score per sample or scores (n, classes) "
            "are expected: move the classes to the last axis and reshape both to rows"
        )
    if scores.ndim < 2 or scores.shape[1] == 1 or multilabel:
        answers = targets.read_answers(op, target, scores.shape, np.float64)
        columns = scores.reshape(len(scores), math.prod(scores.shape[1:]))
        return columns, answers.reshape(columns.shape) >= 0.5
    right = targets.read_distribution(op, target, scores.shape, np.float64)
    labels = right if right.ndim == 1 else right.argmax(axis=1)
    if scores.shape[1] == 2:
        return _log_odds(scores), (labels == 1)[:, None]
    yes = labels[:, None] == np.arange(scores.shape[1])
    return _probabilities(scores.astype(np.float64)), yes


def _are_probabilities(scores: np.ndarray) -> bool:
    sums = scores.sum(axis=1, dtype=np.float64)
    known = sums[~np.isnan(sums)]
    return bool((np.nan_to_num(scores) >= 0).all() and (np.abs(known - 1) < 1e-3).all())


def _log_odds(scores: np.ndarray) -> np.ndarray:
    if _are_probabilities(scores):
        with np.errstate(divide="ignore"):
            scores = np.log(scores)
    with np.errstate(invalid="ignore"):
        return scores[:, 1:] - scores[:, :1]


def _probabilities(scores: np.ndarray) -> np.ndarray:
    if _are_probabilities(scores):
        return scores
    with np.errstate(invalid="ignore"):
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
