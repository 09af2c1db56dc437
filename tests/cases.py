"""Named cases for every op: one table that drives oracle, gradient, parity and thread tests.

    for case in cases("conv2d"):
        y = cnnx.ops.conv2d(**case.arguments(np.float32))

A case contains shapes and options; its numbers are drawn from a generator seeded by its name, in
float64, and cast to the requested type. `CASES` maps an op to its list of cases. To add one, add a
line to the table of its op; backward ops share the table of their forward op.
This file is longer than others because the whole table is in one place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle

IN_PLACE = {
    "batch_norm": ("running_mean", "running_var"),
    "sgd_step": ("params", "velocity"),
    "rmsprop_step": ("params", "square_avg", "grad_avg", "velocity"),
    "adagrad_step": ("params", "sum_sq"),
    "adam_step": ("params", "exp_avg", "exp_avg_sq", "max_avg_sq"),
    "nadam_step": ("params", "exp_avg", "exp_avg_sq"),
    "ema_step": ("averages",),
}


@dataclass(frozen=True)
class Case:
    """One call of one op. `length` is the number of terms in the longest sum for one output; `kink`
    states why there is no derivative at these inputs, and is empty if there is one."""

    op: str
    name: str
    make: Callable[[np.random.Generator], dict[str, Any]]
    length: int = 1
    kink: str = ""

    def __str__(self) -> str:
        return f"{self.op}[{self.name}]"

    def arguments(self, dtype: Any = np.float64) -> dict[str, Any]:
        """Arguments by name: new arrays, floats in `dtype`, integers as the case says."""
        seed = zlib.crc32(f"{self.op.removesuffix('_backward')} {self.name}".encode())
        return cast(self.make(np.random.default_rng(seed)), dtype)


def arrays(arguments: dict[Any, Any]) -> dict[str, np.ndarray]:
    """All arrays, by argument name; those in a list as ``params[0]``, ``params[1]``."""
    found: dict[str, np.ndarray] = {}
    mapped(lambda name, array: found.setdefault(name, array), arguments)
    return found


def mapped(function: Callable[[str, np.ndarray], Any], arguments: dict[Any, Any]) -> dict[Any, Any]:
    """The arguments with each array replaced by `function(its name as in `arrays`, the array)`."""

    def one(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [one(f"{name}[{i}]", item) for i, item in enumerate(value)]
        return function(name, value) if isinstance(value, np.ndarray) else value

    return {name: one(str(name), value) for name, value in arguments.items()}


def cast(arguments: dict[Any, Any], dtype: Any) -> dict[Any, Any]:
    """The arguments with all float arrays in `dtype`; always copies."""
    return mapped(lambda _, a: a.astype(dtype if a.dtype.kind == "f" else a.dtype), arguments)


def is_changed(op: str, name: str) -> bool:
    """Whether an op changes the array of this name in place."""
    return name.partition("[")[0] in IN_PLACE.get(op, ())


def call(function: Callable[..., Any], op: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call an op; returns its results by number, and the arrays it changes in place by name."""
    result = function(**arguments)
    results = result if isinstance(result, tuple) else (result,)
    named = {str(i): value for i, value in enumerate(results)}
    return named | {name: a for name, a in arrays(arguments).items() if is_changed(op, name)}


CASES: dict[str, list[Case]] = {}
# One case per op with enough work for several threads; too slow for the oracle's loops.
LARGE: dict[str, Case] = {}


def cases(*ops: str) -> list[Case]:
    """All cases of these ops, or of every op if none is named."""
    return [case for op in ops or CASES for case in CASES[op]]


def richest(op: str) -> Case:
    """The case of an op with most elements, for tests that are not about the arithmetic."""

    def size(case: Case) -> int:
        return sum(array.size for array in arrays(case.arguments()).values())

    return max(CASES[op], key=size)


