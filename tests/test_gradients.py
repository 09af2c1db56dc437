"""Backward functions of the reference against central differences, and adjointness; float64.

The reference also equals the oracle; this is a second, independent check, which knows only the
definition of a derivative and not its formula.
"""

from __future__ import annotations

import cases
import numpy as np
import oracle
import pytest
import tolerance

import cnnx
from cnnx import ops

GEOMETRY = ("stride", "padding", "dilation", "groups")
POOLING = ("kernel_size", "stride", "padding", "ceil_mode", "dilation")

# A step that balances rounding (eps / step) against the third derivative (step squared).
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


@pytest.fixture(autouse=True)
def _reference():
    with cnnx.use_backend("reference"):
        yield


def _options(arguments, names):
    return {name: arguments[name] for name in names if name in arguments}


def _unfinished(op, dy, y, a):
    """dy before the activation at the end of an op."""
    activation = a.get("activation")
    if activation is None:
        return dy
    saved = y if oracle.saves(activation) == "y" else _forward(op, a | {"activation": None})[0]
    return getattr(ops, f"{activation}_backward")(dy, saved)


def _conv2d(dy, results, a):
    dy = _unfinished("conv2d", dy, results[0], a)
    gradients = ops.conv2d_backward(dy, a["x"], a["weight"], **_options(a, GEOMETRY))
    return dict(zip(("x", "weight", "bias"), gradients, strict=True)) | {"add": dy}


def _conv_transpose2d(dy, results, a):
    options = _options(a, (*GEOMETRY, "output_padding"))
    gradients = ops.conv_transpose2d_backward(dy, a["x"], a["weight"], **options)
    return dict(zip(("x", "weight", "bias"), gradients, strict=True))


def _im2col(dy, results, a):
    options = _options(a, ("stride", "padding", "dilation"))
    return {"x": ops.col2im(dy, a["x"].shape, a["kernel_size"], **options)}


def _col2im(dy, results, a):
    options = _options(a, ("stride", "padding", "dilation"))
    return {"cols": ops.im2col(dy, a["kernel_size"], **options)}


def _max_pool2d(dy, results, a):
    options = _options(a, POOLING)
    return {"x": ops.max_pool2d_backward(dy, results[1], a["x"].shape, **options)}


def _relu_max_pool2d(dy, results, a):
    options = _options(a, POOLING)
    return {"x": ops.relu_max_pool2d_backward(dy, results[1], a["x"].shape, **options)}


def _avg_pool2d(dy, results, a):
    options = _options(a, (*POOLING, "count_include_pad", "divisor_override"))
    return {"x": ops.avg_pool2d_backward(dy, a["x"].shape, **options)}


def _global_avg_pool2d(dy, results, a):
    return {"x": ops.global_avg_pool2d_backward(dy, a["x"].shape)}


def _adaptive_avg_pool2d(dy, results, a):
    return {"x": ops.adaptive_avg_pool2d_backward(dy, a["x"].shape)}


def _zero_pad2d(dy, results, a):
    padding = a["padding"]
    back = -padding if isinstance(padding, int) else tuple(-side for side in padding)
    return {"x": ops.zero_pad2d(dy, back)}


def _interpolate(dy, results, a):
    options = _options(a, ("size", "scale_factor", "mode", "align_corners"))
    return {"x": ops.interpolate_backward(dy, a["x"].shape, **options)}


def _linear(dy, results, a):
    dy = _unfinished("linear", dy, results[0], a)
    gradients = ops.linear_backward(dy, a["x"], a["weight"])
    return dict(zip(("x", "weight", "bias"), gradients, strict=True))


def _batch_norm(dy, results, a):
    _, mean, inv_std = results
    weight, training = a.get("weight"), a.get("training", True)
    added = {}
    if "add" in a:
        dy = _unfinished("batch_norm", dy, results[0], a)
        added = {"add": dy}
    ending = {} if added else _options(a, ("bias", "activation"))
    gradients = ops.batch_norm_backward(dy, a["x"], weight, mean, inv_std, training, **ending)
    return dict(zip(("x", "weight", "bias"), gradients, strict=True)) | added


