"""Concatenation along an axis, and its backward."""

from __future__ import annotations

import numpy as np


def concat(arrays, axis):
    """y = the arrays, concatenated along the axis.

    y[..., o_k + j, ...] = arrays[k][..., j, ...],  o_k = the sum of the sizes of those before

    arrays with equal sizes along all other axes  ->  y; its size along the axis is their sum.
    Backward is `split`.

    Source: Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks (2017).
    """
    return np.concatenate(arrays, axis)


def split(x, sizes, axis):
    """ys[k][..., j, ...] = x[..., o_k + j, ...],  o_k = sizes[0] + ... + sizes[k - 1]

    x, whose size along the axis is the sum of the sizes  ->  ys, an array for each size.
    Backward is `concat`.
    """
    parts = np.split(x, np.cumsum(sizes)[:-1], axis)
    return tuple(part.copy() for part in parts)
