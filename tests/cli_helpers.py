"""Helpers for tests of the command line: call it in this process or in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.cli import main

ROOT = Path(__file__).parents[1]
SHORT = ("--epochs", "1", "--threads", "1")


def cnnx_process(*words, text="utf-8", **environment):
    """The command in another process, whose output has the encoding `text`."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-W", "error", "-m", "cnnx", *words]
    return subprocess.run(command, env=variables, capture_output=True, encoding=text, timeout=60)


def sides(n=40, classes=2):
    """Images of 8x8 bytes whose class is the position of the bright columns."""
    y = np.arange(n) % classes
    x = np.random.default_rng(0).integers(0, 60, (n, 8, 8), np.uint8)
    for image, label in zip(x, y):
        image[:, label * 8 // classes : (label + 1) * 8 // classes] += 150
    return x, y


def settings_of(directory):
    return json.loads(Path(directory, "run.json").read_text())


def results(directory):
    """Everything that a run computed, without times."""
    history = cnnx.History.from_csv(Path(directory, "history.csv"))
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history]
    result = {k: v for k, v in settings_of(directory)["result"].items() if k != "seconds"}
    weights = cnnx.load(Path(directory, "model.npz")).state_dict()
    return rows, result, {name: value.tobytes() for name, value in weights.items()}


def usage_error(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    return capsys.readouterr().err


def failure(capsys, *words):
    """The single line on stderr of a command that fails with exit code 1."""
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"cnnx {words[0]}: ")
    return error
