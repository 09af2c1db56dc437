"""Padding and cropping images (n, c, h, w)."""

from __future__ import annotations

import numpy as np

from .windows import crop, pad


def zero_pad2d(x, padding):
    """Pad images with zeros; negative padding crops them.

    y[n, c, i, j] = x[n, c, i - top, j - left], 0 outside x

    The adjoint, and so the backward, is the same with -padding: it crops what was padded.

    x (n, c, h, w), padding ((top, bottom), (left, right))
    ->  y (n, c, h + top + bottom, w + left + right)
    """
    cut = [[max(-side, 0) for side in sides] for sides in padding]
    added = [[max(side, 0) for side in sides] for sides in padding]
    return np.ascontiguousarray(pad(crop(x, cut), added))
