"""A run's directory: model.npz, history.csv, run.json, and pictures."""

# Design:
# The directory is made when data and model are there and before the first step, so a path that
# can not be written to is found before an hour of training. Model and history are written after
# every epoch: what interrupts a run costs the epoch it was in. All files appear whole or not at
# all (io.atomic_write). run.json is written at the start, and again with the result: `evaluate`
# and `predict` find there what the labels mean and what the images looked like.

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import Any

from cnnx import io
from cnnx.cli import pictures
from cnnx.cli.data import Parts
from cnnx.history import History, Row
from cnnx.layers import Layer, run_mode

__all__ = ["Run", "check_out", "find_model", "read_settings"]

MODEL, HISTORY, SETTINGS = "model.npz", "history.csv", "run.json"


def check_out(path: str) -> None:
    """FileExistsError if a directory that the user named holds files, NotADirectoryError ..."""
    if os.path.lexists(path) and not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", path)
    if os.path.isdir(path) and os.listdir(path):
        raise FileExistsError(errno.EEXIST, "holds files already: name another directory", path)


class Run:
    """A directory of its own for a training run; a callback of `fit` that keeps it up to date.

    model     what is trained
    settings  everything that run.json says, except the result
    out       the directory; None: runs/<name>-<n>, with the first n that is free
    """

    def __init__(
        self, model: Layer, settings: dict[str, Any], name: str, out: str | None = None
    ) -> None:
        self.model, self.settings, self.history = model, settings, History()
        self.saved = 0  # epochs whose model is on the disk
        self._keep_directory = out is not None and os.path.isdir(out)  # it is the user's
        self.directory = _claim(out) if out is not None else _next_directory(name)
        try:
            self._write_settings(None)
        except BaseException:
            self.discard()
            raise

    def path(self, name: str) -> str:
        """Path of a file in the directory."""
        return os.path.join(self.directory, name)

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        """Write model and history."""
        # In eval mode: who loads the model means to use it, and `fit` trains it all the same.
        with run_mode(training=False):
            self.model.save(self.path(MODEL))
        self.saved = epoch
        self.history.append(logs)  # after the model: the picture shows no epoch whose model is lost
        self.history.to_csv(self.path(HISTORY))

    def finish(self, result: dict[str, Any], parts: Parts | None = None) -> str | None:
        """Write run.json with the result, and pictures; None or why there are none.

        Without the data only the curves are drawn.
        """
        self._write_settings(result)
        try:
            if parts is None:
                pictures.draw(self.history, self.path)
            else:
                pictures.draw(self.history, self.path, self.model, parts)
        except ImportError as error:
            return str(error)
        return None

    def interrupted(self) -> str:
        """Tidy up after an error or Ctrl-C; returns what is kept, in words."""
        if not self.saved:
            self.discard()
            return "that was before the end of epoch 1: nothing is kept"
        with suppress(OSError):  # what led here may be a full disk
            self.finish({"finished": False, "epochs": self.saved})
        epochs = "epoch 1" if self.saved == 1 else f"{self.saved} epochs"
        return f"model and history of {epochs} are in {self.directory}"

    def discard(self) -> None:
        """Remove what this run wrote, and the directory if this run made it."""
        with suppress(OSError):
            for name in (MODEL, HISTORY, *pictures.PICTURES, SETTINGS):
                with suppress(FileNotFoundError):
                    os.unlink(self.path(name))
            if not self._keep_directory:
                os.rmdir(self.directory)

    def _write_settings(self, result: dict[str, Any] | None) -> None:
        text = json.dumps({**self.settings, "result": result}, indent=2)
        io.write_text_atomic(self.path(SETTINGS), text + "\n")


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


def _claim(out: str) -> str:
    """Make the directory that the user named, or take it if it is empty."""
    check_out(out)
    os.makedirs(out, exist_ok=True)
    try:
        # Of two runs that were given the same directory, one makes this file.
        os.close(os.open(os.path.join(out, SETTINGS), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        check_out(out)
        raise
    return out


def find_model(path: str) -> str:
    """The model's file: `path` itself, or model.npz where `path` is a run's directory."""
    return os.path.join(path, MODEL) if os.path.isdir(path) else path


def read_settings(model_path: str) -> dict[str, Any]:
    """The run.json beside a model; {} where there is none, ValueError where it is damaged."""
    path = os.path.join(os.path.dirname(model_path), SETTINGS)
    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
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


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)
