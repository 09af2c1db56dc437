"""A run's directory: model.npz, history.csv, run.json, split.json, and pictures."""

# Design:
# The directory is made when data and model are there and before the first step, so a path that
# can not be written to is found before an hour of training. Model, history and run.json, with the
# scores so far, are written after every epoch: what interrupts a run costs the epoch it was in, and
# after the last epoch nothing but pictures is to come. All files appear whole or not at all
# (io.atomic_write). `evaluate` and `predict` find in run.json what the run was made of.

from __future__ import annotations

import errno
import json
import os
import time
from contextlib import suppress
from typing import Any

from cnnx import io
from cnnx.cli import pictures
from cnnx.cli.data import Parts
from cnnx.cli.splits import Record
from cnnx.history import History, Row
from cnnx.layers import Layer, run_mode

__all__ = ["Run", "check_out", "find_model", "read_record", "read_settings"]

MODEL, HISTORY, SETTINGS, SPLIT = "model.npz", "history.csv", "run.json", "split.json"
_MOST_BYTES = 1 << 26  # of a JSON file that is read: a million samples recorded are a quarter
FILES = (MODEL, HISTORY, SETTINGS, SPLIT, *pictures.PICTURES)


def check_out(path: str) -> None:
    """FileExistsError if a directory that the user named holds files, NotADirectoryError ...

    Temporary files of a run that was killed there do not count.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", path)
    if os.path.isdir(path) and len(os.listdir(path)) > len(io.leftovers(path, FILES)):
        raise FileExistsError(errno.EEXIST, "holds files already: name another directory", path)


class Run:
    """A directory of its own for a training run; a callback of `fit` that keeps it up to date.

    model     what is trained
    settings  everything that run.json says, except the result; its "epochs" are those planned
    out       the directory; None: runs/<name>-<n>, with the first n that is free
    record    what is trained on and what is held out, for split.json
    """

    def __init__(
        self,
        model: Layer,
        settings: dict[str, Any],
        name: str,
        out: str | None,
        record: Record,
    ) -> None:
        self.model, self.settings, self.history = model, settings, History()
        self.epochs: int = settings["epochs"]
        self._start = time.perf_counter()
        self._keep_directory = out is not None and os.path.isdir(out)  # it is the user's
        self.directory = _next_directory(name) if out is None else _make(out)
        try:
            self._write_settings(None, new=True)
            io.write_text_atomic(self.path(SPLIT), json.dumps(record.to_json()) + "\n")
        except FileExistsError:  # of two runs that were given the same directory, the other's
            check_out(self.directory)
            raise
        except BaseException:
            self.discard()
            raise

    def path(self, name: str) -> str:
        """Path of a file in the directory."""
        return os.path.join(self.directory, name)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done: what is still to come are pictures."""
        return len(self.history) == self.epochs

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.perf_counter() - self._start

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        """Write model, history, and run.json with the scores of this epoch."""
        # In eval mode: who loads the model means to use it, and `fit` trains it all the same.
        with run_mode(training=False):
            self.model.save(self.path(MODEL))
        self.history.append(logs)  # after the model: the picture shows no epoch whose model is lost
        self._write_result()

    def interrupted(self) -> None:
        """Tidy up after an error or Ctrl-C."""
        if not self.history:
            self.discard()
        else:
            with suppress(OSError):  # what led here may be a full disk
                self._write_result()
                if not self.finished:
                    self.draw()

    def kept(self) -> str:
        """What is on the disk, in words, if the run stops here."""
        if not self.history:
            return "that was before the end of epoch 1: nothing is kept"
        epochs = "epoch 1" if len(self.history) == 1 else f"{len(self.history)} epochs"
        if self.finished:
            epochs = f"all {epochs}" if len(self.history) > 1 else epochs
            return f"training was complete: model, history and scores of {epochs} are in " + (
                self.directory
            )
        return f"model and history of {epochs} are in {self.directory}"

    def draw(self, parts: Parts | None = None) -> list[str]:
        """Write the pictures; returns why some are missing. Without the data only the curves."""
        failed = []
        model = None if parts is None else self.model
        try:
            for name, picture in pictures.plan(self.history, self.path, model, parts):
                try:
                    picture()
                except ImportError:
                    raise
                except Exception as error:  # whatever it is, the result is worth more
                    failed.append(f"no {name}: {' '.join(str(error).split())}")
        except ImportError as error:
            failed.append(f"no pictures: {error}")
        except Exception as error:
            failed.append(f"not all pictures: {' '.join(str(error).split())}")
        return failed

    def discard(self) -> None:
        """Remove what this run wrote, and the directory if this run made it."""
        with suppress(OSError):
            for name in FILES:
                with suppress(FileNotFoundError):
                    os.unlink(self.path(name))
            if not self._keep_directory:
                os.rmdir(self.directory)

    def _write_result(self) -> None:
        """History and run.json, as of the last epoch whose model is on the disk."""
        self.history.to_csv(self.path(HISTORY))
        scores = {
            f"test_{name.removeprefix('val_')}": value
            for name, value in self.history[-1].items()
            if name.startswith("val_")
        }
        done = {"finished": self.finished, "epochs": len(self.history), "seconds": self.seconds}
        self._write_settings({**done, **scores})

    def _write_settings(self, result: dict[str, Any] | None, *, new: bool = False) -> None:
        text = json.dumps({**self.settings, "result": result}, indent=2)
        io.write_text_atomic(self.path(SETTINGS), text + "\n", new=new)


