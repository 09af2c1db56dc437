"""Resizing images: interpolate, with its backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend

MODES = ("nearest", "bilinear")


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> np.ndarray:
    """Resize images by nearest-neighbour or bilinear interpolation.

    nearest     y[n, c, i, j] = x[n, c, p, q], p = min(floor(i * step), h - 1); q likewise
    bilinear    y[n, c, i, j] = (1-a)(1-b) x[n, c, p, q]   + (1-a)b x[n, c, p, q+1]
                                 + a (1-b) x[n, c, p+1, q] +    a b x[n, c, p+1, q+1]
                p = floor(u), a = u - p, u = max(0, (i + 1/2) * step - 1/2); b and q likewise;
                rows and columns beyond the last are replaced by the last

    x             (n, c, h, w)
    size          of y: a number, or a pair (height, width)
    scale_factor  a number or a pair instead of size: oh = floor(h * scale_factor)
    mode          "nearest" or "bilinear"
    align_corners    for bilinear only. False, the default: the corners of the images coincide,
                  step = h / oh, or 1 / scale_factor if that is given. True: the centres of their
                  corner pixels coincide, u = i * step, step = (h - 1) / (oh - 1)

    returns  y (n, c, oh, ow). ValueError unless exactly one of size and scale_factor is given, and
             for a y without pixels.

    As `torch.nn.functional.interpolate`. Its nearest mode computes i * step in float32, and if oh
    is h or 2*h it takes p = i or i // 2 for any factor; so does this function. PyTorch itself makes
    two exceptions: float64 (a few pixels at unusual sizes), and oh + ow > 128 with a factor that is
    not exactly 1 or 2 but gives oh = h or 2*h.

    >>> ops.interpolate(np.array([[[[1.0, 2.0]]]]), scale_factor=2)[0, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    >>> ops.interpolate(np.array([[[[1.0, 2.0]]]]), (1, 4), mode="bilinear")[0, 0].tolist()
    [[1.0, 1.25, 1.75, 2.0]]
    """
    op = "interpolate"
    x = checks.array(op, "x", x, 4)
    to, steps, align = _resized(op, "x", x.shape, size, scale_factor, mode, align_corners)
    checks.array_size(op, (*x.shape[:2], *to))
    return backend().interpolate(x, to, steps, mode, align)


def interpolate_backward(
    dy: Any,
    x_shape: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> np.ndarray:
    """Gradient of `interpolate`: each pixel's is added, weighted, to those it was computed from.

    nearest     dx[n, c, p, q] += dy[n, c, i, j]
    bilinear    dx[n, c, p, q] += (1-a)(1-b) dy[n, c, i, j], and three more

    dy (n, c, oh, ow), x_shape (n, c, h, w); the rest as in `interpolate`
    returns  dx (n, c, h, w)

    >>> dy = np.array([[[[1.0, 10.0, 100.0, 1000.0]]]])
    >>> ops.interpolate_backward(dy, (1, 1, 1, 2), (1, 4))[0, 0].tolist()
    [[11.0, 1100.0]]
    """
    op = "interpolate_backward"
    dy = checks.array(op, "dy", dy, 4)
    x_shape = checks.shape4d(op, "x_shape", x_shape)
    to, steps, align = _resized(op, "x_shape", x_shape, size, scale_factor, mode, align_corners)
    checks.same_shape(
        op, "dy", dy.shape, (*x_shape[:2], *to), "the result of interpolate for x_shape {}", x_shape
    )
    checks.array_size(op, x_shape)
    return backend().interpolate_backward(dy, x_shape, steps, mode, align)


def resizing(
    op: str, size: Any, scale_factor: Any, mode: Any, align_corners: Any
) -> tuple[checks.Pair | None, tuple[float, float] | None]:
    """size and scale_factor as pairs or None, after all arguments were checked."""
    checks.choice(op, "mode", mode, MODES)
    if align_corners is not None:
        checks.flag(op, "align_corners", align_corners)
        if mode == "nearest":
            raise ValueError(
                f'{op}: align_corners={align_corners}, which mode="nearest" does not have: omit '
                'it, or pass mode="bilinear"'
            )
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"{op}: size={size!r} and scale_factor={scale_factor!r}, but exactly one of them is "
            "expected"
        )
    if size is not None:
        return checks.pair(op, "size", size), None
    factors = scale_factor if checks.is_sequence(scale_factor) else (scale_factor, scale_factor)
    if len(factors) != 2:
        raise ValueError(
            f"{op}: scale_factor={scale_factor!r} has {len(factors)} entries, but one number or "
            "two are expected"
        )
    rows, columns = (checks.real(op, "scale_factor", factor, least=0) for factor in factors)
    return None, (rows, columns)


def _resized(
    op: str,
    name: str,
    shape: tuple[int, ...],
    size: Any,
    scale_factor: Any,
    mode: Any,
    align_corners: Any,
) -> tuple[checks.Pair, tuple[float, float], bool]:
    """(oh, ow), pixels of x for one of y along each axis, and align_corners."""
    to, factors = resizing(op, size, scale_factor, mode, align_corners)
    h, w = shape[2:]
    if h * w == 0:
        raise ValueError(f"{op}: {name} is {shape}: an image without pixels cannot be resized")
    if factors is not None:
        to = int(h * factors[0]), int(w * factors[1])
        if 0 in to:
            raise ValueError(
                f"{op}: scale_factor={scale_factor} resizes {h}x{w} to {to[0]}x{to[1]} pixels: at "
                "least one row and one column are expected"
            )
    assert to is not None
    if align_corners:
        steps = (h - 1) / max(to[0] - 1, 1), (w - 1) / max(to[1] - 1, 1)
    elif factors is not None:
        steps = 1 / factors[0], 1 / factors[1]
    else:
        steps = h / to[0], w / to[1]
    return to, steps, bool(align_corners)
