"""`Dropout` of the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._arrays import floats, saved
from ..module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """x * binary_mask, binary_mask = np.random.binomial(1, keep_prob, x.shape) / keep_prob with
    keep_prob = 1 - p; x unchanged with train=False.

    During validation in `train_val`, and in `test`, the mask is drawn but not applied: the old
    program dropped there too, and drawing the same random numbers keeps all later ones the same.

    >>> Dropout(0.0)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    binary_mask: Any = None

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p}, expected from 0 to below 1")
        self.keep_prob = 1 - p

    def forward(self, x: Any, train: bool = True) -> np.ndarray:
        x = floats("Dropout", x)
        if not train:
            return x
        mask = np.random.binomial(1, self.keep_prob, x.shape) / self.keep_prob
        if not self.training:
            return x
        self.x, self.binary_mask = x, mask
        return x * mask

    def backward(self, dvalues: Any) -> np.ndarray:
        self.dx = floats("Dropout", dvalues) * saved("Dropout", self.binary_mask)
        return self.dx
