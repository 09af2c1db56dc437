"""Crops: `RandomCrop` and `CenterCrop`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ... import checks
from .base import Transform

__all__ = ["CenterCrop", "RandomCrop"]

_MODES = ("constant", "edge", "reflect", "symmetric")


@dataclass
class RandomCrop(Transform):
    """A window of each image at a random place, after padding the image.

    size          (height, width) of the window, or one number for both
    padding       pixels on each side: one number, (left and right, top and bottom), or (left, top,
                  right, bottom)
    pad_if_needed after that, an image that is smaller than the window is padded on both sides by
                  what it lacks
    fill          the value of added pixels, for padding_mode="constant"
    padding_mode  "constant", "edge" (repeats the border), "reflect" (mirrors without it) or
                  "symmetric" (mirrors with it)

    (n, c, h, w) -> (n, c, *size): y = p[:, i : i+height, j : j+width] of the padded image p, with i
    and j uniform over all places. ValueError if the window is larger than the padded image.

    K. He et al., Deep residual learning for image recognition, CVPR 2016, section 4.2, for CIFAR:
    4 pixels of padding.

    Example: ``RandomCrop(32, padding=4)``
    """

    size: int | tuple[int, int]
    padding: int | tuple[int, ...] = 0
    _: KW_ONLY
    pad_if_needed: bool = False
    fill: float = 0.0
    padding_mode: str = "constant"

    def __post_init__(self) -> None:
        op = "RandomCrop"
        self.size = checks.pair(op, "size", self.size)
        _sides(self.padding)
        self.pad_if_needed = checks.flag(op, "pad_if_needed", self.pad_if_needed)
        self.fill = checks.real(op, "fill", self.fill)
        checks.choice(op, "padding_mode", self.padding_mode, _MODES)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = checks.pair("RandomCrop", "size", self.size)
        x = self._padded(x, *_sides(self.padding))
        n, _, h, w = x.shape
        if self.pad_if_needed:
            down, across = max(height - h, 0), max(width - w, 0)
            x = self._padded(x, across, down, across, down)
            h, w = x.shape[2:]
        if height > h or width > w:
            raise ValueError(
                f"RandomCrop: size is {self.size}, but with padding the images have {(h, w)}"
            )
        rows = rng.integers(h - height + 1, size=n)
        columns = rng.integers(w - width + 1, size=n)
        windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(2, 3))
        return windows[np.arange(n), :, rows, columns]

    def _padded(self, x: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        if not (left or top or right or bottom):
            return x
        sides = ((0, 0), (0, 0), (top, bottom), (left, right))
        constant = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
        # NumPy declares one overload for each mode, and this one is chosen at run time.
        return np.pad(x, sides, self.padding_mode, **constant)  # type: ignore[call-overload]


@dataclass
class CenterCrop(Transform):
    """The window in the middle of each image; a smaller image is padded with zeros.

    size  (height, width) of the window, or one number for both

    (n, c, h, w) -> (n, c, *size). An odd margin is divided as in torchvision: the first row is
    round((h - height) / 2), to even for a half.

    Example: ``Compose([Resize(72), CenterCrop(64)])`` for validation
    """

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        self.size = checks.pair("CenterCrop", "size", self.size)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = checks.pair("CenterCrop", "size", self.size)
        lacking = [max(height - x.shape[2], 0), max(width - x.shape[3], 0)]
        if any(lacking):
            x = np.pad(x, [(0, 0), (0, 0), *((k // 2, k - k // 2) for k in lacking)])
        top = round((x.shape[2] - height) / 2)
        left = round((x.shape[3] - width) / 2)
        return np.ascontiguousarray(x[:, :, top : top + height, left : left + width])


def _sides(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom)."""
    sides = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,)
    if len(sides) not in (1, 2, 4):
        raise ValueError(f"RandomCrop: padding is {padding!r}, expected 1, 2 or 4 numbers")
    numbers = [checks.integer("RandomCrop", "padding", side) for side in sides]
    left, top, right, bottom = (numbers * 4)[:4]
    return left, top, right, bottom
