"""`Optimizer` of the dialect `sequential`; programs import the file under this misspelt name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._arrays import descend, saved

__all__ = ["Optimizer"]


class Optimizer:
    """Plain gradient descent, in place: weights -= lr * dweights, biases -= lr * dbiases.

    >>> Optimizer().lr
    0.01
    """

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    def update_params(self, layer: Any) -> None:
        """One step of a layer that has `weights biases dweights dbiases`."""
        for name in ("weights", "biases"):
            gradient = saved("Optimizer", getattr(layer, f"d{name}", None))
            param = getattr(layer, name)
            if param.flags.c_contiguous:
                descend(param, np.ascontiguousarray(gradient), self.lr)
            else:
                descend(param.T, np.ascontiguousarray(gradient.T), self.lr)
