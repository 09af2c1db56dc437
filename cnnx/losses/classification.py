"""Losses of scores for classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnx import checks, ops, targets
from cnnx.losses.base import OfOp

__all__ = ["CrossEntropyLoss", "NLLLoss", "class_factors", "label_to_ignore", "labels_share"]
__all__ += ["read_labels"]


class _OfClasses(OfOp):
    """A loss of batches of scores, which takes the scores (k,) of one sample and its label, too."""

    def __call__(self, pred: Any, target: Any, sample_weight: Any = None) -> Any:
        if np.ndim(pred) != 1 or np.ndim(target) != 0 or target is None:
            return super().__call__(pred, target, sample_weight)
        loss = super().__call__(np.asarray(pred)[None], np.asarray(target)[None], sample_weight)
        assert self._gradient is not None
        self._gradient = self._gradient[0]
        if self.reduction == "none":
            loss, self._losses = loss[0], ()
        return loss


class CrossEntropyLoss(_OfClasses):
    """-log of the probability that softmax(pred) assigns to the true class. For classification.

    pred    logits (n, k) or (n, k, d1, ...), k at least 2; without a softmax before, since both are
            computed in one step, which is accurate for large logits too
    target  class numbers (n,) or (n, d1, ...), also with an axis 1 of length 1, as integers,
            booleans or integral floats; or, in pred's shape, one-hot rows of any dtype or
            probabilities. For one sample without a batch: pred (k,) and its class number

    label_smoothing  fraction of the target spread over all classes (C. Szegedy et al., "Rethinking
                     the Inception Architecture", CVPR 2016)
    weight           factors per class, finite and not negative: (k,), or a dict {class: factor}
                     of all classes 0 ... k - 1. "mean" then divides by the sum of the labels'
                     factors; if that is 0, the loss and the gradient are 0 (PyTorch: nan). With
                     one-hot rows or probabilities it divides by n, as in PyTorch
    reduction        "mean", "sum", or "none": a loss (n, d1, ...) for each sample
    ignore_index     the label of samples that have no loss, no gradient, and do not count in the
                     mean; any integer. If all are ignored, the loss is 0 (PyTorch: nan)

    ValueError for labels outside 0..k-1, mismatched shapes, rows that are neither one-hot nor
    probabilities, and scores of a single class.

    Example: ``CrossEntropyLoss()(np.zeros((1, 4)), [2])`` is log 4 = 1.386.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        weight: Any = None,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:
        super().__init__(reduction)
        self.label_smoothing = checks.real(
            "CrossEntropyLoss", "label_smoothing", label_smoothing, 0.0, 1.0
        )
        self.weight = (
            None if weight is None else class_factors("CrossEntropyLoss", "weight", weight)
        )
        self.ignore_index = label_to_ignore("CrossEntropyLoss", ignore_index)

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels (n, ...) as int64, ignored ones as -1, or probabilities in pred's dtype."""
        return targets.read_distribution(
            "CrossEntropyLoss", target, shape, dtype, self.ignore_index
        )

    def share(
        self,
        target: np.ndarray,
        shape: tuple[int, ...],
        sample_weight: np.ndarray | None = None,
    ) -> float:
        """The number of samples; with labels, the sum of their weights, and without the ignored."""
        if target.shape == shape:
            return super().share(target, shape, sample_weight)
        return labels_share(self, target, shape, sample_weight)

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        weight = None if self.weight is None else self.weight.astype(pred.dtype, copy=False)
        return ops.cross_entropy(pred, target, weight, self.label_smoothing, reduction, -1)


class NLLLoss(_OfClasses):
    """-log of the probability of the true class, from log-probabilities, as of a `LogSoftmax`.

    pred    log-probabilities (n, k) or (n, k, d1, ...), k at least 2
    target  class numbers, as in `CrossEntropyLoss`

    weight, ignore_index, reduction  as in `CrossEntropyLoss`

    ValueError for labels outside 0..k-1 and for mismatched shapes.

    `CrossEntropyLoss` on the values before the LogSoftmax is faster.

    Example: ``NLLLoss()(np.log([[0.25, 0.75]]), [1])`` is -log 0.75 = 0.288.
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else class_factors("NLLLoss", "weight", weight)
        self.ignore_index = label_to_ignore("NLLLoss", ignore_index)

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels (n, ...) as int64, ignored ones as -1."""
        return read_labels(self, target, shape, dtype)

    def share(
        self,
        target: np.ndarray,
        shape: tuple[int, ...],
        sample_weight: np.ndarray | None = None,
    ) -> float:
        """The sum of the weights of the labels, without the ignored."""
        return labels_share(self, target, shape, sample_weight)

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        weight = None if self.weight is None else self.weight.astype(pred.dtype, copy=False)
        return ops.nll(pred, target, weight, reduction, -1)


def read_labels(loss: Any, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Labels, or one-hot rows as labels; ValueError for probabilities."""
    op = type(loss).__name__
    read = targets.read_distribution(op, target, shape, dtype, loss.ignore_index)
    if read.shape != shape:
        return read
    if not targets.is_one_hot(read):
        raise ValueError(f"{op}: target holds probabilities, expected labels or one-hot rows")
    return read.argmax(axis=1)


def labels_share(
    loss: Any, target: np.ndarray, shape: tuple[int, ...], sample_weight: np.ndarray | None
) -> float:
    """The sum of the labels' weights per position, without ignored labels."""
    ignored = loss.ignore_index
    if target.shape == shape:  # one-hot rows
        target, ignored = target.argmax(axis=1), -1
    if loss.weight is None and sample_weight is None and not (target == ignored).any():
        return float(shape[0])
    labels = target.reshape(shape[0], -1).astype(np.int64)
    kept = labels != ignored
    factors = kept if loss.weight is None else loss.weight[np.where(kept, labels, 0)] * kept
    of_samples = factors.sum(axis=1, dtype=np.float64)
    if sample_weight is not None:
        of_samples = of_samples * sample_weight
    return float(of_samples.sum() / max(labels.shape[1], 1))


def label_to_ignore(op: str, ignore_index: Any) -> int:
    return checks.integer(op, "ignore_index", ignore_index, -(2**63))


def class_factors(op: str, name: str, weight: Any) -> np.ndarray:
    """(k,) float64, from a sequence or a dict {class: factor}."""
    if isinstance(weight, Mapping):
        if set(weight) != set(range(len(weight))):
            raise ValueError(
                f"{op}: {name} is a dict of the classes {list(weight)}, expected all of 0 to "
                "k - 1: use the factor 1 for a class of normal weight"
            )
        weight = [weight[k] for k in range(len(weight))]
    factors = targets.numbers(op, name, weight).astype(np.float64)
    if factors.ndim != 1 or not factors.size:
        raise ValueError(f"{op}: {name} has shape {factors.shape}, expected (k,), one per class")
    wrong = np.flatnonzero(~((factors >= 0) & np.isfinite(factors)))
    if wrong.size:
        raise ValueError(
            f"{op}: {name}[{wrong[0]}] is {factors[wrong[0]]:g}, expected a finite factor from 0 on"
        )
    if not factors.any():
        raise ValueError(f"{op}: {name} is 0 for every class: give one a factor above 0")
    return factors
