"""`Normalize`: standardisation of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .base import Transform, numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Normalize"]


@dataclass
class Normalize(Transform):
    """Standardise each channel: y[:, k] = (x[:, k] - mean[k]) / std[k].

    mean, std  a number for each channel, or one for all; `cnnx.data.channel_stats` finds them

    It comes after the transforms that expect pixels from 0 to 1, such as ColorJitter.

    Example: ``Normalize(*cnnx.data.channel_stats(train))``
    """

    mean: ArrayLike
    std: ArrayLike

    def __post_init__(self) -> None:
        op = "Normalize"
        self.mean, self.std = (
            numbers(op, name, np.ravel(value), np.size(value))
            for name, value in (("mean", self.mean), ("std", self.std))
        )
        if min(self.std, default=0) <= 0:
            raise ValueError(f"{op}: std is {self.std}, expected numbers above 0")

    def apply_x(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mean, std = (np.asarray(v, x.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        if any(len(v) not in (1, x.shape[1]) for v in (mean, std)):
            raise ValueError(
                f"Normalize: mean and std have {len(mean)} and {len(std)} numbers, but the images "
                f"{x.shape[1]} channels"
            )
        y = x - mean
        y /= std
        return y