def _add(
    op: str, name: str, make: Callable[..., dict[str, Any]], length: int = 1, kink: str = ""
) -> None:
    CASES.setdefault(op, []).append(Case(op, name, make, max(length, 1), kink))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def _away_from_zero(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal numbers, none within 0.05 of zero: finite differences must not cross a kink."""
    x = _normal(rng, *shape)
    return x + np.copysign(0.05, x)


def _away_from(bends: tuple[int, ...]) -> Callable[..., np.ndarray]:
    """A function as `_normal`, of numbers on both sides of each of the bends, none within 0.05."""

    def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
        x = max([1, *map(abs, bends)]) * _normal(rng, *shape)
        for bend in bends:
            x += np.where(np.abs(x - bend) < 0.05, np.copysign(0.1, x - bend), 0)
        return x

    return draw


def _distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers that differ by at least 0.01, so that the maximum of a window is clear."""
    size = int(np.prod(shape))
    return (rng.permutation(size) - size / 2).reshape(shape) / 100


def of_scales(x: np.ndarray) -> np.ndarray:
    """x with the entries of its first axis scaled by different powers of two: an error that is
    small relative to the largest element of the array is not small relative to those."""
    scales = 2.0 ** -(7 * (np.arange(len(x)) % 3))
    return x * scales.reshape(-1, *[1] * (x.ndim - 1))


# ------------------------------------------------------------------------------------ convolution

# name: (x, weight, options). Sizes around 4, 8, 16, 32, 48 pixels and channels leave full and
# partial tiles in every kernel set; more than 600 terms a sum make several blocks of k.
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 6, 7), (4, 3, 3, 3), {}),
    "one-channel": ((2, 1, 7, 5), (1, 1, 3, 3), {"padding": 1}),
    "one-pixel": ((3, 5, 1, 1), (2, 5, 1, 1), {}),
    "one-pixel-padded": ((2, 3, 1, 1), (5, 3, 3, 3), {"padding": 1}),
    "pointwise": ((2, 9, 5, 4), (13, 9, 1, 1), {}),
    "pointwise-stride-2": ((2, 9, 5, 4), (6, 9, 1, 1), {"stride": 2}),
    "pointwise-padded": ((1, 3, 3, 4), (5, 3, 1, 1), {"padding": 1}),
    "pointwise-planes": ((3, 20, 9, 8), (31, 20, 1, 1), {}),
    "pointwise-large-plane": ((1, 3, 17, 19), (5, 3, 1, 1), {}),
    "pointwise-many-channels": ((2, 270, 8, 9), (9, 270, 1, 1), {}),
    "pointwise-many-filters": ((2, 9, 8, 9), (270, 9, 1, 1), {}),
    "pointwise-many-images": ((70, 3, 2, 1), (4, 3, 1, 1), {}),
    "pointwise-many-images-stride-2": ((9, 5, 9, 8), (7, 5, 1, 1), {"stride": 2, "padding": 1}),
    "few-windows": ((1, 52, 4, 5), (141, 52, 3, 3), {"padding": (1, 0)}),
    "few-windows-stride-2": ((2, 60, 5, 4), (130, 60, 3, 3), {"stride": 2, "padding": 1}),
    "filter-lanes": ((2, 3, 9, 11), (16, 3, 3, 2), {"padding": ((0, 2), (1, 0))}),
    "filter-lanes-stride-2": ((2, 3, 13, 14), (32, 3, 3, 3), {"stride": 2}),
    "filter-lanes-several-blocks": ((1, 70, 5, 8), (32, 70, 2, 4), {}),
    "filter-lanes-groups": ((2, 4, 6, 7), (32, 2, 3, 3), {"groups": 2, "padding": 1}),
    "kernel-is-image": ((3, 2, 4, 5), (6, 2, 4, 5), {}),
    "kernel-larger-than-image-unpadded": ((2, 2, 2, 3), (3, 2, 5, 5), {"padding": 2}),
    "odd-channels": ((1, 7, 5, 5), (17, 7, 3, 3), {"padding": 1}),
    "one-row": ((2, 3, 1, 19), (4, 3, 1, 3), {}),
    "one-column": ((2, 3, 19, 1), (4, 3, 3, 1), {"padding": (1, 0)}),
    "rectangular-kernel": ((2, 3, 6, 8), (5, 3, 2, 5), {}),
    "rectangular-stride": ((2, 3, 9, 8), (5, 3, 3, 2), {"stride": (1, 3)}),
    "rectangular-padding": ((2, 3, 4, 6), (5, 3, 3, 5), {"padding": (0, 2)}),
    "rectangular-dilation": ((2, 3, 7, 9), (5, 3, 3, 3), {"dilation": (2, 3)}),
    "all-rectangular": (
        (2, 4, 9, 11),
        (6, 2, 3, 2),
        {"stride": (2, 1), "padding": (1, 3), "dilation": (1, 2), "groups": 2},
    ),
    "one-sided-padding": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": ((0, 2), (1, 0))}),
    "stride-2": ((2, 3, 8, 8), (8, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride-2-odd": ((2, 3, 7, 9), (8, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride-over-kernel": ((2, 3, 9, 10), (4, 3, 2, 2), {"stride": 3}),
    "stride-over-image": ((2, 3, 4, 5), (4, 3, 2, 3), {"stride": (7, 1000)}),
    "stride-over-image-padded": ((1, 2, 3, 4), (3, 2, 3, 3), {"stride": (2, 5), "padding": 4}),
    "stride-from-padding-to-padding": (
        (1, 2, 2, 3),
        (2, 1, 1, 1),
        {"stride": 7, "padding": 4, "groups": 2},
    ),
    "rows-left-over": ((1, 2, 8, 8), (3, 2, 3, 3), {"stride": 3}),
    "same": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": "same"}),
    "same-even-kernel": ((2, 3, 5, 6), (4, 3, 2, 4), {"padding": "same"}),
    "same-even-dilated": ((2, 2, 6, 7), (3, 2, 2, 4), {"padding": "same", "dilation": (3, 1)}),
    "valid": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": "valid"}),
    "windows-of-padding-alone": ((1, 2, 3, 3), (3, 2, 2, 2), {"padding": 3}),
    "dilated-past-the-edge": ((1, 2, 4, 4), (3, 2, 3, 3), {"padding": 4, "dilation": 4}),
    "groups": ((2, 6, 5, 5), (9, 2, 3, 3), {"groups": 3, "padding": 1}),
    "groups-of-many": ((1, 10, 5, 6), (34, 5, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 5, 6, 7), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depthwise-stride-2": ((2, 5, 7, 6), (5, 1, 3, 3), {"groups": 5, "padding": 1, "stride": 2}),
    "depthwise-multiplier": ((1, 3, 5, 6), (6, 1, 3, 2), {"groups": 3}),
    "depthwise-two-filters": ((1, 5, 5, 6), (10, 1, 3, 2), {"groups": 5}),
    "depthwise-5x5": ((2, 9, 6, 7), (9, 1, 5, 5), {"groups": 9, "padding": 2}),
    "depthwise-5x5-stride-2": (
        (2, 19, 9, 8),
        (19, 1, 5, 5),
        {"groups": 19, "padding": 2, "stride": 2},
    ),
    "depthwise-everything": (
        (2, 4, 11, 12),
        (4, 1, 3, 2),
        {"groups": 4, "padding": ((3, 0), (0, 2)), "stride": (2, 3), "dilation": (2, 4)},
    ),
    "depthwise-stride-over-kernel": ((1, 4, 9, 10), (4, 1, 2, 2), {"groups": 4, "stride": 3}),
    "depthwise-small-planes": ((35, 9, 2, 2), (9, 1, 3, 3), {"groups": 9, "padding": 1}),
    "depthwise-large-planes": ((1, 4, 40, 41), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "depthwise-large-planes-stride-2": (
        (1, 4, 47, 50),
        (4, 1, 3, 3),
        {"groups": 4, "padding": 1, "stride": 2},
    ),
    "groups-in-lanes": ((3, 18, 5, 6), (27, 2, 3, 3), {"groups": 9, "padding": 1}),
    "groups-in-lanes-stride-2": (
        (1, 36, 7, 9),
        (18, 4, 3, 2),
        {"groups": 9, "padding": 1, "stride": 2, "dilation": (1, 2)},
    ),
    "lenet-5x5": ((1, 6, 8, 8), (16, 6, 5, 5), {"padding": 2}),
    "stem-7x7": ((1, 3, 13, 13), (5, 3, 7, 7), {"stride": 2, "padding": 3}),
    "48-pixels": ((1, 3, 6, 8), (12, 3, 3, 3), {"padding": 1}),
    "49-pixels": ((1, 3, 7, 7), (13, 3, 3, 3), {"padding": 1}),
    "many-pixels": ((1, 2, 17, 31), (3, 2, 3, 3), {"padding": 1}),
    "many-images": ((11, 2, 3, 5), (4, 2, 3, 3), {"padding": 1}),
    "wide-rows": ((1, 1, 3, 70), (2, 1, 3, 3), {"padding": 1}),
    "many-outputs": ((1, 3, 3, 3), (101, 3, 2, 2), {}),
    "several-k-blocks": ((1, 70, 4, 5), (5, 70, 3, 3), {"padding": 1}),
    "many-k-blocks": ((1, 1301, 2, 2), (3, 1301, 1, 1), {}),
    "empty-batch": ((0, 3, 6, 6), (4, 3, 3, 3), {"padding": 1}),
}


def _conv2d(x_shape, weight_shape, options, bias=True):
    def make(rng):
        x, weight = _normal(rng, *x_shape), _normal(rng, *weight_shape)
        offset = {"bias": _normal(rng, weight_shape[0])} if bias else {}
        return {"x": x, "weight": weight, **offset, **options}

    return make


ENDINGS: dict[str, dict[str, Any]] = {
    "relu": {"activation": "relu"},
    "relu6": {"activation": "relu6"},
    "add": {"add": True},
    "add-relu": {"activation": "relu", "add": True},
}
# The others, which are tried with a few: that each way through the code ends in the same bits as
# two ops is test_endings.py.
OTHERS = tuple(name for name in oracle.ENDINGS if name not in ENDINGS)
# The cases of CONVOLUTIONS that are tested with these endings.
FINISHED = (
    "plain",
    "pointwise",
    "pointwise-planes",
    "stride-2-odd",
    "few-windows",
    "filter-lanes",
    "groups-of-many",
    "depthwise",
    "depthwise-two-filters",
    "depthwise-small-planes",
    "depthwise-large-planes",
    "several-k-blocks",
    "many-pixels",
    "empty-batch",
)


def _finished(x_shape, weight_shape, options, endings):
    def make(rng):
        given = _conv2d(x_shape, weight_shape, options)(rng) | endings
        if "add" in endings:
            given["add"] = _normal(rng, *conv_shape(x_shape, weight_shape, **options))
        return given

    return make


def conv_shape(x_shape, weight_shape, stride=1, padding=0, dilation=1, groups=1):
    """Shape of y of a convolution."""
    windows = oracle._Windows(*x_shape[2:], weight_shape[2:], stride, padding, dilation)
    return (x_shape[0], weight_shape[0], windows.oh, windows.ow)


def _conv2d_backward(x_shape, weight_shape, options, **more):
    def make(rng):
        x, weight = _normal(rng, *x_shape), _normal(rng, *weight_shape)
        dy = _normal(rng, *conv_shape(x_shape, weight_shape, **options))
        return {"dy": dy, "x": x, "weight": weight, **options, **more}

    return make


def _convolutions():
    for name, (x_shape, weight_shape, options) in CONVOLUTIONS.items():
        terms = int(np.prod(weight_shape[1:]))
        _, oc, oh, ow = conv_shape(x_shape, weight_shape, **options)
        behind = max(x_shape[0] * oh * ow, oc // options.get("groups", 1) * terms)
        _add("conv2d", name, _conv2d(x_shape, weight_shape, options), terms)
        _add("conv2d_backward", name, _conv2d_backward(x_shape, weight_shape, options), behind)
    shapes = ((2, 3, 6, 7), (4, 3, 3, 3), {"padding": 1})
    _add("conv2d", "no-bias", _conv2d(*shapes, bias=False), 27)
    _add("conv2d_backward", "no-dx", _conv2d_backward(*shapes, need_dx=False), 84)
    for name in FINISHED:
        x_shape, weight_shape, options = CONVOLUTIONS[name]
        terms = int(np.prod(weight_shape[1:])) + 1
        others = {
            other: {"activation": other} for other in OTHERS if name in ("plain", "depthwise")
        }
        for ending, given in (ENDINGS | others).items():
            full = f"{name}-{ending}"
            _add("conv2d", full, _finished(x_shape, weight_shape, options, given), terms)


# name: (x, weight, options)
TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 5, 6), (3, 4, 3, 3), {}),
    "one-pixel": ((3, 5, 1, 1), (5, 2, 1, 1), {}),
    "one-pixel-spread": ((3, 5, 1, 1), (5, 2, 4, 3), {}),
    # Pixels that no window meets: after the last one, in one direction or in both.
    "pointwise-output-padding": (
        (2, 3, 4, 5),
        (3, 4, 1, 1),
        {"dilation": (2, 3), "output_padding": (1, 2)},
    ),
    "pointwise-rows-padding": (
        (2, 3, 2, 2),
        (3, 4, 1, 1),
        {"dilation": 2, "output_padding": (1, 0)},
    ),
    "pointwise-columns-padding": (
        (2, 3, 9, 9),
        (3, 4, 1, 1),
        {"dilation": 2, "output_padding": (0, 1), "padding": ((0, 0), (1, 0))},
    ),
    "padded": ((2, 3, 5, 6), (3, 4, 3, 3), {"padding": 1}),
    "same": ((2, 3, 5, 6), (3, 4, 2, 3), {"padding": "same"}),
    "doubled": ((2, 3, 4, 5), (3, 6, 4, 4), {"stride": 2, "padding": 1}),
    "doubled-exactly": (
        (2, 5, 4, 5),
        (5, 3, 3, 3),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    "stride-is-kernel": ((2, 3, 4, 5), (3, 4, 2, 2), {"stride": 2}),
    "stride-over-kernel": ((2, 3, 3, 4), (3, 4, 2, 2), {"stride": 3, "output_padding": 2}),
    "padding-over-kernel": ((1, 2, 6, 7), (2, 3, 2, 2), {"padding": 2}),
    "one-sided-padding": ((2, 2, 5, 6), (2, 3, 3, 3), {"padding": ((0, 2), (1, 0))}),
    "dilated": ((2, 3, 4, 5), (3, 4, 3, 2), {"dilation": (2, 3)}),
    "dilated-output-padding": (
        (2, 3, 4, 5),
        (3, 4, 3, 2),
        {"dilation": (2, 3), "output_padding": (1, 2)},
    ),
    "all-rectangular": (
        (2, 4, 5, 6),
        (4, 3, 3, 2),
        {
            "stride": (2, 3),
            "padding": (1, 2),
            "output_padding": (1, 0),
            "dilation": (1, 2),
            "groups": 2,
        },
    ),
    "groups": ((2, 6, 5, 5), (6, 3, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    "depthwise": ((2, 9, 5, 4), (9, 1, 3, 3), {"groups": 9, "padding": 1}),
    "depthwise-doubled": ((2, 9, 5, 4), (9, 1, 4, 4), {"groups": 9, "padding": 1, "stride": 2}),
    "depthwise-two-filters": ((2, 5, 5, 4), (5, 2, 3, 3), {"groups": 5, "stride": (1, 2)}),
    "many-channels": ((1, 34, 6, 7), (34, 33, 3, 3), {"padding": 1}),
    "empty-batch": ((0, 3, 5, 6), (3, 4, 3, 3), {"stride": 2}),
}


def _transposed_shape(x_shape, weight_shape, options):
    defaults = {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
    return oracle.transposed_shape(x_shape, weight_shape, **{**defaults, **options})


def _conv_transpose2d(x_shape, weight_shape, options, bias=True):
    filters = weight_shape[1] * options.get("groups", 1)

    def make(rng):
        x, weight = _normal(rng, *x_shape), _normal(rng, *weight_shape)
        offset = {"bias": _normal(rng, filters)} if bias else {}
        return {"x": x, "weight": weight, **offset, **options}

    return make


def _conv_transpose2d_backward(x_shape, weight_shape, options, **more):
    def make(rng):
        x, weight = _normal(rng, *x_shape), _normal(rng, *weight_shape)
        dy = _normal(rng, *_transposed_shape(x_shape, weight_shape, options))
        return {"dy": dy, "x": x, "weight": weight, **options, **more}

    return make


def _transposed():
    for name, (x_shape, weight_shape, options) in TRANSPOSED.items():
        channels = x_shape[1] // options.get("groups", 1)
        terms = channels * int(np.prod(weight_shape[2:]))
        y_shape = _transposed_shape(x_shape, weight_shape, options)
        behind = max(y_shape[0] * y_shape[2] * y_shape[3], int(np.prod(weight_shape[1:])))
        forward = _conv_transpose2d(x_shape, weight_shape, options)
        backward = _conv_transpose2d_backward(x_shape, weight_shape, options)
        _add("conv_transpose2d", name, forward, terms)
        _add("conv_transpose2d_backward", name, backward, behind)
    shapes = ((2, 3, 5, 6), (3, 4, 3, 3), {"stride": 2})
    _add("conv_transpose2d", "no-bias", _conv_transpose2d(*shapes, bias=False), 27)
    no_dx = _conv_transpose2d_backward(*shapes, need_dx=False)
    _add("conv_transpose2d_backward", "no-dx", no_dx, 2 * 11 * 13)


# name: (x, kernel_size, options)
COLUMNS: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "plain": ((2, 3, 5, 6), 3, {}),
    "one-pixel": ((2, 3, 1, 1), 1, {}),
    "kernel-is-image": ((2, 3, 4, 5), (4, 5), {}),
    "padded": ((2, 3, 5, 6), 3, {"padding": 1}),
    "rectangular": ((1, 2, 8, 7), (2, 3), {"stride": (3, 1), "padding": (0, 2)}),
    "dilated": ((1, 2, 9, 8), 3, {"dilation": (2, 3), "padding": 1}),
    "stride-over-kernel": ((1, 2, 9, 10), 2, {"stride": 4}),
    "same-even-kernel": ((1, 2, 5, 6), (2, 4), {"padding": "same"}),
    "one-sided-padding": ((2, 2, 5, 6), 3, {"padding": ((0, 2), (1, 0))}),
    "windows-of-padding-alone": ((1, 2, 3, 3), 2, {"padding": 3}),
    "empty-batch": ((0, 3, 5, 5), 3, {}),
}


def _columns():
    for name, (x_shape, kernel, options) in COLUMNS.items():

        def im2col(rng, x_shape=x_shape, kernel=kernel, options=options):
            return {"x": _normal(rng, *x_shape), "kernel_size": kernel, **options}

        def col2im(rng, x_shape=x_shape, kernel=kernel, options=options):
            kh, kw = oracle._pair(kernel)
            n, _, oh, ow = conv_shape(x_shape, (1, 1, kh, kw), **options)
            cols = _normal(rng, n * oh * ow, x_shape[1] * kh * kw)
            return {"cols": cols, "x_shape": x_shape, "kernel_size": kernel, **options}

        _add("im2col", name, im2col)
        _add("col2im", name, col2im, int(np.prod(oracle._pair(kernel))))


# ---------------------------------------------------------------------------------------- pooling

# name: (x, kernel_size, options)
POOLS: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "plain": ((2, 3, 6, 8), 2, {}),
    "rows-left-over": ((2, 3, 7, 9), 2, {}),
    "one-pixel": ((2, 3, 1, 1), 1, {}),
    "kernel-is-image": ((2, 3, 4, 5), (4, 5), {}),
    "overlapping": ((2, 3, 7, 8), 3, {"stride": 2}),
    "overlapping-stride-1": ((1, 2, 6, 5), 3, {"stride": 1, "padding": 1}),
    "stride-over-kernel": ((1, 2, 9, 10), 2, {"stride": 3}),
    "rectangular": ((2, 2, 7, 9), (3, 2), {"stride": (1, 3), "padding": (1, 0)}),
    "padded": ((2, 3, 6, 7), 3, {"stride": 2, "padding": 1}),
    "padded-even": ((1, 2, 5, 6), (2, 4), {"padding": (1, 2)}),
    "ceil-mode": ((2, 3, 6, 7), 3, {"stride": 2, "ceil_mode": True}),
    "ceil-mode-padded": ((2, 2, 6, 8), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    "ceil-mode-needs-no-more": ((1, 2, 6, 6), 2, {"ceil_mode": True}),
    "ceil-mode-window-in-padding": ((1, 1, 3, 5), 2, {"stride": 3, "ceil_mode": True}),
    "ceil-mode-drops-a-window": ((1, 2, 4, 4), 2, {"stride": 3, "padding": 1, "ceil_mode": True}),
    "wide-rows": ((1, 2, 4, 70), 2, {}),
    "wide-rows-left-over": ((2, 1, 5, 39), 2, {}),
    "short-rows": ((3, 14, 10, 14), 2, {}),
    "short-rows-left-over": ((2, 1, 293, 15), 2, {}),
    "wide-rows-overlapping": ((1, 1, 5, 67), 3, {"stride": 2, "padding": 1}),
    "many-planes": ((5, 7, 3, 4), 2, {"stride": 1}),
    "large-planes": ((1, 2, 70, 45), 3, {"stride": 2, "padding": 1}),
    "large-planes-apart": ((1, 1, 103, 41), 2, {"stride": 5}),
    "kernel-of-256": ((1, 1, 17, 18), 16, {"stride": 1}),
    "kernel-of-272": ((1, 1, 18, 19), (17, 16), {"stride": 1}),
    "same": ((2, 2, 7, 8), (3, 2), {"stride": (2, 3), "padding": "same"}),
    "same-gap": ((1, 2, 9, 7), (1, 4), {"stride": (3, 1), "padding": "same", "ceil_mode": True}),
    "valid": ((1, 2, 5, 4), 2, {"padding": "valid"}),
    "empty-batch": ((0, 3, 6, 6), 2, {}),
}
DILATED_POOLS: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "dilated": ((2, 3, 9, 8), 3, {"stride": 2, "padding": 1, "dilation": 2}),
    "dilated-pairs": ((1, 2, 7, 9), 2, {"dilation": (3, 1), "stride": (1, 2)}),
    "dilated-ceil-mode": ((1, 2, 8, 9), (2, 3), {"dilation": 2, "padding": 1, "ceil_mode": True}),
    "dilated-same": ((1, 2, 6, 7), (3, 2), {"dilation": (2, 3), "stride": 2, "padding": "same"}),
    "dilated-over-image": ((1, 2, 2, 3), (3, 1), {"dilation": (3, 50), "padding": "same"}),
    "dilated-kernel-of-272": ((1, 1, 35, 18), (17, 16), {"stride": 1, "dilation": (2, 1)}),
    "dilated-empty-batch": ((0, 3, 6, 6), 2, {"dilation": 2}),
}
# Also tested with several maxima in a window.
TIES = ("plain", "wide-rows", "short-rows", "overlapping", "padded", "ceil-mode", "kernel-of-272")
TIES += ("dilated", "dilated-ceil-mode")
DIVISORS = ("plain", "wide-rows", "padded", "ceil-mode-padded", "empty-batch")


def _pools():
    for name, (shape, kernel, options) in (POOLS | DILATED_POOLS).items():
        _max_pools("max_pool2d", name, shape, kernel, options, _distinct)
        _max_pools("relu_max_pool2d", name, shape, kernel, options, _mostly_negative)
        if name in TIES:
            for op in ("max_pool2d", "relu_max_pool2d"):
                tie = "a window has several maxima"
                _max_pools(op, f"{name}-ties", shape, kernel, options, _repeating, kink=tie)
        _shared_max_pools(name, shape, kernel, options)
    for name, (shape, kernel, options) in POOLS.items():
        _avg_pools(name, shape, kernel, options)
        if "padding" in options or "ceil_mode" in options:
            more = {**options, "count_include_pad": False}
            _avg_pools(f"{name}-padding-not-counted", shape, kernel, more)
        if name in DIVISORS:
            _avg_pools(f"{name}-divisor", shape, kernel, {**options, "divisor_override": 5})
    for name in ("plain", "one-pixel", "wide-rows", "many-planes", "empty-batch"):
        _global_avg_pools(name, POOLS[name][0])


def _mostly_negative(rng, *shape):
    """As `_distinct`, but three of four are below zero, and none is close to it."""
    x = _distinct(rng, *shape)
    x -= x.max(initial=0) / 2
    return x + np.copysign(0.05, x)


def _repeating(rng, *shape):
    """One decimal, so that values repeat in a small window, and clipped, so that maxima do too."""
    return _normal(rng, *shape).round(1).clip(max=1.5)


def _max_pools(op, name, shape, kernel, options, draw, kink=""):
    def forward(rng):
        return {"x": draw(rng, *shape), "kernel_size": kernel, **options}

    def backward(rng):
        y, argmax = getattr(oracle, op)(draw(rng, *shape), kernel, **options)
        named = {"x_shape": shape, "kernel_size": kernel, **options}
        return {"dy": _normal(rng, *y.shape), "argmax": argmax, **named}

    _add(op, name, forward, kink=kink)
    _add(f"{op}_backward", name, backward, int(np.prod(oracle._pair(kernel))))


def _shared_max_pools(name, shape, kernel, options):
    """Backward to every maximum of a window."""

    def backward(rng):
        x = _repeating(rng, *shape)
        y, argmax = oracle.max_pool2d(x, kernel, **options)
        named = {"x_shape": shape, "kernel_size": kernel, **options, "ties": "all", "x": x}
        return {"dy": _normal(rng, *y.shape), "argmax": argmax, **named}

    length = int(np.prod(oracle._pair(kernel)))
    _add("max_pool2d_backward", f"{name}-all-ties", backward, length)


def _avg_pools(name, shape, kernel, options):
    pools = oracle._Pools(
        shape, kernel, options.get("stride"), options.get("padding", 0), "ceil_mode" in options
    )

    def forward(rng):
        return {"x": _normal(rng, *shape), "kernel_size": kernel, **options}

    def backward(rng):
        dy = _normal(rng, *shape[:2], *pools.size)
        return {"dy": dy, "x_shape": shape, "kernel_size": kernel, **options}

    length = int(np.prod(oracle._pair(kernel)))
    _add("avg_pool2d", name, forward, length)
    _add("avg_pool2d_backward", name, backward, length)


def _global_avg_pools(name, shape):
    def backward(rng):
        return {"dy": _normal(rng, *shape[:2], 1, 1), "x_shape": shape}

    _add("global_avg_pool2d", name, lambda rng: {"x": _normal(rng, *shape)}, shape[2] * shape[3])
    _add("global_avg_pool2d_backward", name, backward)


# name: (x, output_size)
ADAPTIVE: dict[str, tuple[tuple[int, ...], Any]] = {
    "plain": ((2, 3, 6, 8), (3, 5)),
    "whole-image": ((2, 3, 4, 5), 1),
    "whole-columns": ((2, 3, 7, 5), (1, None)),
    "side-by-side": ((2, 3, 6, 9), (2, 3)),
    "pairs": ((3, 2, 10, 18), (5, 9)),
    "rows-alone": ((1, 2, 9, 5), (4, None)),
    "size-kept": ((2, 2, 5, 4), None),
    "more-than-pixels": ((2, 2, 3, 4), (7, 5)),
    "many-from-one-pixel": ((2, 3, 1, 1), (3, 2)),
    "wide-rows": ((1, 2, 5, 70), (2, 3)),
    "large-planes": ((1, 2, 150, 133), (7, 7)),
    "empty-batch": ((0, 3, 6, 6), (2, 4)),
}


def _adaptive_pools():
    for name, (shape, output_size) in ADAPTIVE.items():
        size = oracle.adaptive_avg_pool2d(np.zeros((0, *shape[1:])), output_size).shape[2:]

        def forward(rng, shape=shape, output_size=output_size):
            return {"x": _normal(rng, *shape), "output_size": output_size}

        def backward(rng, shape=shape, size=size):
            return {"dy": _normal(rng, *shape[:2], *size), "x_shape": shape}

        cells = [-(-n // count) + 1 for n, count in zip(shape[2:], size)]
        readers = [-(-count // n) + 1 for n, count in zip(shape[2:], size)]
        _add("adaptive_avg_pool2d", name, forward, int(np.prod(cells)))
        _add("adaptive_avg_pool2d_backward", name, backward, int(np.prod(readers)))


# -------------------------------------------------------------------------- padding, another size

# name: (x, padding)
PADDING: dict[str, tuple[tuple[int, ...], Any]] = {
    "plain": ((2, 3, 4, 5), 1),
    "four-sides": ((2, 3, 4, 5), (1, 2, 3, 4)),
    "left": ((1, 2, 3, 4), (3, 0, 0, 0)),
    "bottom": ((1, 2, 3, 4), (0, 0, 0, 2)),
    "nothing": ((2, 2, 3, 3), 0),
    "cut-off": ((2, 3, 6, 7), (-1, -2, -3, -1)),
    "cut-off-and-padded": ((2, 3, 6, 7), (-2, 3, 2, -1)),
    "moved": ((2, 2, 4, 5), (2, -2, -1, 1)),
    "all-cut-off": ((2, 2, 4, 5), (0, 0, -2, -2)),
    "all-cut-off-and-padded": ((2, 2, 4, 5), (-5, 3, 0, 1)),
    "one-pixel": ((2, 3, 1, 1), 2),
    "wide-zeros": ((1, 2, 2, 3), (90, 5, 0, 1)),
    "no-rows": ((2, 3, 0, 4), 1),
    "empty-batch": ((0, 3, 4, 5), 1),
}
# name: (x, size or scale_factor), tried in both modes
RESIZED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 5, 4), {"size": (7, 9)}),
    "twice": ((2, 3, 4, 5), {"scale_factor": 2}),
    "twice-wide-rows": ((1, 2, 3, 35), {"scale_factor": 2.0}),
    "three-times": ((2, 2, 3, 4), {"scale_factor": 3}),
    "rows-alone": ((2, 2, 4, 5), {"scale_factor": (2.0, 1.0)}),
    "columns-alone": ((2, 2, 4, 5), {"size": (4, 10)}),
    "factors": ((2, 2, 6, 7), {"scale_factor": (0.51, 2.7)}),
    "factor-of-nearly-two": ((2, 2, 3, 6), {"scale_factor": (2.1, 2.11)}),
    "factor-of-nearly-one": ((1, 2, 14, 17), {"scale_factor": (1.01, 1.03)}),
    "half": ((2, 3, 8, 6), {"scale_factor": 0.5}),
    "smaller": ((2, 3, 9, 10), {"size": (4, 3)}),
    "one-pixel-of-many": ((2, 2, 5, 6), {"size": 1}),
    "many-of-one-pixel": ((2, 3, 1, 1), {"size": (3, 4)}),
    "many-rows-of-one": ((2, 2, 1, 5), {"size": (4, 4)}),
    "rounded-down": ((1, 1, 45, 1), {"size": (129, 1)}),
    "size-kept": ((2, 2, 4, 5), {"size": (4, 5)}),
    "large-planes": ((1, 2, 90, 61), {"size": (131, 140)}),
    "empty-batch": ((0, 3, 4, 5), {"scale_factor": 2}),
}


def _paddings():
    for name, (shape, padding) in PADDING.items():

        def make(rng, shape=shape, padding=padding):
            return {"x": _normal(rng, *shape), "padding": padding}

        _add("zero_pad2d", name, make)


def _resized():
    variants = {"": {}, "-bilinear": {"mode": "bilinear"}}
    variants["-corners"] = {"mode": "bilinear", "align_corners": True}
    for name, (shape, to) in RESIZED.items():
        for variant, mode in variants.items():
            options = to | mode
            size = oracle.interpolate(np.zeros((0, *shape[1:])), **options).shape[2:]

            def forward(rng, shape=shape, options=options):
                return {"x": _normal(rng, *shape), **options}

            def backward(rng, shape=shape, size=size, options=options):
                return {"dy": _normal(rng, *shape[:2], *size), "x_shape": shape, **options}

            readers = [2 * (-(-count // n) + 1) for n, count in zip(shape[2:], size)]
            _add("interpolate", name + variant, forward, 4)
            _add("interpolate_backward", name + variant, backward, int(np.prod(readers)))


# --------------------------------------------------------------------------- linear, normalisation

# name: (leading sizes of x, in, out)
LINEAR: dict[str, tuple[tuple[int, ...], int, int]] = {
    "plain": ((4,), 6, 5),
    "one-to-one": ((3,), 1, 1),
    "one-to-many": ((3,), 1, 17),
    "many-to-one": ((3,), 33, 1),
    "one-line": ((1,), 13, 10),
    "odd": ((7,), 37, 19),
    "full-tiles": ((12,), 16, 32),
    "many-lines": ((101,), 5, 3),
    "many-outputs": ((2,), 3, 131),
    "many-k-blocks": ((3,), 1301, 4),
    "few-lines-many-k-blocks": ((7,), 601, 35),
    "many-blocks": ((290,), 3, 270),
    "vector": ((), 6, 5),
    "four-dimensions": ((2, 3, 2), 5, 4),
    "empty-batch": ((0,), 6, 5),
}


def _linears():
    for name, (lead, inputs, outputs) in LINEAR.items():

        def forward(rng, bias=True, lead=lead, inputs=inputs, outputs=outputs):
            x, weight = _normal(rng, *lead, inputs), _normal(rng, outputs, inputs)
            return {"x": x, "weight": weight} | ({"bias": _normal(rng, outputs)} if bias else {})

        def backward(rng, need_dx=True, lead=lead, inputs=inputs, outputs=outputs):
            x, weight = _normal(rng, *lead, inputs), _normal(rng, outputs, inputs)
            dy = _normal(rng, *lead, outputs)
            return {"dy": dy, "x": x, "weight": weight, "need_dx": need_dx}

        behind = max(int(np.prod(lead)), outputs)
        _add("linear", name, forward, inputs)
        if name in ("odd", "many-k-blocks", "many-lines", "four-dimensions", "empty-batch"):
            _add("linear", f"{name}-relu", lambda rng, f=forward: f(rng) | RELU, inputs)
            relu6 = {"activation": "relu6"}
            _add("linear", f"{name}-relu6", lambda rng, f=forward, e=relu6: f(rng) | e, inputs)
        _add("linear_backward", name, backward, behind)
        if name == "odd":
            _add("linear", "no-inputs-relu", _no_inputs)
            for other in OTHERS:
                end = {"activation": other}
                _add("linear", f"odd-{other}", lambda rng, f=forward, e=end: f(rng) | e, inputs)
            _add("linear", "no-bias", lambda rng, f=forward: f(rng, bias=False), inputs)
            _add("linear_backward", "no-dx", lambda rng, f=backward: f(rng, need_dx=False), behind)


RELU = {"activation": "relu"}


def _no_inputs(rng):
    return {"x": np.zeros((3, 0)), "weight": np.zeros((4, 0)), "bias": _normal(rng, 4)} | RELU


# name: (x, other arguments, options)
_ALL = ("weight", "bias", "running_mean", "running_var")
NORMS: dict[str, tuple[tuple[int, ...], tuple[str, ...], dict[str, Any]]] = {
    "2-d": ((5, 3), _ALL, {}),
    "3-d": ((3, 4, 5), _ALL, {}),
    "4-d": ((2, 3, 4, 5), _ALL, {}),
    "one-image": ((1, 3, 4, 5), _ALL, {}),
    "one-pixel": ((6, 3, 1, 1), _ALL, {}),
    "one-channel": ((4, 1, 3, 3), _ALL, {}),
    "many-channels": ((3, 37, 2, 2), _ALL, {}),
    "wide-rows": ((1, 2, 3, 41), _ALL, {}),
    "alone": ((4, 3, 2, 3), (), {}),
    "weight-alone": ((4, 3, 2, 3), ("weight",), {}),
    "bias-alone": ((4, 3, 2, 3), ("bias",), {}),
    "statistics-alone": ((4, 3, 2, 3), ("running_mean", "running_var"), {}),
    "momentum-and-eps": ((4, 3, 2, 3), _ALL, {"momentum": 0.37, "eps": 0.01}),
    "inference": ((4, 3, 2, 3), _ALL, {"training": False}),
    "inference-2-d": ((5, 17), _ALL, {"training": False}),
    "inference-alone": ((4, 3, 5), ("running_mean", "running_var"), {"training": False}),
    "inference-one-value": ((1, 3), _ALL, {"training": False}),
    "inference-empty-batch": ((0, 3, 2, 2), _ALL, {"training": False}),
    "many-images": ((70, 2, 9, 7), _ALL, {}),
    "many-rows": ((300, 3), _ALL, {}),
    "many-columns": ((2, 90, 7, 7), _ALL, {}),
    "longest-short-planes": ((2, 3, 127), _ALL, {}),
    "large-planes": ((2, 2, 67, 71), _ALL, {}),
    "relu": ((3, 18, 4, 5), _ALL, RELU),
    "relu6": ((2, 3, 5, 37), _ALL, {"activation": "relu6"}),
    "relu-2-d": ((9, 19), _ALL, RELU),
    "relu-large-planes": ((2, 2, 17, 19), _ALL, RELU),
    "relu6-2-d": ((9, 3), _ALL, {"activation": "relu6"}),
    "relu-alone": ((4, 3, 2, 3), (), RELU),
    "inference-relu": ((4, 3, 2, 5), _ALL, {"training": False} | RELU),
    "inference-relu6-2-d": ((5, 17), _ALL, {"training": False, "activation": "relu6"}),
}
for _name in OTHERS:
    NORMS |= {
        _name: ((3, 18, 4, 5), _ALL, {"activation": _name}),
        f"{_name}-2-d": ((9, 19), _ALL, {"activation": _name}),
        f"inference-{_name}": ((4, 3, 2, 5), _ALL, {"training": False, "activation": _name}),
    }


def _norms():
    def arrays(rng, shape, given):
        c = shape[1]
        spread = np.arange(1, c + 1).reshape(1, c, *[1] * (len(shape) - 2))
        x = _normal(rng, *shape) * np.sqrt(spread) + spread / 4
        drawn = {"weight": 1 + _normal(rng, c) / 4, "bias": _normal(rng, c)}
        drawn |= {"running_mean": _normal(rng, c), "running_var": 0.5 + rng.random(c)}
        return x, {name: value for name, value in drawn.items() if name in given}

    for name, (shape, given, options) in NORMS.items():

        def forward(rng, shape=shape, given=given, options=options):
            x, drawn = arrays(rng, shape, given)
            return {"x": x, **drawn, **options}

        def backward(rng, shape=shape, given=given, options=options):
            x, drawn = arrays(rng, shape, given)
            _, mean, inv_std = oracle.batch_norm(x, **drawn, **options)
            named = {"mean": mean, "inv_std": inv_std, "training": options.get("training", True)}
            if "activation" in options:
                named |= {"bias": drawn.get("bias"), "activation": options["activation"]}
            return {"dy": _normal(rng, *shape), "x": x, "weight": drawn.get("weight"), **named}

        length = shape[0] * int(np.prod(shape[2:]))
        _add("batch_norm", name, forward, length)
        if name in ("2-d", *oracle.ENDINGS, "inference-relu"):

            def adding(rng, forward=forward, shape=shape):
                return forward(rng) | {"add": _normal(rng, *shape)}

            _add("batch_norm", f"{name}-add", adding, length)
        if length < 1000:  # the oracle's time grows with its square
            _add("batch_norm_backward", name, backward, length)


# name: (indices, their type, weight, padding_idx)
EMBEDDINGS: dict[str, tuple[tuple[int, ...], str, tuple[int, int], int | None]] = {
    "words": ((5,), "int64", (7, 3), None),
    "texts": ((4, 9), "int32", (6, 70), 2),
    "bytes": ((2, 3, 5), "uint8", (200, 1), 199),
    "one-row": ((8,), "int64", (1, 4), None),
    "repeated": ((900,), "int16", (3, 5), 0),
    "empty-batch": ((0, 4), "int64", (5, 3), None),
    "rows-of-nothing": ((3, 2), "int64", (4, 0), None),
}


def _embeddings():
    for name, (shape, dtype, weight, padding) in EMBEDDINGS.items():

        def forward(rng, shape=shape, dtype=dtype, weight=weight):
            numbers = rng.integers(weight[0], size=shape).astype(dtype)
            return {"indices": numbers, "weight": _normal(rng, *weight)}

        def backward(rng, forward=forward, shape=shape, weight=weight, padding=padding):
            dy, numbers = _normal(rng, *shape, weight[1]), forward(rng)["indices"]
            more = {"num_embeddings": weight[0], "padding_idx": padding}
            return {"dy": dy, "indices": numbers, **more}

        _add("embedding", name, forward)
        _add("embedding_backward", name, backward, int(np.prod(shape)))


# name: (x, groups, arguments, options)
_BOTH = ("weight", "bias")
GROUPS: dict[str, tuple[tuple[int, ...], int, tuple[str, ...], dict[str, Any]]] = {
    "images": ((2, 6, 4, 5), 3, _BOTH, {}),
    "one-group": ((2, 6, 3), 1, _BOTH, {}),
    "groups-of-one": ((2, 5, 3, 3), 5, _BOTH, {}),
    "alone": ((3, 4, 2, 3), 2, (), {}),
    "weight-alone": ((3, 4, 2, 3), 2, ("weight",), {"eps": 0.01}),
    "bias-alone": ((3, 4, 2, 3), 2, ("bias",), {}),
    "features": ((7, 38), 2, _BOTH, {}),
    "many-images": ((40, 4, 3, 3), 2, _BOTH, {}),
    "long-planes": ((2, 4, 12, 13), 2, _BOTH, {}),
    "long-planes-alone": ((2, 4, 12, 13), 2, (), {}),
    "large-planes": ((1, 2, 71, 67), 1, _BOTH, {}),
    "empty-batch": ((0, 4, 2, 3), 2, _BOTH, {}),
}
# name: (x, normalized_shape, arguments, options)
LAYERS: dict[str, tuple[tuple[int, ...], Any, tuple[str, ...], dict[str, Any]]] = {
    "features": ((5, 37), 37, _BOTH, {}),
    "tokens": ((2, 3, 19), (19,), _BOTH, {}),
    "images": ((3, 2, 4, 5), (2, 4, 5), _BOTH, {}),
    "one-vector": ((9,), 9, _BOTH, {"eps": 0.01}),
    "alone": ((4, 6), 6, (), {}),
    "weight-alone": ((4, 6), 6, ("weight",), {}),
    "bias-alone": ((4, 6), 6, ("bias",), {}),
    "many-rows": ((300, 3), 3, _BOTH, {}),
    "long-rows": ((2, 4500), 4500, _BOTH, {}),
    "empty-batch": ((0, 6), 6, _BOTH, {}),
}


def _row_norms():
    tables = ("group_norm", "num_groups", GROUPS), ("layer_norm", "normalized_shape", LAYERS)
    for op, key, table in tables:
        for name, (shape, value, given, options) in table.items():
            trained = (shape[1],) if op == "group_norm" else np.zeros(shape[-1:]).shape
            if op == "layer_norm":
                trained = (value,) if isinstance(value, int) else value
            row = int(np.prod(shape[1:])) // value if op == "group_norm" else int(np.prod(trained))

            def forward(
                rng, shape=shape, key=key, value=value, given=given, more=options, t=trained
            ):
                x = {"x": 2 * _normal(rng, *shape) + 0.5, key: value}
                drawn = {"weight": 1 + _normal(rng, *t) / 4, "bias": _normal(rng, *t)}
                return x | {name: a for name, a in drawn.items() if name in given} | more

            def backward(rng, forward=forward, op=op, key=key):
                a = forward(rng)
                _, mean, inv_std = getattr(oracle, op)(**a)
                saved = {"weight": a.get("weight"), "mean": mean, "inv_std": inv_std}
                return {"dy": _normal(rng, *a["x"].shape), "x": a["x"], key: a[key], **saved}

            _add(op, name, forward, row)
            if row < 1000:  # the oracle's time grows with its square
                _add(f"{op}_backward", name, backward, max(row, int(np.prod(shape))))


# name: (x, size, options)
RESPONSES: dict[str, tuple[tuple[int, ...], int, dict[str, Any]]] = {
    "usual": ((2, 7, 4, 5), 5, {}),
    "even": ((2, 7, 4, 5), 4, {"alpha": 0.5}),
    "strong": ((3, 6, 11), 3, {"alpha": 2.0, "beta": 0.5, "k": 2.0}),
    "one-channel-window": ((2, 3, 4), 1, {"alpha": 1.0}),
    "wider-than-channels": ((2, 3, 2, 2), 9, {"alpha": 1.0, "beta": 1.5}),
    "without-power": ((2, 3, 2, 2), 3, {"alpha": 1.0, "beta": 0.0}),
    "many-pixels": ((1, 4, 19, 31), 3, {"alpha": 0.1}),
    "empty-batch": ((0, 3, 2, 2), 3, {}),
}


def _responses():
    for name, (shape, size, options) in RESPONSES.items():

        def forward(rng, shape=shape, size=size, options=options):
            return {"x": 2 * _normal(rng, *shape), "size": size, **options}

        def backward(rng, forward=forward, shape=shape):
            given = forward(rng)
            return {"dy": _normal(rng, *shape), **given}

        _add("local_response_norm", name, forward, size)
        _add("local_response_norm_backward", name, backward, size)


# ------------------------------------------------------------------------------------ activations

SHAPES: dict[str, tuple[int, ...]] = {
    "one-value": (1,),
    "vector": (37,),
    "matrix": (5, 7),
    "image": (2, 3, 4, 5),
    "several-vectors": (3, 129),
    "empty": (0, 4),
}
# name: (x, axis)
SOFTMAX: dict[str, tuple[tuple[int, ...], int]] = {
    "matrix": ((5, 7), 1),
    "axis-0": ((5, 7), 0),
    "last-axis": ((2, 3, 4), -1),
    "axis-0-of-4-d": ((3, 2, 2, 3), 0),
    "axis-1-of-4-d": ((2, 5, 3, 4), 1),
    "last-axis-of-4-d": ((2, 2, 3, 6), -1),
    "one-class": ((4, 1), 1),
    "vector": ((9,), 0),
    "many-classes": ((2, 131), 1),
    "far-apart": ((4, 6), 1),
    "empty-batch": ((0, 5), 1),
    "no-classes": ((3, 0, 2), 1),
    "no-classes-in-short-vectors": ((3, 0), -1),
}


def _activations():
    for name, shape in SHAPES.items():

        def unary(rng, shape=shape, draw=_normal):
            return {"x": draw(rng, *shape)}

        def binary(rng, second, function, shape=shape, draw=_normal):
            x = draw(rng, *shape)
            return {"dy": _normal(rng, *shape), second: function(x)}

        for op in (*oracle.ENDINGS, "sigmoid", "tanh"):
            draw = _away_from(oracle.ENDINGS[op]) if op in oracle.ENDINGS else _normal
            saved = oracle.saves(op)
            function = getattr(oracle, op) if saved == "y" else np.copy
            _add(op, name, lambda rng, u=unary, d=draw: u(rng, draw=d))
            _add(
                f"{op}_backward",
                name,
                lambda rng, b=binary, d=draw, f=function, s=saved: b(rng, s, f, draw=d),
            )
        for more in ({}, {"negative_slope": 0.3}):
            full = name + "".join(f"-slope-{slope}" for slope in more.values())
            _add("leaky_relu", full, lambda rng, u=unary, m=more: u(rng, draw=_away_from_zero) | m)
            _add(
                "leaky_relu_backward",
                full,
                lambda rng, b=binary, m=more: b(rng, "x", np.copy, draw=_away_from_zero) | m,
            )
        _add("add", name, lambda rng, s=shape: {"x": _normal(rng, *s), "y": _normal(rng, *s)})
    # Far from zero the curves saturate: no overflow and no lost sign.
    for op in ("sigmoid", "tanh"):
        _add(op, "saturated", lambda rng: {"x": np.array([-800.0, -90, -30, -5, 5, 30, 90, 800])})
    zeros = np.array([0.0, -0.0, 1, -1])
    _add("leaky_relu", "zeros", lambda rng: {"x": zeros}, kink="it bends at 0")
    for op, bends in oracle.ENDINGS.items():
        beside = [bend + step for bend in bends for step in (0, -1e-3, 1e-3)]
        ends = np.array([*beside, 0.0, -0.0, 1e-30])

        def back(rng, op=op, ends=ends):
            saved = oracle.saves(op)
            return {
                "dy": _normal(rng, ends.size),
                saved: ends if saved == "x" else getattr(oracle, op)(ends),
            }

        kink = f"it bends at {bends}" if bends else ""
        _add(op, "ends", lambda rng, x=ends: {"x": x}, kink=kink)
        _add(f"{op}_backward", "ends", back)


# op: the options of its cases, by name
CURVES: dict[str, dict[str, dict[str, Any]]] = {
    "elu": {"": {}, "alpha": {"alpha": 0.3}},
    "gelu": {"": {}, "tanh": {"approximate": "tanh"}},
    "mish": {"": {}},
    "silu": {"": {}},
    "softplus": {"": {}, "steep": {"beta": 3.0, "threshold": 0.4}, "falling": {"beta": -0.5}},
}
# name: (x, weight)
SLOPES: dict[str, tuple[tuple[int, ...], int]] = {
    "one-slope": ((3, 4, 5), 1),
    "vector": ((37,), 1),
    "matrix": ((5, 7), 7),
    "many-rows": ((300, 3), 3),
    "image": ((2, 3, 4, 5), 3),
    "long-planes": ((2, 3, 6, 7), 3),
    "large-planes": ((2, 2, 71, 67), 2),
    "one-channel": ((3, 1, 5), 1),
    "empty-batch": ((0, 3, 4), 3),
}


def _curves():
    for op, variants in CURVES.items():
        for more, options in variants.items():
            # In a row of 37, away from where softplus is cut off and elu bends.
            bends = (options["threshold"] / options["beta"],) if more == "steep" else (0,)
            shapes = {"vector": (37,)} if more else SHAPES
            for name, shape in shapes.items():

                def forward(rng, shape=shape, bends=bends, options=options):
                    return {"x": 2 * _away_from(bends)(rng, *shape), **options}

                def backward(rng, forward=forward, shape=shape):
                    given = forward(rng)
                    return {"dy": _normal(rng, *shape), **given}

                full = f"{name}-{more}" if more else name
                _add(op, full, forward)
                _add(f"{op}_backward", full, backward)
        far = np.array([-800.0, -95, -86, -30, -9, -5, -1e-3, 0, 1e-3, 5, 9, 19, 30, 95, 800])
        _add(op, "far-apart", lambda rng, x=far: {"x": x})
        _add(f"{op}_backward", "far-apart", lambda rng, x=far: {"dy": _normal(rng, x.size), "x": x})
    for name, (shape, slopes) in SLOPES.items():

        def sloped(rng, shape=shape, slopes=slopes):
            return {"x": _away_from_zero(rng, *shape), "weight": _normal(rng, slopes)}

        def sloped_backward(rng, forward=sloped, shape=shape):
            given = forward(rng)
            return {"dy": _normal(rng, *shape), **given}

        _add("prelu", name, sloped)
        _add("prelu_backward", name, sloped_backward, int(np.prod(shape)) // max(slopes, 1))


# name: (x, y). Gates, one for each channel or for each pixel; in an outer product both broadcast.
PRODUCTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "one-value": ((1,), (1,)),
    "no-axes": ((), ()),
    "vector": ((37,), (37,)),
    "image": ((2, 3, 4, 5), (2, 3, 4, 5)),
    "gate": ((2, 19, 5, 7), (2, 19, 1, 1)),
    "gate-first": ((2, 3, 1, 1), (2, 3, 4, 5)),
    "gate-of-large-planes": ((1, 2, 70, 80), (1, 2, 1, 1)),
    "gate-of-pixels": ((2, 5, 3, 7), (2, 1, 3, 7)),
    "gate-of-pixels-first": ((2, 1, 3, 7), (2, 5, 3, 7)),
    "gate-of-many-pixels": ((2, 3, 23, 31), (2, 1, 23, 31)),
    "channels": ((4, 3, 5, 2), (1, 3, 1, 1)),
    "features": ((9, 131), (1, 131)),
    "rows": ((9, 131), (9, 1)),
    "features-of-many": ((150, 5), (1, 5)),
    "long-rows": ((2, 17000), (2, 1)),
    "long-features": ((1, 17000), (3, 17000)),
    "number": ((3, 4, 5), (1, 1, 1)),
    "last-and-first": ((4, 3, 5), (4, 1, 5)),
    "alternate": ((2, 3, 4, 3, 2), (2, 1, 4, 1, 2)),
    "both": ((3, 1, 4), (1, 5, 4)),
    "outer": ((7, 1), (1, 9)),
    "both-alternate": ((2, 1, 3, 1), (1, 4, 1, 5)),
    "empty-batch": ((0, 3, 4, 4), (0, 3, 1, 1)),
    "empty-broadcast": ((0, 3, 4, 4), (1, 3, 1, 1)),
}


def _products():
    for name, (x_shape, y_shape) in PRODUCTS.items():
        shape = np.broadcast_shapes(x_shape, y_shape)

        def forward(rng, x_shape=x_shape, y_shape=y_shape):
            x, y = _normal(rng, *x_shape), _normal(rng, *y_shape)
            return {"x": np.asarray(x), "y": np.asarray(y)}

        def backward(rng, forward=forward, shape=shape):
            given = forward(rng)
            return {"dy": np.asarray(_normal(rng, *shape)), **given}

        terms = max(1, int(np.prod(shape)) // max(1, min(np.prod(x_shape), np.prod(y_shape))))
        _add("multiply", name, forward)
        _add("multiply_backward", name, backward, int(terms))


# name: (x, y), besides those of PRODUCTS
BROADCAST: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "other-axes": ((2, 3, 4), (4,)),
    "other-axes-first": ((5,), (3, 1, 5)),
    "number-first": ((), (3, 7)),
}
BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
UNARY: dict[str, dict[str, float]] = {
    **{key: {} for key in ("abs", "negative", "reciprocal", "sqrt", "exp", "log")},
    "clip": {"a": -0.4, "b": 0.9},
    "affine": {"a": 1.7, "b": -0.3},
}
ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.0, np.nan, 3.0])


def _arithmetic():
    for function in BINARY:
        for name, (x_shape, y_shape) in (PRODUCTS | BROADCAST).items():

            def make(rng, x_shape=x_shape, y_shape=y_shape, function=function):
                x, y = (np.asarray(_away_from_zero(rng, *s)) for s in (x_shape, y_shape))
                return {"x": x, "y": y, "function": function}

            _add("binary", f"{function}-{name}", make)
        odd = {"x": ODD[:, None], "y": ODD, "function": function}
        _add("binary", f"{function}-odd", lambda rng, odd=odd: odd)
    for function, settings in UNARY.items():
        for name, shape in SHAPES.items():

            def one(rng, shape=shape, function=function, settings=settings):
                x = _away_from_zero(rng, *shape)
                x = np.abs(x) if function in ("sqrt", "log") else x
                return {"x": x, "function": function, **settings}

            _add("unary", f"{function}-{name}", one)
        odd = {"x": ODD, "function": function, **settings}
        _add("unary", f"{function}-odd", lambda rng, odd=odd: odd)
    bounds = {"function": "clip", "a": -np.inf, "b": 0.2}
    _add("unary", "clip-one-side", lambda rng: {"x": _normal(rng, 37), **bounds})
    far = np.array([-1000.0, -200, -100, -80, -1e-3, 1e-3, 60, 80, 85])
    _add("unary", "exp-far", lambda rng: {"x": far, "function": "exp"})


# name: (x, axes)
REDUCED: dict[str, tuple[tuple[int, ...], Any]] = {
    "rows": ((5, 37), 1),
    "columns": ((37, 5), 0),
    "all": ((3, 4, 5), None),
    "pixels": ((2, 3, 4, 5), (2, 3)),
    "pixels-from-the-end": ((2, 3, 4, 5), [-1, -2]),
    "channels": ((2, 19, 4, 5), 1),
    "middle": ((2, 3, 4, 5), (1, 2)),
    "none": ((3, 4), ()),
    "number": ((), None),
    "one-column": ((3, 9, 1), 1),
    "long-row": ((2, 9001), 1),
    "many-rows": ((20001, 2), 1),
    "many-columns": ((3, 1301), 0),
    "many-rows-of-columns": ((2, 151, 7), 1),
    "empty-batch": ((0, 3, 4), 2),
}


def _reductions():
    for function in ("sum", "mean", "max", "min", "sum_square", "l2"):
        for name, (shape, axes) in REDUCED.items():
            options = {"function": function, "axes": axes, "keepdims": len(name) % 2 == 0}

            def make(rng, shape=shape, options=options):
                return {"x": np.asarray(_normal(rng, *shape)), **options}

            given = np.atleast_1d(range(len(shape)) if axes is None else axes).astype(int)
            _add("reduce", f"{function}-{name}", make, int(np.prod([shape[i] for i in given])))
    for function in ("sum", "sum_square", "l2"):
        nothing = {"x": np.zeros((3, 0)), "function": function, "axes": 1}
        _add("reduce", f"{function}-of-none", lambda rng, nothing=nothing: nothing)
    for function in ("max", "min"):
        x = np.tile(ODD[3:7], 12).reshape(4, 12)
        some = {"x": np.concatenate([x, -x]), "function": function}
        _add("reduce", f"{function}-zeros", lambda rng, some=some: {**some, "axes": 1})
        _add("reduce", f"{function}-zeros-of-columns", lambda rng, some=some: {**some, "axes": 0})


# name: (steps, n, inputs, hidden, direction)
RECURRENT: dict[str, tuple[int, int, int, int, str]] = {
    "one-step": (1, 1, 5, 4, "forward"),
    "few-steps": (3, 2, 5, 7, "reverse"),
    "several-blocks": (2, 1, 3, 37, "forward"),
    "both": (2, 3, 4, 5, "bidirectional"),
    "many-steps": (9, 3, 5, 19, "forward"),
    "many-steps-reverse": (70, 2, 1, 3, "reverse"),
    "many-steps-both": (67, 2, 3, 2, "bidirectional"),
    "one-unit": (8, 2, 1, 1, "forward"),
    "no-steps": (0, 2, 3, 4, "forward"),
    "empty-batch": (3, 0, 3, 4, "forward"),
}


def _recurrent(steps, n, inputs, hidden, direction, given=("h", "c")):
    sides = 2 if direction == "bidirectional" else 1

    def make(rng):
        arrays = {
            "x": _normal(rng, steps, n, inputs),
            "w": _normal(rng, sides, 4 * hidden, inputs) / np.sqrt(inputs),
            "r": _normal(rng, sides, 4 * hidden, hidden) / np.sqrt(hidden),
            "b": _normal(rng, sides, 8 * hidden) / 2,
            "h": _normal(rng, sides, n, hidden) / 2,
            "c": _normal(rng, sides, n, hidden),
        }
        absent = {"h", "c"} - set(given)
        return {k: a for k, a in arrays.items() if k not in absent} | {"direction": direction}

    return make


def _lstms():
    for name, sizes in RECURRENT.items():
        length = sizes[2] + sizes[3]
        _add("lstm", name, _recurrent(*sizes), length)
        _add("lstm", f"{name}-from-zeros", _recurrent(*sizes, given=()), length)
    _add("lstm", "without-h", _recurrent(2, 2, 3, 4, "forward", given=("c",)), 7)


# name: (x, padding)
BORDERS: dict[str, tuple[tuple[int, ...], list[tuple[int, int]]]] = {
    "vector": ((5,), [(2, 3)]),
    "signal": ((1, 2, 90), [(0, 0), (0, 0), (33, 31)]),
    "wider-than-x": ((2, 3), [(0, 0), (7, 9)]),
    "every-axis": ((2, 3, 4), [(1, 0), (2, 1), (0, 3)]),
    "cropped": ((3, 6, 5), [(-1, 1), (-2, -1), (2, -3)]),
    "one-element": ((1, 3), [(2, 2), (0, 0)]),
    "nothing-added": ((3, 4), [(0, 0), (0, 0)]),
    "many-rows": ((2, 160, 61), [(1, 1), (0, 2), (1, 1)]),
    "empty-batch": ((0, 3), [(0, 0), (2, 2)]),
    "number": ((), []),
}


def _borders():
    for name, (shape, padding) in BORDERS.items():
        for mode in ("constant", "edge", "reflect", "wrap"):
            options = {"mode": mode} | ({"value": 2.5} if mode == "constant" else {})

            def make(rng, shape=shape, padding=padding, options=options):
                return {"x": np.asarray(_normal(rng, *shape)), "padding": padding, **options}

            _add("pad", f"{name}-{mode}", make)
    _add("pad", "all-cropped", lambda rng: {"x": _normal(rng, 2, 3), "padding": [(0, 0), (-3, 2)]})


# name: (shape of the joined array, sizes, axis)
JOINED: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "channels": ((2, 9, 4, 5), (2, 4, 3), 1),
    "one": ((2, 3, 4), (3,), 1),
    "batches": ((5, 3, 2), (2, 3), 0),
    "last-axis": ((3, 2, 9), (1, 8), -1),
    "middle-axis": ((3, 2, 9, 2), (4, 5), -2),
    "vector": ((7,), (3, 4), 0),
    "nothing-among-them": ((2, 6, 3), (0, 4, 0, 0, 2, 0), 1),
    "many": ((3, 90, 2, 2), (3,) * 30, 1),
    "single-elements": ((40, 5), (1, 1, 1, 1, 1), 1),
    "large-planes": ((2, 3, 61, 93), (1, 2), 1),
    "empty-batch": ((0, 5, 3, 3), (2, 3), 1),
    "empty-axis": ((2, 0, 3), (0, 0), 1),
}


def _joins():
    for name, (shape, sizes, axis) in JOINED.items():

        def apart(rng, shape=shape, sizes=sizes, axis=axis):
            return {"x": _normal(rng, *shape), "sizes": sizes, "axis": axis}

        def together(rng, shape=shape, sizes=sizes, axis=axis):
            shapes = [[*shape] for _ in sizes]
            for part, size in zip(shapes, sizes):
                part[axis] = size
            return {"arrays": [_normal(rng, *part) for part in shapes], "axis": axis}

        _add("concat", name, together)
        _add("split", name, apart)


def _softmaxes():
    for name, (shape, axis) in SOFTMAX.items():
        scale = 100 if name == "far-apart" else 1

        def forward(rng, shape=shape, axis=axis, scale=scale):
            return {"x": scale * _normal(rng, *shape), "axis": axis}

        for op in ("softmax", "log_softmax"):

            def backward(rng, forward=forward, op=op):
                arguments = forward(rng)
                y = getattr(oracle, op)(**arguments)
                return {"dy": _normal(rng, *y.shape), "y": y, "axis": arguments["axis"]}

            _add(op, name, forward, shape[axis])
            _add(f"{op}_backward", name, backward, shape[axis])


# name: (shape, p, seed, call)
DROPOUT: dict[str, tuple[tuple[int, ...], float, int, int]] = {
    "half": ((6, 11), 0.5, 0, 0),
    "one-value": ((1,), 0.5, 3, 1),
    "little": ((3, 4, 5, 3), 0.1, 12345, 7),
    "much": ((129,), 0.9, 1, 2**40),
    "nothing": ((5, 7), 0.0, 1, 1),
    "everything": ((5, 7), 1.0, 1, 1),
    "largest-seed-and-call": ((40,), 0.3, 2**63 - 1, 2**63 - 1),
    "empty": ((0, 4), 0.5, 0, 0),
}


def _dropouts():
    for name, (shape, p, seed, count) in DROPOUT.items():
        for op, first in (("dropout", "x"), ("dropout_backward", "dy")):

            def make(rng, first=first, shape=shape, p=p, seed=seed, count=count):
                return {first: _normal(rng, *shape), "p": p, "seed": seed, "call": count}

            _add(op, name, make)


# ----------------------------------------------------------------------------------------- losses

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# name: (logits, target type, options); "weight" in options stands for drawn class weights.
CROSS_ENTROPY: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    **{dtype: ((5, 4), dtype, {}) for dtype in INTEGERS},
    "one-image": ((1, 10), "int64", {}),
    "one-class": ((3, 1), "int64", {}),
    "many-classes": ((3, 131), "int64", {}),
    "many-lines": ((67, 3), "int64", {}),
    "sum": ((5, 4), "int64", {"reduction": "sum"}),
    "weight": ((5, 4), "int64", {"weight": True}),
    "weight-sum": ((5, 4), "int64", {"weight": True, "reduction": "sum"}),
    "smooth": ((5, 4), "int64", {"label_smoothing": 0.1}),
    "smooth-weight": ((5, 4), "int32", {"label_smoothing": 0.3, "weight": True}),
    "images": ((2, 3, 4, 2), "int64", {}),
    "images-smooth-weight": ((2, 3, 2, 2), "int64", {"label_smoothing": 0.2, "weight": True}),
    "series": ((2, 5, 3), "int64", {"reduction": "sum"}),
    "probabilities": ((5, 4), "float", {}),
    "probabilities-sum": ((5, 4), "float", {"reduction": "sum"}),
    "probabilities-weight": ((5, 4), "float", {"weight": True}),
    "probabilities-smooth-weight": ((5, 4), "float", {"weight": True, "label_smoothing": 0.2}),
    "probabilities-images": ((2, 3, 2, 3), "float", {}),
    "empty-batch-sum": ((0, 4), "int64", {"reduction": "sum"}),
    "far-apart": ((6, 5), "int64", {}),
    "none": ((5, 4), "int64", {"reduction": "none", "weight": True}),
    "none-images": ((2, 3, 2, 2), "int64", {"reduction": "none"}),
    "none-probabilities": ((5, 4), "float", {"reduction": "none"}),
    "empty-none": ((0, 4), "int64", {"reduction": "none"}),
    "ignore": ((5, 4), "int64", {"ignore_index": 2}),
    "ignore-weight": ((67, 3), "int64", {"ignore_index": 2, "weight": True}),
    "ignore-smooth": ((9, 4), "int64", {"ignore_index": 0, "label_smoothing": 0.2}),
    "ignore-images": ((2, 3, 4, 2), "int64", {"ignore_index": 1}),
    "ignore-many-classes": ((6, 131), "int64", {"ignore_index": -1}),
    "ignore-all": ((3, 2), "int64", {"ignore_index": -1}),
}
# The rows whose options nll and focal have, too.
SHARED = ("one-image", "one-class", "many-classes", "many-lines", "sum", "weight", "images", "none")
SHARED += ("none-images", "empty-none", "empty-batch-sum", "far-apart", "int32")
SHARED += ("ignore", "ignore-weight", "ignore-images", "ignore-many-classes", "ignore-all")
POINTWISE: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "matrix": ((5, 4), {}),
    "one-value": ((1,), {}),
    "image": ((2, 3, 4, 2), {}),
    "several-vectors": ((3, 67), {}),
    "sum": ((5, 4), {"reduction": "sum"}),
    "empty-sum": ((0, 4), {"reduction": "sum"}),
    "none": ((3, 67), {"reduction": "none"}),
}


def _losses():
    for name, (shape, dtype, options) in CROSS_ENTROPY.items():

        def make(rng, name=name, shape=shape, dtype=dtype, options=options):
            logits = _normal(rng, *shape) * (100 if name == "far-apart" else 1)
            if dtype == "float":
                target = rng.random(shape)
                target /= target.sum(axis=1, keepdims=True)
            else:
                target = rng.integers(shape[1], size=(shape[0], *shape[2:])).astype(dtype)
            if options.get("ignore_index", 0) < 0:
                target[: None if name == "ignore-all" else 2] = options["ignore_index"]
            weight = {"weight": 0.5 + rng.random(shape[1])} if "weight" in options else {}
            return {"logits": logits, "target": target, **options, **weight}

        _add("cross_entropy", name, make, int(np.prod(shape)))
        if name in SHARED:
            _add("nll", name, lambda rng, m=make: _renamed(m(rng), "log_p", "weight"), shape[0])
            _add(
                "focal",
                name,
                lambda rng, m=make: _renamed(m(rng), "logits", "alpha"),
                int(np.prod(shape)),
            )
    for gamma in (0.0, 0.5, 1.0, 5.0):
        certain = {"logits": np.array([[0.0, 40.0], [-3, 60], [900, -900], [1, 2]])}
        labels = {"target": np.array([1, 0, 0, 1])}
        given = {**certain, **labels, "gamma": gamma}
        _add("focal", f"gamma-{gamma:g}", lambda rng, g=given: dict(g), 8)
    for name, (shape, options) in POINTWISE.items():

        def pair(rng, first, draw, shape=shape, options=options):
            return {first: draw(shape), "target": rng.random(shape), **options}

        length = int(np.prod(shape))
        _add("mse", name, lambda rng, p=pair: p(rng, "pred", rng.standard_normal), length)
        _add("bce", name, lambda rng, p=pair: p(rng, "pred", lambda s: _inside(rng, s)), length)

        def errors(rng, pair=pair):
            """Away from 0 and 1, where the slopes of these losses jump."""
            drawn = pair(rng, "pred", rng.standard_normal)
            size = rng.choice([0.4, 0.7, 1.6, 2.3], drawn["pred"].shape)
            return {**drawn, "pred": drawn["target"] + np.copysign(size, drawn["pred"])}

        for op, option in (("l1", None), ("huber", "delta"), ("smooth_l1", "beta")):
            _add(op, name, errors, length)
            if option and name in ("matrix", "none"):
                more = {option: 0.5}
                _add(op, f"{name}-{option}", lambda rng, e=errors, m=more: {**e(rng), **m}, length)

        def answers(rng, pair=pair):
            drawn = pair(rng, "logits", rng.standard_normal)
            return {**drawn, "target": (drawn["target"] > 0.5).astype(float)}

        _add("binary_focal", name, answers, length)
        _add(
            "bce_with_logits",
            name,
            lambda rng, p=pair: p(rng, "logits", rng.standard_normal),
            length,
        )
    hard = {"target": np.array([0.0, 1, 1, 0])}
    _add(
        "bce",
        "certain",
        lambda rng: {"pred": np.array([0.0, 0, 1, 1]), **hard},
        4,
        kink="0 and 1 are the ends of the valid range, and the logarithm is clipped there",
    )
    far = np.array([-800.0, 800, -800, 30])
    _add("bce_with_logits", "far-from-zero", lambda rng: {"logits": far, **hard}, 4)
    for gamma, alpha in ((0.0, 0.25), (0.5, None), (3.0, 1.0)):
        options = {"gamma": gamma, "alpha": alpha}
        given = {"logits": far, **hard, **options}
        _add("binary_focal", f"far-gamma-{gamma:g}", lambda rng, g=given: dict(g), 4)


def _renamed(given, scores, weight):
    """The arguments of cross_entropy as those of another loss of classes."""
    names = {"logits": scores, "weight": weight}
    given = {names.get(name, name): value for name, value in given.items()}
    if scores == "log_p":
        x = given["log_p"]
        given["log_p"] = x - np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True))
    return given


