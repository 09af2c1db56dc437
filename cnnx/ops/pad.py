"""Padding and cropping images: zero_pad2d."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend

Sides = tuple[int, int, int, int]


def zero_pad2d(x: Any, padding: Any) -> np.ndarray:
    """Pad images with zeros; negative padding crops them.

    y[n, c, i, j] = x[n, c, i - top, j - left], 0 outside x

    x        (n, c, h, w)
    padding  a number for all sides, or (left, right, top, bottom), in PyTorch's order

    returns  y (n, c, h + top + bottom, w + left + right). ValueError if more is cropped than
             the image has.

    There is no separate backward: the gradient of x is zero_pad2d(dy, -padding), which crops what
    was padded, and gives cropped pixels a gradient of 0.

    >>> ops.zero_pad2d(np.array([[[[1.0, 2.0]]]]), (1, 0, 0, 1))[0, 0].tolist()
    [[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]]
    >>> ops.zero_pad2d(np.array([[[[1.0, 2.0]]]]), (-1, 1, 0, 0))[0, 0].tolist()
    [[2.0, 0.0]]
    """
    op = "zero_pad2d"
    x = checks.array(op, "x", x, 4)
    left, right, top, bottom = sides(op, padding)
    n, c, h, w = x.shape
    rest = h + min(top, 0) + min(bottom, 0), w + min(left, 0) + min(right, 0)
    if min(rest) < 0:
        raise ValueError(
            f"{op}: padding={(left, right, top, bottom)} (left, right, top, bottom) crops more "
            f"than an image of {h}x{w} has"
        )
    checks.array_size(op, (n, c, h + top + bottom, w + left + right))
    return backend().zero_pad2d(x, ((top, bottom), (left, right)))


def sides(op: str, padding: Any) -> Sides:
    """(left, right, top, bottom) from one number for all sides, or four."""
    least = -(2**63) + 1
    if not checks.is_sequence(padding):
        return (checks.integer(op, "padding", padding, least),) * 4
    if len(padding) != 4:
        raise ValueError(
            f"{op}: padding={padding!r} has {len(padding)} entries, but one number or four (left, "
            "right, top, bottom) are expected"
        )
    left, right, top, bottom = (checks.integer(op, "padding", n, least) for n in padding)
    return left, right, top, bottom
