"""`Schedule`: what all schedules share."""

# Design:
# The next learning rate is computed from the present one wherever PyTorch does so: then two
# schedules of one optimiser multiply (`ChainedScheduler`), and a rate that was set by hand is kept.
# `_lr_at_start` is the closed form at step 0, which `SequentialLR` needs to begin a schedule late.
# The state is what `_state` names: numbers and lists, so that any format can hold it. What the
# constructor was given is part of the arguments of a run, not of its state.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cnnx import checks
from cnnx.optim.base import Optimizer

__all__ = ["Schedule", "per_group"]


class Schedule:
    """Base of all schedules. A subclass defines `_next_lr(group index, lr)`.

    optimizer  its learning rates are set, of each group from its own initial one
    interval   "epoch" or "batch": when `fit` steps it, after each epoch or after each step of the
               optimiser; None: the default of the class

    last_epoch   number of steps so far, in the unit of `interval`
    base_lrs     learning rate of each group before the first schedule of this optimiser

    The constructor makes step 0. Create the schedule before `load_state_dict` of the optimiser.

    Example::

        class HalfLR(Schedule):
            def _next_lr(self, group, lr):
                return lr / 2 if self.last_epoch else lr
    """

    interval: str = "epoch"
    needs_metric: ClassVar[bool] = False
    _state: ClassVar[tuple[str, ...]] = ("last_epoch", "base_lrs")

    def __init__(self, optimizer: Optimizer, interval: str | None = None) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{self._name}: optimizer is a {type(optimizer).__name__}, expected one such as "
                "SGD(model.parameters(), lr=0.1)"
            )
        self.optimizer = optimizer
        if interval is not None:
            self.interval = checks.choice(self._name, "interval", interval, ("epoch", "batch"))
        self.base_lrs = optimizer.initial_lrs()
        self.last_epoch = -1
        self._begin()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _begin(self) -> None:
        """Step 0, of the constructor."""
        self.step()

    def step(self, metric: float | None = None) -> None:
        """Set the next learning rates: after the step of the optimiser, or after the epoch.

        metric  only for schedules with `needs_metric`; the others do not read it
        """
        self.last_epoch += 1
        groups = self.optimizer.param_groups
        self._set([self._next_lr(index, group["lr"]) for index, group in enumerate(groups)])

    def _next_lr(self, group: int, lr: float) -> float:
        """The learning rate of a group at step `last_epoch`; lr is the present one."""
        raise NotImplementedError(f"{self._name} has no _next_lr(group, lr)")

    def _undo(self) -> None:
        """Forget the constructor's step."""
        self.last_epoch -= 1

    def _restart(self) -> None:
        """Step 0 in the middle of a run: from the base rates, whatever the present ones are."""
        self.last_epoch = 0
        self._set([self._lr_at_start(index) for index in range(len(self.base_lrs))])

    def _lr_at_start(self, group: int) -> float:
        return self.base_lrs[group]

    def _set(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Position and learning rates, as numbers and lists."""
        own = {name: getattr(self, name) for name in self._state}
        own = {name: list(v) if isinstance(v, list) else v for name, v in own.items()}
        return {**own, "lr": self.get_last_lr()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was called, with a schedule of the same arguments.

        The learning rates of the optimiser are set, too. ValueError for the state of another
        schedule or of other groups; nothing is changed then.
        """
        self._check_state(state)
        for name in self._state:
            value = state[name]
            setattr(self, name, list(value) if isinstance(value, (list, tuple)) else value)
        self._set([float(lr) for lr in state["lr"]])

    def _names(self) -> set[str]:
        """The keys of a `state_dict`."""
        return {*self._state, "lr"}

    def _check_state(self, state: Mapping[str, Any]) -> None:
        expected = self._names()
        if not isinstance(state, Mapping) or set(state) != expected:
            given = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(
                f"{self._name}.load_state_dict: state has {given}, expected {sorted(expected)}"
            )
        groups = len(self.optimizer.param_groups)
        if len(state["lr"]) != groups:
            raise ValueError(
                f"{self._name}.load_state_dict: state has the learning rates of "
                f"{len(state['lr'])} groups, and the optimizer has {groups}"
            )

    def __repr__(self) -> str:
        hidden = {"optimizer", "interval"} if "interval" not in vars(self) else {"optimizer"}
        shown = ", ".join(
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if name not in hidden and not name.startswith("_")
        )
        return f"{self._name}({shown})"


def per_group(op: str, name: str, value: Any, groups: int, **bounds: float) -> list[float]:
    """A number for all groups, or a list of one for each."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ValueError(f"{op}: {name} has {len(values)} numbers, and there are {groups} groups")
    return [checks.real(op, name, one, **bounds) for one in values]
