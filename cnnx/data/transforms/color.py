"""Colours: `ColorJitter`, and the adjustments that RandAugment uses too."""

# Design:
# All functions take images (n, c, h, w) from 0 to 1 and a factor for each (n,), and return new
# arrays from 0 to 1. Formulas are those of torchvision, which are Pillow's on floats.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Transform, interval

__all__ = ["ColorJitter", "blend", "brightness", "contrast", "hue", "saturation"]

_LUMA = (0.2989, 0.587, 0.114)  # torchvision's


def blend(x: np.ndarray, other: Any, factor: np.ndarray) -> np.ndarray:
    """factor*x + (1-factor)*other, limited to 0..1; factor (n,)."""
    f = factor.astype(x.dtype)[:, None, None, None]
    y = f * x
    y += (1 - f) * other
    return np.clip(y, 0, 1, out=y)


def grey(x: np.ndarray) -> np.ndarray:
    """(n, 1, h, w): the luminance of colour, the one channel of grey images."""
    if x.shape[1] != 3:
        return x
    red, green, blue = (x.dtype.type(part) for part in _LUMA)
    return red * x[:, :1] + green * x[:, 1:2] + blue * x[:, 2:]


def brightness(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """factor * x."""
    return blend(x, x.dtype.type(0), factor)


def contrast(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Distance from the image's mean luminance, times factor."""
    return blend(x, grey(x).mean(axis=(1, 2, 3), keepdims=True), factor)


def saturation(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Distance of each pixel from its luminance, times factor; grey images are copied."""
    return x.copy() if x.shape[1] != 3 else blend(x, grey(x), factor)


def hue(x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Rotate the hue by a share of the colour circle; grey images are copied.

    In hue, saturation and value: v = max(r, g, b), s = (v - min) / v, and hue h in sixths of the
    circle. Back: channel k is v - v*s*clip(min(q, 4 - q), 0, 1), q = (n_k + 6*h) mod 6, with n_k
    5, 3 and 1 for red, green and blue.
    """
    if x.shape[1] != 3:
        return x.copy()
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    value = x.max(axis=1)
    chroma = value - x.min(axis=1)
    divisor = np.where(chroma == 0, 1, chroma).astype(x.dtype)
    sixths = np.where(
        value == red,
        (green - blue) / divisor,
        np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixths = sixths + 6 * shift.astype(x.dtype)[:, None, None]
    y = np.empty_like(x)
    for k, start in enumerate((5, 3, 1)):
        q = (start + sixths) % 6
        y[:, k] = value - chroma * np.clip(np.minimum(q, 4 - q), 0, 1)
    return np.clip(y, 0, 1, out=y)


@dataclass
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue of each image by random factors.

    brightness, contrast, saturation
         interval of the factor; a number d means (max(0, 1-d), 1+d), 0 no change
    hue  interval of the shift within -0.5..0.5, shares of the colour circle; a number d means
         (-d, d)

    Each image has its own factors; the four changes are made in a random order, the same for a
    batch. Values are limited to 0..1. Grey images have neither saturation nor hue. ValueError for
    images of other than 1 or 3 channels.

    Example: ``ColorJitter(0.4, 0.4, 0.4, 0.1)``
    """

    brightness: float | tuple[float, float] = 0.0
    contrast: float | tuple[float, float] = 0.0
    saturation: float | tuple[float, float] = 0.0
    hue: float | tuple[float, float] = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "hue"):
            _factors(name, getattr(self, name))

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        check_channels("ColorJitter", x)
        steps = (brightness, contrast, saturation, hue)
        bounds = [_factors(step.__name__, getattr(self, step.__name__)) for step in steps]
        factors = [rng.uniform(low, high, len(x)) for low, high in bounds]
        for k in rng.permutation(4):
            if bounds[k] not in ((1, 1), (0, 0)) or (k < 3 and bounds[k] == (0, 0)):
                x = steps[k](x, factors[k])
        return x


def check_channels(op: str, x: np.ndarray) -> None:
    if x.shape[1] not in (1, 3):
        raise ValueError(f"{op}: x has {x.shape[1]} channels, expected 1 (grey) or 3 (colour)")


def _factors(name: str, value: Any) -> tuple[float, float]:
    op = "ColorJitter"
    if not isinstance(value, (tuple, list, np.ndarray)):
        least = -value if name == "hue" else max(0.0, 1 - value)
        value = (least, value if name == "hue" else 1 + value)
    low, high = interval(op, name, value, -0.5 if name == "hue" else 0)
    if name == "hue" and high > 0.5:
        raise ValueError(f"{op}: hue is {value!r}, expected shifts from -0.5 to 0.5")
    return low, high
