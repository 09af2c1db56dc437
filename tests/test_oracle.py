"""The reference backend equals naive loops, in float64: the first link of the chain of trust."""

from __future__ import annotations

import math

import cases
import numpy as np
import oracle
import pytest
import tolerance

import cnnx
from cnnx.backends import reference


@pytest.fixture(autouse=True)
def _reference():
    with cnnx.use_backend("reference"):
        yield


@pytest.mark.parametrize("case", cases.cases(), ids=str)
def test_the_reference_equals_the_oracle(case):
    expected = cases.call(getattr(oracle, case.op), case.op, case.arguments())
    actual = cases.call(getattr(cnnx.ops, case.op), case.op, case.arguments())
    function = getattr(oracle, case.op)
    magnitude = tolerance.magnitudes(function, case, case.arguments(), expected)
    tolerance.assert_same_results(actual, expected, case, np.float64, magnitude)


@pytest.mark.parametrize("case", cases.cases(), ids=str)
def test_the_reference_in_float32_agrees_with_float64(case):
    arguments = case.arguments(np.float32)
    expected = cases.call(getattr(cnnx.ops, case.op), case.op, cases.cast(arguments, np.float64))
    magnitude = tolerance.magnitudes(getattr(cnnx.ops, case.op), case, arguments, expected)
    actual = cases.call(getattr(cnnx.ops, case.op), case.op, arguments)
    for name, value in actual.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert value.dtype == np.float32, f"result {name} is {value.dtype}"
    tolerance.assert_same_results(actual, expected, case, np.float32, magnitude)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble], ids=lambda d: d.__name__)
@pytest.mark.parametrize("op", cases.CASES)
def test_the_reference_called_directly_computes_in_any_float_dtype(op, dtype, monkeypatch):
    """The arguments that `cnnx.ops` passes to the backend are recorded, and passed again in another
    dtype."""
    function, recorded = getattr(reference, op), []

    def record(*arguments):
        recorded.append(arguments)
        return function(*arguments)

    monkeypatch.setattr(reference, op, record)
    getattr(cnnx.ops, op)(**cases.richest(op).arguments())
    results = function(*cases.cast(dict(enumerate(recorded[0])), dtype).values())
    for result in results if isinstance(results, tuple) else (results,):
        if isinstance(result, np.ndarray) and result.dtype.kind == "f":
            assert result.dtype == dtype


@pytest.mark.parametrize("op", ["cross_entropy", "mse", "bce", "bce_with_logits"])
def test_a_loss_is_a_python_float(op):
    loss, _ = getattr(cnnx.ops, op)(**cases.CASES[op][0].arguments())
    assert type(loss) is float


@pytest.mark.parametrize("kernel", [(16, 16), (16, 17)])
def test_argmax_is_one_byte_up_to_256_places_in_a_window(kernel):
    _, argmax = cnnx.ops.max_pool2d(np.zeros((1, 1, 17, 17)), kernel)
    assert argmax.dtype == (np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)


def test_nan_is_the_maximum_and_the_first_of_equal_values_wins():
    window = np.array([[1.0, np.nan], [np.inf, np.nan]])
    for x in (window, np.full((2, 2), 3.0), np.array([[-np.inf, 2], [2, 0]])):
        y, argmax = cnnx.ops.max_pool2d(x[None, None], 2)
        expected, where = oracle.max_pool2d(x[None, None], 2)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(argmax, where)


def test_a_window_of_minus_infinity_points_into_the_image_and_not_into_the_padding():
    x = np.full((1, 1, 4, 4), -np.inf)
    _, argmax = cnnx.ops.max_pool2d(x, 3, stride=2, padding=1)
    np.testing.assert_array_equal(argmax, oracle.max_pool2d(x, 3, stride=2, padding=1)[1])


# ------------------------------------------------------------------- dropout as a random number


def _kept(shape, p, seed, call):
    return cnnx.ops.dropout(np.ones(shape, np.float32), p, seed, call) != 0


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed, call", [(0, 0), (1, 0), (0, 1), (2**62, 12345)])
def test_dropout_drops_the_requested_fraction(p, seed, call):
    count = 40_000
    dropped = count - _kept(count, p, seed, call).sum()
    assert abs(dropped - p * count) < 5 * math.sqrt(p * (1 - p) * count)


def _correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_masks_of_neighbouring_calls_and_seeds_are_independent(p):
    count = 40_000
    mask = _kept(count, p, 5, 8)
    for other in (_kept(count, p, 5, 9), _kept(count, p, 6, 8), _kept(count, p, 8, 5)):
        assert abs(_correlation(mask, other)) < 5 / math.sqrt(count)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8, 16, 28, 64, 256, 1024])
def test_dropout_neighbours_are_independent(step):
    count = 40_000
    mask = _kept(count, 0.5, 7, 1)
    assert abs(_correlation(mask[step:], mask[:-step])) < 5 / math.sqrt(count - step)


def test_dropout_keeps_the_mean_and_gives_the_same_mask_backward():
    x = 1 + np.random.default_rng(0).random((50, 40))
    y = cnnx.ops.dropout(x, 0.25, 3, 4)
    assert abs(y.mean() - x.mean()) < 5 * x.mean() * math.sqrt(0.25 / 0.75 / x.size)
    np.testing.assert_array_equal(cnnx.ops.dropout_backward(x, 0.25, 3, 4), y)
