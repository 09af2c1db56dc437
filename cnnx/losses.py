"""Losses: the error of a prediction (a float), and its gradient.

In a training step: ``loss = loss_fn(model(x), y)``, then ``model.backward(loss_fn.backward())``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnx import checks, ops, targets

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Loss", "MSELoss"]


class Loss:
    """Base of all losses. A subclass defines `compute(pred, target) -> (loss, gradient)`.

    A subclass may define `read`, which converts a user's target to the form that `compute` expects.

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
        """The loss and its gradient with respect to pred. Defined by every subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(pred, target)")

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in the form that `compute` expects, for pred's shape and dtype.

        By default it is returned unchanged.

        ValueError, with advice, for an invalid target: `fit` checks all samples before the first
        step. See `cnnx.targets` for the forms.
        """
        return target

    def share(self, target: np.ndarray, shape: tuple[int, ...]) -> float:
        """The divisor of "mean", up to a factor common to all batches: a batch's share of an epoch.

        Here it is the number of samples.
        """
        return float(shape[0])

    def __call__(self, pred: Any, target: Any) -> float:
        """The loss; caches the gradient for `backward`."""
        name = type(self).__name__
        pred, target = targets.numbers(name, "pred", pred), targets.numbers(name, "target", target)
        loss, self._gradient = self.compute(pred, self.read(target, pred.shape, pred.dtype))
        return float(loss)

    def backward(self) -> np.ndarray:
        """The gradient of the last loss with respect to pred, to be passed to `model.backward`."""
        if self._gradient is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: no loss was computed: call "
                "loss_fn(pred, target) first"
            )
        return self._gradient

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_gradient"}

    def __repr__(self) -> str:
        shown = {name: value for name, value in vars(self).items() if name != "_gradient"}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


class CrossEntropyLoss(Loss):
    """-log of the probability that softmax(pred) assigns to the true class. For classification.

    pred    logits (n, k) or (n, k, d1, ...), k at least 2; without a softmax before, since both are
            computed in one step, which is accurate for large logits too
    target  class numbers (n,) or (n, d1, ...), also with an axis 1 of length 1, as integers,
            booleans or integral floats; or, in pred's shape, one-hot rows of any dtype or
            probabilities

    label_smoothing  fraction of the target spread over all classes (C. Szegedy et al., "Rethinking
                     the Inception Architecture", CVPR 2016)
    weight           factors per class, finite and not negative: (k,), or a dict {class: factor}
                     of all classes 0 ... k - 1. "mean" then divides by the sum of the labels'
                     factors; if that is 0, the loss and the gradient are 0 (PyTorch: nan). With
                     one-hot rows or probabilities it divides by n, as in PyTorch
    reduction        "mean" or "sum"

    ValueError for labels outside 0..k-1, mismatched shapes, rows that are neither one-hot nor
    probabilities, and scores of a single class.

    Example: ``CrossEntropyLoss()(np.zeros((1, 4)), [2])`` is log 4 = 1.386.
    """

    def __init__(
        self, label_smoothing: float = 0.0, weight: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.label_smoothing = checks.real(
            "CrossEntropyLoss", "label_smoothing", label_smoothing, 0.0, 1.0
        )
        self.weight = None if weight is None else _class_weights(weight)

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Labels (n, ...) as int64, or probabilities in pred's dtype."""
        return targets.read_distribution("CrossEntropyLoss", target, shape, dtype)

    def share(self, target: np.ndarray, shape: tuple[int, ...]) -> float:
        """The number of samples; with class weights and labels, the sum of the labels' weights."""
        if self.weight is None or target.shape == shape:
            return float(shape[0])
        return float(self.weight[self.read(target, shape, np.float64)].sum())

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        weight = None if self.weight is None else self.weight.astype(pred.dtype, copy=False)
        return ops.cross_entropy(pred, target, weight, self.label_smoothing, self.reduction)


def _class_weights(weight: Any) -> np.ndarray:
    """(k,) float64, from a sequence or a dict {class: factor}."""
    op = "CrossEntropyLoss"
    if isinstance(weight, Mapping):
        if set(weight) != set(range(len(weight))):
            raise ValueError(
                f"{op}: weight is a dict of the classes {list(weight)}, expected all of 0 to "
                "k - 1: use the factor 1 for a class of normal weight"
            )
        weight = [weight[k] for k in range(len(weight))]
    factors = targets.numbers(op, "weight", weight).astype(np.float64)
    if factors.ndim != 1 or not factors.size:
        raise ValueError(f"{op}: weight has shape {factors.shape}, expected (k,), one per class")
    wrong = np.flatnonzero(~((factors >= 0) & np.isfinite(factors)))
    if wrong.size:
        raise ValueError(
            f"{op}: weight[{wrong[0]}] is {factors[wrong[0]]:g}, expected a finite factor from 0 on"
        )
    if not factors.any():
        raise ValueError(f"{op}: weight is 0 for every class: give one a factor above 0")
    return factors


class MSELoss(Loss):
    """Mean of (pred - target)^2 over all numbers. For regression.

    pred    of any shape and float dtype
    target  numbers of the same shape, except that an axis 1 of length 1 may be missing: (n,) for
            (n, 1); cast to pred's dtype

    ValueError for mismatched shapes.

    Example: ``MSELoss()(np.array([1.0, 3.0]), [1.0, 1.0])`` is 2.
    """

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in pred's shape and dtype."""
        return targets.read_numbers("MSELoss", target, shape, dtype)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        return ops.mse(pred, target, self.reduction)


class BCELoss(Loss):
    """Mean of -t log(p) - (1 - t) log(1 - p): binary cross-entropy of probabilities p.

    pred    p, between 0 and 1, as from a Sigmoid; logarithms are clipped at -100, as in PyTorch
    target  t of the same shape, except that an axis 1 of length 1 may be missing: (n,) for (n, 1);
            0/1 as bool, integer or float, or probabilities

    ValueError for mismatched shapes, and for pred or target outside 0..1.

    `BCEWithLogitsLoss` on the values before the sigmoid is faster and more accurate.

    Example: ``BCELoss()(np.array([0.5]), [1])`` is log 2 = 0.693.
    """

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in pred's shape and dtype."""
        return targets.read_answers("BCELoss", target, shape, dtype)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        return ops.bce(pred, target, self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of p = sigmoid(pred), in one step: accurate for large logits.

    pred    logits of any shape
    target  of the same shape, except that an axis 1 of length 1 may be missing: (n,) for (n, 1);
            0/1 as bool, integer or float, or probabilities

    ValueError for mismatched shapes, and for a target outside 0..1.

    Example: ``BCEWithLogitsLoss()(np.array([0.0]), [1])`` is log 2 = 0.693.
    """

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in pred's shape and dtype."""
        return targets.read_answers("BCEWithLogitsLoss", target, shape, dtype)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        return ops.bce_with_logits(pred, target, self.reduction)