def _activation(op):
    def backward(dy, results, a):
        saved = a["x"] if oracle.saves(op) == "x" else results[0]
        options = {name: value for name, value in a.items() if name != "x"}
        return {"x": getattr(ops, f"{op}_backward")(dy, saved, **options)}

    return backward


def _embedding(dy, results, a):
    return {"weight": ops.embedding_backward(dy, a["indices"], len(a["weight"]))}


def _row_norm(op, key):
    def backward(dy, results, a):
        function = getattr(ops, f"{op}_backward")
        gradients = function(dy, a["x"], a[key], a.get("weight"), *results[1:])
        return dict(zip(("x", "weight", "bias"), gradients, strict=True))

    return backward


def _local_response_norm(dy, results, a):
    return {"x": ops.local_response_norm_backward(dy, **a)}


def _prelu(dy, results, a):
    return dict(zip(("x", "weight"), ops.prelu_backward(dy, a["x"], a["weight"]), strict=True))


def _dropout(dy, results, a):
    return {"x": ops.dropout_backward(dy, a["p"], a["seed"], a["call"])}


def _add(dy, results, a):
    return {"x": dy, "y": dy}


def _multiply(dy, results, a):
    return dict(zip("xy", ops.multiply_backward(dy, a["x"], a["y"]), strict=True))


def _concat(dy, results, a):
    options = _options(a, ("axis",))
    sizes = [x.shape[a.get("axis", 1)] for x in a["arrays"]]
    return {f"arrays[{k}]": dx for k, dx in enumerate(ops.split(dy, sizes, **options))}


def _split(dy, results, a):
    """dy of the first of the results; those of the others are zero."""
    others = [np.zeros_like(y) for y in results[1:]]
    return {"x": ops.concat([dy, *others], **_options(a, ("axis",)))}


def _loss(name):
    def backward(dy, results, a):
        if 0 < results[0].ndim < results[1].ndim:  # a loss for each sample
            dy = np.expand_dims(dy, 1)
        return {name: results[1] * dy}

    return backward


# op: from (dy, what forward returned, its arguments) to gradients by argument name
GRADIENTS = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "im2col": _im2col,
    "col2im": _col2im,
    "max_pool2d": _max_pool2d,
    "relu_max_pool2d": _relu_max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "global_avg_pool2d": _global_avg_pool2d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "zero_pad2d": _zero_pad2d,
    "interpolate": _interpolate,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "dropout": _dropout,
    "add": _add,
    "multiply": _multiply,
    "concat": _concat,
    "split": _split,
    "cross_entropy": _loss("logits"),
    "mse": _loss("pred"),
    "bce": _loss("pred"),
    "bce_with_logits": _loss("logits"),
    "embedding": _embedding,
    "prelu": _prelu,
    "group_norm": _row_norm("group_norm", "num_groups"),
    "layer_norm": _row_norm("layer_norm", "normalized_shape"),
    "local_response_norm": _local_response_norm,
    "nll": _loss("log_p"),
    "focal": _loss("logits"),
    "binary_focal": _loss("logits"),
    "l1": _loss("pred"),
    "huber": _loss("pred"),
    "smooth_l1": _loss("pred"),
}
GRADIENTS |= {op: _activation(op) for op in (*oracle.ENDINGS, *oracle.CURVES)}
GRADIENTS |= {
    op: _activation(op) for op in ("leaky_relu", "sigmoid", "tanh", "softmax", "log_softmax")
}
FORWARD_ONLY = ("binary", "unary", "reduce", "lstm", "pad")  # layers of files know the gradients
# A linear map of the argument named, when the other arguments stay as they are.
LINEAR_IN = {
    "conv2d": ("x", "weight"),
    "conv_transpose2d": ("x", "weight"),
    "im2col": ("x",),
    "col2im": ("cols",),
    "max_pool2d": ("x",),
    "relu_max_pool2d": ("x",),
    "avg_pool2d": ("x",),
    "global_avg_pool2d": ("x",),
    "adaptive_avg_pool2d": ("x",),
    "zero_pad2d": ("x",),
    "interpolate": ("x",),
    "linear": ("x", "weight"),
    "dropout": ("x",),
    "embedding": ("weight",),
    "multiply": ("x", "y"),
    "split": ("x",),
}
SMOOTH = [case for case in cases.cases(*GRADIENTS) if not case.kink]


