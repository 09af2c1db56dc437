"""Schedules along a cosine."""

from __future__ import annotations

import math
from typing import ClassVar

from cnnx import checks
from cnnx.optim.base import Optimizer
from cnnx.optim.schedules.base import Schedule

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(Schedule):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2 after t steps.

    T_max    steps down to eta_min, at least 1; beyond them lr rises again
    eta_min  the lowest learning rate, at least 0

    I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Example: ``CosineAnnealingLR(optimizer, T_max=epochs)``
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        interval: str | None = None,
    ) -> None:
        self.T_max = checks.integer("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = checks.real("CosineAnnealingLR", "eta_min", eta_min, 0.0)
        super().__init__(optimizer, interval)

    def _next_lr(self, group: int, lr: float) -> float:
        t, period = self.last_epoch, self.T_max
        if t == 0:
            return lr
        if (t - 1 - period) % (2 * period) == 0:  # it was at eta_min: 0 / 0 below
            rise = 1 - math.cos(math.pi / period)
            return lr + (self.base_lrs[group] - self.eta_min) * rise / 2
        ratio = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return ratio * (lr - self.eta_min) + self.eta_min


class CosineAnnealingWarmRestarts(Schedule):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2, T_cur steps after the last
    restart, with T_i steps from it to the next.

    T_0      steps to the first restart, at least 1
    T_mult   factor of the period after each restart, an integer from 1 on
    eta_min  the lowest learning rate, at least 0

    I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Example: ``CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)``: restarts after 10, 30, 70
    """

    _state: ClassVar[tuple[str, ...]] = ("last_epoch", "base_lrs", "T_cur", "T_i")

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        interval: str | None = None,
    ) -> None:
        self.T_0 = checks.integer("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        self.T_mult = checks.integer("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        self.eta_min = checks.real("CosineAnnealingWarmRestarts", "eta_min", eta_min, 0.0)
        self.T_cur, self.T_i = -1, self.T_0
        super().__init__(optimizer, interval)

    def step(self, metric: float | None = None) -> None:
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        super().step(metric)

    def _next_lr(self, group: int, lr: float) -> float:
        high = self.base_lrs[group] - self.eta_min
        return self.eta_min + high * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2

    def _undo(self) -> None:
        super()._undo()
        self.T_cur -= 1

    def _restart(self) -> None:
        self.T_cur, self.T_i = 0, self.T_0
        super()._restart()
