"""Padding and cropping: zero_pad2d of images, and pad of any axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend

Sides = tuple[int, int, int, int]
MODES = ("constant", "edge", "reflect", "wrap")


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


def pad(x: Any, padding: Any, mode: str = "constant", value: float = 0.0) -> np.ndarray:
    """Add a border to any axes; negative padding crops, before a border is added.

    x        any shape
    padding  (before, after) for each axis, as in NumPy
    mode     "constant", "edge": the nearest element; "reflect": the elements from the edge inwards,
             without the edge itself; or "wrap": those from the other end
    value    of the border, if mode is "constant"

    returns  y, each axis longer by before + after. ValueError if more is cropped than an axis has,
             or if nothing is left for a border to repeat.

    There is no backward.

    >>> ops.pad(np.array([1.0, 2.0, 3.0]), [(2, 1)], "reflect").tolist()
    [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]
    """
    op = "pad"
    x = checks.array(op, "x", x)
    checks.choice(op, "mode", mode, MODES)
    value = checks.real(op, "value", value)
    pairs = _pairs(op, padding, x.shape)
    for axis, (n, (before, after)) in enumerate(zip(x.shape, pairs, strict=True)):
        rest = n + min(before, 0) + min(after, 0)
        if rest < 0 or (rest == 0 and max(before, after) > 0 and mode != "constant"):
            raise ValueError(
                f"{op}: padding={(before, after)} of axis {axis}, whose size is {n}, leaves {rest} "
                f"elements for mode={mode!r}"
            )
    checks.array_size(op, tuple(n + b + a for n, (b, a) in zip(x.shape, pairs, strict=True)))
    return backend().pad(x, pairs, mode, value) if pairs else x.copy()


def _pairs(op: str, padding: Any, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    least = -(2**62)
    sequences = checks.is_sequence(padding) and all(map(checks.is_sequence, padding))
    if not sequences or len(padding) != len(shape) or any(len(pair) != 2 for pair in padding):
        raise ValueError(
            f"{op}: padding={padding!r}, but (before, after) is expected for each axis of x {shape}"
        )
    before_after = [[checks.integer(op, "padding", n, least, 2**62) for n in p] for p in padding]
    return tuple([(before, after) for before, after in before_after])


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
