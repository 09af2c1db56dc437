"""`cnnx train` that is killed again and again, and resumed, ends in the bits of a whole run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT, results, sides

PROGRAM = Path(__file__).with_name("kill_train.py")

# 32 training samples, of which 8 validate: 3 batches per epoch. Everything has a state.
OPTIONS = (
    *("--model", "mlp", "--epochs", "3", "--batch-size", "8", "--augment", "light", "--seed", "2"),
    *("--schedule", "onecycle", "--ema", "0.9", "--early-stop", "9", "--val-split", "0.25"),
)
CHECKPOINTS = "checkpoint-0001-000000.npz", "checkpoint-0002-000000.npz"


def start(directory, event, number, *words):
    """Run the command until it ends or kills itself; the events of one that ends, else None."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), event, str(number), "train", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=directory,
        capture_output=True,
        text=True,
    )
    if done.returncode == -9:
        return None
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nevents\n")[2].splitlines()


def started_or_resumed(directory, event, number):
    """The command that a user would type: resume the run if it has begun."""
    if (directory / "run" / "run.json").exists():
        return start(directory, event, number, "--resume", "run")
    return start(directory, event, number, "--data", "sides.npz", *OPTIONS, "--out", "run")


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory of a run that was not disturbed, and its events."""
    directory = tmp_path_factory.mktemp("whole")
    x, y = sides()
    np.savez(directory / "sides.npz", x=x, y=y)
    return directory, started_or_resumed(directory, "any", 0)


def check_same(directory, whole):
    assert results(directory / "run") == results(whole / "run")
    assert (directory / "run/model.npz").read_bytes() == (whole / "run/model.npz").read_bytes()
    for name in ("config.toml", "split.json"):
        text = (directory / "run" / name).read_text()
        assert text.replace(str(directory), str(whole)) == (whole / "run" / name).read_text()
    assert files(directory) == files(whole)  # no temporary file is left


def test_a_run_that_is_killed_and_resumed_ends_in_the_same_bits(whole, tmp_path):
    directory, events = whole
    assert events.count("step") == 9 and f"replace {CHECKPOINTS[1]}" in events
    (tmp_path / "sides.npz").write_bytes((directory / "sides.npz").read_bytes())
    for event, number in (
        ("replace config.toml", 1),  # the directory is not complete
        ("step", 2),  # in the first epoch: there is no checkpoint
        (f"replace {CHECKPOINTS[0]}", 1),  # model and history are of the first epoch already
        ("replace history.csv", 2),  # the model is an epoch ahead of the history
        ("step", 5),  # in the third epoch
        ("replace run.json", 2),  # of the result
    ):
        assert started_or_resumed(tmp_path, event, number) is None, event
    assert started_or_resumed(tmp_path, "any", 0)
    check_same(tmp_path, directory)


@pytest.mark.nightly
def test_killing_a_run_20_times_ends_in_the_same_bits(whole, tmp_path):
    directory, events = whole
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 20:
        place = tmp_path / str(kills)
        place.mkdir()
        (place / "sides.npz").write_bytes((directory / "sides.npz").read_bytes())
        while started_or_resumed(place, "any", int(rng.integers(1, len(events)))) is None:
            kills += 1
        check_same(place, directory)
