"""The product of two arrays, as of images and channel gates."""

from __future__ import annotations

import numpy as np


def multiply(x, y):
    """z = x * y, elementwise, with NumPy's broadcasting of axes of size 1.

    z[i, j, ...] = x[i or 0, j or 0, ...] * y[i or 0, j or 0, ...]    0 if the size is 1

    x, y (same number of axes)  ->  z, of the larger size along each axis
    Source: Hu, Shen, Sun, Squeeze-and-Excitation Networks (2018), whose gates are y (n, c, 1, 1).
    """
    return np.asarray(x * y)


def multiply_backward(dy, x, y):
    """dx = dy * y, and the gradient of y is dy * x, each summed over the axes that were broadcast.

    dy as z  ->  the two gradients, as x and as y
    """
    return _summed(dy * y, x.shape), _summed(dy * x, y.shape)


def _summed(terms, shape):
    """The sum over the axes along which `shape` is 1."""
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return np.asarray(terms.sum(axis=axes, keepdims=True))
