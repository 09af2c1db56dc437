"""Random flips: `RandomHorizontalFlip`, `RandomVerticalFlip` and both, `RandomFlip`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Transform, probability

__all__ = ["RandomFlip", "RandomHorizontalFlip", "RandomVerticalFlip"]


def _flipped(x: np.ndarray, chosen: np.ndarray, axis: int) -> np.ndarray:
    """A copy of x (n, c, h, w) in which the chosen samples (n,) bool are mirrored along an axis."""
    y = x.copy()
    y[chosen] = np.flip(x, axis)[chosen]
    return y


@dataclass
class RandomHorizontalFlip(Transform):
    """Mirror each image left to right with probability p: y[..., j] = x[..., w-1-j].

    Example: ``RandomHorizontalFlip()(x, seed=0)``
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        self.p = probability("RandomHorizontalFlip", "p", self.p)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _flipped(x, rng.random(len(x)) < self.p, 3)


@dataclass
class RandomVerticalFlip(Transform):
    """Mirror each image upside down with probability p: y[..., i, :] = x[..., h-1-i, :].

    Example: ``RandomVerticalFlip(p=0.2)``
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        self.p = probability("RandomVerticalFlip", "p", self.p)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _flipped(x, rng.random(len(x)) < self.p, 2)


@dataclass
class RandomFlip(Transform):
    """Mirror each image in both directions, independently, with a probability for each.

    horizontal, vertical  probabilities of left to right, and of upside down

    Example: ``RandomFlip(0.5, 0.5)`` for pictures without an up, such as tissue or maps
    """

    horizontal: float = 0.5
    vertical: float = 0.0

    def __post_init__(self) -> None:
        self.horizontal = probability("RandomFlip", "horizontal", self.horizontal)
        self.vertical = probability("RandomFlip", "vertical", self.vertical)

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x = _flipped(x, rng.random(len(x)) < self.horizontal, 3)
        return _flipped(x, rng.random(len(x)) < self.vertical, 2)
