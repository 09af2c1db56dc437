"""Rotation and other affine maps: `RandomRotation`, `RandomAffine`, and the sampler below them."""

# Design:
# `sample` is shared by all geometric transforms, RandAugment's too: each output pixel is mapped
# into the input, where it is read. The input is padded by the fill value and coordinates are
# clipped to that border, so that no pixel needs a test.

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ... import checks
from .base import Transform, interval, numbers

__all__ = ["RandomAffine", "RandomRotation", "about", "inverse_maps", "sample"]

Amount = np.ndarray | float  # one for each sample, or one for all
INTERPOLATIONS = ("nearest", "bilinear")


def inverse_maps(
    angle: np.ndarray,
    translate: tuple[Amount, Amount] = (0.0, 0.0),
    scale: Amount = 1.0,
    shear: tuple[Amount, Amount] = (0.0, 0.0),
) -> np.ndarray:
    """(n, 2, 3): where a point of the output comes from, both relative to the image's centre.

    The forward map is p -> T(translate) R(angle) S(shear) p * scale, with x to the right and y
    down: a positive angle (degrees) turns clockwise. R S is

        [cos(a-sy)/cos(sy)   -cos(a-sy) tan(sx)/cos(sy) - sin(a)]
        [sin(a-sy)/cos(sy)   -sin(a-sy) tan(sx)/cos(sy) + cos(a)]

    angle, scale (n,); translate (x, y) in pixels, shear (x, y) in degrees, numbers or (n,) each
    """
    a, sx, sy = (np.deg2rad(value) for value in (angle, *shear))
    forward = np.empty((len(angle), 2, 2))
    forward[:, 0, 0] = np.cos(a - sy) / np.cos(sy)
    forward[:, 0, 1] = -np.cos(a - sy) * np.tan(sx) / np.cos(sy) - np.sin(a)
    forward[:, 1, 0] = np.sin(a - sy) / np.cos(sy)
    forward[:, 1, 1] = -np.sin(a - sy) * np.tan(sx) / np.cos(sy) + np.cos(a)
    inverse = np.empty((len(angle), 2, 3))
    # The determinant of R S is 1.
    inverse[:, 0, 0], inverse[:, 0, 1] = forward[:, 1, 1] / scale, -forward[:, 0, 1] / scale
    inverse[:, 1, 0], inverse[:, 1, 1] = -forward[:, 1, 0] / scale, forward[:, 0, 0] / scale
    for axis in (0, 1):
        inverse[:, axis, 2] = (
            -inverse[:, axis, 0] * translate[0] - inverse[:, axis, 1] * translate[1]
        )
    return inverse


def about(maps: np.ndarray, center: tuple[float, float] | None, x: np.ndarray) -> np.ndarray:
    """The maps about another point than the centre of the images x: (x, y) from the corner."""
    if center is not None:
        to_center = np.subtract(center, (x.shape[3] / 2, x.shape[2] / 2))
        maps[:, :, 2] += to_center - maps[:, :, :2] @ to_center
    return maps


def sample(x: np.ndarray, maps: np.ndarray, interpolation: str, fill: float) -> np.ndarray:
    """y[b, :, i, j] = x[b, :] at maps[b] @ (j - cx, i - cy, 1) + (cx, cy), c the centre.

    x              (n, c, h, w)
    maps           (n, 2, 3), as returned by `inverse_maps`
    interpolation  "nearest", or "bilinear" between the four nearest pixels
    fill           the value of pixels outside of the image, with which those at its edge are mixed
    """
    n, c, h, w = x.shape
    if not x.size:
        return x.copy()
    maps = maps.astype(x.dtype)
    right = (np.arange(w) - (w - 1) / 2).astype(x.dtype)
    down = (np.arange(h) - (h - 1) / 2).astype(x.dtype)[:, None]
    # Relative to the padded input: 0 is the border, 1 the first pixel.
    columns = np.clip(_coordinate(maps[:, 0], right, down) + x.dtype.type((w + 1) / 2), 0, w + 1)
    rows = np.clip(_coordinate(maps[:, 1], right, down) + x.dtype.type((h + 1) / 2), 0, h + 1)
    if interpolation == "nearest":
        columns, rows = np.rint(columns), np.rint(rows)
    left, top = columns.astype(np.int32), rows.astype(np.int32)
    u, v = columns - left, rows - top
    width = w + 3
    index = (top * width + left).astype(np.intp)
    index += (np.arange(n) * ((h + 3) * width))[:, None, None]
    padded = np.full((n, h + 3, width), fill, x.dtype)
    y = np.empty_like(x)
    for k in range(c):
        padded[:, 1 : h + 1, 1 : w + 1] = x[:, k]
        if interpolation == "nearest":
            y[:, k] = padded.take(index)
            continue
        a, b, e, d = (padded.take(index + step) for step in (0, 1, width, width + 1))
        upper = a + u * (b - a)
        y[:, k] = upper + v * (e + u * (d - e) - upper)
    return y


