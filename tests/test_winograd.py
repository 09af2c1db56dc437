"""Winograd's convolution equals direct summation: in float64 to rounding, in float32 within its own
error; bit-identical for any number of threads. Not collected in a pure-Python install."""

from __future__ import annotations

import cases
import forced
import numpy as np
import oracle
import pytest
import tolerance

import cnnx
from cnnx.backends import choose

# x, filters, padding: full and partial tiles, panels, chunks, ranges of channels; borders wider
# than a tile.
SHAPES = [
    ((2, 3, 9, 11), 5, 1),
    ((1, 16, 32, 32), 50, 1),
    ((3, 17, 7, 7), 30, 0),
    ((2, 8, 5, 6), 40, ((2, 1), (0, 2))),
    ((1, 2, 3, 3), 4, 9),
    ((70, 4, 3, 4), 3, 1),
    ((2, 520, 4, 4), 70, 1),
    ((1, 2, 3, 300), 3, 2),
    ((6, 4, 34, 35), 5, 1),
]
DTYPES = (np.float32, np.float64)


@pytest.fixture(params=forced.WAYS)
def algorithm(request):
    """Context in which every 3x3 convolution uses one algorithm that its direction has."""
    with forced.winograd(request.param):
        yield request.param


MAKERS = {
    "conv2d": cases._conv2d,
    "conv2d_backward": cases._conv2d_backward,
    "conv_transpose2d": cases._conv_transpose2d,
    "conv_transpose2d_backward": cases._conv_transpose2d_backward,
}


def _case(op, x_shape, filters, padding):
    """A convolution of x, or its transpose, with images and filters of different scales."""
    weight_shape, terms = (filters, x_shape[1], 3, 3), max(filters, x_shape[1]) * 9
    if op.endswith("backward"):
        terms = max(terms, x_shape[0] * x_shape[2] * x_shape[3])
    if op.startswith("conv_transpose2d"):
        x_shape = cases.conv_shape(x_shape, weight_shape, padding=padding)
    make = MAKERS[op](x_shape, weight_shape, {"padding": padding})

    def scaled(rng):
        return cases.mapped(lambda name, a: cases.of_scales(a), make(rng))

    return cases.Case(op, str(x_shape), scaled, terms)


def _results(case, dtype, backend):
    with cnnx.use_backend(backend):
        return cases.call(getattr(cnnx.ops, case.op), case.op, case.arguments(dtype))


def test_every_winograd_algorithm_is_forced():
    ours = {rule.algorithm for rule in choose.RULES if choose.is_winograd(rule.algorithm)}
    assert ours == {name for way in forced.WAYS.values() for name in way}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("op", MAKERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_equals_direct_summation(op, shape, dtype, isa, algorithm, all_threads):
    case = _case(op, *shape)
    with cnnx.use_backend("reference"):
        arguments = cases.cast(case.arguments(dtype), np.float64)
        function = getattr(cnnx.ops, op)
        expected = cases.call(function, op, arguments)
        magnitude = tolerance.magnitudes(function, case, arguments, expected)
    magnitude = tolerance.winograd_magnitudes(case, arguments, magnitude)
    cnnx.set_num_threads(1)
    actual = _results(case, dtype, "compiled")
    tolerance.assert_same_results(actual, expected, case, dtype, magnitude)
    cnnx.set_num_threads(3)
    tolerance.assert_all_same_bits(_results(case, dtype, "compiled"), actual, "3 threads")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fused_bias_and_activation_equal_separate_ops(shape, isa, algorithm):
    x_shape, filters, padding = shape
    arguments = _case("conv2d", x_shape, filters, padding).arguments(np.float32)
    y = cnnx.ops.conv2d(**arguments)
    add = np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    for activation in oracle.ENDINGS:
        fused = cnnx.ops.conv2d(**arguments, activation=activation, add=add)
        np.testing.assert_array_equal(fused, getattr(cnnx.ops, activation)(y + add))


def test_the_winograd_algorithm_is_actually_used(monkeypatch):
    """Its bits differ from those of direct summation, so the tests above did test Winograd's."""
    case = _case("conv2d", (2, 64, 12, 12), 64, 1)
    auto = _results(case, np.float32, "compiled")["0"]
    with cnnx.use_algorithm("direct"):
        direct = _results(case, np.float32, "compiled")["0"]
    assert 0 < np.max(np.abs(auto - direct)) < 1e-5 * np.max(np.abs(direct))


@pytest.mark.parametrize("size", [1e3, 1e4, 1e8, 1e20])
@pytest.mark.parametrize("rotated", [False, True])
def test_the_effect_of_an_outlier_is_bounded_as_documented(size, rotated, algorithm, isa):
    """docs/winograd.md: below 64 * eps * size * the largest weight in outputs whose windows do not
    contain it; direct summation is not affected there."""
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((32, 32, 3, 3)) / 17).astype(np.float32)
    op = cnnx.ops.conv_transpose2d if rotated else cnnx.ops.conv2d
    for row, col in ((5, 6), (4, 4), (7, 7), (8, 8)):
        x = rng.standard_normal((1, 32, 16, 16)).astype(np.float32)
        x[0, 1, row, col] = -size
        away = np.ones((16, 16), bool)
        away[row - 1 : row + 2, col - 1 : col + 2] = False
        with cnnx.use_backend("reference"):
            exact = op(x.astype(float), weight.astype(float), padding=1)[..., away]
        eps = np.finfo(np.float32).eps
        few = 64 * eps * np.abs(exact).max()
        y = op(x, weight, padding=1)[..., away]
        assert np.abs(y - exact).max() <= few + 64 * eps * size * np.abs(weight).max()
        assert np.abs(y - exact).max() > few, "an outlier does nothing: say so in the docs"
        with cnnx.use_algorithm("direct"):
            assert np.abs(op(x, weight, padding=1)[..., away] - exact).max() < few


@pytest.mark.parametrize(("channels", "most"), [(16, 4e-6), (64, 6e-6), (512, 2e-5)])
def test_its_error_against_float64(channels, most):
    """Relative to the largest value, which grows with the channels."""
    case = _case("conv2d", (1, channels, 16, 16), 32, 1)
    with cnnx.use_algorithm("direct"):
        exact = cases.call(cnnx.ops.conv2d, "conv2d", cases.cast(case.arguments(np.float32), float))
    with cnnx.use_algorithm("winograd"):
        y = _results(case, np.float32, "compiled")["0"]
    assert np.max(np.abs(y - exact["0"])) < most * np.max(np.abs(exact["0"]))
