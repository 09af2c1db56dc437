"""A run directory: model.npz, history.csv, run.json, config.toml, split.json, pictures."""

# Design:
# The directory is created once data and model exist and before the first step, so an unwritable
# path is reported before an hour of training. Model, history and run.json, with the scores so far,
# are written after every epoch: an interruption costs the current epoch only, and after the last
# epoch only pictures remain to be drawn. Every file is written completely or not at all
# (io.atomic_write). `evaluate` and `predict` read the run's settings from run.json.
# A checkpoint is written after every epoch and on Ctrl-C, after the other files: if those are a
# step ahead because the process was killed in between, a resumed run writes the same ones again.
# A finished run keeps its last checkpoint, so that it can get more epochs.

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from contextlib import nullcontext, suppress
from typing import Any

from cnnx import io
from cnnx.callbacks import Callback
from cnnx.callbacks.checkpoint import checkpoints
from cnnx.cli import pictures
from cnnx.cli.data import Parts
from cnnx.cli.splits import Record
from cnnx.history import History, Row
from cnnx.layers import Layer, run_mode

__all__ = [
    "CHECKPOINTS",
    "FILES",
    "HISTORY",
    "SETTINGS",
    "SPLIT",
    "Run",
    "check_out",
    "find_model",
    "read_json",
    "read_record",
    "read_settings",
]

MODEL, HISTORY, SETTINGS, SPLIT = "model.npz", "history.csv", "run.json", "split.json"
CONFIG, CHECKPOINTS = "config.toml", "checkpoints"
_MOST_BYTES = 1 << 26  # limit for reading a JSON file: records of a million samples take a quarter
FILES = (MODEL, HISTORY, SETTINGS, CONFIG, SPLIT, *pictures.PICTURES)


