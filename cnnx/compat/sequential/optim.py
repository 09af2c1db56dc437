"""Optimisers of the dialect `sequential`: `update_params(layer)` steps its weights and biases."""

# Design:
# Adam here divides by sqrt(v_hat + eps), cnnx's step by sqrt(v_hat) + eps. With eps 0 and a state
# v + eps * (1 - beta_2^t) after the step, cnnx's root is the dialect's: v_hat is then v / (1 -
# beta_2^t) + eps. The step multiplies what it finds by beta_2, so it must find
# v + eps * (1 - beta_2^t) / beta_2, and one addition before each step sees to that.

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import FLOAT64, descend, saved

__all__ = ["Adam", "Optimizer"]

NAMES = ("weights", "biases")


def _rows(array: np.ndarray) -> np.ndarray:
    """The array, or its transpose, whichever lies in memory row by row."""
    return array if array.flags.c_contiguous else array.T


class Optimizer:
    """Plain gradient descent: weights -= lr * dweights, biases -= lr * dbiases.

    >>> Optimizer().lr
    0.01
    """

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    def update_params(self, layer: Any) -> None:
        """One step of a layer that has `weights biases dweights dbiases`."""
        for name in NAMES:
            gradient = saved("Optimizer", getattr(layer, f"d{name}", None))
            param = getattr(layer, name)
            if param.flags.c_contiguous:
                descend(param, np.ascontiguousarray(gradient), self.lr)
            else:
                descend(param.T, np.ascontiguousarray(gradient.T), self.lr)


class Adam(Optimizer):
    """Adam with a step count that advances once for each *layer*, lr = lr0 / (1 + decay * count),
    and division by sqrt(v_hat + eps).

    `count` is the number of layers stepped so far; the averages of a layer are corrected with
    count + 1.

    ValueError for a beta_2 that is not between 0 and 1.

    >>> Adam().beta_2
    0.999
    """

    def __init__(
        self,
        lr: float = 1e-3,
        decay: float = 0,
        eps: float = 1e-8,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
    ) -> None:
        super().__init__(lr)
        if not 0 < beta_2 < 1:
            raise ValueError(f"Adam: beta_2={beta_2}, expected between 0 and 1")
        self.decay, self.eps, self.beta_1, self.beta_2 = decay, eps, beta_1, beta_2
        self.count = 0
        self._state: dict[int, dict[str, Any]] = {}

    def update_params(self, layer: Any) -> None:
        lr = self.lr / (1 + self.decay * self.count)
        step = self.count + 1
        state = self._state.get(id(layer))
        if state is None:
            size = sum(getattr(layer, name).size for name in NAMES)
            state = {"layer": layer, "mean": np.zeros(size), "square": np.zeros(size), "added": 0.0}
            self._state[id(layer)] = state  # with the layer: its id is not given again
        params = [getattr(layer, name) for name in NAMES]
        grads = [saved("Adam", getattr(layer, f"d{name}", None)) for name in NAMES]
        views = [_rows(param) for param in params]
        copies = [np.ascontiguousarray(view, FLOAT64) for view in views]
        turned = [g.T if v is not p else g for g, v, p in zip(grads, views, params)]
        after = self.eps * (1 - self.beta_2**step)
        square = state["square"]
        square += after / self.beta_2 - state["added"]
        np.maximum(square, 0, out=square)  # where eps is all there is, rounding may leave less
        betas = self.beta_1, self.beta_2
        ops.adam_step(copies, turned, state["mean"], square, lr, *betas, 0.0, 0.0, step)
        state["added"] = after
        self.count += 1
        for view, copy in zip(views, copies):
            if copy is not view:
                view[...] = copy
