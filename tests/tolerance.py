"""How far two correct results may lie apart: one rule for every op, dtype and algorithm.

A sum of n rounded terms, in any order, is off by at most about sqrt(n) * eps times the sum of the
terms' absolute values, with probability close to one (Higham and Mary, "A new approach to
probabilistic rounding error analysis", 2019); a blocked or vector sum stays well below. A handful
of further roundings (a division, an exponential) adds a few eps whatever n is. So

    |actual - expected| <= (8 + sqrt(n)) * eps * magnitude

where `magnitude` is the sum of absolute terms behind an output. For an op that is linear in each
array it is the op itself, run on absolute values; where terms of both signs cancel, `TERMS` writes
the sum down; elsewhere it is the size of the output. One number serves a whole array, its largest
magnitude, because that is how vector exponentials and Winograd's transforms bound their errors.
Nothing here depends on a test, a seed or a machine.
"""

from __future__ import annotations

from typing import Any

import cases
import numpy as np

# Error of an algorithm over that of direct summation. Winograd's F(4x4, 3x3) multiplies by
# transforms whose entries grow to 5 in each dimension (Lavin and Gray, 2015); float32 only.
AMPLIFICATION = {"direct": 1.0, "winograd": 25.0}

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
    "linear",
    "linear_backward",
)


def _softmax_backward(a: dict[str, Any]) -> dict[str, Any]:
    dy, y = np.abs(a["dy"]), a["y"]
    return {"0": y * (dy + np.sum(dy * y, axis=a.get("axis", 1), keepdims=True))}


def _log_softmax_backward(a: dict[str, Any]) -> dict[str, Any]:
    dy, y = np.abs(a["dy"]), a["y"]
    return {"0": dy + np.exp(y) * np.sum(dy, axis=a.get("axis", 1), keepdims=True)}


def _log_softmax(a: dict[str, Any]) -> dict[str, Any]:
    """x - top - log(sum): each of the three, for the result may be their small difference."""
    x, axis = a["x"], a.get("axis", 1)
    top = np.max(x, axis, keepdims=True)
    log_sum = np.log(np.sum(np.exp(x - top), axis, keepdims=True))
    return {"0": np.abs(x) + np.abs(top) + np.abs(log_sum)}


def _cross_entropy(a: dict[str, Any]) -> dict[str, Any]:
    """The weights of a sample times -log p, and p + target, over what they are divided by."""
    logits = a["logits"]
    terms = _log_softmax({"x": logits})["0"]
    weights = _given(a, "weight", np.ones(logits.shape[1]))
    samples = logits.size / logits.shape[1]
    scale = 1.0 if a.get("reduction") == "sum" else samples * np.min(weights)
    # The shares of one sample, smoothed or not, add up to no more than the largest weight.
    loss = np.max(weights) * samples * np.max(terms, initial=0.0, where=np.isfinite(terms))
    return {"0": loss / scale, "1": np.full(1, 2 * np.max(weights) / scale)}


def _bce_with_logits(a: dict[str, Any]) -> dict[str, Any]:
    scale = 1 if a.get("reduction") == "sum" else a["logits"].size
    return {"1": (1 / (1 + np.exp(-a["logits"])) + a["target"]) / scale}


def _batch_norm(a: dict[str, Any]) -> dict[str, Any]:
    """Of y and of the statistics: a mean of numbers of both signs, and what is taken off it."""
    x, shape, axes = np.abs(a["x"]), _per_channel(a["x"]), _all_but_channels(a["x"])
    if a.get("training", True):
        mean, var = np.mean(x, axes), np.var(a["x"], axes)
    else:
        mean, var = np.abs(a["running_mean"]), a["running_var"]
    inv_std = 1 / np.sqrt(var + a.get("eps", 1e-5))
    scale = inv_std * np.abs(_given(a, "weight", 1.0))
    y = (x + mean.reshape(shape)) * scale.reshape(shape)
    before = _given(a, "running_mean", 0.0)
    return {
        "0": y + np.max(np.abs(_given(a, "bias", 0.0))) + np.abs(_given(a, "add", 0.0)),
        "1": mean,
        "2": inv_std * (1 + (mean * inv_std) ** 2),
        "running_mean": np.abs(before) + mean,
    }