def check_out(path: str) -> None:
    """FileExistsError if a directory named by the user is not empty, NotADirectoryError ...

    Temporary files of a killed run there are ignored.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", path)
    if os.path.isdir(path) and len(os.listdir(path)) > len(io.leftovers(path, FILES)):
        raise FileExistsError(
            errno.EEXIST, "already contains files: choose another directory", path
        )


class Run(Callback):
    """The directory of a training run; a callback of `fit` that keeps its files up to date.

    model     the model being trained
    settings  the contents of run.json except the result; its "epochs" is the planned number
    out       the directory; None: runs/<name>-<n>, with the first free n
    command   how a user continues the run: this and --resume
    record    which samples are used for training and which are held out, for split.json
    toml      the contents of config.toml
    resume    whether `out` is the directory of this run already
    validated whether epochs are scored on validation data, and the test set after the last one
    chosen    whether the model of another epoch than the last may be kept (early stopping)
    """

    first_rank_only = True

    def __init__(
        self,
        model: Layer,
        settings: dict[str, Any],
        name: str,
        out: str | None,
        record: Record,
        *,
        toml: str,
        command: str = "cnnx train",
        resume: bool = False,
        validated: bool = False,
        chosen: bool = False,
    ) -> None:
        self.model, self.settings, self.history = model, settings, History()
        self.command = command
        self.epochs: int = settings["epochs"]
        self.scores: Row = {}  # of the test set, after the end
        self._prefix = "val" if validated else "test"
        self._has_end = validated or chosen
        self._start = time.perf_counter()
        if resume:
            assert out is not None
            self.directory, self._keep_directory = out, True
            self._start -= seconds_of(self.path(SETTINGS))
            io.leftovers(out, FILES, remove=True)
            self._write_start(toml, record)
            return
        self._keep_directory = out is not None and os.path.isdir(out)  # it existed before
        self.directory = _next_directory(name) if out is None else _make(out)
        try:
            self._write_settings(None, new=True)
            self._write_start(toml, record)
        except FileExistsError:  # another run was given the same directory
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
        """Whether all epochs are done, and only pictures remain."""
        return bool(self.scores) if self._has_end else len(self.history) == self.epochs

    @property
    def resumable(self) -> bool:
        """Whether there is a checkpoint."""
        path = self.path(CHECKPOINTS)
        return os.path.isdir(path) and bool(checkpoints(path))

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.perf_counter() - self._start

    def on_train_begin(self) -> None:
        """Continue the history of the checkpoint."""
        self.history = History(self.trainer.history.rows)

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        """Write model, history, and run.json with the scores of this epoch."""
        ema = self.trainer.ema
        with nullcontext() if ema is None else ema.averaged():
            self._save_model()
        self.history.append(logs)  # after saving: the history has no epoch whose model was lost
        self._write_result()

    def end(self, scores: Row) -> None:
        """Write the model that is kept, and its scores on the test set."""
        if self._has_end:
            self._save_model()
        self.scores = {f"test_{name}": value for name, value in scores.items()}
        self._write_result()

    def _save_model(self) -> None:
        # Saved in eval mode, since a loaded model is usually used; `fit` trains in any mode.
        with run_mode(training=False):
            self.model.save(self.path(MODEL))

    def interrupted(self) -> None:
        """Clean up after an error or Ctrl-C."""
        if not self.history:
            if not self.resumable:
                self.discard()
        else:
            with suppress(OSError):  # the cause may be a full disk
                self._write_result()
                if not self.finished:
                    self.draw()

    def kept(self) -> str:
        """What is on the disk, as text, if the run stops now."""
        go_on = f"; continue with: {self.command} --resume {self.directory}"
        if not self.history:
            if self.resumable:
                return f"that was before the end of epoch 1{go_on}"
            return "that was before the end of epoch 1: nothing was saved"
        epochs = "epoch 1" if len(self.history) == 1 else f"{len(self.history)} epochs"
        if self.finished:
            epochs = f"all {epochs}" if len(self.history) > 1 else epochs
            return f"training was complete: model, history and scores of {epochs} are in " + (
                self.directory
            )
        kept = f"model and history of {epochs} are in {self.directory}"
        return kept + go_on if self.resumable else kept

    def draw(self, parts: Parts | None = None) -> list[str]:
        """Write the pictures; returns why some are missing. Without data, only the curves."""
        failed = []
        model = None if parts is None else self.model
        try:
            for name, picture in pictures.plan(self.history, self.path, model, parts):
                try:
                    picture()
                except ImportError:
                    raise
                except Exception as error:  # whatever it is, the result matters more
                    failed.append(f"no {name}: {' '.join(str(error).split())}")
        except ImportError as error:
            failed.append(f"no pictures: {error}")
        except Exception as error:
            failed.append(f"not all pictures: {' '.join(str(error).split())}")
        return failed

    def discard(self) -> None:
        """Remove the files of this run, and the directory if this run created it."""
        with suppress(OSError):
            for name in FILES:
                with suppress(FileNotFoundError):
                    os.unlink(self.path(name))
            shutil.rmtree(self.path(CHECKPOINTS), ignore_errors=True)
            if not self._keep_directory:
                os.rmdir(self.directory)

    def _write_result(self) -> None:
        """Write history and run.json as of the last epoch whose model is on the disk."""
        self.history.to_csv(self.path(HISTORY))
        scores = {
            f"{self._prefix}_{name.removeprefix('val_')}": value
            for name, value in self.history[-1].items()
            if name.startswith("val_")
        }
        done = {"finished": self.finished, "epochs": len(self.history), "seconds": self.seconds}
        self._write_settings({**done, **scores, **self.scores})

    def _write_start(self, toml: str, record: Record) -> None:
        """Write what does not change; a process may have been killed before it did."""
        for name, text in ((CONFIG, toml), (SPLIT, json.dumps(record.to_json()) + "\n")):
            if not os.path.exists(self.path(name)):
                io.write_text_atomic(self.path(name), text)

    def _write_settings(self, result: dict[str, Any] | None, *, new: bool = False) -> None:
        text = json.dumps({**self.settings, "result": result}, indent=2)
        io.write_text_atomic(self.path(SETTINGS), text + "\n", new=new)


def _next_directory(name: str) -> str:
    """Create runs/<name>-<n>; of two runs that start at once, `mkdir` succeeds for one only."""
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
    """Create the directory that the user named, or use it if it is empty."""
    check_out(out)
    os.makedirs(out, exist_ok=True)
    io.leftovers(out, FILES, remove=True)
    return out


def find_model(path: str) -> str:
    """The model file: `path` itself, or model.npz if `path` is a run directory."""
    return os.path.join(path, MODEL) if os.path.isdir(path) else path


def seconds_of(path: str) -> float:
    """The duration of a run until its last epoch, from its run.json."""
    result = read_json(path).get("result")
    return float(result["seconds"]) if isinstance(result, dict) else 0.0


def read_settings(model_path: str) -> dict[str, Any]:
    """The run.json next to a model; {} if there is none, ValueError if it is damaged."""
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
    """The split.json next to a model; None if there is none, ValueError if it is damaged."""
    path = os.path.join(os.path.dirname(model_path), SPLIT)
    try:
        return Record.from_json(read_json(path), path)
    except FileNotFoundError:
        return None


def read_json(path: str) -> Any:
    """The contents of a run's JSON file; ValueError if it is damaged or no such file."""
    size = os.stat(path).st_size
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a regular file")
    if size > _MOST_BYTES:
        raise ValueError(f"{path} has {size:,} bytes: it is not what `cnnx train` wrote")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)
