"""Random calls of every op and every layer; `fuzz.py SEED FIRST LAST` repeats some of them.
This file is longer than others because the drawing of calls and their rules belong together.

A call is a case of tests/cases.py, or a convolution or pooling of random sizes, with some arguments
replaced by what users, files and mistakes produce: huge and negative integers, numbers as text,
arrays of another shape, dtype, order or byte order, read-only, with NaN. Its outcome must be a
result, of the shape given by a formula and the same on both backends, or a ValueError or TypeError
that begins with the op's name. Everything else is a fault, printed with the command that repeats
the call. The number of each call is written to the file PROGRESS first, for calls that do not
return.
"""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import os
import resource
import sys
import time
import warnings

import cases
import numpy as np
import oracle
from layer_helpers import OWN

import cnnx
from cnnx import ops

SECONDS = 2.0  # of CPU time, limit of a call
HONEST = 2**24  # elements: a MemoryError is allowed for a result of this size
WATCH = 60  # seconds after which everything counts as a hang

INTEGERS = [0, 1, 2, 3, 4, 5, 7, 16, 255, 257, 1000, 4097, 2**16, 2**20, 2**24, 2**30]
INTEGERS += [2**31 - 1, 2**31, 2**32 + 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 10**30]
NUMBERS = [0.0, -0.0, 0.5, 1.0, -1.0, 2, 1e-300, 1e30, 1e300, np.nan, np.inf, -np.inf, 10**400]
TEXTS = ["", "same", "valid", *oracle.ENDINGS, "mean", "sum", "1", "nan", "Same", b"same"]
PAIRWISE = ("bce", "bce_with_logits", "binary_focal", "huber", "l1", "mse", "smooth_l1")
OF_CLASSES = ("cross_entropy", "focal", "nll")
OTHERS = [None, True, False, object(), {}, {1, 2}, range(2), 1j, np.array(2), np.array([])]
DTYPES = ["f2", "f4", "f8", ">f4", ">f8", "i8", "u1", "?", "c8", "U3", "O", "g"]

