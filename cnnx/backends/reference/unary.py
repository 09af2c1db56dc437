"""Functions of single elements that are no activations."""

from __future__ import annotations

import numpy as np

FUNCTIONS = {
    "abs": lambda x, a, b: np.abs(x),
    "negative": lambda x, a, b: -x,
    "reciprocal": lambda x, a, b: 1 / x,
    "sqrt": lambda x, a, b: np.sqrt(x),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "affine": lambda x, a, b: x * a + b,
}


def unary(x, function, a, b):
    """y = |x|, -x, 1 / x, sqrt(x), exp(x), log(x), min(max(x, a), b) ("clip") or x * a + b
    ("affine"), elementwise.

    x (any shape), numbers a, b, which others than the last two ignore  ->  y as x
    NaN stays NaN; sqrt and log of negative numbers are NaN.
    """
    with np.errstate(all="ignore"):
        return np.asarray(FUNCTIONS[function](x, x.dtype.type(a), x.dtype.type(b)), x.dtype)
