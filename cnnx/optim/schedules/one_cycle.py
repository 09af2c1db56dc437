"""One cycle: up to a large learning rate and down to a tiny one, with momentum the other way."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from cnnx import checks
from cnnx.optim.base import Optimizer
from cnnx.optim.schedules.base import Schedule, per_group

__all__ = ["OneCycleLR"]

Ends = tuple[float, list[float], list[float], list[float], list[float]]


class OneCycleLR(Schedule):
    """The 1cycle policy: lr from max_lr/div_factor to max_lr in the first pct_start of the steps,
    then down to max_lr/div_factor/final_div_factor, while momentum goes from max_momentum to
    base_momentum and back.

    max_lr           the largest learning rate; a number, or a list of one for each group
    total_steps      of the whole run; or epochs and steps_per_epoch, whose product it is
    pct_start        share of the steps in which lr rises, from 0 to 1
    anneal_strategy  "cos" or "linear"
    cycle_momentum   also set ``momentum``, or the first of ``betas``, of each group: ValueError for
                     an optimiser without either (Adagrad)
    base_momentum, max_momentum   its bounds; numbers, or lists of one for each group
    three_phase      fall to the initial rate as fast as it rose, then in a third phase to the last
    interval         "batch" by default: a step is one of the optimiser

    ValueError in `step` beyond total_steps.

    L. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates", 2018.

    Example: ``OneCycleLR(optimizer, max_lr=0.1, epochs=10, steps_per_epoch=len(batches))``
    """

    interval = "batch"
    _state: ClassVar[tuple[str, ...]] = ("last_epoch", "base_lrs", "momenta")

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        interval: str | None = None,
    ) -> None:
        op = "OneCycleLR"
        if not isinstance(optimizer, Optimizer):  # before its groups are read
            super().__init__(optimizer, interval)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        self.pct_start = checks.real(op, "pct_start", pct_start, 0.0, 1.0)
        ways = ("cos", "linear")
        self.anneal_strategy = checks.choice(op, "anneal_strategy", anneal_strategy, ways)
        self.cycle_momentum = checks.flag(op, "cycle_momentum", cycle_momentum)
        self.three_phase = checks.flag(op, "three_phase", three_phase)
        groups = optimizer.param_groups
        self._momentum_name = next((n for n in ("betas", "momentum") if n in groups[0]), None)
        if cycle_momentum and self._momentum_name is None:
            raise ValueError(
                f"{op}: {type(optimizer).__name__} has neither momentum nor betas: pass "
                "cycle_momentum=False"
            )
        self.max_lr = per_group(op, "max_lr", max_lr, len(groups), least=0.0)
        self.div_factor = _above_0("div_factor", div_factor)
        self.final_div_factor = _above_0("final_div_factor", final_div_factor)
        below = {"least": 0.0, "below": 1.0} if self._momentum_name == "betas" else {"least": 0.0}
        self.base_momentum = per_group(op, "base_momentum", base_momentum, len(groups), **below)
        self.max_momentum = per_group(op, "max_momentum", max_momentum, len(groups), **below)
        first = [lr / self.div_factor for lr in self.max_lr]
        last = [lr / self.final_div_factor for lr in first]
        self._phases = self._make_phases(first, last)
        optimizer.initial_lrs(first)
        super().__init__(optimizer, interval)

    def _make_phases(self, first: list[float], last: list[float]) -> list[Ends]:
        """(last step, lr at its begin and end, momentum at its begin and end), for each group."""
        low, high = self.base_momentum, self.max_momentum
        rise, end = self.pct_start * self.total_steps, self.total_steps - 1.0
        phases: list[Ends] = [(rise - 1, first, self.max_lr, high, low)]
        if self.three_phase:
            phases.append((2 * rise - 2, self.max_lr, first, low, high))
            phases.append((end, first, last, high, high))
        else:
            phases.append((end, self.max_lr, last, low, high))
        return phases

    def _next_lr(self, group: int, lr: float) -> float:
        t, begin = self.last_epoch, 0.0
        if t > self.total_steps:
            self.last_epoch -= 1
            raise ValueError(
                f"OneCycleLR: step {t} of total_steps={self.total_steps}: the cycle is over"
            )
        later = list(self._phases)
        while t > later[0][0] and len(later) > 1:
            begin = later.pop(0)[0]
        end, from_lr, to_lr, from_momentum, to_momentum = later[0]
        done = (t - begin) / (end - begin) if end != begin else 1.0
        if self.cycle_momentum:
            momentum = self._between(from_momentum[group], to_momentum[group], done)
            self._set_momentum(group, momentum)
        return self._between(from_lr[group], to_lr[group], done)

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)

    def _set_momentum(self, group: int, value: float) -> None:
        settings = self.optimizer.param_groups[group]
        if self._momentum_name == "betas":
            settings["betas"] = (value, *settings["betas"][1:])
        else:
            settings["momentum"] = value

    def _lr_at_start(self, group: int) -> float:
        return self._next_lr(group, 0.0)

    @property
    def momenta(self) -> list[float] | None:
        """The momentum, or first beta, of each group; None without cycle_momentum."""
        if not self.cycle_momentum or self._momentum_name is None:
            return None
        values = [group[self._momentum_name] for group in self.optimizer.param_groups]
        return [value[0] if isinstance(value, (tuple, list)) else value for value in values]

    @momenta.setter
    def momenta(self, values: list[float] | None) -> None:
        for group, value in enumerate(values or ()):
            self._set_momentum(group, value)


def _total(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        return checks.integer("OneCycleLR", "total_steps", total_steps, 1)
    if epochs is None or steps_per_epoch is None:
        raise ValueError("OneCycleLR: expected total_steps, or both epochs and steps_per_epoch")
    epochs = checks.integer("OneCycleLR", "epochs", epochs, 1)
    return epochs * checks.integer("OneCycleLR", "steps_per_epoch", steps_per_epoch, 1)


def _above_0(name: str, value: Any) -> float:
    number = checks.real("OneCycleLR", name, value, 0.0)
    if not number:
        raise ValueError(f"OneCycleLR: {name}=0, expected a number above 0")
    return number
