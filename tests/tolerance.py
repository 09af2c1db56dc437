"""The allowed difference of two correct results: one rule for every op, dtype and algorithm.

A sum of n rounded terms, in any order, is off by at most about sqrt(n) * eps times the sum of the
terms' absolute values, with probability close to one (Higham and Mary, "A new approach to
probabilistic rounding error analysis", 2019); a blocked or vector sum stays well below. A handful
of further roundings (a division, an exponential) adds a few eps whatever n is. So, element by
element,

    |actual - expected| <= (8 + sqrt(n)) * eps * magnitude + 4 * smallest normal number

where `magnitude` is the sum of the absolute terms of that element: a small element next to large
ones has a small magnitude, unless large terms cancel in it. For an op that is linear in each array,
it is the op itself applied to absolute values; if terms of both signs cancel, `TERMS` contains the
sum; otherwise it is the absolute value of the element. Below the smallest normal number, results
may be zero. Nothing here depends on a test, a seed or a machine.
This file is longer than others because the magnitudes of all ops stand in one place.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import cases
import numpy as np
import oracle

# Error of Winograd's F(4x4, 3x3) over that of direct summation, as measured by Lavin and Gray
# (2015) over whole arrays, relative to the largest element. See also `winograd_magnitudes`.
AMPLIFICATION = 25.0

# Linear in each of their arrays: their magnitude is exact.
MULTILINEAR = (
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "im2col",
    "col2im",
    "max_pool2d_backward",
    "relu_max_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "embedding_backward",
    "interpolate",
    "interpolate_backward",
    "linear",
    "linear_backward",
    "multiply",
    "multiply_backward",
)


def _exponents(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x - max(x) and softmax(x) with its sum: an exponent d has the error eps * |d|, which is the
    relative error of exp(d)."""
    d = x - np.max(x, axis, keepdims=True)
    total = np.sum(np.exp(d), axis, keepdims=True)
    return d, np.exp(d) / total, total


