"""`Resize`: bilinear scaling, antialiased when shrinking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import checks
from .base import Transform

__all__ = ["Resize"]


@dataclass
class Resize(Transform):
    """Scale each image by bilinear interpolation.

    size       (height, width); or one number, the size of the shorter edge: the longer one keeps
               the proportion, rounded down
    antialias  average over all pixels that a smaller pixel covers, as Pillow does; False: only the
               two nearest ones of each axis, as PyTorch's `interpolate`

    (n, c, h, w) -> (n, c, *size). With s = h / height and t = max(s, 1) (1 without antialias),
    row i is the mean of the rows k near c = (i + 0.5)*s - 0.5, weighted by max(0, 1 - |k - c| / t);
    the weights of rows outside of the image are left out, and those of a row sum to 1. Columns
    likewise.

    Example: ``Resize((64, 64))(x)``
    """

    size: int | tuple[int, int]
    antialias: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.size, (int, np.integer)):
            self.size = checks.pair("Resize", "size", self.size)
        else:
            self.size = checks.integer("Resize", "size", self.size, 1)
        self.antialias = checks.flag("Resize", "antialias", self.antialias)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        h, w = x.shape[2:]
        if not h or not w:
            raise ValueError(f"Resize: images have {h} x {w} pixels, expected at least one")
        if isinstance(self.size, tuple):
            height, width = self.size
        else:
            short, size = min(h, w), self.size
            height, width = (size if k == short else int(size * k / short) for k in (h, w))
        if (height, width) == (h, w):
            return x.copy()
        rows = _weights(h, height, self.antialias).astype(x.dtype)
        columns = _weights(w, width, self.antialias).astype(x.dtype)
        return rows @ (x @ columns.T)


def _weights(size: int, target: int, antialias: bool) -> np.ndarray:
    """(target, size): the weight of each old pixel in each new one."""
    scale = size / target
    reach = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(target) + 0.5) * scale - 0.5
    if not antialias:
        centres = np.clip(centres, 0, size - 1)
    distance = np.abs(np.arange(size) - centres[:, None]) / reach
    weights = np.maximum(0, 1 - distance)
    return np.divide(weights, weights.sum(axis=1, keepdims=True))
