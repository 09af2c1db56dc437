"""A training that is killed again and again ends with the bits of one that was not disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnnx import load_checkpoint

PROGRAM = Path(__file__).with_name("kill_program.py")


def start(directory, result):
    paths = os.pathsep.join([str(PROGRAM.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(directory), str(result)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(process, lines, delay):
    """Kill the process `delay` seconds after so many of its lines; whether it was still running."""
    with process:
        for number, _ in enumerate(process.stdout, start=1):
            if number == lines:
                time.sleep(delay)
                process.kill()
                break
        process.stdout.read()
    return process.returncode != 0


def killed_until_done(tmp_path, moments, rng):
    """Kill the training at so many moments, then let it end; the final weights."""
    directory, result = tmp_path / "runs", tmp_path / "killed.npz"
    kills = 0
    while kills < moments:
        # A batch and a save are two lines. The delay may hit the write, its fsync or the rename.
        lines, delay = int(rng.integers(1, 12)), rng.choice([0, rng.uniform(0, 0.004)])
        process = start(directory, result)
        if killed(process, lines, delay):
            assert process.returncode == -9
            kills += 1
        else:  # it reached the end: begin anew
            assert process.returncode == 0
            if kills < moments:
                yield load_checkpoint(result)
                for path in (*directory.iterdir(), result):
                    path.unlink()
    with start(directory, result) as process:
        process.stdout.read()
    assert process.returncode == 0
    yield load_checkpoint(result)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    with start(directory / "runs", directory / "result.npz") as process:
        assert process.stdout.read().count("save") == 33  # 30 batches and 3 epochs
    assert process.returncode == 0
    return load_checkpoint(directory / "result.npz")


@pytest.mark.parametrize("moments", [pytest.param(5), pytest.param(60, marks=pytest.mark.nightly)])
def test_a_killed_training_ends_in_the_same_bits(undisturbed, tmp_path, moments):
    for weights in killed_until_done(tmp_path, moments, np.random.default_rng(moments)):
        assert list(weights) == list(undisturbed)
        assert all(np.array_equal(a, undisturbed[name]) for name, a in weights.items())