def _batch_norm_backward(a: dict[str, Any]) -> dict[str, Any]:
    dy, shape, axes = np.abs(a["dy"]), _per_channel(a["x"]), _all_but_channels(a["x"])
    mean, inv_std = np.abs(a["mean"]).reshape(shape), a["inv_std"].reshape(shape)
    normal = (np.abs(a["x"]) + mean) * inv_std
    dweight, dbias = np.sum(dy * normal, axes), np.sum(dy, axes)
    count = max(a["x"].size // a["x"].shape[1], 1)
    through = (dbias.reshape(shape) + normal * dweight.reshape(shape)) / count
    through = through if a.get("training", True) else 0.0
    scale = inv_std * np.reshape(np.abs(_given(a, "weight", np.ones(a["x"].shape[1]))), shape)
    return {"0": (dy + through) * scale, "1": dweight, "2": dbias}


def _given(a: dict[str, Any], name: str, default: Any) -> Any:
    return default if a.get(name) is None else a[name]


def _per_channel(x: np.ndarray) -> tuple[int, ...]:
    return (1, x.shape[1], *[1] * (x.ndim - 2))


def _all_but_channels(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


# Sums of absolute terms by result, from the arguments in float64, where the output hides them.
TERMS = {
    "sigmoid_backward": lambda a: {"0": np.abs(a["dy"]) * a["y"] * (1 + a["y"])},
    "tanh_backward": lambda a: {"0": np.abs(a["dy"]) * (1 + a["y"] ** 2)},
    "softmax_backward": _softmax_backward,
    "log_softmax": _log_softmax,
    "log_softmax_backward": _log_softmax_backward,
    "cross_entropy": _cross_entropy,
    "bce_with_logits": _bce_with_logits,
    "batch_norm": _batch_norm,
    "batch_norm_backward": _batch_norm_backward,
}
# Their results are copies or choices of inputs, with no rounding at all.
EXACT = (
    "im2col",
    "max_pool2d",
    "relu_max_pool2d",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
)


def tolerance(dtype: Any, reduction_length: int, algorithm: str = "direct") -> float:
    """Largest admissible error, relative to the sum of absolute terms."""
    eps = float(np.finfo(dtype).eps)
    return (8 + reduction_length**0.5) * eps * AMPLIFICATION[algorithm]


def magnitudes(function: Any, case: Any, arguments: dict[str, Any]) -> dict[str, float]:
    """Largest sum of absolute terms in each result of `function`, which is trusted, in float64."""
    arguments = cases.cast(arguments, np.float64)
    with np.errstate(all="ignore"):
        terms = TERMS[case.op](arguments) if case.op in TERMS and _filled(arguments) else {}
    for name, array in cases.arrays(arguments).items():
        if cases.is_changed(case.op, name):  # what a step is taken off
            terms[name] = np.maximum(np.abs(array), np.abs(terms.get(name, 0.0)))
    if case.op in MULTILINEAR:
        floats = {
            name: np.abs(value)
            for name, value in arguments.items()
            if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        }
        arguments |= floats
        if "activation" in arguments:
            arguments["activation"] = None  # it would hide the terms: ReLU6 ends at 6
    results = cases.call(function, case.op, arguments)
    sizes = {name: _largest(np.abs(value)) for name, value in results.items() if value is not None}
    return {name: max(size, _largest(terms.get(name, 0.0))) for name, size in sizes.items()}


def assert_close(
    actual: Any, expected: Any, limit: float, what: str = "result", tiny: float = 0.0
) -> None:
    """Every element within `limit` (absolute), with NaN and infinities at the same places."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    finite = np.isfinite(expected)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    assert np.all(finite | same), f"{what}: NaN or inf differ at {_where(~(finite | same))}"
    error = np.abs(np.where(finite, actual - np.where(finite, expected, 0), 0))
    bad = ~(error <= limit + tiny)
    assert not bad.any(), (
        f"{what}: {bad.sum()} of {bad.size} elements are off, by up to {np.max(error):.3g} where "
        f"{limit + tiny:.3g} is allowed; first at {_where(bad)}: "
        f"{actual[bad].flat[0]!r}, not {expected[bad].flat[0]!r}"
    )


def assert_same_results(
    actual: dict[str, Any],
    expected: dict[str, Any],
    case: Any,
    dtype: Any,
    magnitude: dict[str, float],
    tiny: float = 0.0,
    algorithm: str = "direct",
) -> None:
    """All results of a case agree within the tolerance of its dtype, length and algorithm."""
    assert actual.keys() == expected.keys()
    relative = 0.0 if case.op in EXACT else tolerance(dtype, case.length, algorithm)
    for name, value in expected.items():
        what = f"{case} result {name}"
        if value is None:
            assert actual[name] is None, f"{what} is not None"
        else:
            assert_close(actual[name], value, relative * magnitude[name], what, tiny)


def _filled(arguments: dict[str, Any]) -> bool:
    return all(array.size for array in cases.arrays(arguments).values())


def _largest(value: Any) -> float:
    if np.size(value) == 0:
        return 0.0
    finite = np.abs(value)[np.isfinite(value)]
    return float(finite.max()) if finite.size else 0.0


def _where(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])
