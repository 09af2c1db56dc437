"""Arithmetic of two arrays."""

from __future__ import annotations

import numpy as np

FUNCTIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def binary(x, y, function):
    """z = x + y, x - y, x * y, x / y, max(x, y) or min(x, y), with broadcasting of axes of size 1.

    z[i, j, ...] = function(x[i or 0, j or 0, ...], y[i or 0, j or 0, ...])    0 if the size is 1

    x, y (same number of axes)  ->  z, of the larger size along each axis
    NaN wins over every number.
    """
    with np.errstate(all="ignore"):
        return np.asarray(FUNCTIONS[function](x, y))
