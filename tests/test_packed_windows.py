"""Convolutions with weights that are packed once, of any geometry: algorithms are forced on it."""

from __future__ import annotations

import forced
import numpy as np
import pytest
import tolerance

import cnnx

if "compiled" not in cnnx.available_backends():
    pytest.skip("needs the compiled backend", allow_module_level=True)

from cnnx.backends.compiled import jobs

ALGORITHMS = ("columns_by_panels", "pointwise_by_panels", "direct")


def geometry(rng, pointwise):
    """Shapes of x, weight and y; stride, ((top, bottom), (left, right)), dilation."""
    n, c, oc = rng.choice([1, 1, 2, 7]), rng.choice([1, 5, 17, 70]), rng.choice([1, 7, 16, 33, 130])
    kernel = (1, 1) if pointwise else (rng.choice([1, 2, 3, 5]), rng.choice([1, 2, 3, 5, 19]))
    stride, size = rng.choice([1, 1, 2, 3], 2), (rng.integers(1, 13), rng.integers(1, 41))
    dilation = (1, 1) if pointwise else rng.choice([1, 1, 2, 3], 2)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    sides = [[int(each) for each in rng.choice([0, 0, 1, 2, span], 2)] for span in spans]
    for side, span, pixels in zip(sides, spans, size, strict=True):
        side[1] += max(0, span - int(pixels) - sum(side))  # room for a window
    oh, ow = (
        (int(pixels) + sum(side) - span) // int(s) + 1
        for pixels, side, span, s in zip(size, sides, spans, stride, strict=True)
    )
    shapes = (n, c, *size), (oc, c, *kernel), (n, oc, oh, ow)
    integers = [tuple(map(int, each)) for each in (*shapes, stride, *sides, dilation)]
    return (*integers[:4], tuple(integers[4:6]), integers[6])


def within_nan(array):
    """A copy whose neighbours in memory are NaN: what is read beyond it shows."""
    memory = np.full(array.size + 200, np.nan, array.dtype)
    memory[100:-100] = array.ravel()
    return memory[100:-100].reshape(array.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("seed", range(25))
def test_any_geometry_equals_the_reference(algorithm, dtype, seed, all_threads):
    rng = np.random.default_rng(seed)
    x_shape, w_shape, y_shape, stride, sides, dilation = geometry(rng, "point" in algorithm)
    activation = (None, "relu", "hardsigmoid")[seed % 3]
    x, w, b, add = (
        rng.standard_normal(shape).astype(dtype)
        for shape in (x_shape, w_shape, w_shape[:1], y_shape)
    )
    with forced.packed_once(algorithm):
        job = jobs.prepare_convolution(
            *("forward", x_shape, w_shape, y_shape, stride, (sides[0][0], sides[1][0])),
            *(dilation, dtype, activation),
            packed=True,
        )
    small = x_shape[0] > 1 and y_shape[2] * y_shape[3] < 64
    assert job.name == ("pointwise" if "point" in algorithm and small else algorithm)
    with cnnx.use_backend("reference"):
        exact = [array.astype(np.float64) for array in (x, w, b)]
        settings = stride, sides, dilation, 1
        expected = cnnx.ops.conv2d(*exact, *settings) + add
        magnitude = cnnx.ops.conv2d(*map(np.abs, exact), *settings) + abs(add)
        if activation:
            expected = getattr(cnnx.ops, activation)(expected)
    packed, found = job.pack(w), []
    for threads in (1, 3):
        cnnx.set_num_threads(threads)
        found.append(within_nan(np.full(y_shape, np.nan, dtype)))
        job.run(within_nan(x), packed, within_nan(b), within_nan(add), found[-1])
        assert np.isnan(found[-1].base[:100]).all() and np.isnan(found[-1].base[-100:]).all()
    limit = tolerance.tolerance(dtype, w[0].size) * magnitude
    tolerance.assert_close(found[0], expected, limit)
    tolerance.assert_same_bits(found[1], found[0], "3 threads")
