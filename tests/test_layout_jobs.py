"""Jobs of arrays whose channels are last that are no convolutions: the copies from planes and back,
and the mean over all pixels. Their bits, arguments and bounds: job_cases.py."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx

if "compiled" not in cnnx.available_backends():
    pytest.skip("needs the compiled backend", allow_module_level=True)

import tolerance
from job_case import draw

from cnnx.backends.compiled import jobs

by_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
SHAPES = [(2, 3, 9, 20), (1, 64, 14, 14), (3, 130, 17), (1, 257, 5, 27), (2, 300, 1, 1), (1, 1, 40)]


def on_threads(job, x):
    """y on some numbers of threads, the same each time."""
    found = []
    for threads in (1, 2, 3, 5):
        cnnx.set_num_threads(threads)
        found.append(np.full(job.arrays[1].shape, np.nan, x.dtype))
        job.run(x, found[-1])
        tolerance.assert_same_bits(found[-1], found[0], f"{threads} threads")
    return found[0]


@by_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_channels_are_last_and_planes_again(isa, all_threads, shape, dtype):
    (x,) = draw([shape], dtype)
    last = on_threads(jobs.prepare_layout(shape, dtype, "channels_last"), x)
    tolerance.assert_same_bits(last, np.moveaxis(x, 1, -1))
    tolerance.assert_same_bits(on_threads(jobs.prepare_layout(shape, dtype, "planes"), last), x)


def test_another_layout_is_refused():
    with pytest.raises(ValueError, match="to is 'rows'"):
        jobs.prepare_layout((1, 2, 3), np.float32, "rows")


@by_dtype
@pytest.mark.parametrize("shape", [*SHAPES, (1, 20, 90, 91)], ids=str)
def test_the_mean_over_pixels(isa, all_threads, shape, dtype):
    (x,) = draw([shape], dtype)
    last = np.ascontiguousarray(np.moveaxis(x + dtype(3), 1, -1))
    found = on_threads(jobs.prepare_global_average_channels_last(shape, dtype), last)
    pixels = tuple(range(1, last.ndim - 1))
    exact, magnitude = (a.mean(pixels) for a in (last.astype(np.float64), abs(last)))
    count = last[0].size // shape[1]
    tolerance.assert_close(found, exact, tolerance.tolerance(dtype, count) * magnitude)
