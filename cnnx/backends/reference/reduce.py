"""One number for all elements along an axis."""

from __future__ import annotations

import numpy as np

FUNCTIONS = {
    "sum": lambda x: np.sum(x, 1),
    "mean": lambda x: np.mean(x, 1),
    "max": lambda x: np.max(x, 1),
    "min": lambda x: np.min(x, 1),
    "sum_square": lambda x: np.sum(x * x, 1),
    "l2": lambda x: np.sqrt(np.sum(x * x, 1)),
}


def reduce(x, function):
    """y[i, j] = the sum, mean, largest, smallest, sum of squares or its root ("l2") of x[i, :, j].

    x (outer, length, inner)  ->  y (outer, inner); length > 0 for extremes
    A NaN among the elements gives NaN.
    """
    with np.errstate(all="ignore"):
        return np.asarray(FUNCTIONS[function](x), x.dtype)
