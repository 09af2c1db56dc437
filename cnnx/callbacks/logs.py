"""Callbacks that report: `CSVLogger`, `ProgressBar`, `TensorBoard`."""

from __future__ import annotations

import os
import sys
from typing import Any

from cnnx import terminal
from cnnx.callbacks.base import Callback
from cnnx.history import Row

__all__ = ["CSVLogger", "EpochLines", "ProgressBar", "TensorBoard"]


class CSVLogger(Callback):
    """Writes the history to a CSV file after each epoch, completely or not at all.

    path  of the file; `History.from_csv` reads it

    A resumed training continues the table of the checkpoint.

    Example: ``cnnx.fit(model, train, callbacks=[cnnx.CSVLogger("history.csv")])``
    """

    first_rank_only = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        self.trainer.history.to_csv(self.path)


class EpochLines(Callback):
    """Prints a line per epoch: what `fit(verbose=True)` shows."""

    first_rank_only = True

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        measured = "  ".join(
            f"{name} {value:.4f}"
            for name, value in logs.items()
            if name not in ("epoch", "seconds")
        )
        count = f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}"
        terminal.say(f"{count}  {measured}  {logs['seconds']:.1f} s")


class ProgressBar(Callback):
    """A bar within each epoch, on standard error, by tqdm (extra ``cli``).

    `fit(verbose=True)` shows one on a terminal; this callback shows it anywhere.

    ImportError, with advice, if tqdm is not installed.

    Example: ``cnnx.fit(model, train, verbose=False, callbacks=[cnnx.ProgressBar()])``
    """

    first_rank_only = True

    def __init__(self) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise ImportError("ProgressBar needs tqdm: pip install cnnx[cli]") from error
        self._tqdm = tqdm
        self._bar: Any = None

    @classmethod
    def of_terminal(cls) -> ProgressBar | None:
        """A bar if standard error is a terminal and tqdm is installed, else None."""
        if not terminal.is_terminal(sys.stderr):
            return None
        try:
            return cls()
        except ImportError:
            return None

    def on_epoch_begin(self, epoch: int) -> None:
        trainer = self.trainer
        self._bar = self._tqdm(
            desc=f"epoch {epoch}",
            total=trainer.batches,
            initial=trainer.batch,
            leave=False,
            unit="batch",
        )

    def on_batch_end(self, batch: int, logs: Row) -> None:
        if self._bar is not None:
            self._bar.update(1)
            if batch == self.trainer.batches:
                self._close()  # before the validation, and the line of the epoch

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        self._close()

    def on_train_end(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class TensorBoard(Callback):
    """Writes the columns of the history as scalars for TensorBoard, one point per epoch.

    directory  of the event files: ``tensorboard --logdir directory`` shows them

    Needs the package tensorboardX (extra ``tensorboard``), or PyTorch with tensorboard;
    ImportError, with advice, without either. A resumed training replaces the points after the
    checkpoint.

    Example: ``cnnx.fit(model, train, callbacks=[cnnx.TensorBoard("runs/first")])``
    """

    first_rank_only = True

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        self._writer_class = _summary_writer()
        self._writer: Any = None

    def on_train_begin(self) -> None:
        finished = len(self.trainer.history)
        purge = {"purge_step": finished + 1} if finished else {}
        self._writer = self._writer_class(self.directory, **purge)

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        for name, value in logs.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, epoch)
        self._writer.add_scalar("lr", self.trainer.optimizer.lr, epoch)
        self._writer.flush()

    def on_train_end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter

        return SummaryWriter
    except ImportError:
        pass
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard needs tensorboardX: pip install cnnx[tensorboard]"
        ) from error
    return SummaryWriter
