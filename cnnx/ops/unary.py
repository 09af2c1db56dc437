"""Roots, exponentials and other functions of single elements that are no activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend

FUNCTIONS = ("abs", "negative", "reciprocal", "sqrt", "exp", "log", "clip", "affine")


def unary(x: Any, function: str, a: float = 0.0, b: float = 0.0) -> np.ndarray:
    """A function of single elements.

    x         any shape
    function  "abs", "negative", "reciprocal", "sqrt", "exp" or "log"; "clip": min(max(x, a), b),
              where a and b may be infinite; or "affine": x * a + b
    a, b      numbers for the last two

    returns   y as x. NaN stays NaN; roots and logarithms of negative numbers are NaN, and those of
              others what their limits are, without a warning.

    There is no backward.

    >>> ops.unary(np.array([4.0, 0.25]), "sqrt").tolist()
    [2.0, 0.5]
    >>> ops.unary(np.array([-3.0, 0.0, 7.0]), "clip", -1.0, 5.0).tolist()
    [-1.0, 0.0, 5.0]
    """
    op = "unary"
    x = checks.array(op, "x", x)
    checks.choice(op, "function", function, FUNCTIONS)
    return backend().unary(x, function, _setting("a", a, function), _setting("b", b, function))


def _setting(name: str, value: Any, function: str) -> float:
    if function == "clip" and isinstance(value, float) and not math.isnan(value):
        return value  # beyond the range of float32, it is infinite there
    return checks.real("unary", name, value)
