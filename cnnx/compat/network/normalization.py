"""`BatchNorm1D` and `BatchNorm2D` of the dialect `network`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats, normalized
from .base import Layer

__all__ = ["BatchNorm1D", "BatchNorm2D"]


class _BatchNorm(Layer):
    PARAMETERS = ("gamma", "beta")
    BUFFERS = ("running_mean", "running_var")
    affine = True
    gamma_grad: np.ndarray
    beta_grad: np.ndarray

    def __init__(
        self, features: int, momentum: float, eps: float, gamma: float = 1.0, beta: float = 0.0
    ) -> None:
        self.momentum, self.eps = momentum, eps
        self.gamma, self.beta = np.full(features, float(gamma)), np.full(features, float(beta))
        self.running_mean, self.running_var = np.zeros(features), np.ones(features)
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        x = floats(type(self).__name__, x)
        training = self.training and not self.evaluating
        if training:
            y, mean, inv_std, variance = normalized(x, self.gamma, self.beta, self.eps)
            old = 1 - self.momentum
            self.running_mean = old * self.running_mean + self.momentum * mean
            self.running_var = old * self.running_var + self.momentum * variance
        else:
            running = self.running_mean, self.running_var
            y, mean, inv_std = ops.batch_norm(
                x, self.gamma, self.beta, *running, training=False, eps=self.eps
            )
        self._kept = x, mean, inv_std, training
        return y

    def backward(self, grad_output: Any) -> np.ndarray:
        """Gradients of gamma and beta accumulate in training mode only."""
        x, mean, inv_std, training = self._saved()
        grad = floats(type(self).__name__, grad_output)
        dx, dgamma, dbeta = ops.batch_norm_backward(grad, x, self.gamma, mean, inv_std, training)
        if training and self.affine:
            self.gamma_grad += dgamma
            self.beta_grad += dbeta
        return dx

    def update_params(self, optimizer: Any) -> None:
        if self.affine:
            super().update_params(optimizer)


class BatchNorm1D(_BatchNorm):
    """Batch normalisation of (n, num_features).

    affine  False: gamma is ones and beta zeros, whatever the arguments, and neither is trained

    `gamma beta gamma_grad beta_grad running_mean running_var`, each (num_features,); the running
    variance is the biased one: running = (1 - momentum) * running + momentum * batch.

    >>> BatchNorm1D(1).forward([[1.0], [3.0]]).round(3).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        gamma: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        self.num_features, self.affine = num_features, affine
        start = (gamma, beta) if affine else (1.0, 0.0)
        super().__init__(num_features, momentum, eps, *start)

    def options(self) -> dict[str, Any]:
        names = ("num_features", "momentum", "eps", "affine")
        return {name: getattr(self, name) for name in names}


class BatchNorm2D(_BatchNorm):
    """Batch normalisation of images (n, num_channels, h, w), per channel; as `BatchNorm1D`.

    >>> BatchNorm2D(1).forward([[[[1.0, 3.0]]]]).round(3).tolist()
    [[[[-1.0, 1.0]]]]
    """

    def __init__(self, num_channels: int, eps: float = 1e-15, momentum: float = 0.1) -> None:
        self.num_channels = num_channels
        super().__init__(num_channels, momentum, eps)

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_channels", "eps", "momentum")}
