"""`overfit_one_batch`: whether a model can learn one batch by heart."""

# Design:
# A model that cannot learn a few samples by heart will not learn many, whatever the data: this is
# the first test of a new network, loss or layer. It runs on copies (trial.py), with dropout off,
# whose noise would keep the loss up. What went wrong is searched for only if the loss has not come
# near its bound (diagnosis.py).

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnx import checks, random
from cnnx.layers import Layer, run_mode
from cnnx.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss
from cnnx.objective import SeveralLosses, as_loss
from cnnx.optim import Optimizer
from cnnx.testing.diagnosis import diagnose
from cnnx.testing.trial import Trial, size_of

if TYPE_CHECKING:
    from cnnx.typing import Losses

__all__ = ["Movement", "Overfit", "overfit_one_batch"]

_TINY = 1e-30  # a probability whose logarithm is finite in float32, too


class Movement(NamedTuple):
    """What the training did to a parameter.

    name      as in `named_parameters`
    gradient  the largest root mean square of its gradients; None if it never had one
    moved     root mean square of its change, relative to that of its first value
    note      what is odd about it, in words; "" if nothing is
    """

    name: str
    gradient: float | None
    moved: float
    note: str


@dataclass(frozen=True)
class Overfit:
    """The result of `overfit_one_batch`; true if the loss came near its bound.

    reached     whether it did
    losses      the loss before each step, and at the end
    bound       the lowest loss that any outputs can have
    parameters  a `Movement` for each parameter
    hints       what keeps the loss up, in words, the most certain reason first
    """

    reached: bool
    losses: list[float]
    bound: float
    parameters: list[Movement]
    hints: list[str]

    def __bool__(self) -> bool:
        return self.reached

    def __repr__(self) -> str:
        first, last, steps = self.losses[0], self.losses[-1], len(self.losses) - 1
        head = (
            f"{'reached' if self.reached else 'not reached'}: the loss went from {first:.4g} to "
            f"{last:.4g} in {steps} steps, and its lower bound is {self.bound:.4g}"
        )
        rows = [f"  {row.name}: {row.note}" for row in self.parameters if row.note]
        return "\n".join([head, *rows, *[f"- {hint}" for hint in self.hints]])


def overfit_one_batch(
    model: Layer,
    x: Any,
    y: Any,
    *,
    loss: Losses | None = None,
    optimizer: Optimizer | None = None,
    steps: int = 500,
    tolerance: float = 0.01,
    bound: float | None = None,
    seed: int = 0,
) -> Overfit:
    """Train a copy of a model on one batch until it knows it by heart, or say what prevents it.

    reached:  loss - bound <= tolerance * (first loss - bound)

    x, y       a batch of a few samples; tuples for a Graph of several inputs or outputs
    loss       as in `fit`; None: CrossEntropyLoss()
    optimizer  one that holds the model's parameters; a copy is used. None: Adam(lr=1e-3)
    steps      at most so many
    bound      the lowest possible loss; None: 0, or the entropy of the targets for a cross-entropy
               with label_smoothing or probabilities as targets
    seed       of the random numbers that layers draw

    Model and optimiser stay as they are, and so does the random stream. The copy is trained in the
    model's mode (in train mode if it is in eval mode), without dropout. The model should be
    untrained: of a small first loss, 1 % is hard to reach.

    Returns an `Overfit`: print it, or assert it. It names the parameters that are frozen, not in
    the optimiser, that had no gradient or only 0, or did not move; and, if the bound was not
    reached, those whose gradient is not the slope of the loss (a wrong backward), layers whose
    outputs are all 0 or the same for all samples, equal samples with different targets, and whether
    the learning rate is too small or too large.

    ValueError for a batch without samples or of different lengths, and for an optimiser of another
    model; whatever the loss says about its target.

    Source: A. Karpathy, "A Recipe for Training Neural Networks", 2019.

    Example: ``assert cnnx.testing.overfit_one_batch(model, train.x[:16], train.y[:16])``
    """
    op = "overfit_one_batch"
    if not isinstance(model, Layer):
        raise TypeError(f"{op}: model is a {type(model).__name__}, expected a Layer")
    steps = checks.integer(op, "steps", steps, least=1)
    tolerance = checks.real(op, "tolerance", tolerance, 0.0, 1.0)
    x, y = _batch(op, x, y)
    _check_optimizer(op, model, optimizer)
    trial = Trial(model, optimizer, as_loss(op, loss), x, y)
    with random.seeded(seed), run_mode(None):
        first = trial.loss_of(trial.start)
        if bound is None:
            least = _lowest(trial.loss, trial.outputs(trial.start), y)
        else:
            least = checks.real(op, "bound", bound, -np.inf, first)
        goal = least + tolerance * (first - least)
        trial.train(steps, goal)
        reached = trial.losses[-1] <= goal
        words, hints = diagnose(trial, reached)
    before = dict(trial.start.named_parameters())
    rows = [
        Movement(name, trial.gradients[name], _moved(before[name].data, p.data), words[name])
        for name, p in trial.model.named_parameters()
    ]
    return Overfit(reached, trial.losses, least, rows, hints)


