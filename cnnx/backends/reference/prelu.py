"""Leaky ReLU with a trainable slope. x is (n, c, l), weight (c,): one slope for each channel."""

from __future__ import annotations

import numpy as np


def prelu(x, weight):
    """y[n, c, l] = x[n, c, l] where that is > 0, else weight[c] * x[n, c, l].

    Source: He et al., Delving Deep into Rectifiers (2015).
    """
    return np.where(x > 0, x, weight[:, None] * x)


def prelu_backward(dy, x, weight):
    """Gradients of `prelu`: dx and dweight.

    dx = dy where x > 0, else weight * dy
    dweight[c] = sum over n and l of dy * x where x <= 0 (or NaN)
    """
    dx = np.where(x > 0, dy, weight[:, None] * dy)
    return dx, np.where(x > 0, x.dtype.type(0), dy * x).sum(axis=(0, 2))
