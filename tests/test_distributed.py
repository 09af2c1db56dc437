"""Data-parallel training: ranks on this machine against one process, and errors of single ranks."""

from __future__ import annotations

import time
from pathlib import Path

import mpi_helpers
import mpi_program
import numpy as np
import pytest
from mpi_helpers import command
from mpi_program import (
    SHARDS,
    extras,
    images,
    large_digits,
    mnist_without_dropout,
    network,
    normalised,
    own_steps,
    settings,
    state,
)

import cnnx

PROGRAM = Path(mpi_program.__file__)
BITS = (
    *("ordered", "noisy", "mnist", "plain_mnist", "summed", "normed", "iterable", "own_loop"),
    *("synced", "synced_sums", "synced_loop", "scored"),
)


def run(ranks, directory, *scenarios):
    """The finished process of some ranks."""
    return mpi_helpers.run(command(ranks, PROGRAM, directory, *scenarios))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(scenario, ranks, rank) -> what a rank saved."""
    directory = tmp_path_factory.mktemp("ranks")
    for ranks, names in ((1, BITS), (2, (*BITS, "stopped", "errors")), (4, (*BITS, "errors"))):
        done = run(ranks, directory, *names)
        assert done.returncode == 0, done.stderr
    return lambda name, ranks, rank=0: cnnx.load_checkpoint(
        directory / f"{name}-{ranks}-{rank}.npz"
    )


def assert_same_bits(one, other):
    assert one["history"] == other["history"]
    assert_same_arrays(one, other, np.testing.assert_array_equal)


def assert_same_arrays(one, other, check):
    assert one["model"].keys() == other["model"].keys()
    for name, array in one["model"].items():
        check(array, other["model"][name], err_msg=name)


def close(one, other, err_msg):
    """Sums of float32 in another order."""
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, err_msg=err_msg)


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_ordered_sums_give_the_bits_of_one_process(ranks, results):
    model = network()
    optimizer = cnnx.SGD(model.parameters(), lr=0.1, momentum=0.9)
    options = settings(**extras(model, optimizer), accumulate=SHARDS) | {"batch_size": 24 // SHARDS}
    expected = state(model, cnnx.fit(model, images(), **options))
    for rank in range(ranks):
        assert_same_bits(results("ordered", ranks, rank), expected)


@pytest.mark.parametrize("ranks", (2, 4))
def test_batch_norm_and_dropout_do_not_depend_on_the_number_of_ranks(ranks, results):
    for rank in range(ranks):
        assert_same_bits(results("noisy", ranks, rank), results("noisy", 1))


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_the_cnn_for_mnist_gets_the_bits_of_one_process(ranks, results):
    options = settings(accumulate=SHARDS, batch_size=24 // SHARDS, validation=None)
    model = mnist_without_dropout()
    expected = state(model, cnnx.fit(model, large_digits(), **options))
    for rank in range(ranks):
        assert_same_bits(results("plain_mnist", ranks, rank), expected)
        assert_same_bits(results("mnist", ranks, rank), results("mnist", 1))  # with dropout
    assert results("mnist", 1)["history"] != expected["history"]


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_mpi_sums_are_the_gradient_of_the_whole_batch(ranks, results):
    model = network()
    expected = state(model, cnnx.fit(model, images(), **settings()))
    for rank in range(ranks):
        found = results("summed", ranks, rank)
        assert_same_arrays(found, expected, close)
        for name, column in expected["history"].items():
            np.testing.assert_allclose(found["history"][name], column, rtol=1e-4, err_msg=name)
        assert_same_bits(found, results("summed", ranks, 0))


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_running_statistics_are_the_mean_over_the_shards(ranks, results):
    x, _ = images(24)
    shards = [network(norm=True) for _ in range(SHARDS)]
    for shard, part in zip(shards, np.split(x, SHARDS), strict=True):
        shard(part)
    for name in ("1.running_mean", "1.running_var"):
        expected = np.mean([shard.state_dict()[name] for shard in shards], axis=0)
        close(results("normed", ranks)["model"][name], expected, name)
    assert results("normed", ranks, ranks - 1)["model"]["1.num_batches_tracked"] == 1


def precise(one, other, err_msg):
    """Sums of float64 in another order."""
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10, err_msg=err_msg)


@pytest.mark.parametrize("ranks", (1, 2, 4))
@pytest.mark.parametrize("scenario", ("synced", "synced_sums"))
def test_synchronised_batch_norm_is_that_of_one_process(scenario, ranks, results):
    model = normalised()
    expected = state(model, cnnx.fit(model, images(65), **settings()))
    for rank in range(ranks):
        found = results(scenario, ranks, rank)
        assert_same_arrays(found, expected, precise)
        for name, column in expected["history"].items():
            np.testing.assert_allclose(found["history"][name], column, rtol=1e-9, err_msg=name)
        assert_same_bits(found, results(scenario, ranks, 0))


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_synchronised_batch_norm_in_a_loop_of_ones_own(ranks, results):
    model = own_steps(None, normalised(), ((0, 24), (24, 41), (41, 64)))
    for rank in range(ranks):
        found = results("synced_loop", ranks, rank)
        assert_same_arrays(found, {"model": model.state_dict()}, precise)


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_batches_of_an_iterable_are_cut_by_rows(ranks, results):
    x, y = images()
    batches = [(x[i : i + 24], y[i : i + 24]) for i in (0, 24, 48)]
    model = network()
    expected = state(model, cnnx.fit(model, batches, **settings()))
    assert_same_arrays(results("iterable", ranks, ranks - 1), expected, close)


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_a_loop_of_ones_own_averages_over_the_samples_of_all_ranks(ranks, results):
    model, (x, y) = network(), images()
    optimizer, loss = cnnx.SGD(model.parameters(), lr=0.1), cnnx.CrossEntropyLoss()
    for first, stop in ((0, 24), (24, 47), (47, 48)):
        optimizer.zero_grad()
        loss(model(x[first:stop]), y[first:stop])
        model.backward(loss.backward())
        optimizer.step()
    for rank in range(ranks):
        found = results("own_loop", ranks, rank)
        assert found["lr"] == 0.1
        assert_same_arrays(found, {"model": model.state_dict()}, close)


@pytest.mark.parametrize("ranks", (1, 2, 4))
def test_ranks_share_the_samples_of_a_score_and_get_that_of_one_process(ranks, results):
    expected = cnnx.evaluate(network(norm=True), images(1000, 2))
    found = [results("scored", ranks, rank) for rank in range(ranks)]
    assert all(one["scores"] == expected for one in found)
    seen = {1: [1000], 2: [512, 488], 4: [256, 256, 256, 232]}  # of batches of 256
    assert [one["seen"] for one in found] == seen[ranks]


def test_a_rank_that_stops_ends_training_on_all_ranks_at_the_same_batch(results):
    for rank in (0, 1):
        found = results("stopped", 2, rank)
        assert found["batches"] == [1, 2, 3] and found["history"]["epoch"] == [1]


@pytest.mark.parametrize("ranks", (2, 4))
def test_ranks_that_differ_and_errors_of_one_are_raised_on_all(ranks, results):
    last = ranks - 1
    for rank in range(ranks):
        found = results("errors", ranks, rank)
        other = f"rank {last} of {ranks} differ from rank 0"
        assert found["data"].startswith(f"ValueError: fit: training data: {other}")
        assert found["weights"].startswith(f"ValueError: fit: weights: {other}")
        assert found["wrapped"].startswith(f"ValueError: wrap: weights: {other}")
        assert found["arguments"].startswith(f"ValueError: fit: settings: {other}")
        assert found["rates"].startswith(f"ValueError: fit: settings: {other}")
        own = "" if rank == last else f"RankError: rank {last}: "
        assert found["bad argument"].startswith(f"{own}ValueError: fit: epochs=-1")
        assert found["target"].startswith(f"{own}ValueError:") and "9" in found["target"]
        assert "NotFiniteError: fit: the loss is nan at epoch 1" in found["not finite"]
        assert f"but there are {ranks} ranks" in found["shards"]
        assert "batch_size is 24, which 7 shards" in found["batch size"]
        assert 'expected "mpi" or "ordered"' in found["reduction"]
        assert found["one forward"].startswith(f"{own}ValueError: no forward here")
        assert f"each of the {ranks} ranks has one: use shards={ranks}" in found["synced shards"]
        for name in ("synced batch", "synced iterable"):
            assert "fit: a batch has 1 sample, but with synchronised" in found[name]
        assert found["interrupt"].startswith("KeyboardInterrupt")


@pytest.mark.parametrize(
    "scenario, message",
    (
        ("killed", "signal 9"),
        ("raises", "cnnx: rank 1 of 2 ends the run on all ranks: ZeroDivisionError"),
        ("hangs", "cnnx: rank 0 of 2 ends the run on all ranks: TimeoutError: rank 0 has waited 5"),
    ),
)
def test_a_rank_that_ends_alone_ends_all_and_the_run_can_be_resumed(scenario, message, tmp_path):
    began = time.monotonic()
    done = run(2, tmp_path, scenario)
    assert done.returncode != 0 and done.stderr.count(message) == 1, done.stderr
    assert time.monotonic() - began < 120  # without an end, `run` gives up after 400
    assert not list(tmp_path.glob(f"{scenario}-*"))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    done = run(1, tmp_path, "saved")  # on another number of ranks
    assert done.returncode == 0, done.stderr
    whole = tmp_path / "whole"
    whole.mkdir()
    if scenario == "killed":
        assert run(1, whole, "saved").returncode == 0
        found, expected = (cnnx.load_checkpoint(p / "saved-1-0.npz") for p in (tmp_path, whole))
        assert_same_bits(found, expected)
