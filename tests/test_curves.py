"""Smooth activations and dropout of channels: values far from zero and near it, to a few units in
the last place; infinities, NaN; masks."""

from __future__ import annotations

import numpy as np
import oracle
import pytest

import cnnx
from cnnx import Dropout2D, ops

# x, y and dy/dx, from 30 digits (mpmath). They include tails where 1 + erf(x), or exp(x) alone,
# has no digits left.
VALUES = {
    "elu": (
        (-87, -20, -0.0078125, 0.0078125, 18),
        (-1.0, -0.99999999793884638, -0.0077820617397564879, 0.0078125, 18.0),
        (1.6458114310822737e-38, 2.0611536224385578e-9, 0.99221793826024351, 1.0, 1.0),
    ),
    "gelu": (
        (-12, -5, -0.0078125, 0.0078125, 3),
        (
            -2.1317785344932148e-32,
            -1.4332578593959696e-6,
            -0.0038819007432746673,
            0.0039305992567253327,
            2.9959503059051097,
        ),
        (
            -2.5578956616748956e-31,
            -7.1469460017922946e-6,
            0.49376665368732153,
            0.50623334631267847,
            1.0119456472041839,
        ),
    ),
    "silu": (
        (-87, -20, -0.0078125, 0.0078125, 18),
        (
            -1.4318559450415781e-36,
            -4.1223072363804072e-8,
            -0.0038909912885472409,
            0.0039215087114527591,
            17.999999725860369,
        ),
        (
            -1.4153978307307553e-36,
            -3.9161918660646783e-8,
            0.49609378973606606,
            0.50390621026393394,
            1.0000002589096475,
        ),
    ),
    "softplus": (
        (-87, -20, -0.0078125, 0.0078125, 18),
        (
            1.6458114310822737e-38,
            2.0611536203143807e-9,
            0.68924855993507408,
            0.69706105993507408,
            18.00000001522998,
        ),
        (
            1.6458114310822737e-38,
            2.0611536181902036e-9,
            0.49804688493404683,
            0.50195311506595317,
            0.99999998477002049,
        ),
    ),
    "mish": (
        (-87, -20, -0.0078125, 0.0078125, 18),
        (
            -1.4318559450415781e-36,
            -4.1223072406287614e-8,
            -0.0046679612914594755,
            0.0047070234497297342,
            17.999999999999992,
        ),
        (
            -1.4153978307307553e-36,
            -3.9161918743489691e-8,
            0.59499715778790615,
            0.60499698282318883,
            1.0000000000000162,
        ),
    ),
}
# y of -inf and inf, dx of 1 there
LIMITS = {
    "elu": ([-1, np.inf], [0, 1]),
    "gelu": ([0, np.inf], [0, 1]),
    "silu": ([0, np.inf], [0, 1]),
    "softplus": ([0, np.inf], [0, 1]),
    "mish": ([0, np.inf], [0, 1]),
}
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)


@pytest.fixture(params=cnnx.available_backends())
def backend(request):
    with cnnx.use_backend(request.param):
        yield request.param


def test_every_curve_has_values_and_limits():
    assert set(VALUES) == set(LIMITS) == set(oracle.CURVES)


def _slope(op, x):
    return getattr(ops, f"{op}_backward")(np.ones_like(x), x)


@BOTH
@pytest.mark.parametrize("op", VALUES)
def test_values_are_exact_to_a_few_bits_in_both_tails(op, dtype, isa):
    with cnnx.use_backend("compiled"):
        xs, ys, slopes = (np.array(row, dtype) for row in VALUES[op])
        limit = 6 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(getattr(ops, op)(xs), ys, rtol=limit)
        np.testing.assert_allclose(_slope(op, xs), slopes, rtol=limit)


@BOTH
@pytest.mark.parametrize("op", LIMITS)
def test_infinities_give_the_limits_and_nan_stays(op, dtype, backend):
    for repeats in (1, 9):  # the end of a row has separate code
        x = np.tile(np.array([-np.inf, np.inf], dtype), repeats)
        y, dx = (np.tile(np.array(row, dtype), repeats) for row in LIMITS[op])
        np.testing.assert_array_equal(getattr(ops, op)(x), y)
        np.testing.assert_array_equal(_slope(op, x), dx)
        assert np.isnan(getattr(ops, op)(np.full_like(x, np.nan))).all()
        assert np.isnan(_slope(op, np.full_like(x, np.nan))).all()
    tanh = {"approximate": "tanh"}
    assert ops.gelu(x, **tanh).tolist() == ops.gelu(x).tolist()
    assert ops.gelu_backward(np.ones_like(x), x, **tanh).tolist() == _slope("gelu", x).tolist()


@pytest.mark.parametrize("given", [cnnx.Softplus, lambda beta: ops.softplus(np.zeros(2), beta)])
def test_softplus_is_not_divided_by_zero(given):
    with pytest.raises(ValueError, match=r"(?i)softplus: beta=0"):
        given(beta=0)


def test_the_gradient_of_a_slope_does_not_depend_on_its_number_of_threads(all_threads):
    rng = np.random.default_rng(0)
    for shape, slopes in (((5, 3, 70, 70), 3), ((40, 1000), 1000), ((90000,), 1)):
        x, weight = rng.standard_normal(shape), rng.standard_normal(slopes)
        found = []
        for threads in (1, 3):
            cnnx.set_num_threads(threads)
            found.append(ops.prelu_backward(x, x, weight)[1].tobytes())
        assert found[0] == found[1]


# -- dropout of channels ---------------------------------------------------------------------------


def test_whole_channels_are_dropped_or_scaled_and_backward_drops_the_same():
    cnnx.manual_seed(1)
    layer = Dropout2D(0.25)
    x = np.random.default_rng(0).random((40, 25, 2, 3)) + 1
    y = layer(x)
    ratio = (y / x).reshape(1000, 6)
    kept = ratio[:, 0] > 0
    np.testing.assert_allclose(ratio, np.where(kept, 4 / 3, 0)[:, None] * np.ones(6), rtol=1e-15)
    assert 700 < kept.sum() < 800
    assert np.array_equal(layer.backward(x), y)
    assert not np.array_equal(layer(x), y)  # another call, another mask
    assert np.array_equal(layer.eval()(x), x)


def test_the_channels_dropped_are_those_that_dropout_would_drop_among_so_many_elements():
    """For any backend and number of threads."""
    x = np.ones((6, 7, 3, 3), np.float32)
    masks = []
    for backend in cnnx.available_backends():
        with cnnx.use_backend(backend):
            cnnx.manual_seed(5)
            masks.append(Dropout2D()(x)[:, :, 0, 0])
            cnnx.manual_seed(5)
            masks.append(cnnx.Dropout()(x[:, :, 0, 0]))
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_dropout_of_channels_needs_channels():
    with pytest.raises(ValueError, match=r"Dropout2D: x has shape \(4, 5\)"):
        Dropout2D()(np.ones((4, 5)))
    with pytest.raises(ValueError, match=r"Dropout2D: p=1.5"):
        Dropout2D(1.5)
