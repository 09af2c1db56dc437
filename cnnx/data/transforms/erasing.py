"""`RandomErasing`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ... import checks
from .base import Transform, interval, probability

__all__ = ["RandomErasing"]

_TRIES = 10  # rectangles drawn for an image until one fits, as in torchvision


@dataclass
class RandomErasing(Transform):
    """Replace a random rectangle of each image, with probability p.

    p      probability that an image is changed
    scale  interval of the rectangle's share of the image's area
    ratio  interval of its height divided by its width, whose logarithm is uniform
    value  number for erased pixels, or "random" for numbers of a normal distribution

    height = round(sqrt(share * h * w * ratio)), width = round(sqrt(share * h * w / ratio)); of 10
    rectangles, the first that is smaller than the image is taken, at a uniform place; if none is,
    the image is left as it is. It comes after Normalize, so that 0 is the mean colour.

    Z. Zhong et al., Random erasing data augmentation, AAAI 2020, arXiv:1708.04896.

    Example: ``Compose([RandomCrop(32, padding=4), Normalize(mean, std), RandomErasing()])``
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | str = 0.0

    def __post_init__(self) -> None:
        op = "RandomErasing"
        self.p = probability(op, "p", self.p)
        self.scale = interval(op, "scale", self.scale, 0)
        self.ratio = interval(op, "ratio", self.ratio, 1e-6)
        if self.scale[1] > 1:
            raise ValueError(f"{op}: scale is {self.scale}, expected shares of an area, up to 1")
        if self.value != "random":
            self.value = checks.real(op, "value", self.value)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, _, h, w = x.shape
        chosen = rng.random(n) < self.p
        area = h * w * rng.uniform(*self.scale, (n, _TRIES))
        ratio = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), area.shape))
        heights = np.rint(np.sqrt(area * ratio)).astype(int)
        widths = np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (heights < h) & (widths < w)
        first = fits.argmax(axis=1)
        places = rng.random((n, 2))
        y = x.copy()
        for i in np.flatnonzero(chosen & fits.any(axis=1)):
            height, width = heights[i, first[i]], widths[i, first[i]]
            top = int(places[i, 0] * (h - height + 1))
            left = int(places[i, 1] * (w - width + 1))
            block = y[i, :, top : top + height, left : left + width]
            block[...] = rng.standard_normal(block.shape) if self.value == "random" else self.value
        return y