def _coordinate(row: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """(n, h, w): row (n, 3) of a map, applied to all pixels."""
    a, b, c = (row[:, k, None, None] for k in range(3))
    return (a * right) + (b * down + c)


@dataclass
class RandomRotation(Transform):
    """Rotate each image by a random angle.

    degrees        interval of the angle, counter-clockwise; a number d means (-d, d)
    interpolation  "nearest" or "bilinear"
    center         the point that stays, (x, y) in pixels from the upper left corner; None: that in
                   the middle
    fill           the value of pixels from outside of the image

    Images keep their size, since those of a batch have one: there is no `expand` as in torchvision,
    with which each image gets the size that its angle needs. To lose no corner, pad them before by
    `np.pad`.

    Example: ``RandomRotation(15, "bilinear")``
    """

    degrees: float | tuple[float, float]
    interpolation: str = "nearest"
    _: KW_ONLY
    center: tuple[float, float] | None = None
    fill: float = 0.0

    def __post_init__(self) -> None:
        op = "RandomRotation"
        self.degrees = _around_zero(op, "degrees", self.degrees)
        checks.choice(op, "interpolation", self.interpolation, INTERPOLATIONS)
        self.center = _point(op, self.center)
        self.fill = checks.real(op, "fill", self.fill)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        low, high = _around_zero("", "", self.degrees)
        angle = rng.uniform(low, high, len(x))
        maps = about(inverse_maps(-angle), self.center, x)
        return sample(x, maps, self.interpolation, self.fill)


@dataclass
class RandomAffine(Transform):
    """Rotate, shift, scale and shear each image by random amounts.

    degrees        interval of the angle, clockwise; a number d means (-d, d), 0 no rotation
    translate      largest shift as a share of width and height, (a, b) from 0 to 1: whole pixels,
                   up to a*w to the left or right, and b*h up or down; None: none
    scale          interval of the factor; None: 1
    shear          intervals of the angle of shear in degrees: a number s for (-s, s) along x; (low,
                   high) along x; or (low, high, low, high) along x and y; None: none
    interpolation  "nearest" or "bilinear"
    fill           the value of pixels from outside of the image
    center         the point about which it turns, (x, y) in pixels from the upper left corner;
                   None: that in the middle

    The map is given in `inverse_maps`: torchvision's.

    Example: ``RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1))``
    """

    degrees: float | tuple[float, float]
    translate: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    shear: float | tuple[float, ...] | None = None
    interpolation: str = "nearest"
    fill: float = 0.0
    center: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        op = "RandomAffine"
        self.degrees = _around_zero(op, "degrees", self.degrees)
        if self.translate is not None:
            a, b = numbers(op, "translate", self.translate, 2)
            if not (0 <= a <= 1 and 0 <= b <= 1):
                raise ValueError(f"{op}: translate is {self.translate}, expected shares, 0 to 1")
            self.translate = a, b
        if self.scale is not None:
            self.scale = interval(op, "scale", self.scale, 1e-6)
        if self.shear is not None:
            self.shear = _shear(op, self.shear)
        checks.choice(op, "interpolation", self.interpolation, INTERPOLATIONS)
        self.center = _point(op, self.center)
        self.fill = checks.real(op, "fill", self.fill)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, (h, w) = len(x), x.shape[2:]
        low, high = _around_zero("", "", self.degrees)
        angle = rng.uniform(low, high, n)
        a, b = self.translate or (0.0, 0.0)
        shift = np.rint(rng.uniform(-a * w, a * w, n)), np.rint(rng.uniform(-b * h, b * h, n))
        least, most = self.scale or (1.0, 1.0)
        scale = rng.uniform(least, most, n)
        low, high, low_y, high_y = (0.0,) * 4 if self.shear is None else _shear("", self.shear)
        shear = rng.uniform(low, high, n), rng.uniform(low_y, high_y, n)
        maps = about(inverse_maps(angle, shift, scale, shear), self.center, x)
        return sample(x, maps, self.interpolation, self.fill)


def _around_zero(op: str, name: str, value: Any) -> tuple[float, float]:
    """An interval; a number d means (-d, d)."""
    if isinstance(value, (tuple, list, np.ndarray)):
        return interval(op, name, value)
    half = checks.real(op, name, value)
    if half < 0:
        raise ValueError(f"{op}: {name} is {value}, expected 0 or more, or (low, high)")
    return -half, half


def _point(op: str, center: Any) -> tuple[float, float] | None:
    if center is None:
        return None
    x, y = numbers(op, "center", center, 2)
    return x, y


def _shear(op: str, value: Any) -> tuple[float, float, float, float]:
    if isinstance(value, (tuple, list)) and len(value) == 4:
        return *interval(op, "shear", value[:2]), *interval(op, "shear", value[2:])
    return *_around_zero(op, "shear", value), 0.0, 0.0
