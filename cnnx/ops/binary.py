"""Arithmetic of two arrays, with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

FUNCTIONS = ("add", "subtract", "multiply", "divide", "maximum", "minimum")


def binary(x: Any, y: Any, function: str) -> np.ndarray:
    """A function of two arrays, element by element, with NumPy's broadcasting.

    x, y      sizes along each axis, counted from the last, are equal, or one is 1 or absent
    function  "add", "subtract", "multiply", "divide", "maximum" or "minimum"

    returns   z, of the larger size along each axis. NaN wins over every number; a division by zero
              gives infinity or NaN, without a warning. ValueError for shapes that do not match.

    There is no backward: `multiply` has one.

    >>> ops.binary(np.array([[4.0, 9.0], [1.0, 3.0]]), np.array([2.0, 3.0]), "divide").tolist()
    [[2.0, 3.0], [0.5, 1.0]]
    """
    (x, y), (x_shape, y_shape) = _checked("binary", (x, y), function)
    return backend().binary(x.reshape(x_shape), y.reshape(y_shape), function)


@gate("x", "y")
def _checked(op: str, shapes: Any, function: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both shapes with the same number of axes."""
    x, y = shapes
    checks.choice(op, "function", function, FUNCTIONS)
    axes = max(len(x), len(y))
    x_shape, y_shape = ((1,) * (axes - len(shape)) + shape for shape in shapes)
    if any(m != n and 1 not in (m, n) for m, n in zip(x_shape, y_shape, strict=True)):
        raise ValueError(
            f"{op}: x has shape {x} and y has shape {y}, but along each axis equal sizes are "
            "expected, or a size of 1"
        )
    shape = tuple(n if m == 1 else m for m, n in zip(x_shape, y_shape, strict=True))
    checks.array_size(op, shape)
    return x_shape, y_shape