def _batch(op: str, x: Any, y: Any) -> tuple[Any, Any]:
    """x and y as arrays, or tuples of arrays; ValueError if there is nothing to learn."""
    x, y = [
        tuple(checks.from_anything(op, name, part) for part in value)
        if isinstance(value, tuple)
        else checks.from_anything(op, name, value)
        for name, value in (("x", x), ("y", y))
    ]
    sizes = [
        len(part) if part.ndim else 0
        for value in (x, y)
        for part in (value if isinstance(value, tuple) else (value,))
    ]
    if len(set(sizes)) != 1 or not sizes[0]:
        raise ValueError(
            f"{op}: x and y have {' and '.join(map(str, sizes))} samples, expected equal numbers "
            "from 1 on"
        )
    return x, y


def _check_optimizer(op: str, model: Layer, optimizer: Any) -> None:
    if optimizer is None:
        if not model.parameters():
            raise ValueError(f"{op}: the model has no parameters, so there is nothing to train")
        return
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{op}: optimizer is {optimizer!r}, expected one such as Adam(params)")
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(parameter) in own for parameter in optimizer.parameters()):
        raise ValueError(f"{op}: the optimizer holds no parameter of this model")


def _lowest(loss: Any, outputs: Any, target: Any) -> float:
    """The loss of the best possible outputs, which for most losses is 0."""
    if isinstance(loss, SeveralLosses):
        return sum(
            factor * _lowest(one, output, wanted)
            for factor, (one, output, wanted) in zip(
                loss.weights, loss.pairs(outputs, target), strict=True
            )
            if one is not None
        )
    if isinstance(loss, CrossEntropyLoss):
        return float(loss(_best_logits(loss, outputs, target), target))
    if isinstance(loss, (BCELoss, BCEWithLogitsLoss)):
        p = loss.read(np.asarray(target), outputs.shape, np.dtype(np.float64))
        if isinstance(loss, BCELoss):
            return float(loss(p, target))
        yes = p if loss.pos_weight is None else p * loss.pos_weight
        return float(
            loss(np.log(np.maximum(yes, _TINY)) - np.log(np.maximum(1 - p, _TINY)), target)
        )
    return 0.0


def _best_logits(loss: CrossEntropyLoss, outputs: np.ndarray, target: Any) -> np.ndarray:
    """Logits whose softmax is proportional to the terms' factors: those of least cross-entropy."""
    k, shape = outputs.shape[1], outputs.shape
    rows = loss.read(np.asarray(target), shape, np.dtype(np.float64))
    if rows.shape != shape:  # labels, -1 where they are ignored
        rows = np.moveaxis(np.eye(k)[rows], -1, 1)
    factors = (1 - loss.label_smoothing) * rows + loss.label_smoothing / k
    if loss.weight is not None:
        factors = factors * loss.weight.reshape(-1, *[1] * (outputs.ndim - 2))
    return np.log(np.maximum(factors, _TINY))


def _moved(before: np.ndarray, after: np.ndarray) -> float:
    change = size_of(after.astype(np.float64) - before)
    return change / (size_of(before) or 1.0)
