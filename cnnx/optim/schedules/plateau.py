"""A schedule that waits until a metric no longer improves."""

from __future__ import annotations

import math
from typing import ClassVar

from cnnx import checks
from cnnx.optim.base import Optimizer
from cnnx.optim.schedules.base import Schedule, per_group

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Schedule):
    """lr = max(lr * factor, min_lr) when a metric has not improved for more than `patience` steps.

    mode            "min": smaller is better, as of a loss; "max": larger is, as of an accuracy
    factor          from 0 to below 1
    patience        steps without improvement that are accepted
    threshold       what counts as an improvement: with threshold_mode "rel" below
                    best * (1 - threshold) ("max": above best * (1 + threshold)), with "abs" below
                    best - threshold (above best + threshold)
    cooldown        steps after a reduction in which none is counted
    min_lr          a number, or a list of one for each group
    eps             a change of lr up to eps is not made

    `step(metric)` needs the metric, ValueError without it. NaN is no improvement.

    Example: ``ReduceLROnPlateau(optimizer, patience=5)``, and ``schedule.step(val_loss)``
    """

    needs_metric = True
    _state: ClassVar[tuple[str, ...]] = (
        "last_epoch",
        "base_lrs",
        "best",
        "num_bad_epochs",
        "cooldown_counter",
    )

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
        interval: str | None = None,
    ) -> None:
        op = "ReduceLROnPlateau"
        self.mode = checks.choice(op, "mode", mode, ("min", "max"))
        self.factor = checks.real(op, "factor", factor, 0.0, below=1.0)
        self.patience = checks.integer(op, "patience", patience)
        self.threshold = checks.real(op, "threshold", threshold, 0.0)
        self.threshold_mode = checks.choice(op, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = checks.integer(op, "cooldown", cooldown)
        self.min_lr = min_lr
        self.eps = checks.real(op, "eps", eps, 0.0)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer, interval)

    def _begin(self) -> None:
        """Nothing to measure yet."""
        self.last_epoch = 0
        self._lowest()

    def _lowest(self) -> list[float]:
        groups = len(self.optimizer.param_groups)
        return per_group("ReduceLROnPlateau", "min_lr", self.min_lr, groups, least=0.0)

    def step(self, metric: float | None = None) -> None:
        """Compare the metric with the best so far, and reduce the learning rates if it is time."""
        if metric is None:
            raise ValueError("ReduceLROnPlateau.step: it needs the metric: step(val_loss)")
        value = float(metric)
        self.last_epoch += 1
        better = self._is_better(value)
        self.best = value if better else self.best
        self.num_bad_epochs = 0 if better else self.num_bad_epochs + 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return value < bound if self.mode == "min" else value > bound

    def _reduce(self) -> None:
        for group, lowest in zip(self.optimizer.param_groups, self._lowest(), strict=True):
            lr = max(group["lr"] * self.factor, lowest)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
