"""Losses of answers, yes or no."""

# Design:
# pos_weight needs no kernel of its own: with s = pos_weight * t + 1 - t, the loss is s times that
# of the target pos_weight * t / s, which for t = 0 and t = 1 is t itself.

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import ops, targets
from cnnx.losses.base import Loss, reduced

__all__ = ["BCELoss", "BCEWithLogitsLoss"]


class _Answers(Loss):
    """A loss of pairs of an answer and the right one."""

    weight: np.ndarray | None
    pos_weight: np.ndarray | None = None

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in pred's shape and dtype."""
        return targets.read_answers(type(self).__name__, target, shape, dtype)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[Any, np.ndarray]:
        if self.weight is None and self.pos_weight is None:
            return self._call(pred, target, self.reduction)
        losses, gradient = self.terms(pred, target)
        return reduced(losses, gradient, np.ones_like(losses), losses.size, self.reduction)

    def terms(self, pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        factors = self._factors("weight", pred)
        if self.pos_weight is not None:
            of_yes = self._factors("pos_weight", pred) * target
            scale = of_yes + (1 - target)
            target = np.divide(of_yes, scale, out=target.copy(), where=scale != 0)
            factors = factors * scale
        losses, gradient = self._call(pred, target, "none")
        return reduced(losses, gradient, factors, 1.0, "none")

    def _factors(self, name: str, pred: np.ndarray) -> np.ndarray:
        """One of the weights in pred's shape and dtype; ones if it is None."""
        weight = getattr(self, name)
        if weight is None:
            return np.ones_like(pred)
        try:
            return np.broadcast_to(weight, pred.shape).astype(pred.dtype)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: {name} has shape {weight.shape}, which does not broadcast "
                f"to that of pred, {pred.shape}"
            ) from None

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        raise NotImplementedError


class BCELoss(_Answers):
    """Mean of -t log(p) - (1 - t) log(1 - p): binary cross-entropy of probabilities p.

    pred    p, between 0 and 1, as from a Sigmoid; logarithms are clipped at -100, as in PyTorch
    target  t of the same shape, except that an axis 1 of length 1 may be missing: (n,) for (n, 1);
            0/1 as bool, integer or float, or probabilities

    weight  None, or factors of the losses, which broadcast to pred's shape, such as (k,)

    ValueError for mismatched shapes, and for pred or target outside 0..1.

    `BCEWithLogitsLoss` on the values before the sigmoid is faster and more accurate.

    Example: ``BCELoss()(np.array([0.5]), [1])`` is log 2 = 0.693.
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _weights("BCELoss", "weight", weight)

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        return ops.bce(pred, target, reduction)


class BCEWithLogitsLoss(_Answers):
    """Binary cross-entropy of p = sigmoid(pred), in one step: accurate for large logits.

    pred    logits of any shape
    target  of the same shape, except that an axis 1 of length 1 may be missing: (n,) for (n, 1);
            0/1 as bool, integer or float, or probabilities

    weight      None, or factors of the losses, which broadcast to pred's shape, such as (k,)
    pos_weight  None, or factors of the part of the answer 1, which broadcast to pred's shape: then
                the loss is -pos_weight * t * log(p) - (1 - t) * log(1 - p)

    ValueError for mismatched shapes, and for a target outside 0..1.

    Example: ``BCEWithLogitsLoss()(np.array([0.0]), [1])`` is log 2 = 0.693.
    """

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.weight = _weights("BCEWithLogitsLoss", "weight", weight)
        self.pos_weight = _weights("BCEWithLogitsLoss", "pos_weight", pos_weight)

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        return ops.bce_with_logits(pred, target, reduction)


def _weights(op: str, name: str, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    weight = targets.numbers(op, name, value).astype(np.float64)
    if not ((weight >= 0) & np.isfinite(weight)).all():
        raise ValueError(f"{op}: {name} holds {weight.min():g}, expected finite numbers from 0 on")
    return weight
