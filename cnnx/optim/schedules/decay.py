"""Schedules that multiply the learning rate: at certain steps, at each step, or in a warmup."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from cnnx import checks
from cnnx.optim.base import Optimizer
from cnnx.optim.schedules.base import Schedule

__all__ = ["ExponentialLR", "LinearWarmup", "MultiStepLR", "StepLR"]


class StepLR(Schedule):
    """lr = base * gamma^floor(t / step_size) after t steps.

    step_size  steps between two changes, at least 1
    gamma      factor of each change, at least 0

    Example: ``StepLR(optimizer, step_size=30)`` divides by 10 after 30, 60, 90 ... epochs.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, interval: str | None = None
    ) -> None:
        self.step_size = checks.integer("StepLR", "step_size", step_size, 1)
        self.gamma = checks.real("StepLR", "gamma", gamma, 0.0)
        super().__init__(optimizer, interval)

    def _next_lr(self, group: int, lr: float) -> float:
        return lr if self.last_epoch % self.step_size or not self.last_epoch else lr * self.gamma


class MultiStepLR(Schedule):
    """lr = base * gamma^(number of milestones up to t) after t steps.

    milestones  the steps at which lr changes; one that is given twice counts twice
    gamma       factor of each change, at least 0

    Example: ``MultiStepLR(optimizer, [82, 123])``, as for ResNet on CIFAR-10 (K. He et al., "Deep
    Residual Learning for Image Recognition", CVPR 2016, section 4.2).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        interval: str | None = None,
    ) -> None:
        self.milestones = sorted(
            checks.integer("MultiStepLR", "milestones", step) for step in milestones
        )
        self.gamma = checks.real("MultiStepLR", "gamma", gamma, 0.0)
        self._times = Counter(self.milestones)
        super().__init__(optimizer, interval)

    def _next_lr(self, group: int, lr: float) -> float:
        return lr * self.gamma ** self._times[self.last_epoch]

    def _lr_at_start(self, group: int) -> float:
        return self.base_lrs[group] * self.gamma ** bisect_right(self.milestones, 0)


class ExponentialLR(Schedule):
    """lr = base * gamma^t after t steps.

    Example: ``ExponentialLR(optimizer, gamma=0.95)``
    """

    def __init__(self, optimizer: Optimizer, gamma: float, interval: str | None = None) -> None:
        self.gamma = checks.real("ExponentialLR", "gamma", gamma, 0.0)
        super().__init__(optimizer, interval)

    def _next_lr(self, group: int, lr: float) -> float:
        return lr * self.gamma if self.last_epoch else lr


class LinearWarmup(Schedule):
    """lr = base * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)
    after t steps. PyTorch calls it LinearLR.

    start_factor  above 0, at most 1    end_factor  from 0 to 1    total_iters  steps, at least 1
    interval      "batch" by default: total_iters counts steps of the optimiser

    P. Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2.

    Example: ``LinearWarmup(optimizer, start_factor=0.01, total_iters=500)``
    """

    interval = "batch"

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        interval: str | None = None,
    ) -> None:
        self.start_factor = checks.real("LinearWarmup", "start_factor", start_factor, 0.0, 1.0)
        if not start_factor:
            raise ValueError("LinearWarmup: start_factor=0, expected a number above 0, up to 1")
        self.end_factor = checks.real("LinearWarmup", "end_factor", end_factor, 0.0, 1.0)
        self.total_iters = checks.integer("LinearWarmup", "total_iters", total_iters, 1)
        super().__init__(optimizer, interval)

    def _next_lr(self, group: int, lr: float) -> float:
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self.last_epoch > self.total_iters:
            return lr
        change = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * change
        return lr * (1 + change / before)

    def _lr_at_start(self, group: int) -> float:
        return self.base_lrs[group] * self.start_factor
