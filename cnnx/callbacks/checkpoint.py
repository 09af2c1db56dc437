"""`Checkpoint`: writes the state of a training, to continue it with `fit(resume=...)`."""

# Design:
# A checkpoint is only written between two batches, after the optimiser's step: there the state is
# whole. Ctrl-C may come at any instruction, for instance between the updates of two weights, so
# while this callback is in use the first one only notes that it came, and `fit` raises
# KeyboardInterrupt at the next such place. A second Ctrl-C is raised at once.
# Names have the position (finished epochs, batches of the next one), so the order of the files is
# that of training, whatever the clock says. A new file is complete before an old one is removed.

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

from cnnx import checks, io
from cnnx.callbacks.base import Callback
from cnnx.callbacks.monitor import Monitor
from cnnx.checkpoint import save_checkpoint
from cnnx.history import Row
from cnnx.log import logger

__all__ = ["BEST", "Checkpoint", "checkpoints"]

BEST = "best.npz"
_NAME = re.compile(r"checkpoint-(\d+)-(\d+)\.npz")
_TEMPORARY = re.compile(r"\.(.+\.npz)\.[0-9a-f]{8}\.tmp")


def checkpoints(directory: str | os.PathLike[str]) -> list[tuple[tuple[int, int], str]]:
    """(position, path) of the checkpoints in a directory, the oldest first."""
    found = []
    for name in os.listdir(directory):
        match = _NAME.fullmatch(name)
        if match:
            position = int(match[1]), int(match[2])
            found.append((position, os.path.join(directory, name)))
    return sorted(found)


class Checkpoint(Callback):
    """Writes checkpoints into a directory; ``fit(..., resume=directory)`` continues from the last
    one, with the same bits as a training that was never interrupted.

    path     the directory, which is created. The files are ``checkpoint-<epochs>-<batches>.npz``:
             finished epochs, and batches of the next one
    every    write one after every so many epochs; None: not at the end of epochs
    batches  also after every so many batches of an epoch (at the next step of the optimiser)
    seconds  also after a batch, when so much time has passed since the last one
    keep     the number of checkpoints to keep, the last ones; None: all
    best     a column of the history, such as "val_accuracy": the weights of the best epoch are
             kept as ``best.npz``, which is never removed. With `fit(ema=...)` these are the
             averaged weights, which were the ones validated
    mode     of `best`: "min", "max", or "auto": "min" for losses and errors
    sigterm  whether SIGTERM also ends training with a checkpoint (SystemExit with code 143)

    Ctrl-C writes a checkpoint, too: training ends after the current batch, and a second Ctrl-C ends
    it at once, without one. For this, and for `sigterm`, `fit` must run in the main thread, and
    SIGINT must have Python's own handler.

    Every file is written completely or not at all. If the disk is full, or another error prevents
    writing, training goes on with a RuntimeWarning: the earlier files are still there, and the next
    checkpoint is tried in time. OSError, before training, if the directory cannot be written to;
    FileExistsError if it has checkpoints of a training that is not resumed.

    Example::

        saved = cnnx.Checkpoint("runs/first", keep=2, best="val_accuracy")
        cnnx.fit(model, train, validation=test, epochs=50, callbacks=[saved], seed=0)
        model.load_state_dict(cnnx.load_checkpoint("runs/first/best.npz")["model"])
    """

    runs_last = True
    first_rank_only = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int | None = 1,
        *,
        batches: int | None = None,
        seconds: float | None = None,
        keep: int | None = 3,
        best: str | None = None,
        mode: str = "auto",
        sigterm: bool = False,
    ) -> None:
        self.path = os.fspath(path)
        self.every = _count("every", every)
        self.batches = _count("batches", batches)
        self.seconds = None if seconds is None else checks.real("Checkpoint", "seconds", seconds, 0)
        self.keep = _count("keep", keep)
        self.best = None if best is None else Monitor("Checkpoint", best, mode)
        self.sigterm = checks.flag("Checkpoint", "sigterm", sigterm)
        self._due = False
        self._last = 0.0
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        self._clear()
        probe = os.path.join(self.path, ".writable")
        with open(probe, "wb"):
            pass
        os.unlink(probe)
        if self.best is not None:
            self.best.reset()
        self._due, self._last = False, time.monotonic()
        self._listen()

    def _clear(self) -> None:
        """Remove what a killed process left, and what comes after the point of resuming."""
        entries = [_TEMPORARY.fullmatch(name) for name in os.listdir(self.path)]
        io.leftovers(self.path, {match[1] for match in entries if match}, remove=True)
        present = checkpoints(self.path)
        if present and self.trainer.resumed_from is None:
            raise FileExistsError(
                f"Checkpoint: {self.path!r} already has {len(present)} checkpoints: continue "
                f"their training with fit(..., resume={self.path!r}), or use another directory"
            )
        for position, path in present:
            if position > self.trainer.position:
                os.unlink(path)

    def on_batch_end(self, batch: int, logs: Row) -> None:
        if self.batches is not None and batch % self.batches == 0:
            self._due = True
        if self.seconds is not None and time.monotonic() - self._last >= self.seconds:
            self._due = True
        if self._due and self.trainer.stepped:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        if self.best is not None and self.best.improves(self.best.read(logs)):
            tree = {"model": self.trainer.scored_weights(), "epoch": epoch, "row": logs}
            self._write(BEST, tree)
        if self._due or (self.every is not None and epoch % self.every == 0):
            self.save()

    def on_train_end(self) -> None:
        try:
            stopped = isinstance(self.trainer.error, (KeyboardInterrupt, SystemExit))
            if stopped and self.trainer.resumable:
                self.save()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}

    def save(self) -> None:
        """Write a checkpoint of the present state, and remove those that are not kept."""
        self._due, self._last = False, time.monotonic()
        finished, batches = self.trainer.position
        name = f"checkpoint-{finished:04d}-{batches:06d}.npz"
        if self._write(name, self.trainer.state_dict()) and self.keep is not None:
            for _, path in checkpoints(self.path)[: -self.keep]:
                with suppress(OSError):
                    os.unlink(path)

    def _write(self, name: str, tree: Any) -> bool:
        path = os.path.join(self.path, name)
        try:
            save_checkpoint(path, tree)
        except OSError as error:
            warnings.warn(
                f"Checkpoint: {name} could not be written: {error}. Training goes on; earlier "
                "checkpoints are unchanged",
                RuntimeWarning,
                stacklevel=2,
            )
            return False
        logger("checkpoint").info("wrote %r", path)
        return True

    def state_dict(self) -> dict[str, Any]:
        return {} if self.best is None else {"best": self.best.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.best is not None:
            self.best.best = state["best"]

    # -- signals -------------------------------------------------------------------------------

    def _listen(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._handlers = {}
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, self._signalled)
        if self.sigterm:
            self._handlers[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._signalled)

    def _signalled(self, number: int, frame: Any) -> None:
        signal.signal(number, self._handlers.pop(number))
        interrupt = number == signal.SIGINT
        self.trainer.interrupt(KeyboardInterrupt() if interrupt else SystemExit(128 + number))


def _count(name: str, value: int | None) -> int | None:
    return None if value is None else checks.integer("Checkpoint", name, value, least=1)
