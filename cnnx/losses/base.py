"""`Loss`: what all losses share."""

# Design:
# Without weights of samples, a loss is one call of an op, which reduces it, too: `compute`. Weights
# are rare: then `terms` gives the loss and the gradient of each sample or pair, and they are
# weighted and reduced here, in NumPy. A user's loss needs one of the two.

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, targets

__all__ = ["Loss", "OfOp", "reduced", "spread"]


class Loss:
    """Base of all losses. A subclass defines `terms(pred, target) -> (losses, gradient)`, the loss
    of each sample or number, or `compute(pred, target) -> (loss, gradient)`, the reduced loss.

    Without `terms` there is no sample_weight, and `compute` must heed the reduction. A subclass may
    define `read`, which converts a user's target to the form that these expect.

    reduction  "mean" over everything, "sum", or "none": an array with the loss of each sample or
               number; else ValueError

    Example::

        class AbsoluteLoss(Loss):
            def terms(self, pred, target):
                return np.abs(pred - target), np.sign(pred - target)
    """

    _gradient: np.ndarray | None = None
    _losses: tuple[int, ...] = ()  # their shape

    def __init__(self, reduction: str = "mean") -> None:
        ways = ("mean", "sum", "none")
        self.reduction = checks.choice(type(self).__name__, "reduction", reduction, ways)

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[Any, np.ndarray]:
        """The loss and its gradient with respect to pred. By default the reduced `terms`."""
        if type(self).terms is Loss.terms:
            raise NotImplementedError(
                f"{type(self).__name__} has neither terms(pred, target) nor compute(pred, target)"
            )
        losses, gradient = self.terms(pred, target)
        if self.reduction == "none":
            return losses, gradient
        if self.reduction == "sum":
            return losses.sum(), gradient
        return (losses.mean() if losses.size else float("nan")), gradient / max(losses.size, 1)

    def terms(self, pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss of each sample (n, ...) or number (pred's shape), and its gradient, in pred's
        shape; without reduction."""
        raise ValueError(
            f"{type(self).__name__}: sample_weight needs the loss of each sample, which this loss "
            "does not define: give it terms(pred, target) -> (losses, gradient)"
        )

    def read(self, target: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The target in the form that `compute` expects, for pred's shape and dtype.

        By default it is returned unchanged.

        ValueError, with advice, for an invalid target: `fit` checks all samples before the first
        step. See `cnnx.targets` for the forms.
        """
        return target

    def share(
        self,
        target: np.ndarray,
        shape: tuple[int, ...],
        sample_weight: np.ndarray | None = None,
    ) -> float:
        """The divisor of "mean", up to a factor common to all batches: a batch's share of an epoch.

        Here it is the number of samples, or the sum of their weights.
        """
        return float(shape[0]) if sample_weight is None else float(np.sum(sample_weight))

    def __call__(self, pred: Any, target: Any, sample_weight: Any = None) -> Any:
        """The loss; caches the gradient for `backward`.

        sample_weight  (n,), finite and not negative: factors of the losses of the samples; "mean"
                       divides by the sum of the weights in place of their number, and is 0 if that
                       is 0
        """
        name = type(self).__name__
        pred, target = targets.numbers(name, "pred", pred), targets.numbers(name, "target", target)
        read = self.read(target, pred.shape, pred.dtype)
        if sample_weight is None:
            loss, self._gradient = self.compute(pred, read)
        else:
            weight = _sample_weight(name, sample_weight, len(pred))
            losses, gradient = self.terms(pred, read)
            share = self.share(target, pred.shape, weight) * (losses.size / max(len(pred), 1))
            loss, self._gradient = reduced(losses, gradient, weight, share, self.reduction)
        if self.reduction != "none":
            return float(loss)
        self._losses = loss.shape
        return loss

    def backward(self, dloss: Any = None) -> np.ndarray:
        """The gradient of the last loss with respect to pred, to be passed to `model.backward`.

        dloss  with reduction="none" only: the gradient of what is made of the losses, in their
               shape; None: ones, as if their sum were the loss
        """
        name = type(self).__name__
        if self._gradient is None:
            raise RuntimeError(
                f"{name}.backward: no loss was computed: call loss_fn(pred, target) first"
            )
        if dloss is None:
            return self._gradient
        if self.reduction != "none":
            raise ValueError(f'{name}.backward: dloss is for reduction="none", not for one number')
        dloss = targets.numbers(name, "dloss", dloss)
        checks.same_shape(
            f"{name}.backward", "dloss", dloss.shape, self._losses, "that of the loss"
        )
        dtype = self._gradient.dtype
        return self._gradient * spread(dloss.astype(dtype), self._gradient.ndim)

    def __getstate__(self) -> dict[str, Any]:
        return {k: value for k, value in vars(self).items() if k not in ("_gradient", "_losses")}

    def __repr__(self) -> str:
        shown = self.__getstate__().items()
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown)})"


class OfOp(Loss):
    """A loss that one op computes, with each reduction."""

    def compute(self, pred: np.ndarray, target: np.ndarray) -> tuple[Any, np.ndarray]:
        return self._call(pred, target, self.reduction)

    def terms(self, pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._call(pred, target, "none")

    def _call(self, pred: np.ndarray, target: np.ndarray, reduction: str) -> tuple[Any, np.ndarray]:
        raise NotImplementedError


def spread(losses: np.ndarray, ndim: int) -> np.ndarray:
    """Losses (n,), (n, ...) without the axis of classes, or of pred's shape, as factors of pred."""
    if losses.ndim in (0, ndim):
        return losses
    if losses.ndim == 1:
        return losses.reshape(-1, *[1] * (ndim - 1))
    return np.expand_dims(losses, 1)


def reduced(
    losses: np.ndarray, gradient: np.ndarray, factors: np.ndarray, m: float, reduction: str
) -> tuple[Any, np.ndarray]:
    """The weighted terms, with "mean" divided by m; where a factor is 0, so is the term.

    factors  (n,), or in the shape of the losses
    """
    factors = factors.astype(losses.dtype, copy=False)
    own = spread(factors, losses.ndim) if factors.ndim < losses.ndim else factors
    losses = np.multiply(losses, own, out=np.zeros_like(losses), where=own != 0)
    of_pred = spread(factors, gradient.ndim)
    gradient = np.multiply(gradient, of_pred, out=np.zeros_like(gradient), where=of_pred != 0)
    if reduction == "none":
        return losses, gradient
    if reduction == "sum":
        return float(losses.sum()), gradient
    if not losses.size:
        return float("nan"), gradient
    m = m if m else 1.0
    return float(losses.sum() / m), gradient / losses.dtype.type(m)


def _sample_weight(op: str, value: Any, n: int) -> np.ndarray:
    weight = targets.numbers(op, "sample_weight", value).astype(np.float64)
    checks.same_shape(op, "sample_weight", weight.shape, (n,), "one number per sample")
    wrong = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)))
    if wrong.size:
        raise ValueError(
            f"{op}: sample_weight[{wrong[0]}] is {weight[wrong[0]]:g}, expected a finite number "
            "from 0 on"
        )
    return weight
