"""Convolutions of arrays whose channels are last, as jobs of weights that are packed once: the
values of the reference backend, and the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx

if "compiled" not in cnnx.available_backends():
    pytest.skip("needs the compiled backend", allow_module_level=True)

import tolerance
from channels_last import ROWS, expected, inputs_of, prepared

from cnnx.backends import choose
from cnnx.backends.compiled import jobs

by_row = pytest.mark.parametrize("row", ROWS, ids=str)
by_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def run(job, x, weight, bias, add):
    """y, from an array of NaN."""
    y = np.full(job.arrays[-1].shape, np.nan, x.dtype)
    job.run(x, job.pack(weight), bias, add, y)
    return y


def test_every_algorithm_has_a_row():
    assert {row[0] for row in ROWS} == {rule.algorithm for rule in choose.CHANNELS_LAST_RULES}


@by_dtype
@by_row
def test_values_are_those_of_the_reference(isa, row, dtype):
    job = prepared(row, dtype)
    assert job.name == row[0]
    x, weight, bias, add = inputs_of(row, dtype)
    for given in ((bias, add), (None, None), (bias, None), (None, add)):
        exact, magnitude = expected(row, x, weight, *given)
        if choose.is_winograd(job.name):
            magnitude = tolerance.AMPLIFICATION * magnitude.max()
        limit = tolerance.tolerance(dtype, weight[0].size) * magnitude
        tolerance.assert_close(run(job, x, weight, *given), exact, limit)


@by_dtype
@by_row
def test_same_bits_for_any_number_of_threads(all_threads, row, dtype):
    job, inputs, found = prepared(row, dtype), inputs_of(row, dtype), []
    for threads in (1, 2, 3, 5):
        cnnx.set_num_threads(threads)
        found.append(run(job, *inputs))
        tolerance.assert_same_bits(found[-1], found[0], f"{threads} threads")


def test_arrays_have_channels_last_and_weights_are_as_ever():
    job = prepared(ROWS[0], np.float32)
    shapes = {array.name: array.shape for array in job.arrays}
    assert shapes["x"] == (1, 14, 14, 300) and shapes["y"] == shapes["add"] == (1, 14, 14, 130)
    assert shapes["weight"] == (130, 300, 1, 1) and shapes["bias"] == (130,)


@pytest.mark.parametrize(
    ("direction", "packed"),
    [("forward", False), ("backward_data", True), ("backward_weight", True)],
)
def test_only_forward_with_packed_weights_has_channels_last(direction, packed):
    shapes = (1, 16, 8, 8), (16, 16, 3, 3), (1, 16, 8, 8)
    settings = (1, 1), (1, 1), (1, 1), np.float32, None
    job = jobs.prepare_convolution(direction, *shapes, *settings, packed=packed, channels_last=True)
    assert job is None
