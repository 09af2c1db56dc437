"""`Linear` of the dialect `sequential`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..._arrays import affine, affine_backward, floats, in_out
from .weighted import Weighted

__all__ = ["Linear"]


class Linear(Weighted):
    """y = x W + b, x (n, n_inputs).

    `weights` (n_inputs, n_neurons): np.random.uniform(-k, k), k = sqrt(2 / n_inputs); `biases`
    (1, n_neurons): zeros.

    >>> Linear(3, 2)(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(self, n_inputs: int, n_neurons: int) -> None:
        k = math.sqrt(2 / n_inputs)
        self.weights = in_out(np.random.uniform(-k, k, (n_inputs, n_neurons)))
        self.biases = np.zeros((1, n_neurons))

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.x = floats("Linear", x)
        return affine("Linear", self.x, self.weights, self.biases)

    def backward(self, dvalues: Any) -> np.ndarray:
        dx, self.dweights, dbiases = affine_backward("Linear", dvalues, self._saved(), self.weights)
        self.dbiases = dbiases.reshape(self.biases.shape)
        return dx
