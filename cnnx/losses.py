"""Losses: how wrong a prediction is (a float), and its gradient.

In a training step: ``loss = loss_fn(model(x), y)``, then ``model.backward(loss_fn.backward())``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, ops

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Loss", "MSELoss"]


class Loss:
    """Base of all losses. A subclass has `compute(pred, target) -> (loss, gradient)`.

    reduction  "mean" over everything, or "sum"; else ValueError

    Example::

        class AbsoluteLoss(Loss):
            def compute(self, pred, target):
                return float(np.abs(pred - target).mean()), np.sign(pred - target) / pred.size
    """

    _gradient: np.ndarray | None = None

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = checks.choice(type(self).__name__, "reduction", reduction, ("mean", "sum"))

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient by pred. Every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(pred, target)")

    def __call__(self, pred: Any, target: Any) -> float:
        """The loss; keeps the gradient for `backward`."""
        loss, self._gradient = self.compute(np.asarray(pred), np.asarray(target))
        return float(loss)

    def backward(self) -> np.ndarray:
        """The gradient of the last loss by its pred: what ``model.backward`` takes."""
        if self._gradient is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: no loss to go back from: call "
                "loss_fn(pred, target) first"
            )
        return self._gradient

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_gradient"}

    def __repr__(self) -> str:
        shown = {name: value for name, value in vars(self).items() if name != "_gradient"}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


class CrossEntropyLoss(Loss):
    """-log of the probability that softmax(pred) gives to the right class. For classification.

    pred    logits (n, k) or (n, k, d1, ...): no softmax before it, the two are computed as one,
            which is exact for large logits too
    target  class numbers (n,) or (n, d1, ...) of any integer dtype; or probabilities like pred

    label_smoothing  share of the target spread over all classes (C. Szegedy et al., "Rethinking the
                     Inception Architecture", CVPR 2016)
    weight           (k,) factors of the classes; "mean" then divides by the factors' sum
    reduction        "mean" or "sum"

    ValueError for labels outside 0..k-1 and shapes that do not fit.

    Example: ``CrossEntropyLoss()(np.zeros((1, 4)), [2])`` is log 4 = 1.386.
    """

    def __init__(
        self, label_smoothing: float = 0.0, weight: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.label_smoothing = checks.real(
            "CrossEntropyLoss", "label_smoothing", label_smoothing, 0.0, 1.0
        )
        self.weight = None if weight is None else np.asarray(weight, np.float64)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        if target.dtype.kind == "f":
            target = target.astype(pred.dtype, copy=False)
        weight = None if self.weight is None else self.weight.astype(pred.dtype, copy=False)
        return ops.cross_entropy(pred, target, weight, self.label_smoothing, self.reduction)


class MSELoss(Loss):
    """Mean of (pred - target)^2 over all numbers. For regression.

    pred, target  of one shape; target is cast to pred's dtype

    Example: ``MSELoss()(np.array([1.0, 3.0]), [1.0, 1.0])`` is 2.
    """

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        return ops.mse(pred, _like(target, pred), self.reduction)


class BCELoss(Loss):
    """Mean of -t log(p) - (1 - t) log(1 - p): binary cross-entropy of probabilities p.

    pred    p, between 0 and 1, as a Sigmoid gives; logarithms are cut at -100, as in PyTorch
    target  t of the same shape: 0/1 as bool, integer or float, or probabilities

    `BCEWithLogitsLoss` on the numbers before the sigmoid is faster and more exact.

    Example: ``BCELoss()(np.array([0.5]), [1])`` is log 2 = 0.693.
    """

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        return ops.bce(pred, _like(target, pred), self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of p = sigmoid(pred), computed as one: exact for large logits.

    pred    logits of any shape
    target  of the same shape: 0/1 as bool, integer or float, or probabilities

    Example: ``BCEWithLogitsLoss()(np.array([0.0]), [1])`` is log 2 = 0.693.
    """

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        return ops.bce_with_logits(pred, _like(target, pred), self.reduction)


def _like(target: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Real targets in pred's dtype; what is no number is left for the op to refuse."""
    return target.astype(pred.dtype, copy=False) if target.dtype.kind in "biuf" else target
