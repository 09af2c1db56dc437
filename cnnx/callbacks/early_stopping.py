"""`EarlyStopping`: ends training when a score no longer improves."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks
from cnnx.callbacks.base import Callback
from cnnx.callbacks.monitor import Monitor
from cnnx.history import Row
from cnnx.log import logger

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """Ends training after `patience` epochs without an improvement of a column of the history.

    monitor       the column; ValueError after the first epoch if there is none of that name
    patience      epochs without improvement that are tolerated, from 1
    min_delta     an improvement by this or less does not count
    mode          "min": lower is better, "max": higher; "auto": lower for losses and errors
    restore_best  give the model the weights and statistics of the best epoch when training ends
                  without an exception, also at the last epoch. With `fit(ema=...)` these are the
                  averaged weights, which were the ones validated

    best_epoch    the best epoch so far, from 1; None before the first

    L. Prechelt, "Early Stopping - But When?", in Neural Networks: Tricks of the Trade, 1998.

    Example::

        stop = cnnx.EarlyStopping(patience=5)
        cnnx.fit(model, train, validation=test, epochs=100, callbacks=[stop])
        print(stop.best_epoch)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.monitor = Monitor("EarlyStopping", monitor, mode, min_delta)
        self.patience = checks.integer("EarlyStopping", "patience", patience, least=1)
        self.restore_best = checks.flag("EarlyStopping", "restore_best", restore_best)
        self._forget()

    def _forget(self) -> None:
        self.monitor.reset()
        self.best_epoch: int | None = None
        self.waited = 0
        self._weights: dict[str, np.ndarray] | None = None

    def on_train_begin(self) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        if self.monitor.improves(self.monitor.read(logs)):
            self.best_epoch, self.waited = epoch, 0
            if self.restore_best:
                self._weights = self.trainer.scored_weights()
            return
        self.waited += 1
        if self.waited >= self.patience:
            logger("training").info(
                "EarlyStopping: no improvement in %d epochs; the best one was %s, with %.6g",
                *(self.waited, self.best_epoch, self.monitor.best),
            )
            self.trainer.stop()

    def on_train_end(self) -> None:
        if self.trainer.error is not None:
            return  # a checkpoint may be written after this
        if self._weights is not None:
            self.trainer.model.load_state_dict(self._weights)
            logger("training").info("EarlyStopping: restored the weights of %s", self.best_epoch)
        self._weights = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.monitor.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.monitor.best, self.best_epoch = state["best"], state["best_epoch"]
        self.waited, self._weights = state["waited"], state["weights"]
