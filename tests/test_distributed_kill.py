"""Ranks that are killed at any moment, and mpirun that is stopped: every process ends, the last
checkpoint is whole, and the run that continues it ends in the bits of an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import mpi_program
import numpy as np
import pytest
from mpi_helpers import ENVIRONMENT, command, run

import cnnx

pytestmark = pytest.mark.nightly
LIMIT = 30.0  # seconds until all have ended
BATCHES = 30


def result(directory, ranks):
    """What a run ended with, on all ranks alike."""
    trees = [
        cnnx.load_checkpoint(directory / f"watched-{ranks}-{rank}.npz") for rank in range(ranks)
    ]
    for tree in trees[1:]:
        assert_same(tree, trees[0])
    return trees[0]


def assert_same(one, other):
    assert one["history"] == other["history"]
    assert list(one["model"]) == list(other["model"])
    for name, array in one["model"].items():
        np.testing.assert_array_equal(array, other["model"][name], err_msg=name)


def finish(directory, ranks):
    done = run(command(ranks, mpi_program.__file__, directory, "watched"))
    assert done.returncode == 0, done.stderr
    return result(directory, ranks)


def disturbed(directory, ranks, lines, disturb, message=""):
    """Start a run, call `disturb(process, pids)` after so many of its batches, and return the
    seconds until it has ended, with the message. None if it had come to its end before.
    """
    words = command(ranks, mpi_program.__file__, directory, "watched")
    with subprocess.Popen(
        words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        pids, batches, began = [], 0, 0.0
        for line in process.stdout:
            if line.startswith("rank"):
                pids.append(int(line.split()[2]))
            batches += line == "batch\n"
            if batches == lines and not began:
                began = time.monotonic()
                disturb(process, pids)
        error = process.stderr.read()
        code = process.wait(timeout=2 * LIMIT)
    assert len(pids) == ranks
    if code == 0:
        return None
    assert message in error
    while any(map(is_alive, pids)) and time.monotonic() < began + LIMIT:
        time.sleep(0.05)  # mpirun may be gone a moment before the last of them
    return time.monotonic() - began


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("undisturbed"), 1)


def test_killing_a_rank_at_20_moments_ends_all_and_loses_nothing(undisturbed, tmp_path):
    rng = np.random.default_rng(0)
    slowest, kills = 0.0, 0
    while kills < 20:
        directory = tmp_path / str(kills)
        directory.mkdir(exist_ok=True)
        ranks, lines = int(rng.choice([2, 4])), int(rng.integers(2, BATCHES + 1))
        victim, delay = int(rng.integers(ranks)), rng.uniform(0, 0.02)

        def kill(process, pids, victim=victim, delay=delay):
            time.sleep(delay)  # into the batch, the write of the checkpoint, or the validation
            os.kill(pids[victim], signal.SIGKILL)

        took = disturbed(directory, ranks, lines, kill, "signal 9")
        if took is None:  # it was at its end already
            continue
        kills += 1
        slowest = max(slowest, took)
        assert took < LIMIT
        assert [path for path in (directory / "checkpoints").iterdir() if path.suffix == ".npz"]
        assert_same(finish(directory, int(rng.choice([1, 2, 3]))), undisturbed)
    print(f"{kills} kills, of which the slowest ended all ranks after {slowest:.2f} s")


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_a_signal_to_mpirun_ends_all_ranks_and_loses_nothing(number, undisturbed, tmp_path):
    took = disturbed(tmp_path, 2, 15, lambda process, pids: process.send_signal(number))
    assert took is not None and took < LIMIT
    assert list((tmp_path / "checkpoints").glob("*.npz"))
    assert_same(finish(tmp_path, 3), undisturbed)
