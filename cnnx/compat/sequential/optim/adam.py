"""`Adam` of the dialect `sequential`."""

# Design:
# This dialect divides by sqrt(v_hat + eps), cnnx's step by sqrt(v_hat) + eps. With eps 0 and a
# state v + eps * (1 - beta_2^t) after the step, cnnx's root equals the dialect's, since v_hat is
# then v / (1 - beta_2^t) + eps. The step multiplies its state by beta_2, so the state before it
# must be v + eps * (1 - beta_2^t) / beta_2; the addition is subtracted again after the step.

from __future__ import annotations

from typing import Any

import numpy as np

from .... import ops
from ..._arrays import FLOAT64, saved
from .optimzer import Optimizer

__all__ = ["Adam"]


class Adam(Optimizer):
    """Adam whose step count `iterations` starts at 1 and advances with every *layer*;
    lr = lr_0 / (1 + decay * iterations), and division by sqrt(v_hat + eps).

    The averages are attributes of the layer, created by `initialize`: `weights_momentums
    weights_cache biases_momentums biases_cache`. A step assigns new arrays of weights and biases to
    the layer.

    ValueError for a beta_2 that is not between 0 and 1.

    >>> Adam().iterations
    1
    """

    def __init__(
        self,
        lr: float = 1e-3,
        decay: float = 0.0,
        eps: float = 1e-8,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
    ) -> None:
        super().__init__(lr)
        if not 0 < beta_2 < 1:
            raise ValueError(f"Adam: beta_2={beta_2}, expected between 0 and 1")
        self.lr_0, self.decay, self.eps = lr, decay, eps
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.iterations = 1

    def initialize(self, layer: Any) -> None:
        """Set the layer's averages to zeros."""
        for name in ("weights", "biases"):
            for average in ("momentums", "cache"):
                setattr(layer, f"{name}_{average}", np.zeros_like(getattr(layer, name), FLOAT64))

    def update_params(self, layer: Any) -> None:
        if not hasattr(layer, "weights_momentums"):
            self.initialize(layer)
        self.lr = self.lr_0 / (1 + self.decay * self.iterations)
        for name in ("weights", "biases"):
            self._step(layer, name)
        self.iterations += 1

    def _step(self, layer: Any, name: str) -> None:
        gradient = saved("Adam", getattr(layer, f"d{name}", None))
        param = np.array(getattr(layer, name), FLOAT64)  # a copy with the same layout
        # A matrix stored by columns is its transpose stored by rows.
        flipped = not param.flags.c_contiguous
        names = f"{name}_momentums", f"{name}_cache"
        arrays = [param, gradient, *(getattr(layer, state) for state in names)]
        rows = [np.ascontiguousarray(a.T if flipped else a, FLOAT64) for a in arrays]
        momentums, cache = (state.reshape(-1) for state in rows[2:])
        added = self.eps * (1 - self.beta_2**self.iterations)
        cache += added / self.beta_2
        rates = self.lr, self.beta_1, self.beta_2
        ops.adam_step([rows[0]], [rows[1]], momentums, cache, *rates, 0.0, 0.0, self.iterations)
        cache -= added
        np.maximum(cache, 0, out=cache)  # if v is 0, rounding may leave a value below 0
        for attribute, array in zip((name, *names), (rows[0], *rows[2:])):
            setattr(layer, attribute, array.T if flipped else array)