# Constructor arguments of each family of layers; a layer's own arguments are then replaced too.
LAYERS = {
    "Conv2D": {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    "ConvTranspose2D": {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    "Linear": {"in_features": 4, "out_features": 3},
    "BatchNorm2D": {"num_features": 2},
    "BatchNorm1D": {"num_features": 2},
    "MaxPool2D": {"kernel_size": 2},
    "AvgPool2D": {"kernel_size": 2},
    "AdaptiveAvgPool2D": {"output_size": 2},
    "Upsample": {"scale_factor": 2},
    "ZeroPad2D": {"padding": 1},
    "Conv1D": {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    "ConvTranspose1D": {"in_channels": 2, "out_channels": 4, "kernel_size": 3},
    "MaxPool1D": {"kernel_size": 2},
    "AvgPool1D": {"kernel_size": 2},
    "AdaptiveAvgPool1D": {"output_size": 2},
    "ZeroPad1D": {"padding": 1},
    "Embedding": {"num_embeddings": 5, "embedding_dim": 3},
    "GroupNorm": {"num_groups": 2, "num_channels": 2},
    "LayerNorm": {"normalized_shape": 4},
    "InstanceNorm2D": {"num_features": 2},
    "LocalResponseNorm": {"size": 3},
    "Reshape": {"shape": (-1, 2)},
}
# Constructed from functions, layers or Symbols, or with several inputs.
NOT_FUZZED = {"Activation", "Add", "Concat", "Graph", "Multiply", "Residual", "Sequential"}
LAYER_NAMES = sorted(set(OWN) - NOT_FUZZED)


# ------------------------------------------------------------------------------- drawing arguments


def _pick(rng, values):
    return values[int(rng.integers(len(values)))]


def odd_integer(rng):
    """An integer, usually a small one, in one of the forms that users write."""
    value = int(rng.integers(0, 6)) if rng.random() < 0.4 else _pick(rng, INTEGERS)
    if rng.random() < 0.15:
        value = -value
    other = _pick(rng, [value, value, 1, 2, _pick(rng, INTEGERS)])
    fits = abs(value) < 2**63
    return _pick(
        rng,
        [value] * 6
        + [(value, other), [other, value], (value,), ((value, other), (other, value)), str(value)]
        + [np.int64(value) if fits else value, np.array(value), float(value), value != 0]
        + [np.array([value, other]), (value, other, 1), (None, value), _pick(rng, OTHERS)],
    )


def odd_number(rng):
    value = _pick(rng, NUMBERS)
    forms = [value, value, value, [value], str(value), np.array(float(_pick(rng, NUMBERS[:12])))]
    return _pick(rng, [*forms, np.float32(0.25), _pick(rng, OTHERS), -2, 3])


def odd_array(rng, x):
    """The array in another form, usually with the same numbers."""
    if x.dtype.kind not in "fiu":
        return _pick(rng, OTHERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change = int(rng.integers(14))
        if change == 0:
            return x.astype(_pick(rng, DTYPES))
        if change == 1:  # of another shape
            shape = list(x.shape)
            if shape:
                shape[int(rng.integers(len(shape)))] = int(rng.integers(0, 4))
            return np.resize(x, shape).astype(x.dtype)
        if change == 2:
            return x[None] if rng.random() < 0.5 or not x.ndim else x[0] if len(x) else x
        if change == 3:
            return np.asfortranarray(x)
        if change == 4:
            return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x
        if change == 5:
            return x[::-1].copy()[::-1] if x.ndim else x
        if change == 6:
            return np.broadcast_to(x.ravel()[:1].reshape([1] * x.ndim), x.shape) if x.size else x
        if change == 7:
            closed = x.copy()
            closed.flags.writeable = False
            return closed
        if change == 8:
            return x.astype(x.dtype.newbyteorder())
        if change == 9:
            unaligned = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
            unaligned[...] = x
            return unaligned
        if change == 10 and x.dtype.kind == "f" and x.size:
            spoilt = x.copy()
            spoilt.ravel()[int(rng.integers(x.size))] = _pick(rng, [np.nan, np.inf, -np.inf, 1e38])
            return spoilt
        if change == 11:
            return x.tolist()
        if change == 12:
            return _pick(rng, [np.ma.masked_array(x), np.zeros((0,) * x.ndim, x.dtype), x.size])
        return _pick(rng, OTHERS)


def odd(rng, name, value):
    """A replacement for an argument."""
    if isinstance(value, np.ndarray):
        return odd_array(rng, value)
    if isinstance(value, list) and value and rng.random() < 0.8:
        values = list(value)
        at = int(rng.integers(len(values)))
        values[at] = odd(rng, name, values[at])
        return values
    if name == "x_shape":
        sizes = list(value)
        sizes[int(rng.integers(len(sizes)))] = odd_integer(rng)
        return tuple(sizes)
    if rng.random() < 0.05:
        return _pick(rng, OTHERS)
    if isinstance(value, str) or name == "activation" or rng.random() < 0.03:
        return _pick(rng, TEXTS)
    if isinstance(value, float):
        return odd_number(rng)
    if isinstance(value, bool):
        return bool(rng.integers(2))
    if value is None and name not in ("stride",):
        return rng.standard_normal(int(rng.integers(5)))
    return odd_integer(rng)


# ---------------------------------------------------------------------------------- drawing calls


def _pair(value):
    """Two integers from one or two, as in a formula."""
    numbers = [int(v) for v in np.array(value, object).ravel()]
    return (numbers[0], numbers[-1])


def _sides(padding, kernel, dilation):
    """((top, bottom), (left, right)) from any form of padding."""
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if np.ndim(padding) and len(padding) == 2 and np.ndim(padding[0]):
        return _pair(padding[0]), _pair(padding[1])
    rows, columns = _pair(padding)
    return (rows, rows), (columns, columns)


def _windows(size, kernel, stride, padding, dilation=1, ceil_mode=False):
    """The documented formulas; PyTorch's with ceil_mode."""
    kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
    counts = []
    for n, k, s, (before, after), d in zip(
        size, kernel, stride, _sides(padding, kernel, dilation), dilation
    ):
        free = n + before + after - d * (k - 1) - 1
        count = -(-free // s) + 1 if ceil_mode else free // s + 1
        if ceil_mode and (count - 1) * s >= n + before:
            count -= 1
        counts.append(max(count, 0))
    return counts


def y_shape(op, a):
    """The shape of a convolution's or pooling's result, from all its arguments."""
    forward = op.removesuffix("_backward")
    x_shape = tuple(int(v) for v in (a["x_shape"] if "x_shape" in a else np.shape(a["x"])))
    size = x_shape[2:]
    if forward in ("conv2d", "conv_transpose2d"):
        weight = np.shape(a["weight"])
        if forward == "conv2d":
            channels = weight[0]
            y_size = _windows(size, weight[2:], a["stride"], a["padding"], a["dilation"])
        else:
            channels, dilation = weight[1] * int(a["groups"]), _pair(a["dilation"])
            y_size = [
                (n - 1) * s - sum(sides) + d * (k - 1) + extra + 1
                for n, s, sides, d, k, extra in zip(
                    size,
                    _pair(a["stride"]),
                    _sides(a["padding"], weight[2:], dilation),
                    dilation,
                    weight[2:],
                    _pair(a["output_padding"]),
                )
            ]
        return (x_shape[0], channels, *y_size)
    kernel = _pair(a["kernel_size"])
    if forward in ("im2col", "col2im"):
        oh, ow = _windows(size, kernel, a["stride"], a["padding"], a["dilation"])
        return (x_shape[0] * oh * ow, x_shape[1] * kernel[0] * kernel[1])
    stride = kernel if a["stride"] is None else a["stride"]
    if isinstance(a["padding"], str) and a["padding"] == "same":
        return (*x_shape[:2], *(-(-n // s) for n, s in zip(size, _pair(stride))))
    dilation, ceil_mode = a.get("dilation", 1), bool(a["ceil_mode"])
    return (*x_shape[:2], *_windows(size, kernel, stride, a["padding"], dilation, ceil_mode))


def result_shapes(op, a):
    """The documented shapes of a call's results; None: anything."""
    if op.endswith("_step"):
        return []
    if op == "concat":
        joined = list(np.shape(a["arrays"][0]))
        joined[a["axis"]] = sum(np.shape(x)[a["axis"]] for x in a["arrays"])
        return [tuple(joined)]
    if op == "split":
        shapes = [list(np.shape(a["x"])) for _ in a["sizes"]]
        for shape, size in zip(shapes, a["sizes"]):
            shape[a["axis"]] = int(size)
        return shapes
    first = np.shape(next(iter(a.values())))
    if op in ("binary", "multiply"):
        return [np.broadcast_shapes(np.shape(a["x"]), np.shape(a["y"]))]
    if op == "multiply_backward":
        return [np.shape(a["x"]), np.shape(a["y"])]
    if op in ("batch_norm", "batch_norm_backward"):
        return [np.shape(a["x"]), np.shape(a["x"])[1:2], np.shape(a["x"])[1:2]]
    if op in ("group_norm", "layer_norm"):
        n = np.ndim(a["x"]) - np.size(a.get("normalized_shape"))
        each = (first[0], int(a["num_groups"])) if op == "group_norm" else first[:n]
        return [first, each, each]
    if op in ("group_norm_backward", "layer_norm_backward"):
        of_weight = np.shape(a["x"])[1:2]
        if op == "layer_norm_backward":
            of_weight = np.shape(a["x"])[np.ndim(a["x"]) - np.size(a["normalized_shape"]) :]
        return [np.shape(a["x"]), of_weight, of_weight]
    if op == "prelu_backward":
        return [np.shape(a["x"]), np.shape(a["weight"])]
    if op == "embedding":
        return [(*first, np.shape(a["weight"])[1])]
    if op == "embedding_backward":
        return [(int(a["num_embeddings"]), first[-1])]
    if op in PAIRWISE or op in OF_CLASSES:
        each = first if op in PAIRWISE else (*first[:1], *first[2:])
        return [each if a.get("reduction") == "none" else (), first]
    if op == "linear":
        return [(*np.shape(a["x"])[:-1], np.shape(a["weight"])[0])]
    if op == "global_avg_pool2d":
        return [(*np.shape(a["x"])[:2], 1, 1)]
    if op == "reduce":
        given = range(len(first)) if a["axes"] is None else np.array(a["axes"], object).ravel()
        axes = {int(axis) % len(first) for axis in given}
        kept = [i for i in range(len(first)) if a["keepdims"] or i not in axes]
        return [tuple(1 if i in axes else first[i] for i in kept)]
    if op == "lstm":
        sides, _, hidden = np.shape(a["r"])
        return [(first[0] + 2, sides, first[1], hidden)]
    if op == "pad":
        return [tuple(n + int(b) + int(e) for n, (b, e) in zip(first, a["padding"]))]
    if op == "zero_pad2d":
        sides = np.array(a["padding"], object).ravel()
        left, right, top, bottom = (int(sides[i % len(sides)]) for i in range(4))
        n, c, h, w = np.shape(a["x"])
        return [(n, c, h + top + bottom, w + left + right)]
    if op == "adaptive_avg_pool2d":
        sizes = np.array(a["output_size"], object).ravel()
        given = zip(np.shape(a["x"])[2:], (sizes[0], sizes[-1]))
        return [(*np.shape(a["x"])[:2], *(n if s is None else int(s) for n, s in given))]
    if op == "interpolate":
        to = np.array(a["scale_factor"] if a["size"] is None else a["size"], object).ravel()
        given = zip(np.shape(a["x"])[2:], (to[0], to[-1]))
        sizes = (int(n * float(s)) if a["size"] is None else int(s) for n, s in given)
        return [(*np.shape(a["x"])[:2], *sizes)]
    if op in ("linear_backward", "conv2d_backward", "conv_transpose2d_backward"):
        filters = np.shape(a["dy"])[-1 if op == "linear_backward" else 1]
        return [np.shape(a["x"]) if a["need_dx"] else None, np.shape(a["weight"]), (filters,)]
    if op == "col2im" or "x_shape" in a:
        return [tuple(int(v) for v in a["x_shape"])]
    if op in ("max_pool2d", "relu_max_pool2d"):
        return [y_shape(op, a)] * 2
    if op in ("conv2d", "conv_transpose2d", "im2col", "avg_pool2d"):
        return [y_shape(op, a)]
    return [first]


def _drawn_sizes(rng, op):
    """A convolution, pooling or window matrix of small sizes and any geometry."""
    forward = op.removesuffix("_backward")
    names = inspect.signature(getattr(ops, op)).parameters
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    per_group, filters = (int(v) for v in rng.integers(1, 4, 2))
    n, h, w = (int(v) for v in rng.integers([0, 1, 1], [4, 9, 9]))
    n = n or int(rng.integers(2))
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    channels = groups * per_group
    weight_shape = (groups * filters, per_group, *kernel)
    if forward == "conv_transpose2d":
        weight_shape = (channels, filters, *kernel)
    geometry = {name: odd_integer(rng) for name in ("stride", "dilation") if rng.random() < 0.5}
    if rng.random() < 0.6:
        geometry["padding"] = _pick(rng, [0, 1, 2, "same", odd_integer(rng)])
    if rng.random() < 0.3:  # windows from padding to padding
        far = _pick(rng, INTEGERS[6:])
        geometry |= {"padding": far, _pick(rng, ["stride", "dilation"]): far + int(rng.integers(3))}
    values = {
        "x": rng.standard_normal((n, channels, h, w)),
        "x_shape": (n, channels, h, w),
        "weight": rng.standard_normal(weight_shape),
        "kernel_size": kernel,
        "groups": groups,
        "output_padding": int(rng.integers(2)),
        "ceil_mode": bool(rng.integers(2)),
        **geometry,
    }
    return {name: values[name] for name in names if name in values}


def _fit_dy(rng, op, arguments):
    """dy (cols, argmax) of the size given by the other arguments, if they determine one."""
    name = "cols" if op == "col2im" else "dy"
    try:
        shape = y_shape(op, arguments)
        size = np.prod([max(1.0, float(n)) for n in shape])
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, ZeroDivisionError):
        return
    if min(shape) >= 0 and size < 20000:
        dtype = getattr(arguments.get("x", arguments.get("weight")), "dtype", np.float64)
        dtype = dtype if dtype in ("f4", "f8") else np.float64
        arguments[name] = rng.standard_normal(shape).astype(dtype)
        if "argmax" in arguments or "max_pool" in op:
            cells = int(np.prod([float(k) for k in _pair(arguments["kernel_size"])]))
            last = max(1, min(cells, 2**31 - 1))
            wide = cells + op.startswith("relu") > 256
            arguments["argmax"] = rng.integers(0, last, shape).astype("i4" if wide else "u1")


SMALL = {
    op: [c for c in table if sum(a.size for a in cases.arrays(c.arguments()).values()) < 3000]
    for op, table in cases.CASES.items()
}


def draw_op(rng):
    """(op, all its arguments by name)"""
    op = _pick(rng, ops.__all__)
    parameters = inspect.signature(getattr(ops, op)).parameters
    has_windows = "stride" in parameters
    sizes_drawn = has_windows and rng.random() < 0.7
    dtype = np.float32 if rng.random() < 0.5 else np.float64
    arguments = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    if sizes_drawn:
        arguments |= cases.cast(_drawn_sizes(rng, op), dtype)
    else:
        arguments |= _pick(rng, SMALL[op]).arguments(dtype)
    if (sizes_drawn and op.endswith("_backward")) or op == "col2im":
        _fit_dy(rng, op, arguments)
        if not parameters.keys() <= arguments.keys():
            arguments |= _pick(rng, SMALL[op]).arguments(dtype) | arguments
    for _ in range(_pick(rng, [0, 1, 1, 2, 3])):
        name = _pick(rng, list(parameters))
        arguments[name] = odd(rng, name, arguments[name])
    if has_windows and (op.endswith("_backward") or op == "col2im") and rng.random() < 0.6:
        _fit_dy(rng, op, arguments)
    return op, {name: arguments[name] for name in parameters}


# ---------------------------------------------------------------------------------- making calls


class Fault(Exception):
    """An outcome that is not allowed."""


def _outcome(function, names, arguments, sizes):
    """("result", results) or ("error", its type and text, which begins with one of the names); a
    Fault for anything else, and for a call that takes much more time or memory than its result.
    """
    begin = time.process_time()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = function(**arguments)
    except (ValueError, TypeError) as error:
        if not str(error).startswith(tuple(f"{name}: " for name in names)):
            raise Fault(f"{type(error).__name__} in other words: {error}") from error
        return "error", f"{type(error).__name__}: {error}"
    except MemoryError as error:
        if sizes() < HONEST:
            raise Fault(f"MemoryError for a result of {sizes()} elements: {error}") from error
        return "memory", ""
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
    finally:
        spent = time.process_time() - begin
    if spent > SECONDS and sizes() < HONEST:
        raise Fault(f"{spent:.1f} s")
    return "result", results if isinstance(results, tuple) else (results,)


def _check_shapes(op, arguments, results):
    expected = result_shapes(op, arguments)
    found = [None if r is None else np.shape(r) for r in results if r is not None or expected]
    if op.endswith("_step"):
        found = []
    if found != [None if e is None else tuple(e) for e in expected]:
        raise Fault(f"shapes {found}, expected {expected}")


def _check_same(arguments, first, second):
    """Compare both backends roughly: test_parity.py has the tolerances."""
    single = any(a.dtype.str[1:] == "f4" for a in cases.arrays(arguments).values())
    for i, (a, b) in enumerate(zip(first, second)):
        if a is None or b is None or np.size(a) >= HONEST:  # to compare takes memory, too
            continue
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype != b.dtype:
            raise Fault(f"result {i} is {a.dtype}, by the reference {b.dtype}")
        if a.dtype.kind == "f" and a.size and np.isfinite(b).all() and abs(b).max() < 1e4:
            scale = max(1.0, float(abs(b).max()))
            error = float(abs(a - b).max())
            if not error <= (2e-4 if single or a.dtype == np.float32 else 1e-9) * scale:
                raise Fault(f"result {i} differs from the reference by {error}")


def _is_finite(arguments):
    return all(
        np.isfinite(a).all() and (not a.size or abs(a).max() < 1e3)
        for a in cases.arrays(arguments).values()
        if a.dtype.kind == "f"
    )


def _own(op, name, array):
    """A copy of an array that the op changes, if possible; others remain in their form."""
    return array.copy() if cases.is_changed(op, name) and array.flags.carray else array


def call_op(rng):
    """Draw a call and make it with every backend: yields op and arguments, then the outcome."""
    op, arguments = draw_op(rng)
    yield op, arguments

    def sizes():
        with contextlib.suppress(Exception):
            shapes = [s for s in result_shapes(op, arguments) if s is not None]
            return max(float(np.prod([float(n) for n in s])) for s in shapes)
        return 0.0

    outcomes = []
    for backend in cnnx.available_backends():
        given = cases.mapped(lambda name, a: _own(op, name, a), arguments)
        with cnnx.use_backend(backend):
            outcomes.append(_outcome(getattr(ops, op), (op,), given, sizes))
        kind, results = outcomes[-1]
        if kind == "result":
            _check_shapes(op, arguments, results)
            if op in cases.IN_PLACE:
                changed = [a for n, a in cases.arrays(given).items() if cases.is_changed(op, n)]
                outcomes[-1] = kind, (*results, *changed)
    first = outcomes[0]
    for other in outcomes[1:]:
        if "memory" in (first[0], other[0]):
            continue
        if first[0] != other[0] or (first[0] == "error" and first[1] != other[1]):
            raise Fault(f"the backends differ: {first[:1]}, {other[:1]}: {first[1]}, {other[1]}")
        if first[0] == "result" and _is_finite(arguments):
            _check_same(arguments, first[1], other[1])
    yield "error" if first[0] == "error" else "result"


def call_layer(rng):
    """Draw a layer and an input; yields name and arguments; then runs forward and backward."""
    name = _pick(rng, LAYER_NAMES)
    parameters = inspect.signature(OWN[name]).parameters
    arguments = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    arguments |= LAYERS.get(name, {})
    for _ in range(_pick(rng, [0, 1, 1, 2, 3])):
        if parameters:
            key = _pick(rng, list(parameters))
            arguments[key] = odd(rng, key, arguments[key])
    shape = [(2, 2, 8, 8), (3, 4), (0, 2, 5, 5), (2, 2, 4), (1, 2, 3, 4), (2,), ()]
    x = rng.standard_normal(_pick(rng, shape)).astype(_pick(rng, ["f4", "f8"]))
    x = odd_array(rng, x) if rng.random() < 0.4 else x
    yield name, {**arguments, "x": x}

    def sizes():
        times = 8 * np.size(x) if "scale_factor" in arguments else 1  # a pixel is a mean of four
        return times * float(np.prod([max(1.0, float(v) ** 2) for v in _numbers(arguments)]))

    names = name, *ops.__all__  # the message may name an op that the layer calls
    kind, results = _outcome(OWN[name], names, arguments, sizes)
    if kind != "result":
        return
    layer = results[0]
    kind, results = _outcome(lambda x: layer(x), names, {"x": x}, sizes)
    if kind == "result" and np.size(results[0]) < HONEST // 16:
        y = results[0]
        kind, results = _outcome(layer.backward, names, {"dy": np.ones_like(y)}, sizes)
        if y.dtype.kind != "f" or kind == "error":
            raise Fault(f"y {y.shape}, {y.dtype} has no gradient: {results}")
        if kind == "result" and results[0].shape != np.shape(x):
            raise Fault(f"dx has shape {results[0].shape}, x {np.shape(x)}")


def _numbers(arguments):
    for value in arguments.values():
        if not isinstance(value, (str, bytes, set, dict)):
            entries = np.array(value, object).ravel()
            yield from (v for v in entries if isinstance(v, (int, float, np.integer)) and v == v)


# ------------------------------------------------------------------------------------------- runs


def described(value):
    """A value on one line, in readable form."""
    if isinstance(value, np.ndarray):
        flags = "".join(letter for letter in "CFWA" if value.flags[letter])
        return f"<array {value.shape} {value.dtype.str} {flags}>"
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + "(" + ", ".join(map(described, value)) + ")"
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 300 else "10**400"
    return text if len(text) < 80 else text[:77] + "..."


def run(seed, first, last, progress=None, show=False):
    """The faults of some calls, as text."""
    faults, kinds = [], {"result": 0, "error": 0}
    for number in range(first, last):
        if progress is not None:
            os.pwrite(progress, f"{number:12}".encode(), 0)
            if number % 100 == 0:
                faulthandler.dump_traceback_later(WATCH, exit=True)
        rng = np.random.default_rng([seed, number])
        call = call_layer(rng) if number % 5 == 4 else call_op(rng)
        name, arguments = next(call)
        text = f"{name}({', '.join(f'{n}={described(v)}' for n, v in arguments.items())})"
        if show:
            print(text, flush=True)
        try:
            kinds[next(call, "result")] += 1
        except Fault as fault:
            faults.append(f"python tests/fuzz.py {seed} {number} {number + 1}: {text}: {fault}")
    return faults, kinds


def main(seed, first, last, progress=""):
    """Run calls, with limited memory: a call that needs more gets a MemoryError."""
    limit = 3 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    descriptor = os.open(progress, os.O_CREAT | os.O_WRONLY) if progress else None
    faults, kinds = run(int(seed), int(first), int(last), descriptor, int(last) - int(first) < 10)
    faulthandler.cancel_dump_traceback_later()
    print(f"{kinds['result']} results, {kinds['error']} errors")
    print("\n".join(faults[:20]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
