"""`LRScheduler`: steps a learning rate schedule during training."""

from __future__ import annotations

from typing import Any

from cnnx.callbacks.base import Callback
from cnnx.callbacks.monitor import Monitor
from cnnx.history import Row
from cnnx.log import logger

__all__ = ["LRScheduler"]


class LRScheduler(Callback):
    """Steps a schedule: after each epoch, or, if its `interval` is "batch", after each step of the
    optimiser. The same as ``fit(schedule=...)``.

    schedule  of `cnnx.optim.schedules`, or any object with ``step()``
    monitor   the column of the history for a schedule with `needs_metric`, such as
              ReduceLROnPlateau; None: "val_loss", or without validation "loss"

    Example: ``cnnx.LRScheduler(ReduceLROnPlateau(optimizer), monitor="val_accuracy")``
    """

    def __init__(self, schedule: Any, monitor: str | None = None) -> None:
        if isinstance(schedule, type) or not callable(getattr(schedule, "step", None)):
            raise TypeError(
                f"LRScheduler: schedule is {schedule!r}, expected one such as "
                "StepLR(optimizer, step_size=10)"
            )
        self.schedule = schedule
        self.monitor = None if monitor is None else Monitor("LRScheduler", monitor)
        self._per_batch = getattr(schedule, "interval", "epoch") == "batch"

    def on_batch_end(self, batch: int, logs: Row) -> None:
        if self._per_batch and self.trainer.stepped:
            self.schedule.step()

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        if self._per_batch:
            return
        before = self.trainer.optimizer.lr
        self._step(logs)
        after = self.trainer.optimizer.lr
        if after != before:
            logger("training").debug("learning rate %.6g -> %.6g", before, after)

    def _step(self, logs: Row) -> None:
        if not getattr(self.schedule, "needs_metric", False):
            self.schedule.step()
            return
        if self.monitor is None:
            column = "val_loss" if "val_loss" in logs else "loss"
            self.monitor = Monitor("LRScheduler", column)
        self.schedule.step(self.monitor.read(logs))

    def state_dict(self) -> dict[str, Any]:
        if not hasattr(self.schedule, "state_dict"):
            return {}
        return {"schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.schedule.load_state_dict(state["schedule"])
