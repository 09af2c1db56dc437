"""`lr_find`: the range of learning rates in which a model learns."""

# Design:
# The sweep is an ordinary epoch of `fit` with a callback, so it takes the data, losses and models
# that `fit` takes. It changes everything that training changes, and all of it is put back: weights,
# statistics, the optimiser's state and settings, and the random stream.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import checks, random
from cnnx.callbacks import Callback
from cnnx.history import Row
from cnnx.layers import Layer
from cnnx.optim import Adam, Optimizer
from cnnx.training.epoch import NotFiniteError
from cnnx.training.fit import fit

if TYPE_CHECKING:
    from cnnx.typing import Data

__all__ = ["LearningRates", "lr_find"]

_EXPLODED = 4.0  # a smoothed loss of so many times the best one ends the sweep
_MEMORY = 0.9  # of the smoothed loss: about the last ten batches
_FIRST = 5  # batches before the smoothed loss is taken seriously


@dataclass(frozen=True)
class LearningRates:
    """The result of `lr_find`.

    lrs         the rates that were tried, ascending
    losses      the smoothed loss at each
    suggestion  the rate at which the smoothed loss falls fastest per decade; None if it never falls
    """

    lrs: list[float]
    losses: list[float]
    suggestion: float | None

    def __repr__(self) -> str:
        found = "none" if self.suggestion is None else f"{self.suggestion:.3g}"
        tried = f"{len(self.lrs)} rates from {self.lrs[0]:.3g} to {self.lrs[-1]:.3g}"
        return f"LearningRates(suggestion {found}; {tried})"


def lr_find(
    model: Layer,
    train: Data,
    *,
    optimizer: Optimizer | None = None,
    lr_min: float = 1e-7,
    lr_max: float = 1.0,
    steps: int = 100,
    **options: Any,
) -> LearningRates:
    """Train for some batches while the learning rate grows exponentially, and record the loss.

    lr_i = lr_min * (lr_max / lr_min)^(i / (steps - 1));  the loss is smoothed by an exponential
    average with factor 0.9, corrected for its start

    train      data in any form that `fit` takes; it is repeated if it has fewer batches than steps
    optimizer  None: Adam(). Of an own one, the rates of all parameter groups are set
    lr_min, lr_max  the first and last rate, 0 < lr_min < lr_max
    steps      batches, at least 10. The sweep ends earlier if the smoothed loss exceeds four times
               its best value, or the loss is not finite
    options    of `fit`: loss, batch_size, seed, augment, ...

    The model's weights and statistics, the optimiser and the random stream are afterwards as
    before, bit by bit, also after an error; gradients are cleared.

    Source: L. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.

    Example: ``rates = cnnx.lr_find(model, train, batch_size=64, seed=0)``, then
    ``Adam(model.parameters(), lr=rates.suggestion)`` and ``cnnx.viz.plot_lr_find(rates)``
    """
    op = "lr_find"
    steps = checks.integer(op, "steps", steps, least=10)
    lr_min, lr_max = checks.real(op, "lr_min", lr_min, 0.0), checks.real(op, "lr_max", lr_max, 0.0)
    if not 0 < lr_min < lr_max:
        raise ValueError(f"{op}: lr_min={lr_min:g} and lr_max={lr_max:g}, expected 0 < min < max")
    for name in ("epochs", "steps_per_epoch", "schedule", "ema", "resume", "validation"):
        if name in options:
            raise TypeError(f"{op}: {name} has no meaning in a sweep of the learning rate")
    if not isinstance(model, Layer):
        raise TypeError(f"{op}: model is a {type(model).__name__}, expected a Layer")
    optimizer = Adam(model.parameters()) if optimizer is None else optimizer
    sweep = _Sweep(np.geomspace(lr_min, lr_max, steps).tolist())
    callbacks = options.pop("callbacks", ())
    callbacks = [callbacks] if hasattr(callbacks, "on_epoch_end") else list(callbacks)
    weights, state, stream = model.state_dict(), optimizer.state_dict(), random.get_state()
    try:
        fit(
            model,
            train,
            optimizer=optimizer,
            steps_per_epoch=steps,
            callbacks=[*callbacks, sweep],
            **{"verbose": False, **options},
        )
    except NotFiniteError:
        pass  # the end of the sweep
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        model.zero_grad()
        random.set_state(stream)
    lrs = sweep.lrs[: len(sweep.losses)]
    if not lrs:
        raise ValueError(f"{op}: the loss is not finite at the first learning rate, {lr_min:g}")
    return LearningRates(lrs, sweep.losses, _suggestion(lrs, sweep.losses))


class _Sweep(Callback):
    """Sets the rate before each batch, and records the smoothed loss after it."""

    def __init__(self, lrs: list[float]) -> None:
        self.lrs = lrs
        self.losses: list[float] = []
        self._average = 0.0

    def on_batch_begin(self, batch: int) -> None:
        self.trainer.optimizer.lr = self.lrs[batch - 1]

    def on_batch_end(self, batch: int, logs: Row) -> None:
        self._average = _MEMORY * self._average + (1 - _MEMORY) * logs["loss"]
        self.losses.append(self._average / (1 - _MEMORY**batch))
        best = min(self.losses)
        if batch > _FIRST and self.losses[-1] > _EXPLODED * abs(best):
            self.trainer.stop()


def _suggestion(lrs: list[float], losses: list[float]) -> float | None:
    """The rate of the steepest descent, up to the best loss."""
    best = int(np.argmin(losses))
    if best < 2:
        return None
    slopes = np.gradient(losses[: best + 1], [math.log10(lr) for lr in lrs[: best + 1]])
    steepest = int(np.argmin(slopes))
    return lrs[steepest] if slopes[steepest] < 0 else None
