"""The pool of the compiled backend: memory is reused, returned and counted. Not collected in a
pure-Python install."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import cnnx


@pytest.fixture(autouse=True)
def _compiled():
    with cnnx.use_backend("compiled"):
        yield


def test_a_view_keeps_its_memory_alive_after_the_array_is_dropped():
    x = np.random.default_rng(0).standard_normal((32, 1024)).astype(np.float32)
    view = cnnx.ops.relu(x)[3:5, ::7]
    copy = view.copy()
    gc.collect()
    for _ in range(5):
        cnnx.ops.relu(-np.ones_like(x))
    np.testing.assert_array_equal(view, copy)


def test_memory_of_a_freed_array_is_reused():
    """Even of one larger than all that were alive at one time, with a small one in the pool."""
    cnnx.ops.relu(np.ones(3, np.float32))
    gc.collect()
    x = np.ones(cnnx.memory_stats()["peak_bytes_in_use"] // 4 + 500_000, np.float32)
    y = cnnx.ops.relu(x)
    address = y.ctypes.data
    del y
    assert any(cnnx.ops.relu(x).ctypes.data == address for _ in range(3))
    assert cnnx.memory_stats()["bytes_cached"] >= x.nbytes


def test_memory_does_not_grow_during_long_training():
    x = np.ones((8, 3, 32, 32), np.float32)
    weight = np.ones((8, 3, 3, 3), np.float32)

    def step():
        y = cnnx.ops.conv2d(x, weight, padding=1)
        cnnx.ops.conv2d_backward(y, x, weight, padding=1)

    for _ in range(3):
        step()
    gc.collect()
    before = cnnx.memory_stats()
    for _ in range(50):
        step()
    gc.collect()
    after = cnnx.memory_stats()
    assert after["bytes_in_use"] == before["bytes_in_use"], "a step leaves memory behind"
    assert after["bytes_cached"] <= before["bytes_cached"], (
        "the pool grows though nobody asks for more"
    )


def test_memory_in_use_is_that_of_live_arrays():
    gc.collect()
    before = cnnx.memory_stats()["bytes_in_use"]
    y = cnnx.ops.relu(np.ones((64, 4096), np.float32))
    assert cnnx.memory_stats()["bytes_in_use"] >= before + y.nbytes
    del y
    gc.collect()
    assert cnnx.memory_stats()["bytes_in_use"] == before


def test_the_peak_counts_from_the_last_reset():
    x = np.ones((64, 4096), np.float32)
    cnnx.ops.relu(x)
    gc.collect()
    cnnx.reset_peak_memory_stats()
    before = cnnx.memory_stats()["bytes_in_use"]
    assert cnnx.memory_stats()["peak_bytes_in_use"] == before
    y = cnnx.ops.relu(x[:32])
    assert x.nbytes // 2 <= cnnx.memory_stats()["peak_bytes_in_use"] - before < x.nbytes
    del y
    gc.collect()
    assert cnnx.memory_stats()["peak_bytes_in_use"] >= before + x.nbytes // 2


def test_empty_cache_returns_unused_memory():
    cnnx.ops.relu(np.ones((64, 4096), np.float32))
    gc.collect()
    assert cnnx.memory_stats()["bytes_cached"] >= 64 * 4096 * 4
    cnnx.empty_cache()
    assert cnnx.memory_stats()["bytes_cached"] == 0


def test_a_block_of_two_megabytes_begins_with_a_large_page():
    """A smaller one with a cache line."""
    uninitialised = cnnx.backends.load("compiled").memory.uninitialised
    cnnx.empty_cache()
    assert uninitialised(1 << 18).ctypes.data % (2 << 20) == 0
    assert uninitialised(1 << 8).ctypes.data % 64 == 0