def _is_smooth_at(op, arguments):
    """For every output, whether the kink of the activation at the end of an op is well away."""
    if arguments.get("activation") is None:
        return True
    y = _forward(op, arguments | {"activation": None})[0]
    bends = oracle.ENDINGS[arguments["activation"]]
    return np.min([np.full(y.shape, np.inf), *(np.abs(y - bend) for bend in bends)], axis=0) > 1e-3


def _forward(op, arguments):
    """The results of the op, the first one an array; running statistics are not changed."""
    fresh = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    results = getattr(ops, op)(**fresh)
    results = results if isinstance(results, tuple) else (results,)
    return (np.asarray(results[0]), *results[1:])


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_a_gradient_is_the_slope_along_a_random_direction(case):
    rng = np.random.default_rng(1)
    arguments = case.arguments()
    results = _forward(case.op, arguments)
    dy = rng.standard_normal(results[0].shape) * _is_smooth_at(case.op, arguments)
    given = cases.arrays(arguments)
    gradients = GRADIENTS[case.op](dy, results, arguments)
    assert any(name in given for name in gradients)
    for name, gradient in gradients.items():
        if name not in given:
            continue
        assert gradient.shape == given[name].shape
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for sign in (1, -1):
            there = given[name] + sign * STEP * direction
            moved = cases.mapped(lambda key, a: there if key == name else a, arguments)  # noqa: B023
            ends.append(_forward(case.op, moved)[0])
        numeric = np.sum((ends[0] - ends[1]) * dy) / (2 * STEP)
        analytic = np.sum(gradient * direction)
        size = np.sum(np.abs(gradient * direction)) + np.sum(np.abs(results[0] * dy))
        assert abs(numeric - analytic) <= 100 * STEP**2 * size, f"{case}: d{name}"


TIES = ("plain", "overlapping", "padded", "ceil-mode", "wide-rows", "short-rows", "kernel-of-272")
TIES += ("dilated", "dilated-ceil-mode")
NOT_DIFFERENCED = {
    *(f"{op}[{name}-ties]" for op in ("max_pool2d", "relu_max_pool2d") for name in TIES),
    *(f"{op}[ends]" for op, bends in oracle.ENDINGS.items() if bends),
    "leaky_relu[zeros]",
    "bce[certain]",
}


def test_the_list_of_cases_without_a_derivative_is_complete():
    assert {str(case) for case in cases.cases() if case.kink} == NOT_DIFFERENCED
    assert {case.op for case in SMOOTH} == set(GRADIENTS)


@pytest.mark.parametrize("case", [case for case in cases.cases() if case.kink], ids=str)
def test_a_case_without_a_derivative_has_different_slopes_on_both_sides(case):
    """Or no value at all on one side: otherwise it would be tested by differences."""
    arguments = case.arguments()
    name = next(iter(arguments))
    here, direction = _forward(case.op, arguments)[0], np.ones(arguments[name].shape)
    if case.op.endswith("pool2d"):
        direction = np.random.default_rng(1).standard_normal(direction.shape)
    slopes = []
    for sign in (1, -1):
        try:
            there = _forward(case.op, arguments | {name: arguments[name] + sign * STEP * direction})
        except ValueError:
            return
        with np.errstate(invalid="ignore"):  # inf - inf
            slopes.append((there[0] - here) / (sign * STEP))
    apart = np.abs(slopes[0] - slopes[1])
    assert np.any(apart > 1e-3 * np.abs(here).max(where=np.isfinite(here), initial=1)), case.kink