def _inside(rng, shape):
    """Probabilities at least 0.05 from 0 and 1, where the slope of a logarithm is mild."""
    return 0.05 + 0.9 * rng.random(shape)


# ----------------------------------------------------------------------------------- optimisers

# op: name: (state arrays, options); a state drawn as None is passed as None.
STEPS: dict[str, dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "sgd_step": {
        "plain": ((), {"velocity": None}),
        "weight-decay": ((), {"velocity": None, "weight_decay": 0.1}),
        "momentum": (("velocity",), {"momentum": 0.9}),
        "nesterov": (("velocity",), {"momentum": 0.9, "nesterov": True}),
        "everything": (("velocity",), {"momentum": 0.7, "nesterov": True, "weight_decay": 0.2}),
        "maximize": (("velocity",), {"momentum": 0.7, "weight_decay": 0.2, "maximize": True}),
        "dampening": (("velocity",), {"momentum": 0.7, "weight_decay": 0.2, "dampening": 0.6}),
    },
    "rmsprop_step": {
        "plain": (("square_avg",), {"grad_avg": None, "velocity": None}),
        "alpha-and-eps": (
            ("square_avg",),
            {"grad_avg": None, "velocity": None, "alpha": 0.8, "eps": 1e-3},
        ),
        "centered": (("square_avg", "grad_avg"), {"velocity": None}),
        "momentum": (("square_avg", "velocity"), {"grad_avg": None, "momentum": 0.9}),
        "everything": (
            ("square_avg", "grad_avg", "velocity"),
            {"alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
        ),
        "maximize": (
            ("square_avg", "grad_avg", "velocity"),
            {"momentum": 0.5, "weight_decay": 0.1, "maximize": True},
        ),
    },
    "adagrad_step": {
        "plain": (("sum_sq",), {}),
        "weight-decay-and-eps": (("sum_sq",), {"weight_decay": 0.1, "eps": 1e-2}),
        "maximize": (("sum_sq",), {"weight_decay": 0.1, "maximize": True}),
    },
    "adam_step": {
        "first": (("exp_avg", "exp_avg_sq"), {"weight_decay": 0.0, "step": 1}),
        "tenth": (("exp_avg", "exp_avg_sq"), {"weight_decay": 0.0, "step": 10}),
        "weight-decay": (("exp_avg", "exp_avg_sq"), {"weight_decay": 0.1, "step": 2}),
        "late": (("exp_avg", "exp_avg_sq"), {"weight_decay": 0.0, "step": 100_000}),
        "decoupled": (
            ("exp_avg", "exp_avg_sq"),
            {"weight_decay": 0.5, "step": 3, "decoupled": True},
        ),
        "amsgrad": (
            ("exp_avg", "exp_avg_sq", "max_avg_sq"),
            {"weight_decay": 0.1, "step": 3},
        ),
        "maximize": (
            ("exp_avg", "exp_avg_sq"),
            {"weight_decay": 0.1, "step": 3, "maximize": True},
        ),
    },
    "nadam_step": {
        "first": (("exp_avg", "exp_avg_sq"), {"weight_decay": 0.0, "step": 1}),
        "weight-decay": (("exp_avg", "exp_avg_sq"), {"weight_decay": 0.1, "step": 2}),
        "decoupled": (
            ("exp_avg", "exp_avg_sq"),
            {"weight_decay": 0.5, "step": 3, "decoupled": True},
        ),
        "maximize": (
            ("exp_avg", "exp_avg_sq"),
            {"weight_decay": 0.5, "step": 3, "decoupled": True, "maximize": True},
        ),
    },
}
# name: shapes of the parameters
PARAMETERS: dict[str, list[tuple[int, ...]]] = {
    "two": [(3,), (2, 2)],
    "one-value": [(1,)],
    "vector": [(37,)],
    "weight": [(3, 5, 3, 3)],
    "empty": [(0,)],
    "several": [(3, 5, 3, 3), (7,), (0, 3), (1,), (2, 9), (33,)],
    "no-dimensions": [(), (2,)],
    "several-without-all-gradients": [(5, 3), (7,), (2, 9), (3,)],
    "pieces": [(3,), (5, 1700), (4096,), (3, 2)],
    "none": [],
}


def _averages(shapes, missing=()):
    def make(rng):
        return {
            "averages": [np.asarray(_normal(rng, *shape)) for shape in shapes],
            "values": [
                None if i in missing else np.asarray(_normal(rng, *s)) for i, s in enumerate(shapes)
            ],
            "decay": 0.9,
        }

    return make


def _step(op, states, options, shapes, missing=()):
    """A step of parameters of these shapes; those with indices in `missing` have no gradient."""
    betas = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8} if "adam" in op else {}
    if op == "nadam_step":
        betas |= {"mu": 0.46, "mu_next": 0.47, "mu_product": 0.3}

    def make(rng):
        grads = [
            None if i in missing else np.asarray(_normal(rng, *s)) for i, s in enumerate(shapes)
        ]
        drawn = {"params": [np.asarray(_normal(rng, *s)) for s in shapes], "grads": grads}
        size = sum(int(np.prod(shape)) for shape in shapes)
        for state in states:
            # A mean of squares is well above the square of a mean.
            squares = state in ("square_avg", "sum_sq", "exp_avg_sq", "max_avg_sq")
            drawn[state] = 1 + rng.random(size) if squares else rng.random(size) / 2
        return drawn | {"lr": 0.1} | betas | options

    return make


