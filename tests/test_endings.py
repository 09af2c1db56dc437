"""Activations fused into other ops: bit-identical to separate ops in every kernel set; their values
for special numbers; and PyTorch's results."""

from __future__ import annotations

import cases
import numpy as np
import oracle
import pytest
import tolerance
from layer_helpers import OWN

import cnnx
from cnnx import ops
from cnnx.backends import reference

LAYERS = {layer.op: layer for layer in OWN.values() if getattr(layer, "op", None)}
DTYPES = [np.float32, np.float64]
PLAIN = [
    case
    for op in ("conv2d", "linear", "batch_norm")
    for case in cases.cases(op)
    if not {"activation", "add"} & case.arguments().keys()
    and (op != "conv2d" or case.name in cases.FINISHED)
]
NORMS = [case for case in cases.cases("batch_norm_backward") if case.length < 100]

by_activation = pytest.mark.parametrize("activation", oracle.ENDINGS)
by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)


@pytest.fixture(params=cnnx.available_backends())
def backend(request):
    with cnnx.use_backend(request.param):
        yield request.param


def test_all_lists_of_endings_agree():
    names = list(oracle.ENDINGS)
    assert list(ops.activation.ENDINGS) == list(reference.activation.ENDINGS) == names
    assert sorted(LAYERS) == sorted(names)
    for name, ending in reference.activation.ENDINGS.items():
        saves = {"x": "input", "y": "output"}[oracle.saves(name)]
        assert ending.saves == LAYERS[name].saves == saves
        assert ending.function is getattr(reference, name)
        assert ending.gradient is getattr(reference, f"{name}_backward")


def _first(result):
    return result[0] if isinstance(result, tuple) else result


def _assert_equals_two_ops(case, activation, dtype):
    op = getattr(ops, case.op)
    before = _first(op(**case.arguments(dtype)))
    add = np.random.default_rng(5).standard_normal(before.shape).astype(dtype)
    for more, total in (({}, before), ({"add": add}, before + add)):
        if "add" in more and case.op == "linear":
            continue
        fused = _first(op(**case.arguments(dtype), activation=activation, **more))
        expected = getattr(ops, activation)(total)
        tolerance.assert_same_bits(fused, expected, f"{case} {activation} {list(more)}")


@by_dtype
@by_activation
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_fused_activation_is_bit_identical_to_two_ops(case, activation, dtype, isa):
    with cnnx.use_backend("compiled"):
        _assert_equals_two_ops(case, activation, dtype)


@by_activation
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_fused_reference_activation_is_bit_identical_to_two_ops(case, activation):
    with cnnx.use_backend("reference"):
        _assert_equals_two_ops(case, activation, np.float32)


def _assert_backward_equals_two_ops(case, activation, dtype):
    a = case.arguments(dtype)
    for name in ("activation", "bias"):
        a.pop(name, None)
    c = a["x"].shape[1]
    bias = np.random.default_rng(5).standard_normal(c).astype(dtype)
    statistics = a["mean"], (1 / a["inv_std"].astype(np.float64) ** 2).astype(dtype)
    y, mean, inv_std = ops.batch_norm(
        a["x"], a["weight"], bias, *statistics, training=False, eps=0.0
    )
    a |= {"mean": mean, "inv_std": inv_std}
    saved = y if oracle.saves(activation) == "x" else getattr(ops, activation)(y)
    between = getattr(ops, f"{activation}_backward")(a["dy"], saved)
    expected = ops.batch_norm_backward(**a | {"dy": between})
    fused = ops.batch_norm_backward(**a, bias=bias, activation=activation)
    for number, (one, other) in enumerate(zip(fused, expected, strict=True)):
        np.testing.assert_array_equal(one, other, f"{case} {activation} result {number}")


@by_dtype
@by_activation
@pytest.mark.parametrize("case", NORMS, ids=str)
def test_the_backward_of_a_fused_norm_is_bit_identical_to_two_ops(case, activation, dtype, isa):
    with cnnx.use_backend("compiled"):
        _assert_backward_equals_two_ops(case, activation, dtype)


@by_activation
@pytest.mark.parametrize("case", NORMS, ids=str)
def test_the_reference_backward_of_a_fused_norm_is_bit_identical_to_two_ops(case, activation):
    with cnnx.use_backend("reference"):
        _assert_backward_equals_two_ops(case, activation, np.float64)


# activation: y of -inf, -1e30, 1e30 and inf; dx of 1 there
FAR = {
    "relu": ([0, 0, 1e30, np.inf], [0, 0, 1, 1]),
    "relu6": ([0, 0, 6, 6], [0, 0, 0, 0]),
    "hardsigmoid": ([0, 0, 1, 1], [0, 0, 0, 0]),
    "hardswish": ([0, 0, 1e30, np.inf], [0, 0, 1, 1]),
}


@by_dtype
@by_activation
def test_infinity_and_large_numbers_give_the_limits_and_nan_stays(activation, dtype, backend):
    """In rows of many lengths: the end of a row has separate code."""
    function = getattr(ops, activation)
    gradient = getattr(ops, f"{activation}_backward")
    for repeats in (1, 4, 9):
        x = np.tile(np.array([-np.inf, -1e30, 1e30, np.inf], dtype), repeats)
        y, dx = (np.tile(np.array(row, dtype), repeats) for row in FAR[activation])
        tolerance.assert_same_bits(function(x), y, activation)
        saved = x if oracle.saves(activation) == "x" else y
        tolerance.assert_same_bits(gradient(np.ones_like(x), saved), dx, activation)
        with_nan = np.full(4 * repeats, np.nan, dtype)
        assert np.isnan(function(with_nan)).all()
        assert np.isnan(gradient(with_nan, np.full_like(x, 0.5))).all()


@by_activation
def test_nan_propagates_through_a_fused_convolution_and_norm(activation, backend):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 5)).astype(np.float32)
    x[1, 2, 3, 4] = np.nan
    y = ops.conv2d(x, np.ones((4, 3, 1, 1), np.float32), activation=activation)
    assert (np.isnan(y) == np.isnan(x).any(axis=1, keepdims=True)).all()
    zeros, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    y, _, _ = ops.batch_norm(x, None, None, zeros, ones, training=False, activation=activation)
    assert (np.isnan(y) == np.isnan(x)).all()


@by_dtype
@by_activation
def test_results_match_pytorch(activation, dtype, backend):
    """Gradients to the precision of float32: in float64 too, the slope of PyTorch's
    hardsigmoid is 1/6 rounded to float32."""
    torch = pytest.importorskip("torch")
    layer = LAYERS[activation]()
    twin = getattr(torch.nn, type(layer).__name__)()
    x = np.linspace(-9, 9, 2503).astype(dtype)
    for bend in oracle.ENDINGS[activation]:
        x = x[np.abs(x - bend) > 1e-3]
    dy = np.cos(x)
    tensor = torch.tensor(x, requires_grad=True)
    expected = twin(tensor)
    expected.backward(torch.tensor(dy))
    eps, eps_of_float32 = (float(np.finfo(d).eps) for d in (dtype, np.float32))
    np.testing.assert_allclose(layer(x), expected.detach().numpy(), rtol=4 * eps, atol=4 * eps)
    dx, limit = tensor.grad.numpy(), 4 * eps_of_float32
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=limit, atol=limit)
