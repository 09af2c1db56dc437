"""`mpirun -n 4 cnnx train --distributed`: one run of several processes, and its errors."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import results, settings_of, sides, usage_error
from mpi_helpers import MPIRUN, command, run

PROGRAM = Path(__file__).with_name("kill_train.py")
# 32 training samples, of which 8 validate: 3 batches per epoch. Everything has a state.
OPTIONS = (
    *("--model", "mnist_cnn", "--epochs", "3", "--batch-size", "8", "--augment", "light"),
    *("--schedule", "onecycle", "--ema", "0.9", "--early-stop", "9", "--val-split", "0.25"),
)
ORDERED = ("--distributed", "--reduction", "ordered", "--shards", "4")


def train(ranks, cwd, *words, number=0, without=()):
    """The finished command, of which each rank kills itself before a step, unless that is 0."""
    return run(command(ranks, PROGRAM, "step", number, "train", *words), cwd, without)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with data, and the run `whole` of one process."""
    directory = tmp_path_factory.mktemp("ranks")
    x, y = sides()
    np.savez(directory / "sides.npz", x=x, y=y)
    np.savez(directory / "one.npz", x=x, y=0 * y)
    done = train(1, directory, "--data", "sides.npz", *OPTIONS, *ORDERED, "--out", "whole")
    assert done.returncode == 0, done.stderr
    assert settings_of(directory / "whole")["result"]["epochs"] == 3
    return directory


def test_ranks_make_one_run_and_another_number_of_ranks_continues_it(place):
    words = ("--data", "sides.npz", *OPTIONS, *ORDERED, "--out", "run")
    done = train(4, place, *words, number=5)  # in the second epoch
    assert done.returncode != 0
    assert done.stdout.count("data  ") == done.stdout.count("epoch 1/3") == 1
    assert "ranks     4 ranks, 4 shards, ordered sums" in done.stdout
    assert "if it breaks off: mpirun -n 4 cnnx train --resume run" in done.stdout
    assert len(list((place / "run/checkpoints").iterdir())) == 1
    done = train(3, place, "--resume", "run", without=("OMP_NUM_THREADS",))
    assert done.returncode == 0, done.stderr
    threads = max(os.cpu_count() // 3, 1)  # the ranks divide the cores
    assert f"{threads} thread{'s' * (threads > 1)}\n" in done.stdout
    assert done.stdout.count("epoch 2/3") == done.stdout.count("test accuracy") == 1
    assert "epoch 1/3" not in done.stdout
    assert results(place / "run") == results(place / "whole")
    for name in ("config.toml", "split.json"):
        assert (place / "run" / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_sums_and_batch_norm_of_ranks_are_those_of_one_process_but_for_rounding(place):
    words = ("--data", "sides.npz", "--model", "resnet20", "--epochs", "2", "--batch-size", "12")
    words += ("--dtype", "float64", "--class-weights", "--drop-last")
    words += ("--optimizer", "sgd")  # Adam enlarges rounding
    assert train(1, place, *words, "--out", "plain").returncode == 0
    shared = ("--distributed", "--sync-batch-norm", "--workers", "1")
    done = train(2, place, *words, *shared, "--out", "shared")
    assert done.returncode == 0, done.stderr
    (rows, result, weights), (expected_rows, expected_result, expected) = (
        results(place / name) for name in ("shared", "plain")
    )
    for row, expected_row in zip([*rows, result], [*expected_rows, expected_result], strict=True):
        for name, value in expected_row.items():
            assert row[name] == pytest.approx(value, rel=1e-9), name
    for name, value in expected.items():
        found, value = (np.frombuffer(bytes, np.float64) for bytes in (weights[name], value))
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9, err_msg=name)


def test_an_error_is_one_line_whichever_rank_met_it(place):
    words = ("--data", "sides.npz", "--model", "mlp", "--distributed", "--out", "none")
    done = train(2, place, *words, "--batch-size", "9")
    lines = [line for line in done.stderr.splitlines() if line.startswith("cnnx")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("cnnx train: fit: batch_size is 9, which 2 shards")
    assert not (place / "none").exists()

    one, other = (command(1, PROGRAM, "any", 0, "train", *words) for _ in range(2))
    other[other.index("sides.npz")] = "one.npz"
    done = run([MPIRUN, "-n", "1", *one, ":", "-n", "1", *other], place)
    lines = [line for line in done.stderr.splitlines() if line.startswith("cnnx")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("cnnx train: rank 1: ValueError: one.npz: all 40 samples are of")
    assert not (place / "none").exists()


def test_a_usage_error_is_printed_once(place):
    done = run(command(3, PROGRAM, "any", 0, "train"), place)
    lines = [line for line in done.stderr.splitlines() if ": error: " in line]
    assert done.returncode == 2 and len(lines) == 1, done.stderr
    assert lines[0].startswith("cnnx train: error: mpirun started 3 processes, which would all do")
    assert done.stderr.count("usage: cnnx") == 1


@pytest.mark.parametrize("variable", ("OMPI_COMM_WORLD_RANK", "PMI_RANK"))
def test_all_usage_errors_are_left_to_rank_0(variable, capsys, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for number, words in enumerate((("train", "--epochs", "0"), ("trian",), ("train", "--shards"))):
        monkeypatch.setenv(variable, "0")
        assert "error: argument" in usage_error(capsys, *words)
        assert len(waits) == number
        monkeypatch.setenv(variable, "3")
        assert "error: argument" in usage_error(capsys, *words)
        assert len(waits) == number + 1 and waits[-1] > 0


def test_a_usage_error_of_a_single_rank_is_printed_too(place):
    words = ("train", "--data", "sides.npz", "--distributed", "--out", "none")
    one, other = (command(1, PROGRAM, "any", 0, *words, *more) for more in ((), ("--lr", "x")))
    done = run([MPIRUN, "-n", "1", *one, ":", "-n", "1", *other], place)
    assert done.returncode == 2 and done.stderr.count("argument --lr: ") == 1, done.stderr
    assert not (place / "none").exists()


@pytest.mark.usefixtures("own_directory")
def test_options_of_ranks_are_for_ranks(capsys, monkeypatch, place):
    for words in (
        ("--reduction", "ordered"),
        ("--shards", "2"),
        ("--timeout", "9"),
        ("--sync-batch-norm",),
    ):
        assert f"{words[0]} is for --distributed" in usage_error(capsys, "train", *words)
    whole = str(place / "whole")
    error = usage_error(capsys, "train", "--resume", whole, "--shards", "2", "--epochs", "9")
    assert f"--shards is 2, but {whole} was started with 4" in error
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    error = usage_error(capsys, "train", "--out", "none")
    assert "mpirun started 2 processes, which would all do the same" in error
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    error = usage_error(capsys, "train", "--distributed", "--shards", "0")
    assert "'0' is not an integer of 1 or more" in error
