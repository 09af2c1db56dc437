"""Focal loss: cross-entropy that dwells on what is difficult."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, ops, targets
from cnnx.losses.base import OfOp
from cnnx.losses.classification import class_factors, label_to_ignore, labels_share, read_labels

__all__ = ["FocalLoss"]


class FocalLoss(OfOp):
    """alpha * (1 - p)^gamma * -log p, p being the probability of the right answer. For classes of
    very different frequency.

    pred    logits. (n, k) or (n, k, d1, ...), k at least 2: p = softmax(pred)[true class].
            One output, (n,), (n, 1) or (n, 1, d1, ...), or multilabel=True: p = sigmoid(pred) for
            the answer 1, 1 - sigmoid(pred) for the answer 0
    target  labels or one-hot rows, as in `CrossEntropyLoss`; for sigmoid 0 and 1 in pred's shape

    gamma         at least 0; 0 is cross-entropy
    alpha         None; for softmax factors per class, (k,) or a dict {class: factor}; for sigmoid a
                  number from 0 to 1, the factor of the answer 1, that of 0 being 1 - alpha
    multilabel    the k outputs are separate answers, yes or no
    ignore_index  label of samples that have no loss and do not count (softmax)
    reduction     "mean" over the samples (softmax; alpha does not count) or numbers (sigmoid),
                  "sum", or "none"

    T. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017. The paper divides by the
    number of objects: use reduction="sum" for that.

    Example: ``FocalLoss()(np.array([[0.0, 0.0]]), [1])`` is log 2 / 4 = 0.173.
    """

    weight: np.ndarray | None = None  # for the mean, alpha does not count

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Any = None,
        multilabel: bool = False,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.gamma = checks.real("FocalLoss", "gamma", gamma, 0.0)
        self.multilabel = checks.flag("FocalLoss", "multilabel", multilabel)
        self.ignore_index = label_to_ignore("FocalLoss", ignore_index)
        if alpha is None or (np.ndim(alpha) == 0 and not isinstance(alpha, dict)):
            number = None if alpha is None else checks.real("FocalLoss", "alpha", alpha, 0.0, 1.0)
            self.alpha: Any = number
        else:
            self.alpha = class_factors("FocalLoss", "alpha", alpha)

    def is_sigmoid(self, shape: tuple[int, ...]) -> bool:
        """Whether outputs of this shape are separate answers."""
        return self.multilabel or len(shape) < 2 or shape[1] == 1

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels as int64, ignored ones as -1; for sigmoid, 0 and 1 in pred's shape and dtype."""
        if not self.is_sigmoid(shape):
            return read_labels(self, target, shape, dtype)
        read = targets.read_answers("FocalLoss", target, shape, dtype)
        if not ((read == 0) | (read == 1)).all():
            raise ValueError("FocalLoss: target holds probabilities, expected 0 and 1")
        return read

    def share(
        self,
        target: np.ndarray,
        shape: tuple[int, ...],
        sample_weight: np.ndarray | None = None,
    ) -> float:
        """The number of samples, or the sum of their weights, without the ignored."""
        if self.is_sigmoid(shape):
            return super().share(target, shape, sample_weight)
        return labels_share(self, target, shape, sample_weight)

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        alpha = self.alpha
        if self.is_sigmoid(pred.shape):
            if isinstance(alpha, np.ndarray):
                raise ValueError("FocalLoss: alpha has factors per class, expected one number")
            return ops.binary_focal(pred, target, self.gamma, alpha, reduction)
        if isinstance(alpha, float):
            raise ValueError(
                f"FocalLoss: alpha={alpha:g} is one number, but pred {pred.shape} has "
                f"{pred.shape[1]} classes: expected a factor for each"
            )
        alpha = None if alpha is None else alpha.astype(pred.dtype, copy=False)
        return ops.focal(pred, target, self.gamma, alpha, reduction, -1)
