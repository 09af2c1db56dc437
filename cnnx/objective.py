"""`SeveralLosses`: the losses of a model of several outputs as one; and how losses are called."""

# Design:
# Everything else of `fit` and `evaluate` sees one loss: a float, a gradient (here a tuple) and a
# share. The share of a batch, which weights it in an epoch's mean and in a group of batches whose
# gradients are added, is that of the first output: exact where the losses have the same share, as
# those without class weights do.

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks
from cnnx.losses import CrossEntropyLoss, Loss

__all__ = ["SeveralLosses", "as_loss", "call_loss", "is_sum", "main", "share_of"]


class SeveralLosses:
    """The weighted sum of a loss for each output: deep supervision, auxiliary classifiers.

    losses   a loss, or None for an output that is not trained, for each output
    weights  their factors

    The target is one for all outputs, or a tuple of one for each. The first output is the main one:
    metrics measure it.
    """

    def __init__(self, losses: list[Any], weights: list[float]) -> None:
        self.losses, self.weights = losses, weights
        self.reduction = getattr(losses[0], "reduction", "mean")
        self._gradients: tuple[Any, ...] | None = None

    def pairs(self, outputs: Any, target: Any) -> list[tuple[Any, Any, Any]]:
        """(loss, output, target) of each output; ValueError if their numbers differ."""
        count = len(self.losses)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        targets = target if isinstance(target, tuple) else (target,) * count
        if len(outputs) != count or len(targets) != count:
            raise ValueError(
                f"loss has {count} losses, but there are {len(outputs)} outputs and "
                f"{len(targets)} targets: give one for each output (None: it is not trained)"
            )
        return list(zip(self.losses, outputs, targets, strict=True))

    def __call__(self, outputs: Any, target: Any, sample_weight: Any = None) -> float:
        total, gradients = 0.0, []
        for factor, (loss, output, wanted) in zip(
            self.weights, self.pairs(outputs, target), strict=True
        ):
            gradient = None
            if loss is not None:
                total += factor * float(call_loss(loss, output, wanted, sample_weight))
                gradient = loss.backward()
                if factor != 1:
                    gradient = gradient * gradient.dtype.type(factor)
            gradients.append(gradient)
        self._gradients = tuple(gradients)
        return total

    def backward(self) -> Any:
        """The gradient with respect to the output, or a tuple if there are several."""
        assert self._gradients is not None
        return self._gradients if len(self._gradients) > 1 else self._gradients[0]


def as_loss(op: str, loss: Any, weights: Any = None) -> Any:
    """The loss that a user means: a list with a loss for each output becomes `SeveralLosses`, and
    None cross-entropy.
    """
    if not isinstance(loss, (list, tuple)):
        if weights is not None:
            raise ValueError(f"{op}: loss_weights is for a list of losses, and loss is {loss!r}")
        return CrossEntropyLoss() if loss is None else loss
    losses = list(loss)
    if not losses or losses[0] is None:
        raise ValueError(
            f"{op}: loss is {losses}, expected a loss for each output, and one for the first"
        )
    if len({getattr(one, "reduction", "mean") for one in losses if one is not None}) > 1:
        raise ValueError(f"{op}: the losses differ in reduction: expected one for all")
    try:
        factors = [1.0] * len(losses) if weights is None else list(weights)
    except TypeError:
        raise TypeError(f"{op}: loss_weights is {weights!r}, expected a list of numbers") from None
    if len(factors) != len(losses):
        raise ValueError(f"{op}: loss_weights has {len(factors)} entries for {len(losses)} losses")
    factors = [checks.real(op, "loss_weights", factor, 0.0) for factor in factors]
    return SeveralLosses(losses, factors)


def call_loss(loss: Any, outputs: Any, target: Any, sample_weight: Any = None) -> Any:
    """The loss of a batch; a loss without weights is called with two arguments."""
    if sample_weight is None:
        return loss(outputs, target)
    if not _is_own(loss):
        raise ValueError(
            f"sample_weight needs a loss of cnnx, which takes it, and loss is {loss!r}"
        )
    return loss(outputs, target, sample_weight)


def share_of(loss: Any, target: Any, shape: tuple[int, ...], sample_weight: Any = None) -> float:
    """The weight of a batch's mean loss in the mean of several batches.

    shape  of the first output
    """
    if isinstance(loss, SeveralLosses):
        loss, target = loss.losses[0], main(target)
    if not _is_own(loss):
        return float(len(target))
    if sample_weight is None:
        return loss.share(target, shape)
    return loss.share(target, shape, np.asarray(sample_weight))


def _is_own(loss: Any) -> bool:
    """Whether it is a loss of cnnx or a subclass, which have shares and take weights."""
    return isinstance(loss, (Loss, SeveralLosses))


def is_sum(loss: Any) -> bool:
    """Whether a loss is a sum over samples; the history holds it per sample."""
    return getattr(loss, "reduction", "mean") == "sum"


def main(value: Any) -> Any:
    """The first output or target of several, or the only one."""
    return value[0] if isinstance(value, tuple) else value
