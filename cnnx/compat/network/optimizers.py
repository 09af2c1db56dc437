"""Optimisers of the dialect `network`: `update(params, gradients)` changes params in place.

State belongs to an array, and is found by its identity: a layer's arrays may come in any call.
"""

# Design:
# Each is a cnnx step; where the dialect's formula is another one, its arguments bring it about:
# - Momentum's v = mu*v - lr*g holds past learning rates, the op's velocity does not: the op gets
#   lr*g, and 1 for lr.
# - Adagrad divides by sqrt(G + eps): G starts at eps, and the op adds nothing to the root.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import checks, ops
from .._arrays import FLOAT64, floats

__all__ = ["SGD", "Adagrad", "Adam", "Momentum", "RMSProp"]


class SGD:
    """param -= learning_rate * gradient.

    >>> param = np.array([1.0])
    >>> SGD(0.5).update([param], [np.array([1.0])])
    >>> param.tolist()
    [0.5]
    """

    STATES = 0  # how many numbers of state each number of a parameter has
    START = 0.0

    def __init__(self, learning_rate: float = 0.001) -> None:
        self.learning_rate = learning_rate
        self.state: dict[int, tuple[np.ndarray, list[np.ndarray]]] = {}

    def update(self, params: Iterable[np.ndarray], gradients: Iterable[Any]) -> None:
        """One step of every array of params, in place; a gradient may be None."""
        params, gradients = list(params), list(gradients)
        if len(params) != len(gradients):
            raise ValueError(
                f"{type(self).__name__}: {len(params)} params, but {len(gradients)} gradients"
            )
        for param, gradient in zip(params, gradients):
            if gradient is not None:
                self._update(param, floats(type(self).__name__, gradient))

    def zero_step(self) -> None:
        """Count a step; only Adam counts them."""

    def of(self, param: np.ndarray) -> list[np.ndarray]:
        """The state of an array, made when it first comes."""
        if id(param) not in self.state:
            start = [np.full(param.size, self.START) for _ in range(self.STATES)]
            self.state[id(param)] = param, start  # with the array: its id is not given again
        return self.state[id(param)][1]

    def _update(self, param: np.ndarray, gradient: np.ndarray) -> None:
        if param.shape != gradient.shape:
            raise ValueError(
                f"{type(self).__name__}: a parameter has shape {param.shape}, "
                f"its gradient {gradient.shape}"
            )
        # a matrix stored by columns is its transpose stored by rows
        flip = param.flags.f_contiguous and not param.flags.c_contiguous
        view, g = (param.T, gradient.T) if flip else (param, gradient)
        if checks.plain(view, FLOAT64):
            self._step(view, np.ascontiguousarray(g), self.of(param))
        else:
            copy = np.array(view, FLOAT64, order="C")
            self._step(copy, np.ascontiguousarray(g), self.of(param))
            view[...] = copy

    def _step(self, p: np.ndarray, g: np.ndarray, state: list[np.ndarray]) -> None:
        ops.sgd_step([p], [g], None, self.learning_rate)

    def options(self) -> dict[str, Any]:
        """Numbers, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "state"}


class Momentum(SGD):
    """v = momentum * v - learning_rate * gradient;  param += v.

    >>> param, optimizer = np.array([1.0]), Momentum(0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.update([param], [np.array([1.0])])
    >>> param.tolist()
    [0.375]
    """

    STATES = 1

    def __init__(self, learning_rate: float = 0.001, momentum: float = 0.9) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum

    def _step(self, p: np.ndarray, g: np.ndarray, state: list[np.ndarray]) -> None:
        ops.sgd_step([p], [self.learning_rate * g], state[0], 1.0, self.momentum)


class RMSProp(SGD):
    """cache = decay * cache + (1 - decay) g^2;
    param -= learning_rate * g / (sqrt(cache) + eps).

    >>> param = np.array([1.0])
    >>> RMSProp(0.5, decay=0.75, eps=0.0).update([param], [np.array([2.0])])
    >>> param.tolist()
    [0.0]
    """

    STATES = 1

    def __init__(self, learning_rate: float = 0.001, decay: float = 0.9, eps: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.decay, self.eps = decay, eps

    def _step(self, p: np.ndarray, g: np.ndarray, state: list[np.ndarray]) -> None:
        ops.rmsprop_step([p], [g], state[0], None, None, self.learning_rate, self.decay, self.eps)


class Adagrad(SGD):
    """G += g^2;  param -= learning_rate * g / sqrt(G + eps).

    >>> param = np.array([1.0])
    >>> Adagrad(0.5, eps=0.0).update([param], [np.array([2.0])])
    >>> param.tolist()
    [0.5]
    """

    STATES = 1

    def __init__(self, learning_rate: float = 0.001, eps: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.eps = self.START = eps

    def _step(self, p: np.ndarray, g: np.ndarray, state: list[np.ndarray]) -> None:
        ops.adagrad_step([p], [g], state[0], self.learning_rate, 0.0)

    def options(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate, "eps": self.eps}


class Adam(SGD):
    """Adam, with `t` for the correction of its averages. `t` starts at 1 and advances once per
    `zero_step()`: a program that never calls it keeps t = 1, as it always did.

    >>> param, optimizer = np.array([1.0]), Adam(0.5, eps=0.0)
    >>> optimizer.update([param], [np.array([2.0])])
    >>> param.round(3).tolist()
    [0.5]
    """

    STATES = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.t = 1

    def zero_step(self) -> None:
        self.t += 1

    def _step(self, p: np.ndarray, g: np.ndarray, state: list[np.ndarray]) -> None:
        mean, square = state
        rate, betas = self.learning_rate, (self.beta1, self.beta2)
        ops.adam_step([p], [g], mean, square, rate, *betas, self.eps, 0.0, self.t)