def _steps():
    for op, variants in STEPS.items():
        for variant, (states, options) in variants.items():
            for size, shapes in PARAMETERS.items():
                if size != "pieces" or variant in ("everything", "plain", "tenth"):
                    missing = (0, 2) if size == "several-without-all-gradients" else ()
                    _add(op, f"{variant}-{size}", _step(op, states, options, shapes, missing))
    for size, shapes in PARAMETERS.items():
        missing = (0, 2) if size == "several-without-all-gradients" else ()
        _add("ema_step", size, _averages(shapes, missing))


# ----------------------------------------------------------------------------------- many scales

# op: names of cases that are tested again with numbers of many scales side by side
SCALED: dict[str, tuple[str, ...]] = {
    "conv2d": ("plain", "pointwise", "few-windows", "filter-lanes", "depthwise", "many-images"),
    "conv2d_backward": ("plain", "pointwise", "few-windows", "depthwise", "many-images"),
    "conv_transpose2d": ("plain", "doubled", "depthwise"),
    "conv_transpose2d_backward": ("plain", "doubled", "depthwise"),
    "col2im": ("padded",),
    "avg_pool2d": ("plain", "padded"),
    "avg_pool2d_backward": ("plain", "padded"),
    "global_avg_pool2d": ("many-planes",),
    "adaptive_avg_pool2d": ("plain", "side-by-side"),
    "adaptive_avg_pool2d_backward": ("plain", "more-than-pixels"),
    "interpolate": ("plain-bilinear", "twice-corners"),
    "interpolate_backward": ("plain", "plain-bilinear", "twice-corners"),
    "linear": ("odd", "many-lines"),
    "linear_backward": ("odd", "many-lines"),
    "batch_norm": ("4-d", "inference", "many-columns"),
    "multiply_backward": ("gate", "gate-of-pixels", "channels"),
    "sigmoid": ("several-vectors",),
    "tanh": ("several-vectors",),
    "softmax": ("matrix",),
    "log_softmax": ("matrix",),
    "mse": ("several-vectors",),
    "bce_with_logits": ("several-vectors",),
    "sgd_step": ("everything-weight",),
    "adam_step": ("tenth-weight",),
}


