"""Base of the layers with weights."""

from __future__ import annotations

import numpy as np

from ..module import Module

__all__ = ["Weighted"]


class Weighted(Module):
    """A module with `weights` and `biases`; backward replaces their gradients.

    >>> class Scale(Weighted):
    ...     weights, biases = np.ones((1, 2)), np.zeros((1, 2))
    >>> scale = Scale()
    >>> scale.zero_grad()
    >>> scale.dweights.tolist()
    [[0.0, 0.0]]
    """

    weights: np.ndarray
    biases: np.ndarray
    dweights: np.ndarray
    dbiases: np.ndarray

    def zero_grad(self) -> None:
        """Reset `dweights` and `dbiases` to zeros."""
        self.dweights, self.dbiases = np.zeros_like(self.weights), np.zeros_like(self.biases)
