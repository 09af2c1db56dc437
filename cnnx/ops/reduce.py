"""Sums, means and extremes along axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

FUNCTIONS = ("sum", "mean", "max", "min", "sum_square", "l2")
Sizes = tuple[int, ...]


def reduce(x: Any, function: str, axes: Any = None, keepdims: bool = False) -> np.ndarray:
    """One number for all elements along axes that are neighbours.

    x         any shape
    function  "sum", "mean", "max", "min", "sum_square", or "l2": the root of the sum of squares
    axes      an axis or several, one next to the other; None: all
    keepdims  whether the axes stay, with size 1

    returns   y, x without the axes. Sums of float32 are in double, or short enough to be as exact.
              A NaN gives NaN. ValueError for axes that are no neighbours, and for the mean and the
              extremes of no elements.

    There is no backward.

    >>> ops.reduce(np.array([[1.0, 2.0], [3.0, 5.0]]), "mean", 1).tolist()
    [1.5, 4.0]
    """
    if isinstance(axes, list):
        axes = tuple(axes)
    (x,), (rows, result) = _checked("reduce", (x,), function, axes, keepdims)
    return backend().reduce(x.reshape(rows), function).reshape(result)


@gate("x")
def _checked(
    op: str, shapes: Any, function: Any, axes: Any, keepdims: Any
) -> tuple[tuple[int, int, int], Sizes]:
    """x as (outer, length, inner), of which the middle axis is reduced; and the result's shape."""
    (shape,) = shapes
    checks.choice(op, "function", function, FUNCTIONS)
    checks.flag(op, "keepdims", keepdims)
    given = range(len(shape)) if axes is None else axes if checks.is_sequence(axes) else (axes,)
    found = sorted(checks.axis(op, axis, "x", len(shape)) for axis in given)
    first, end = (found[0], found[-1] + 1) if found else (0, 0)
    if found != list(range(first, end)):
        raise ValueError(f"{op}: axes={axes}, but each once, and neighbours, are expected")
    length = math.prod(shape[first:end])
    if length == 0 and function in ("mean", "max", "min"):
        raise ValueError(f"{op}: no elements of x {shape} along axes={axes} have a {function}")
    kept = (1,) * (end - first) if keepdims else ()
    rows = math.prod(shape[:first]), length, math.prod(shape[end:])
    return rows, (*shape[:first], *kept, *shape[end:])
