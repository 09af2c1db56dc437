"""`RandAugment`."""

# Design:
# In each round, every sample draws one of 14 operations. The samples of one operation are changed
# together, and all geometric ones in one call of the affine sampler.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ... import checks
from .affine import INTERPOLATIONS, inverse_maps, sample
from .base import Transform
from .color import blend, brightness, check_channels, contrast, saturation

__all__ = ["RandAugment"]

_GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_OPERATIONS = (
    "Identity",
    *_GEOMETRIC,
    *("Brightness", "Color", "Contrast", "Sharpness"),
    *("Posterize", "Solarize", "AutoContrast", "Equalize"),
)


@dataclass
class RandAugment(Transform):
    """Change each image by a few random operations of one strength.

    num_ops             operations per image, drawn with replacement
    magnitude           strength, from 0 (none) to num_magnitude_bins - 1
    num_magnitude_bins  number of strengths
    interpolation       "nearest" or "bilinear", of geometric operations
    fill                the value of pixels from outside of the image

    With m = magnitude / (num_magnitude_bins - 1), and a random sign where there is a +-:

    Identity; ShearX, ShearY by atan(+-0.3 m) from the upper left corner; TranslateX, TranslateY by
    +-150/331 m of the width or height; Rotate by +-30 m degrees; Brightness, Color (saturation),
    Contrast, Sharpness by the factor 1 +- 0.9 m; Posterize to 8 - round(4 m) bits; Solarize: 1 - x
    where x >= 1 - m;
    AutoContrast: each channel from 0 to 1; Equalize its histogram of 256 values.

    Grey images or colour; ValueError for other channels.

    E. Cubuk et al., RandAugment: Practical automated data augmentation with a reduced search
    space, NeurIPS 2020, arXiv:1909.13719; operations and strengths are torchvision's.

    Example: ``Compose([RandAugment(), RandomCrop(32, padding=4)])``
    """

    num_ops: int = 2
    magnitude: int = 9
    num_magnitude_bins: int = 31
    interpolation: str = "nearest"
    fill: float = 0.0

    def __post_init__(self) -> None:
        op = "RandAugment"
        self.num_ops = checks.integer(op, "num_ops", self.num_ops)
        self.num_magnitude_bins = checks.integer(
            op, "num_magnitude_bins", self.num_magnitude_bins, 2
        )
        most = self.num_magnitude_bins - 1
        self.magnitude = checks.integer(op, "magnitude", self.magnitude, 0, most)
        checks.choice(op, "interpolation", self.interpolation, INTERPOLATIONS)
        self.fill = checks.real(op, "fill", self.fill)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        check_channels("RandAugment", x)
        x = x.copy()
        for _ in range(self.num_ops):
            drawn = rng.integers(len(_OPERATIONS), size=len(x))
            signs = rng.choice([-1.0, 1.0], len(x))
            self._move(x, drawn, signs)
            for k in range(1 + len(_GEOMETRIC), len(_OPERATIONS)):
                chosen = np.flatnonzero(drawn == k)
                if len(chosen):
                    x[chosen] = self._change(x[chosen], _OPERATIONS[k], signs[chosen])
        return x

    def _strength(self) -> float:
        return self.magnitude / (self.num_magnitude_bins - 1)

    def _move(self, x: np.ndarray, drawn: np.ndarray, signs: np.ndarray) -> None:
        """The geometric operations, in place."""
        chosen = np.flatnonzero((drawn >= 1) & (drawn <= len(_GEOMETRIC)))
        if not len(chosen):
            return
        h, w = x.shape[2:]
        amount = self._strength() * signs[chosen]
        # The amount of each kind of operation for each sample, 0 for those of another kind.
        shear_x, shear_y, right, down, turn = (
            np.where(drawn[chosen] == 1 + k, amount, 0) for k in range(len(_GEOMETRIC))
        )
        # A shear keeps the upper left corner, as in the paper's code; `inverse_maps` the centre.
        right = np.trunc(150 / 331 * w * right) - 0.15 * h * shear_x
        down = np.trunc(150 / 331 * h * down) - 0.15 * w * shear_y
        maps = inverse_maps(
            30 * turn,
            (right, down),
            1.0,
            (np.rad2deg(np.arctan(0.3 * shear_x)), np.rad2deg(np.arctan(0.3 * shear_y))),
        )
        x[chosen] = sample(x[chosen], maps, self.interpolation, self.fill)

    def _change(self, x: np.ndarray, operation: str, signs: np.ndarray) -> np.ndarray:
        strength = self._strength()
        by_factor: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
            "Brightness": brightness,
            "Color": saturation,
            "Contrast": contrast,
            "Sharpness": sharpness,
        }
        if operation in by_factor:
            return by_factor[operation](x, 1 + 0.9 * strength * signs)
        if operation == "Posterize":
            return posterize(x, 8 - round(4 * strength))
        if operation == "Solarize":
            return np.where(x >= 1 - strength, 1 - x, x)
        return autocontrast(x) if operation == "AutoContrast" else equalize(x)


def sharpness(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Distance from the blurred image, times factor; blurred by (1 1 1, 1 5 1, 1 1 1) / 13.

    The outermost pixels keep their values.
    """
    blurred = x.copy()
    h, w = x.shape[2:]
    if h > 2 and w > 2:
        inner = 4 * x[:, :, 1:-1, 1:-1]
        for i in range(3):
            for j in range(3):
                inner += x[:, :, i : h - 2 + i, j : w - 2 + j]
        blurred[:, :, 1:-1, 1:-1] = inner / 13
    return blend(x, blurred, factor)


def posterize(x: np.ndarray, bits: int) -> np.ndarray:
    """floor(x * 2**bits) / 2**bits, at most (2**bits - 1) / 2**bits."""
    levels = 1 << bits
    return np.clip(np.floor(x * levels), 0, levels - 1) / x.dtype.type(levels)


def autocontrast(x: np.ndarray) -> np.ndarray:
    """(x - min) / (max - min) of each channel; a channel of one value is kept."""
    least, most = x.min(axis=(2, 3), keepdims=True), x.max(axis=(2, 3), keepdims=True)
    spread = most - least
    flat = spread == 0
    return (x - np.where(flat, 0, least)) / np.where(flat, 1, spread)


def equalize(x: np.ndarray) -> np.ndarray:
    """Each channel with all of 256 values equally frequent, as far as possible.

    With the histogram H of round(255*x), step = floor((pixels - H[last used value]) / 255), value v
    becomes floor((sum of H[0..v-1] + step/2) / step), at most 255; if step is 0, the channel is
    kept.
    """
    levels = np.rint(x * 255).astype(np.uint8)
    y = x.copy()
    for plane, out in zip(
        levels.reshape(-1, *x.shape[2:]), y.reshape(-1, *x.shape[2:]), strict=True
    ):
        histogram = np.bincount(plane.ravel(), minlength=256)
        used = np.flatnonzero(histogram)
        step = (plane.size - histogram[used[-1]]) // 255 if len(used) else 0
        if step:
            before = np.cumsum(histogram) - histogram
            table = np.minimum((before + step // 2) // step, 255)
            out[...] = table[plane] / x.dtype.type(255)
    return y