def _shares(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """p * |d|; an exponent of -inf contributes nothing."""
    return np.where(p == 0, 0.0, p * np.abs(d))


def _softmax(a: dict[str, Any]) -> dict[str, Any]:
    d, p, _ = _exponents(a["x"], a.get("axis", 1))
    return {"0": p + _shares(p, d)}


def _softmax_backward(a: dict[str, Any]) -> dict[str, Any]:
    dy, y = np.abs(a["dy"]), a["y"]
    return {"0": y * (dy + np.sum(dy * y, axis=a.get("axis", 1), keepdims=True))}


def _log_softmax_backward(a: dict[str, Any]) -> dict[str, Any]:
    dy, y = np.abs(a["dy"]), a["y"]
    return {"0": dy + np.exp(y) * np.sum(dy, axis=a.get("axis", 1), keepdims=True)}


def _log_softmax(a: dict[str, Any]) -> dict[str, Any]:
    """x - top - log(sum): each of the three, since the result may be their small difference; and
    the relative error of the sum is the absolute error of its logarithm."""
    x, axis = a["x"], a.get("axis", 1)
    d, p, total = _exponents(x, axis)
    of_log = 1 + np.sum(_shares(p, d), axis, keepdims=True) + np.abs(np.log(total))
    return {"0": np.abs(x) + np.abs(np.max(x, axis, keepdims=True)) + of_log}


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _gate(a: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of gelu: the factor p of x, its slope, and the exponent in both, which is rounded."""
    x = a["x"]
    if a.get("approximate") == "tanh":
        of_u = np.sqrt(8 / np.pi)
        u = of_u * (x + 0.044715 * x**3)
        p = np.exp(np.minimum(u, 0)) / (1 + np.exp(-np.abs(u)))
        q = np.exp(np.minimum(-u, 0)) / (1 + np.exp(-np.abs(u)))
        return p, p * q * of_u * (1 + 3 * 0.044715 * x**2), np.abs(u)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return _erfc(-x / math.sqrt(2)).astype(float) / 2, density, x**2 / 2


def _gelu(a: dict[str, Any]) -> dict[str, Any]:
    p, _, exponent = _gate(a)
    return {"0": np.abs(a["x"]) * p * (1 + exponent * (a["x"] < 0))}


def _gelu_backward(a: dict[str, Any]) -> dict[str, Any]:
    p, slope, exponent = _gate(a)
    exponent = 1 + exponent
    return {"0": np.abs(a["dy"]) * (p + np.abs(a["x"]) * slope) * exponent}


def _silu_backward(a: dict[str, Any]) -> dict[str, Any]:
    x, e = a["x"], np.exp(-np.abs(a["x"]))
    return {"0": np.abs(a["dy"]) * np.where(x < 0, e, 1) / (1 + e) * (1 + np.abs(x) / (1 + e))}


def _mish_backward(a: dict[str, Any]) -> dict[str, Any]:
    x, e = a["x"], np.exp(-np.abs(a["x"]))
    return {"0": np.abs(a["dy"]) * np.where(x < 0, e, 1) * (1 + 4 * np.abs(x) * (1 + e))}


def _softplus(a: dict[str, Any]) -> dict[str, Any]:
    """The product with beta is rounded, and is an exponent."""
    beta = a.get("beta", 1.0)
    z = beta * a["x"]
    y = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return {"0": y * (1 + np.abs(z) * (z < 0)) / abs(beta)}


def _softplus_backward(a: dict[str, Any]) -> dict[str, Any]:
    z = a.get("beta", 1.0) * a["x"]
    slope = np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))
    return {"0": np.abs(a["dy"]) * slope * (1 + np.abs(z))}


def _prelu_backward(a: dict[str, Any]) -> dict[str, Any]:
    terms = np.where(a["x"] > 0, 0, np.abs(a["dy"] * a["x"]))
    one = a["weight"].size == 1
    return {"1": terms.sum().reshape(1) if one else terms.sum(_all_but_channels(a["x"]))}


def _row_norm(a: dict[str, Any]) -> tuple[np.ndarray, Any, np.ndarray, tuple[int, ...]]:
    """x as (rows, channels, elements), the weight of these, and its shape there."""
    x = a["x"]
    if "num_groups" in a:
        n, c = x.shape[:2]
        shape = (1, a["num_groups"], c // a["num_groups"], 1)
        x = x.reshape(n, *shape[1:3], -1)
        return x, (2, 3), (n, a["num_groups"], 1, 1), shape
    axes = len(cases.oracle._tuple(a["normalized_shape"]))
    lead = x.shape[: x.ndim - axes]
    x = x.reshape(int(np.prod(lead)), -1)
    return x, (1,), (len(x), 1), (1, x.shape[1])


def _norm_of_rows(a: dict[str, Any]) -> dict[str, Any]:
    """As `_batch_norm`."""
    x, axes, rows, shape = _row_norm(a)
    mean = np.abs(x).mean(axes, keepdims=True)
    inv_std = 1 / np.sqrt(x.var(axes, keepdims=True) + a.get("eps", 1e-5))
    of_var = 1 + (mean * inv_std) ** 2
    weight, bias = (
        1.0 * (name == "weight") if a.get(name) is None else np.abs(a[name]).reshape(shape)
        for name in ("weight", "bias")
    )
    y = (np.abs(x) + mean) * inv_std * of_var * weight + bias
    lead = rows[:2] if "num_groups" in a else a["x"].shape[: -len(_trained(a))]
    return {
        "0": y.reshape(a["x"].shape),
        "1": mean.reshape(lead),
        "2": (inv_std * of_var).reshape(lead),
    }


def _trained(a: dict[str, Any]) -> tuple[int, ...]:
    return a["x"].shape[1:2] if "num_groups" in a else cases.oracle._tuple(a["normalized_shape"])


def _norm_of_rows_backward(a: dict[str, Any]) -> dict[str, Any]:
    x, axes, rows, shape = _row_norm(a)
    dy = np.abs(a["dy"]).reshape(x.shape)
    mean, inv_std = np.abs(a["mean"]).reshape(rows), a["inv_std"].reshape(rows)
    normal = (np.abs(x) + mean) * inv_std
    g = dy * (1.0 if a.get("weight") is None else np.abs(a["weight"]).reshape(shape))
    count = int(np.prod([x.shape[axis] for axis in axes]))
    sums = g.sum(axes, keepdims=True) + normal * (g * normal).sum(axes, keepdims=True)
    across = tuple(axis for axis in range(x.ndim) if shape[axis] == 1)
    return {
        "0": ((g + sums / count) * inv_std).reshape(a["x"].shape),
        "1": (dy * normal).sum(across).reshape(_trained(a)),
        "2": dy.sum(across).reshape(_trained(a)),
    }


def _response(a: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of local_response_norm: |x|, the base of the power, and the exponent of e that it becomes."""
    base = _around(a["x"] ** 2, a["size"] // 2, (a["size"] - 1) // 2)
    base = abs(a.get("k", 1.0)) + abs(a.get("alpha", 1e-4)) / a["size"] * base
    logarithm = np.log(np.where(np.isfinite(base), base, 1))  # no power of infinity is rounded
    return np.abs(a["x"]), base, 1 + (1 + abs(a.get("beta", 0.75))) * np.abs(logarithm)


def _around(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Sums over so many channels before, and after, each."""
    c = x.shape[1]
    windows = [x[:, max(0, i - before) : i + after + 1].sum(1) for i in range(c)]
    return np.stack(windows, 1)


def _local_response_norm(a: dict[str, Any]) -> dict[str, Any]:
    x, base, exponent = _response(a)
    return {"0": x * base ** -a.get("beta", 0.75) * exponent}


def _local_response_norm_backward(a: dict[str, Any]) -> dict[str, Any]:
    x, base, exponent = _response(a)
    alpha, beta, size = a.get("alpha", 1e-4), a.get("beta", 0.75), a["size"]
    terms = np.abs(a["dy"]) * base**-beta * exponent
    sums = _around(terms * x / base, (size - 1) // 2, size // 2)
    return {"0": terms + 2 * abs(alpha * beta) / size * x * sums}


def _cross_entropy(a: dict[str, Any]) -> dict[str, Any]:
    """The weighted target times -log p, and p times what it adds up to plus itself, over m."""
    logits, target = a["logits"], a["target"]
    classes = logits.shape[1]
    weight = _given(a, "weight", np.ones(classes))
    smoothing = a.get("label_smoothing", 0.0)
    labels = target.ndim < logits.ndim
    q = np.moveaxis(np.eye(classes)[target.astype(int)], -1, 1) if labels else target
    shape = (1, classes, *[1] * (logits.ndim - 2))
    q = weight.reshape(shape) * ((1 - smoothing) * q + smoothing / classes)
    kept = target != a.get("ignore_index", -100) if labels else np.ones(1, bool)
    q = np.where(np.expand_dims(kept, 1), q, 0) if labels else q
    m = np.sum(weight[target[kept].astype(int)]) if labels else logits.size / classes
    m = 1 if a.get("reduction", "mean") != "mean" else m or 1
    log_p = np.where(q == 0, 0, q * _log_softmax({"x": logits})["0"])
    p = _softmax({"x": logits})["0"]
    loss = np.sum(log_p, 1) if a.get("reduction") == "none" else np.sum(log_p)
    return {"0": loss / m, "1": (p * np.sum(q, 1, keepdims=True) + q) / m}


def _focal(a: dict[str, Any]) -> dict[str, Any]:
    """Those of the weighted cross-entropy; a power multiplies the relative error of its base."""
    options = {"weight": a.get("alpha"), "ignore_index": a.get("ignore_index", -100)}
    options |= {"reduction": "none"}
    terms = _cross_entropy({"logits": a["logits"], "target": a["target"], **options})
    m = np.count_nonzero(a["target"] != options["ignore_index"]) or 1
    m = m if a.get("reduction", "mean") == "mean" else 1
    power = (1 + a.get("gamma", 2.0)) ** 2
    loss = terms["0"] if a.get("reduction") == "none" else np.sum(terms["0"])
    return {"0": power * loss / m, "1": power * terms["1"] / m}


def _binary_focal(a: dict[str, Any]) -> dict[str, Any]:
    plain = {name: a[name] for name in ("logits", "target", "reduction") if name in a}
    power = (1 + a.get("gamma", 2.0)) ** 2
    return {name: power * terms for name, terms in _bce_with_logits(plain).items()}


def _bce_with_logits(a: dict[str, Any]) -> dict[str, Any]:
    x, t = a["logits"], a["target"]
    m = 1 if a.get("reduction", "mean") != "mean" else x.size
    e = np.exp(-np.abs(x))
    loss = np.maximum(x, 0) + np.abs(x * t) + np.log1p(e)
    loss = loss if a.get("reduction") == "none" else np.sum(loss)
    return {"0": loss / m, "1": (np.where(x < 0, e, 1) / (1 + e) + t) / m}


def _batch_norm(a: dict[str, Any]) -> dict[str, Any]:
    """Of y and of the statistics: a mean of numbers of both signs, and what is subtracted."""
    x, shape, axes = np.abs(a["x"]), _per_channel(a["x"]), _all_but_channels(a["x"])
    if a.get("training", True):
        mean, var = np.mean(x, axes), np.var(a["x"], axes)
    else:
        mean, var = np.abs(a["running_mean"]), a["running_var"]
    inv_std = 1 / np.sqrt(var + a.get("eps", 1e-5))
    of_var = 1 + (mean * inv_std) ** 2
    scale = (inv_std * of_var * np.abs(_given(a, "weight", 1.0))).reshape(shape)
    y = (x + mean.reshape(shape)) * scale
    bias = np.reshape(np.abs(_given(a, "bias", np.zeros(x.shape[1]))), shape)
    before = np.abs(_given(a, "running_mean", 0.0))
    var_before = _given(a, "running_var", 0.0)
    m = x.size / x.shape[1]
    return {
        "0": (y + bias + np.abs(_given(a, "add", 0.0))) * _steepest(a.get("activation")),
        "1": mean,
        "2": inv_std * of_var,
        "running_mean": before + mean,
        "running_var": var_before + (var_before + var * m / max(m - 1, 1)) * of_var,
    }


def _batch_norm_backward(a: dict[str, Any]) -> dict[str, Any]:
    shape, axes = _per_channel(a["x"]), _all_but_channels(a["x"])
    mean, inv_std = a["mean"].reshape(shape), a["inv_std"].reshape(shape)
    weight = np.reshape(_given(a, "weight", np.ones(a["x"].shape[1])), shape)
    before = (a["x"] - mean) * inv_std * weight
    before = before + np.reshape(_given(a, "bias", np.zeros(a["x"].shape[1])), shape)
    terms = (np.abs(a["x"]) + np.abs(mean)) * inv_std * np.abs(weight)
    terms = terms + np.reshape(np.abs(_given(a, "bias", np.zeros(a["x"].shape[1]))), shape)
    dy = _unfinished(a["dy"], before, terms, a.get("activation"))
    normal = (np.abs(a["x"]) + np.abs(mean)) * inv_std
    dweight, dbias = np.sum(np.where(dy == 0, 0, dy * normal), axes), np.sum(dy, axes)
    count = max(a["x"].size // a["x"].shape[1], 1)
    through = (dbias.reshape(shape) + normal * dweight.reshape(shape)) / count
    through = through if a.get("training", True) else 0.0
    return {"0": (dy + through) * inv_std * np.abs(weight), "1": dweight, "2": dbias}


def _unfinished(dy: Any, before: Any, terms: Any, activation: str | None) -> Any:
    """Of dy gone back through an activation, whose input `before` is a sum of these terms: what
    that is off by, times how fast the slope changes there."""
    if activation is None:
        return np.abs(dy)
    forward, backward = (getattr(oracle, f"{activation}{way}") for way in ("", "_backward"))

    def slope(x: Any) -> Any:
        return backward(dy, x if oracle.saves(activation) == "x" else forward(x))

    change = np.abs(slope(before + 1e-6) - slope(before - 1e-6)) / 2e-6
    return np.abs(slope(before)) + change * terms


@functools.cache
def _steepest(activation: str | None) -> float:
    """How much larger an error may be behind an activation than before it."""
    if activation is None:
        return 1.0
    x = np.arange(-8, 8, 2.0**-6)
    return float(max(1.0, np.max(np.abs(np.diff(getattr(oracle, activation)(x)))) * 2**6))


def _given(a: dict[str, Any], name: str, default: Any) -> Any:
    return default if a.get(name) is None else a[name]


def _per_channel(x: np.ndarray) -> tuple[int, ...]:
    return (1, x.shape[1], *[1] * (x.ndim - 2))


def _all_but_channels(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _binary(a: dict[str, Any]) -> dict[str, Any]:
    x, y = np.abs(a["x"]), np.abs(a["y"])
    return {"0": x + y} if a["function"] in ("add", "subtract") else {}


def _unary(a: dict[str, Any]) -> dict[str, Any]:
    """An exponent is rounded, relative to its size."""
    x = a["x"]
    if a["function"] == "exp":
        return {"0": np.exp(x) * (1 + np.abs(x))}
    return {"0": np.abs(x * a["a"]) + abs(a["b"])} if a["function"] == "affine" else {}


def _reduce(a: dict[str, Any]) -> dict[str, Any]:
    return {"0": oracle.reduce(**a | {"x": np.abs(a["x"])})}


def _lstm(a: dict[str, Any]) -> dict[str, Any]:
    """To first order: what is rounded in a step, and what the steps before hand on, each times the
    slope of what it enters."""
    x, w, r, b = (a[name] for name in ("x", "w", "r", "b"))
    steps, n, _ = x.shape
    sides, hidden = r.shape[0], r.shape[2]
    of_y = np.zeros((steps + 2, sides, n, hidden))
    for side in range(sides):
        h, c = (np.zeros((n, hidden)) if a.get(s) is None else a[s][side] for s in ("h", "c"))
        of_h, of_c = np.abs(h), np.abs(c)
        back = side == 1 or a.get("direction") == "reverse"
        for t in range(steps)[:: -1 if back else 1]:
            bias = b[side, : 4 * hidden], b[side, 4 * hidden :]
            gates = np.split(x[t] @ w[side].T + h @ r[side].T + sum(bias), 4, 1)
            terms = np.abs(x[t]) @ np.abs(w[side]).T + of_h @ np.abs(r[side]).T
            terms = np.split(terms + np.abs(h) @ np.abs(r[side]).T + sum(map(np.abs, bias)), 4, 1)
            i, o, f = (1 / (1 + np.exp(-gate)) for gate in gates[:3])
            g = np.tanh(gates[3])
            of_c = f * of_c + _shares(np.abs(c) * f * (1 - f), terms[2]) + np.abs(f * c)
            of_c += _shares(np.abs(g) * i * (1 - i), terms[0]) + np.abs(i * g)
            of_c += _shares(i * (1 - g**2), terms[3])
            c = f * c + i * g
            h = o * np.tanh(c)
            of_h = _shares(o * (1 - np.tanh(c) ** 2), of_c) + np.abs(h)
            of_h += _shares(np.abs(np.tanh(c)) * o * (1 - o), terms[1])
            of_y[t, side] = of_h
        of_y[-2, side], of_y[-1, side] = of_h, of_c
    return {"0": of_y}


# Sums of absolute terms by result, from the arguments in float64, if the output does not show them.
TERMS = {
    "sigmoid_backward": lambda a: {"0": np.abs(a["dy"]) * a["y"] * (1 + a["y"])},
    "tanh_backward": lambda a: {"0": np.abs(a["dy"]) * (1 + a["y"] ** 2)},
    "binary": _binary,
    "unary": _unary,
    "reduce": _reduce,
    "lstm": _lstm,
    "softmax": _softmax,
    "softmax_backward": _softmax_backward,
    "log_softmax": _log_softmax,
    "group_norm": _norm_of_rows,
    "layer_norm": _norm_of_rows,
    "group_norm_backward": _norm_of_rows_backward,
    "layer_norm_backward": _norm_of_rows_backward,
    "local_response_norm": _local_response_norm,
    "local_response_norm_backward": _local_response_norm_backward,
    "gelu": _gelu,
    "gelu_backward": _gelu_backward,
    "silu_backward": _silu_backward,
    "mish_backward": _mish_backward,
    "softplus": _softplus,
    "softplus_backward": _softplus_backward,
    "prelu_backward": _prelu_backward,
    "log_softmax_backward": _log_softmax_backward,
    "cross_entropy": _cross_entropy,
    "bce_with_logits": _bce_with_logits,
    "focal": _focal,
    "binary_focal": _binary_focal,
    "batch_norm": _batch_norm,
    "batch_norm_backward": _batch_norm_backward,
}
# Their results are copies or selections of inputs, without rounding.
EXACT = (
    "concat", "embedding", "im2col", "max_pool2d", "pad", "relu", "relu_backward",
    "relu6", "relu6_backward", "relu_max_pool2d", "split", "zero_pad2d",
)  # fmt: skip


def tolerance(dtype: Any, reduction_length: int) -> float:
    """Largest allowed error, relative to the sum of absolute terms."""
    return (8 + reduction_length**0.5) * float(np.finfo(dtype).eps)


def magnitudes(
    function: Any, case: Any, arguments: dict[str, Any], results: dict[str, Any]
) -> dict[str, Any]:
    """The sum of the absolute terms of each element of `results`, which the trusted `function`
    returned for these arguments in float64."""
    arguments = cases.cast(arguments, np.float64)
    if case.op in EXACT:
        return dict.fromkeys(results, 0.0)
    terms: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        if case.op in MULTILINEAR:
            # No activation: it would hide the terms, as ReLU6 ends at 6.
            plain = {"activation": None} if "activation" in arguments else {}
            # No other x: only its equal numbers count, and |x| may have more of them.
            plain |= {"x": arguments["x"]} if "ties" in arguments else {}
            terms = cases.call(function, case.op, _absolute(arguments) | plain)
            if "activation" in arguments:
                terms["0"] = terms["0"] * _steepest(arguments["activation"])
        elif case.op.endswith("_step"):
            before = cases.arrays(_absolute(arguments))
            downhill = {"maximize": False} if "maximize" in arguments else {}  # no differences
            terms = cases.call(function, case.op, _absolute(arguments) | downhill)
            for name in before.keys() & terms.keys():
                if name.startswith("params"):  # what was taken off is what is to be added
                    terms[name] = before[name] + np.abs(before[name] - terms[name])
        elif case.op in TERMS and _filled(arguments):
            terms = TERMS[case.op](arguments)
        return {
            name: _finite(np.fmax(np.abs(value), np.abs(terms.get(name, 0.0))))
            for name, value in results.items()
            if value is not None
        }


def _absolute(arguments: dict[str, Any]) -> dict[str, Any]:
    return cases.mapped(lambda _, a: np.asarray(np.abs(a)) if a.dtype.kind == "f" else a, arguments)


def _finite(magnitude: np.ndarray) -> np.ndarray:
    """Replace NaN and infinity by the largest number: they are compared separately."""
    finite = np.isfinite(magnitude)
    largest = np.max(magnitude, where=finite, initial=0.0)
    return np.where(finite, magnitude, largest)


# ------------------------------------------------------------------- Winograd's sums of terms


def _toom_cook(results: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Absolute values of the matrices of F(results, taps), for x, taps and products: a product of
    polynomials is evaluated at five points and infinity, multiplied, and interpolated."""
    points = (0.0, 1.0, -1.0, 2.0, -0.5)
    of_x, of_taps, of_products = np.zeros((6, 6)), np.zeros((6, taps)), np.zeros((results, 6))
    for i, point in enumerate(points):
        others = [other for other in points if other != point]
        of_x[i, :5] = np.poly(others)[::-1]
        of_taps[i] = point ** np.arange(taps) / np.prod(point - np.array(others))
        of_products[:, i] = point ** np.arange(results)
    of_x[5] = np.poly(points)[::-1]
    of_taps[5, -1] = of_products[-1, 5] = 1
    return np.abs(of_x), np.abs(of_taps), np.abs(of_products)


def _tiles(x: np.ndarray, size: int, rows: int, cols: int) -> np.ndarray:
    """(n, c, rows, cols, size, size), every fourth pixel the first of a tile; zeros beyond x."""
    more = ((0, 0), (0, 0), (0, 4 * rows + 2), (0, 4 * cols + 2))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, more), (size, size), (2, 3))
    return windows[:, :, : 4 * rows : 4, : 4 * cols : 4]


def _placed(x: np.ndarray, top: int, left: int) -> np.ndarray:
    """x shifted by this many rows and columns of zeros, or, if negative, without its first ones."""
    x = np.pad(x, ((0, 0), (0, 0), (max(top, 0), 0), (max(left, 0), 0)))
    return x[:, :, max(-top, 0) :, max(-left, 0) :]


def _winograd(x: np.ndarray, weight: np.ndarray, top: int, left: int, oh: int, ow: int):
    of_x, of_taps, of_products = _toom_cook(4, 3)
    rows, cols = -(-oh // 4), -(-ow // 4)
    v = of_x @ _tiles(_placed(x, top, left), 6, rows, cols) @ of_x.T
    u = of_taps @ weight @ of_taps.T
    m = np.einsum("fcij,nctsij->nftsij", u, v, optimize=True)
    y = of_products @ m @ of_products.T
    y = y.transpose(0, 1, 2, 4, 3, 5).reshape(len(x), len(weight), 4 * rows, 4 * cols)
    return y[:, :, :oh, :ow]


def _winograd_dweight(x: np.ndarray, dy: np.ndarray, top: int, left: int) -> np.ndarray:
    of_x, of_taps, of_products = _toom_cook(3, 4)
    rows, cols = -(-dy.shape[2] // 4), -(-dy.shape[3] // 4)
    v = of_x @ _tiles(_placed(x, top, left), 6, rows, cols) @ of_x.T
    u = of_taps @ _tiles(dy, 4, rows, cols) @ of_taps.T
    m = np.einsum("nftsij,nctsij->fcij", u, v, optimize=True)
    return of_products @ m @ of_products.T


def winograd_magnitudes(
    case: Any, arguments: dict[str, Any], direct: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """As `magnitudes`, from its result, for a 3x3 convolution at stride 1 computed by Winograd.

    Two bounds hold: the algorithm itself on the absolute values of everything that it adds and
    multiplies, tile by tile, and, for the largest elements, `AMPLIFICATION`. The smaller is used.
    """
    a = _absolute(cases.cast(arguments, np.float64))
    (top, _), (left, _) = cases.oracle.sides(a.get("padding", 0), (3, 3))
    weight, x = a["weight"], a["x"]
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    transposed = case.op.startswith("conv_transpose2d")
    found = {}
    if case.op.endswith("backward"):
        dy = a["dy"]
        if transposed:  # the other direction of the convolution: x and dy are exchanged
            found["0"] = _winograd(dy, weight, top, left, *x.shape[2:])
            found["1"] = _winograd_dweight(dy, x, top, left)
        else:
            found["0"] = _winograd(dy, turned, 2 - top, 2 - left, *x.shape[2:])
            found["1"] = _winograd_dweight(x, dy, top, left)
    elif transposed:
        found["0"] = _winograd(x, turned, 2 - top, 2 - left, *direct["0"].shape[2:])
    else:
        found["0"] = _winograd(x, weight, top, left, *direct["0"].shape[2:])
    if "bias" in a:
        found["0"] = found["0"] + a["bias"][:, None, None]
    return direct | {
        name: np.minimum(size, AMPLIFICATION * np.max(direct[name], initial=0.0))
        for name, size in found.items()
    }


# ---------------------------------------------------------------------------------- comparison


def assert_close(actual: Any, expected: Any, limit: Any, what: str = "result") -> None:
    """Every element within its `limit` (absolute), with NaN and infinities in the same places."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    limit = np.broadcast_to(limit, expected.shape)
    finite = np.isfinite(expected)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    assert np.all(finite | same), (
        f"{what}: NaN or inf differ, {_first(~(finite | same), actual, expected)}"
    )
    error = np.abs(np.where(finite, actual, 0) - np.where(finite, expected, 0))
    bad = ~(error <= limit)
    if bad.any():
        worst = np.where(bad, error / np.maximum(limit, np.finfo(np.float64).tiny), 0)
        at = np.unravel_index(np.nanargmax(np.where(np.isnan(worst), np.inf, worst)), bad.shape)
        raise AssertionError(
            f"{what}: {bad.sum()} of {bad.size} elements are off; most at "
            f"{tuple(map(int, at))}: {actual[at]!r}, not {expected[at]!r}, off by {error[at]:.3g} "
            f"where {limit[at]:.3g} is allowed"
        )


def assert_same_bits(actual: Any, expected: Any, what: str = "result") -> None:
    """Equal to the last bit: NaN equals NaN, and -0 is not 0."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    kinds = (actual.shape, actual.dtype), (expected.shape, expected.dtype)
    assert kinds[0] == kinds[1], f"{what}: {kinds[0]}, not {kinds[1]}"
    if actual.tobytes() != expected.tobytes():
        size = expected.dtype.itemsize
        differ = np.frombuffer(actual.tobytes(), np.uint8) != np.frombuffer(
            expected.tobytes(), np.uint8
        )
        bad = differ.reshape(-1, size).any(axis=1).reshape(expected.shape)
        raise AssertionError(f"{what}: other bits, {_first(bad, actual, expected)}")


def assert_all_same_bits(actual: dict[str, Any], expected: dict[str, Any], what: str) -> None:
    """All results of a call, by name, are equal to the last bit."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert actual[name] is None, f"{what}: result {name} is not None"
        else:
            assert_same_bits(actual[name], value, f"{what}: result {name}")


def assert_same_results(
    actual: dict[str, Any],
    expected: dict[str, Any],
    case: Any,
    dtype: Any,
    magnitude: dict[str, np.ndarray],
    tiny: float = 0.0,
) -> None:
    """All results of a case agree within the tolerance of its dtype and length. `tiny` is added if
    numbers below the smallest normal one may have counted as zero."""
    assert actual.keys() == expected.keys()
    exact = case.op in EXACT
    relative = 0.0 if exact else tolerance(dtype, case.length)
    floor = 0.0 if exact else 4 * float(np.finfo(dtype).tiny)
    for name, value in expected.items():
        what = f"{case} result {name}"
        if value is None:
            assert actual[name] is None, f"{what} is not None"
        else:
            assert_close(actual[name], value, relative * magnitude[name] + floor + tiny, what)


def _filled(arguments: dict[str, Any]) -> bool:
    return all(array.size for array in cases.arrays(arguments).values())


def _first(bad: np.ndarray, actual: np.ndarray, expected: np.ndarray) -> str:
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return (
        f"{bad.sum()} of {bad.size} elements; first at {at}: {actual[at]!r}, not {expected[at]!r}"
    )
