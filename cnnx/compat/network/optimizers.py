"""Optimisers of the dialect `network`: `update(params, gradients)` updates one array in place.

State belongs to an array, which is identified by its id, in one dictionary per kind of state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import FLOAT64, descend, floats

__all__ = ["SGD", "Adagrad", "Adam", "Momentum", "RMSProp", "np"]


class SGD:
    """params -= learning_rate * gradients.

    >>> params = np.array([1.0])
    >>> SGD(0.5).update(params, np.array([1.0]))
    >>> params.tolist()
    [0.5]
    """

    STATES: tuple[str, ...] = ()  # names of the dictionaries {id(params): array of its shape}

    def __init__(self, learning_rate: float = 0.001) -> None:
        self.learning_rate = learning_rate
        for name in self.STATES:
            setattr(self, name, {})
        self._owners: dict[int, np.ndarray] = {}

    def update(self, params: np.ndarray, gradients: Any) -> None:
        """One step for one array, in place. ValueError for gradients of another shape."""
        if not isinstance(params, np.ndarray):
            raise TypeError(
                f"{type(self).__name__}: params is a {type(params).__name__}, expected an array: "
                "it is changed in place"
            )
        gradients = floats(type(self).__name__, gradients)
        if params.shape != gradients.shape:
            raise ValueError(
                f"{type(self).__name__}: params has shape {params.shape}, "
                f"gradients {gradients.shape}"
            )
        self._step(params, gradients, *self.of(params))

    def zero_step(self) -> None:
        """Begin a step; only Adam counts steps."""

    def of(self, params: np.ndarray) -> list[np.ndarray]:
        """The state of an array, initially zeros."""
        key = id(params)
        if key not in self._owners:
            self._owners[key] = params  # keeps it alive, so that its id is not reused
        dictionaries = [getattr(self, name) for name in self.STATES]
        return [states.setdefault(key, np.zeros_like(params)) for states in dictionaries]

    def __setstate__(self, state: dict[str, Any]) -> None:
        # In a copy or a pickle the arrays have other ids.
        ids = {key: id(params) for key, params in state["_owners"].items()}
        for name in (*self.STATES, "_owners"):
            state[name] = {ids[key]: array for key, array in state[name].items()}
        vars(self).update(state)

    def options(self) -> dict[str, Any]:
        """Hyperparameters, for a checkpoint."""
        kept = (*self.STATES, "_owners", "_step_called")
        return {name: value for name, value in vars(self).items() if name not in kept}

    def _step(self, p: np.ndarray, g: np.ndarray, *states: np.ndarray) -> None:
        if p.flags.f_contiguous and not p.flags.c_contiguous:
            p, g = p.T, g.T
        descend(p, np.ascontiguousarray(g), self.learning_rate)


class Momentum(SGD):
    """v = momentum * v - learning_rate * gradients;  params += v. `velocities` holds v.

    >>> params, optimizer = np.array([1.0]), Momentum(0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.update(params, np.array([1.0]))
    >>> params.tolist()
    [0.375]
    """

    STATES = ("velocities",)

    def __init__(self, learning_rate: float = 0.001, momentum: float = 0.9) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum

    def _step(self, p: np.ndarray, g: np.ndarray, *states: np.ndarray) -> None:
        (v,) = states
        v *= self.momentum
        v -= self.learning_rate * g
        p += v


class RMSProp(SGD):
    """cache = decay * cache + (1 - decay) g^2;
    params -= learning_rate * g / (sqrt(cache) + eps).

    >>> params = np.array([1.0])
    >>> RMSProp(0.5, decay=0.75, eps=0.0).update(params, np.array([2.0]))
    >>> params.tolist()
    [0.0]
    """

    STATES = ("cache",)

    def __init__(self, learning_rate: float = 0.001, decay: float = 0.9, eps: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.decay, self.eps = decay, eps

    def _step(self, p: np.ndarray, g: np.ndarray, *states: np.ndarray) -> None:
        def step(p: np.ndarray, g: np.ndarray, cache: np.ndarray) -> None:
            rates = self.learning_rate, self.decay, self.eps
            ops.rmsprop_step([p], [g], cache, None, None, *rates)

        _as_rows(step, p, g, *states)


class Adagrad(SGD):
    """G += g^2;  params -= learning_rate * g / sqrt(G + eps).

    >>> params = np.array([1.0])
    >>> Adagrad(0.5, eps=0.0).update(params, np.array([2.0]))
    >>> params.tolist()
    [0.5]
    """

    STATES = ("G",)

    def __init__(self, learning_rate: float = 0.001, eps: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.eps = eps

    def _step(self, p: np.ndarray, g: np.ndarray, *states: np.ndarray) -> None:
        (total,) = states
        total += g**2
        p -= self.learning_rate * g / np.sqrt(total + self.eps)


class Adam(SGD):
    """Adam. The step count `t`, for the bias correction of `m` and `v`, advances with the first
    `update` (or `step`) after each `zero_step()`: in a program that never calls it, t stays 1.

    >>> params, optimizer = np.array([1.0]), Adam(0.5, eps=0.0)
    >>> optimizer.update(params, np.array([2.0]))
    >>> params.round(3).tolist(), optimizer.t
    ([0.5], 1)
    """

    STATES = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.t = 0
        self._step_called = False

    def step(self) -> None:
        """Count a step, unless one has been counted since `zero_step`."""
        if not self._step_called:
            self.t += 1
            self._step_called = True

    def zero_step(self) -> None:
        self._step_called = False

    def _step(self, p: np.ndarray, g: np.ndarray, *states: np.ndarray) -> None:
        self.step()

        def step(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> None:
            rates = self.learning_rate, self.beta1, self.beta2, self.eps
            ops.adam_step([p], [g], m, v, *rates, 0.0, self.t)

        _as_rows(step, p, g, *states)


def _as_rows(step: Any, p: np.ndarray, g: np.ndarray, *states: np.ndarray) -> None:
    """Call a step of the ops, which expect C-contiguous arrays, on arrays of any layout."""
    # A matrix stored by columns is its transpose stored by rows.
    flip = p.flags.f_contiguous and not p.flags.c_contiguous
    views = [array.T if flip else array for array in (p, g, *states)]
    rows = [np.ascontiguousarray(view, FLOAT64) for view in views]
    step(*rows[:2], *(state.reshape(-1) for state in rows[2:]))
    for view, row in zip((views[0], *views[2:]), (rows[0], *rows[2:])):
        if row is not view:
            view[...] = row
