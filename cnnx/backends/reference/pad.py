"""Padding and cropping: images (n, c, h, w) with zeros, and any axes with any border."""

from __future__ import annotations

import numpy as np

from . import windows


def zero_pad2d(x, padding):
    """Pad images with zeros; negative padding crops them.

    y[n, c, i, j] = x[n, c, i - top, j - left], 0 outside x

    The adjoint, and so the backward, is the same with -padding: it crops what was padded.

    x (n, c, h, w), padding ((top, bottom), (left, right))
    ->  y (n, c, h + top + bottom, w + left + right)
    """
    cut = [[max(-side, 0) for side in sides] for sides in padding]
    added = [[max(side, 0) for side in sides] for sides in padding]
    return np.ascontiguousarray(windows.pad(windows.crop(x, cut), added))


def pad(x, padding, mode, value):
    """Add a border, or crop where padding is negative; an axis is cropped before it gets a border.

    y[i, j, ...] = x[place(i - before), ...], where place(i) is i inside x, and outside

    "constant"  none: y is `value`
    "edge"      0 or n - 1, whichever is nearer
    "reflect"   ... 2 1 [0 1 2 ... n-2 n-1] n-2 ...
    "wrap"      i modulo n

    x (one axis or more), padding ((before, after) for each axis)  ->  y
    """
    cut = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, padding))
    added = [(max(b, 0), max(a, 0)) for b, a in padding]
    options = {"constant_values": value} if mode == "constant" else {}
    return np.ascontiguousarray(np.pad(x[cut], added, mode, **options))