def _next_directory(name: str) -> str:
    """Make runs/<name>-<n>; `mkdir` fails for all but one of two runs that start at once."""
    os.makedirs("runs", exist_ok=True)
    taken = [
        int(entry.removeprefix(f"{name}-"))
        for entry in os.listdir("runs")
        if entry.startswith(f"{name}-") and entry.removeprefix(f"{name}-").isdecimal()
    ]
    n = max(taken, default=0) + 1
    while True:
        path = os.path.join("runs", f"{name}-{n}")
        try:
            os.mkdir(path)
            return path
        except FileExistsError:
            n += 1


def _make(out: str) -> str:
    """Make the directory that the user named, or take it if it is empty."""
    check_out(out)
    os.makedirs(out, exist_ok=True)
    io.leftovers(out, FILES, remove=True)
    return out


def find_model(path: str) -> str:
    """The model's file: `path` itself, or model.npz where `path` is a run's directory."""
    return os.path.join(path, MODEL) if os.path.isdir(path) else path


def read_settings(model_path: str) -> dict[str, Any]:
    """The run.json beside a model; {} where there is none, ValueError where it is damaged."""
    path = os.path.join(os.path.dirname(model_path), SETTINGS)
    try:
        settings = read_json(path)
    except FileNotFoundError:
        return {}
    parts = settings.get("data") if isinstance(settings, dict) else None
    if not (
        isinstance(parts, dict)
        and isinstance(parts.get("source"), str)
        and type(settings.get("seed")) is int
        and settings["seed"] >= 0
        and _is_list(parts.get("classes"), str)
        and _is_list(parts.get("sample_shape"), int)
    ):
        raise ValueError(f"{path} is not what `cnnx train` wrote")
    return settings


def read_record(model_path: str) -> Record | None:
    """The split.json beside a model; None where there is none, ValueError where it is damaged."""
    path = os.path.join(os.path.dirname(model_path), SPLIT)
    try:
        return Record.from_json(read_json(path), path)
    except FileNotFoundError:
        return None


def read_json(path: str) -> Any:
    """What a JSON file of a run holds; ValueError where it is damaged or no file of a run."""
    size = os.stat(path).st_size
    if not os.path.isfile(path):
        raise ValueError(f"{path} is no regular file")
    if size > _MOST_BYTES:
        raise ValueError(f"{path} has {size:,} bytes: it is not what `cnnx train` wrote")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)