def _scales():
    for op, names in SCALED.items():
        for case in [case for case in CASES[op] if case.name in names]:

            def make(rng, case=case):
                return mapped(lambda _, a: of_scales(a), case.make(rng))

            _add(op, f"{case.name}-scales", make, case.length)


# ------------------------------------------------------------------------------------------ large


def _larges():
    def add(op, make, length=1):
        LARGE[op] = Case(op, "large", make, length)

    image, plane, batch = (8, 13, 40, 44), 40 * 44, (66, 1300)
    convolution = ((9, 13, 28, 30), (37, 13, 3, 3), {"padding": 1})
    add("conv2d", _conv2d(*convolution), 13 * 9)
    add("conv2d_backward", _conv2d_backward(*convolution), 9 * 28 * 30)
    transposed = ((9, 37, 14, 15), (37, 13, 4, 4), {"stride": 2, "padding": 1})
    add("conv_transpose2d", _conv_transpose2d(*transposed), 37 * 16)
    add("conv_transpose2d_backward", _conv_transpose2d_backward(*transposed), 9 * 28 * 30)
    add("linear", lambda r: {"x": _normal(r, 70, 700), "weight": _normal(r, 300, 700)}, 700)
    add(
        "linear_backward",
        lambda r: {
            "dy": _normal(r, 70, 300),
            "x": _normal(r, 70, 700),
            "weight": _normal(r, 300, 700),
        },
        300,
    )
    windows = {"kernel_size": 3, "padding": 1}
    pools = windows | {"stride": 2}
    add("im2col", lambda r: {"x": _normal(r, 4, 13, 30, 28), **windows})
    add(
        "col2im",
        lambda r: {"cols": _normal(r, 3360, 117), "x_shape": (4, 13, 30, 28), **windows},
        9,
    )
    add("max_pool2d", lambda r: {"x": _normal(r, *image), **pools})
    add("relu_max_pool2d", lambda r: {"x": _normal(r, *image) - 1, **pools})
    add("avg_pool2d", lambda r: {"x": _normal(r, *image), **pools}, 9)

    def pooled(r):
        return {"dy": _normal(r, 8, 13, 20, 22), "x_shape": image, **pools}

    def coded(r, *codes):
        which = r.integers(len(codes), size=(8, 13, 20, 22))
        return pooled(r) | {"argmax": np.choose(which, codes).astype("u1")}

    inside = (4, 5, 7, 8)  # positions that are in the image for every window
    add("max_pool2d_backward", lambda r: coded(r, *inside), 9)
    add("relu_max_pool2d_backward", lambda r: coded(r, *inside, 9), 9)
    add("avg_pool2d_backward", pooled, 9)
    add("global_avg_pool2d", lambda r: {"x": _normal(r, *image)}, plane)
    add(
        "global_avg_pool2d_backward",
        lambda r: {"dy": _normal(r, 8, 13, 1, 1), "x_shape": image},
    )

    add("adaptive_avg_pool2d", lambda r: {"x": _normal(r, *image), "output_size": (7, 13)}, 42)
    add(
        "adaptive_avg_pool2d_backward",
        lambda r: {"dy": _normal(r, 8, 13, 7, 13), "x_shape": image},
        4,
    )
    add("zero_pad2d", lambda r: {"x": _normal(r, *image), "padding": (3, -2, -1, 4)})
    bilinear = {"scale_factor": 1.5, "mode": "bilinear"}
    add("interpolate", lambda r: {"x": _normal(r, *image), **bilinear}, 4)
    add(
        "interpolate_backward",
        lambda r: {"dy": _normal(r, 8, 13, 60, 66), "x_shape": image, **bilinear},
        16,
    )

    def norm(r):
        return {"x": _normal(r, *image), "weight": 1 + r.random(13)}

    add("batch_norm", norm, 8 * plane)
    add(
        "batch_norm_backward",
        lambda r: (
            norm(r)
            | {"dy": _normal(r, *image), "mean": _normal(r, 13) / 9, "inv_std": 1 + r.random(13)}
        ),
        8 * plane,
    )

    def numbers(r):
        return r.integers(90, size=(40, 30))

    add("embedding", lambda r: {"indices": numbers(r), "weight": _normal(r, 90, 150)})
    add(
        "embedding_backward",
        lambda r: {"dy": _normal(r, 40, 30, 150), "indices": numbers(r), "num_embeddings": 90},
        40,
    )

    def rows(r, op, groups, shape, trained):
        key = "num_groups" if op == "group_norm" else "normalized_shape"
        return {"x": _normal(r, *shape), key: groups, "weight": 1 + r.random(trained)}

    for op, value, shape, trained, lead in (
        ("group_norm", 4, (8, 12, 40, 44), 12, (8, 4)),
        ("layer_norm", 1300, batch, 1300, (66,)),
    ):
        add(op, lambda r, a=(op, value, shape, trained): rows(r, *a), 3 * plane)

        def behind(r, a=(op, value, shape, trained), lead=lead):
            saved = {"mean": _normal(r, *lead) / 9, "inv_std": 1 + r.random(lead)}
            return {"dy": _normal(r, *a[2]), **rows(r, *a), **saved}

        add(f"{op}_backward", behind, 8 * plane)

    def response(r):
        return {"x": _normal(r, *image), "size": 5, "alpha": 0.1}

    add("local_response_norm", response, 5)
    add("local_response_norm_backward", lambda r: {"dy": _normal(r, *image), **response(r)}, 5)
    add("add", lambda r: {"x": _normal(r, *batch), "y": _normal(r, *batch)})

    add("concat", lambda r: {"arrays": [_normal(r, 4, n, 40, 44) for n in (7, 13, 1)]})
    add("split", lambda r: {"x": _normal(r, 4, 21, 40, 44), "sizes": [7, 13, 1]})

    def gated(r):
        return {"x": _normal(r, *image), "y": _normal(r, 8, 13, 1, 1)}

    add("multiply", gated)
    add("binary", lambda r: {"x": _normal(r, *image), "y": _normal(r, 44), "function": "subtract"})
    add("unary", lambda r: {"x": _normal(r, *batch), "function": "exp"})
    add("reduce", lambda r: {"x": _normal(r, *image), "function": "sum", "axes": 1}, 13)
    add("lstm", _recurrent(40, 9, 70, 90, "forward"), 160)
    sides = [(0, 0), (1, 2), (3, 1), (5, 4)]
    add("pad", lambda r: {"x": _normal(r, *image), "padding": sides, "mode": "reflect"})
    add("multiply_backward", lambda r: {"dy": _normal(r, *image), **gated(r)}, plane)
    for op in (
        *oracle.ENDINGS,
        *oracle.CURVES,
        *("leaky_relu", "sigmoid", "tanh", "softmax", "log_softmax"),
    ):
        saved = oracle.saves(op)
        length = batch[1] if "softmax" in op else 1

        def backward(r, op=op, saved=saved):
            x = _normal(r, *batch)
            y = {
                "sigmoid": 1 / (1 + np.exp(-x)),
                "tanh": np.tanh(x),
                "softmax": np.exp(x) / np.exp(x).sum(1, keepdims=True),
                "log_softmax": x - np.log(np.exp(x).sum(1, keepdims=True)),
            }.get(op, x if op in oracle.CURVES else 4 * x)
            return {"dy": _normal(r, *batch), saved: y}

        add(op, lambda r: {"x": _normal(r, *batch)}, length)
        add(f"{op}_backward", backward, length)

    def sloped(r):
        return {"x": _normal(r, *image), "weight": _normal(r, 13)}

    add("prelu", sloped)
    add("prelu_backward", lambda r: {"dy": _normal(r, *image), **sloped(r)}, 8 * plane)
    random = {"p": 0.3, "seed": 5, "call": 6}
    add("dropout", lambda r: {"x": _normal(r, *batch), **random})
    add("dropout_backward", lambda r: {"dy": _normal(r, *batch), **random})
    size = batch[0] * batch[1]
    add(
        "cross_entropy",
        lambda r: {"logits": _normal(r, *batch), "target": r.integers(batch[1], size=batch[0])},
        size,
    )
    add("mse", lambda r: {"pred": _normal(r, *batch), "target": r.random(batch)}, size)
    add("bce", lambda r: {"pred": _inside(r, batch), "target": r.random(batch)}, size)
    for op, scores in (("nll", "log_p"), ("focal", "logits")):
        add(
            op,
            lambda r, s=scores: {
                s: -np.abs(_normal(r, *batch)),
                "target": r.integers(batch[1], size=batch[0]),
            },
            size,
        )
    for op in ("l1", "huber", "smooth_l1"):
        add(op, lambda r: {"pred": 2 * _normal(r, *batch), "target": r.random(batch)}, size)
    add(
        "binary_focal",
        lambda r: {"logits": _normal(r, *batch), "target": np.round(r.random(batch))},
        size,
    )
    add(
        "bce_with_logits", lambda r: {"logits": _normal(r, *batch), "target": r.random(batch)}, size
    )
    for op, variant in (
        ("sgd_step", "everything"),
        ("rmsprop_step", "everything"),
        ("adagrad_step", "plain"),
        ("adam_step", "tenth"),
        ("nadam_step", "weight-decay"),
    ):
        shapes = [(300,), (70_001,), (17,), (64, 129)]
        add(op, _step(op, *STEPS[op][variant], shapes, missing=(2,)))
    add("ema_step", _averages(shapes, missing=(2,)))


for _fill in (
    _convolutions,
    _transposed,
    _columns,
    _pools,
    _adaptive_pools,
    _paddings,
    _resized,
    _linears,
    _norms,
    _embeddings,
    _row_norms,
    _responses,
    _activations,
    _curves,
    _products,
    _arithmetic,
    _reductions,
    _lstms,
    _borders,
    _joins,
    _softmaxes,
    _dropouts,
    _losses,
    _steps,
    _scales,
    _larges,
):
    _fill()
