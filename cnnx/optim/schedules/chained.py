"""Schedules made of others: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from cnnx import checks
from cnnx.optim.base import Optimizer
from cnnx.optim.schedules.base import Schedule

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Composed(Schedule):
    """Several schedules of one optimiser, which have one interval."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], interval: str | None
    ) -> None:
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ValueError(f"{self._name}: schedulers is empty, expected at least one")
        for index, schedule in enumerate(self.schedulers):
            what = f"{self._name}: schedulers[{index}]"
            if not isinstance(schedule, Schedule):
                raise TypeError(f"{what} is a {type(schedule).__name__}, expected a Schedule")
            if schedule.needs_metric:
                raise ValueError(f"{what}, {schedule._name}, needs a metric: step it on its own")
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{what} belongs to another optimizer")
        intervals = {schedule.interval for schedule in self.schedulers}
        if interval is None and len(intervals) > 1:
            raise ValueError(
                f"{self._name}: some schedulers step by epoch and some by batch: create all of "
                'them with interval="epoch", or all with interval="batch"'
            )
        super().__init__(optimizer, intervals.pop() if interval is None else interval)

    def state_dict(self) -> dict[str, Any]:
        """Also the states of all schedulers, as ``"schedulers"``."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._check_state(state)
        for schedule, own in zip(self.schedulers, state["schedulers"], strict=True):
            schedule.load_state_dict(own)
        super().load_state_dict(state)

    def _check_state(self, state: Mapping[str, Any]) -> None:
        super()._check_state(state)
        if len(state["schedulers"]) != len(self.schedulers):
            raise ValueError(
                f"{self._name}.load_state_dict: state has {len(state['schedulers'])} schedulers, "
                f"expected {len(self.schedulers)}"
            )
        for schedule, own in zip(self.schedulers, state["schedulers"], strict=True):
            schedule._check_state(own)

    def _names(self) -> set[str]:
        return {*super()._names(), "schedulers"}


class SequentialLR(_Composed):
    """One schedule after the other: schedule i + 1 begins at step milestones[i], at its own step 0.

    schedulers  of this optimizer, all by epoch or all by batch
    milestones  steps, ascending, one fewer than schedulers

    ValueError for ReduceLROnPlateau, which needs a metric.

    Example::

        warmup = LinearWarmup(optimizer, total_iters=5, interval="epoch")
        cosine = CosineAnnealingLR(optimizer, T_max=95)
        schedule = SequentialLR(optimizer, [warmup, cosine], milestones=[5])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[Schedule],
        milestones: Sequence[int],
        interval: str | None = None,
    ) -> None:
        op = "SequentialLR"
        self.milestones = [checks.integer(op, "milestones", step) for step in milestones]
        if len(self.milestones) != len(list(schedulers)) - 1:
            raise ValueError(
                f"{op}: {len(self.milestones)} milestones for {len(list(schedulers))} schedulers, "
                "expected one fewer than schedulers"
            )
        if self.milestones != sorted(self.milestones):
            raise ValueError(f"{op}: milestones {self.milestones} are not ascending")
        super().__init__(optimizer, schedulers, interval)

    def _begin(self) -> None:
        """All schedules have made their step 0: undo it, and make that of the first one."""
        self.last_epoch = 0
        self._set(self.base_lrs)
        self._undo_all()
        self._present().step()

    def _undo_all(self) -> None:
        for schedule in self.schedulers:
            schedule._undo()

    def _undo(self) -> None:
        super()._undo()
        self._undo_all()

    def _present(self) -> Schedule:
        return self.schedulers[bisect_right(self.milestones, self.last_epoch)]

    def step(self, metric: float | None = None) -> None:
        self.last_epoch += 1
        if self.last_epoch in self.milestones:
            self._present()._restart()
        else:
            self._present().step()

    def _restart(self) -> None:
        self.last_epoch = 0
        self._present()._restart()


class ChainedScheduler(_Composed):
    """All schedules at once: each changes the learning rate that the one before it has set.

    schedulers  of one optimizer, all by epoch or all by batch
    optimizer   None: that of the first

    ValueError for ReduceLROnPlateau, which needs a metric.

    Example: ``ChainedScheduler([LinearWarmup(o, interval="epoch"), ExponentialLR(o, 0.9)])``
    """

    def __init__(
        self,
        schedulers: Sequence[Schedule],
        optimizer: Optimizer | None = None,
        interval: str | None = None,
    ) -> None:
        common: Any = optimizer
        if common is None and schedulers:
            common = getattr(schedulers[0], "optimizer", None)
        super().__init__(common, schedulers, interval)

    def _begin(self) -> None:
        """Every schedule has made its step 0."""
        self.last_epoch = 0

    def step(self, metric: float | None = None) -> None:
        self.last_epoch += 1
        for schedule in self.schedulers:
            schedule.step()

    def _undo(self) -> None:
        super()._undo()
        for schedule in self.schedulers:
            schedule._undo()

    def _restart(self) -> None:
        self.last_epoch = 0
        for schedule in self.schedulers:
            schedule._restart()