# Other activations are not linear even away from their kinks: relu6 has a constant part.
@pytest.mark.parametrize(
    "case",
    [
        case
        for case in cases.cases(*LINEAR_IN)
        if case.arguments().get("activation") in (None, "relu")
    ],
    ids=str,
)
def test_backward_is_the_adjoint_of_forward(case):
    """<op(x), dy> == <x, op_backward(dy)>: an exact property of a transposed matrix."""
    rng = np.random.default_rng(2)
    arguments = case.arguments()
    for constant in ("bias", "add"):
        arguments.pop(constant, None)
    results = _forward(case.op, arguments)
    dy = rng.standard_normal(results[0].shape)
    gradients = GRADIENTS[case.op](dy, results, arguments)
    for name in LINEAR_IN[case.op]:
        left, right = results[0] * dy, arguments[name] * gradients[name]
        size = np.sum(np.abs(left)) + np.sum(np.abs(right))
        terms = case.length * max(dy.size, right.size)
        limit = tolerance.tolerance(np.float64, terms) * size
        assert abs(left.sum() - right.sum()) <= limit, f"{case}: {name}"


def test_columns_and_images_are_adjoint_for_random_columns():
    rng = np.random.default_rng(3)
    for case in cases.cases("im2col"):
        a = case.arguments()
        cols = ops.im2col(**a)
        c = rng.standard_normal(cols.shape)
        back = _im2col(c, None, a)["x"]
        size = np.sum(np.abs(cols * c)) + np.sum(np.abs(a["x"] * back))
        limit = tolerance.tolerance(np.float64, 1 + c.size) * size
        assert abs(np.sum(cols * c) - np.sum(a["x"] * back)) <= limit, str(case)


def test_argmax_routes_the_gradient_once_even_among_equal_values():
    x = np.zeros((2, 3, 6, 6))
    y, argmax = ops.max_pool2d(x, 3, stride=2, padding=1)
    dx = ops.max_pool2d_backward(np.ones_like(y), argmax, x.shape, 3, stride=2, padding=1)
    assert dx.sum() == y.size


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_the_maxima_of_a_window_receive_its_gradient(backend, dtype):
    """A row of windows of three, one apart. NaN equals nothing, so only the first; -inf itself."""
    nan, inf = np.nan, np.inf
    x = np.array([[[[5, 5, 1, 5, nan, nan, -inf, -inf, -inf, 0, -0.0]]]], dtype)
    dy = 10.0 ** np.arange(9, dtype=dtype).reshape(1, 1, 1, 9)
    with cnnx.use_backend(backend):
        _, argmax = ops.max_pool2d(x, (1, 3), 1)
        arguments = dy, argmax, x.shape, (1, 3), 1
        dx = ops.max_pool2d_backward(*arguments, ties="all", x=x)
        first = ops.max_pool2d_backward(*arguments)
    assert dx.dtype == dtype
    assert dx.ravel().tolist() == [1, 11, 0, 10, 11100, 1e5, 1e6, 1e6, 1e6, 11e7, 1e8]
    assert first.ravel().tolist() == [1, 10, 0, 0, 11100, 1e5, 1e6, 0, 0, 11e7, 0]


def test_without_equal_pixels_all_maxima_are_the_first():
    rng = np.random.default_rng(0)
    x = rng.permutation(2 * 3 * 9 * 8).reshape(2, 3, 9, 8).astype(float)
    y, argmax = ops.max_pool2d(x, 3, stride=2, padding=1)
    arguments = rng.standard_normal(y.shape), argmax, x.shape, 3, 2, 1
    dx = ops.max_pool2d_backward(*arguments, ties="all", x=x)
    np.testing.assert_allclose(dx, ops.max_pool2d_backward(*arguments), rtol=1e-14)


def test_gradients_of_batch_norm_in_inference_ignore_the_statistics():
    case = next(c for c in cases.cases("batch_norm") if c.name == "inference")
    a = case.arguments()
    y, mean, inv_std = ops.batch_norm(**a)
    dy = np.ones_like(y)
    dx, _, _ = ops.batch_norm_backward(dy, a["x"], a["weight"], mean, inv_std, training=False)
    scale = (a["weight"] * inv_std).reshape(1, -1, 1, 1)
    np.testing.assert_allclose(dx, np.broadcast_to(scale, dx.shape), rtol=1e-14)
