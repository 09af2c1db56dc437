"""`optim` of the course: update rules (w, dw, config) -> (next_w, config).

config contains the hyperparameters, for which a rule fills in defaults, and the rule's state, which
it replaces; pass it to the next step. `sgd` changes w in place, as in the course; the other rules
do not change w or the state passed to them.
"""

# Design:
# A step calls cnnx's op on copies: one pass over memory, where the formula in NumPy needs up to
# ten. `sgd_momentum` in the course computes v = momentum * v - learning_rate * dw, so its velocity
# contains past learning rates, unlike cnnx's: the op is passed learning_rate * dw, and 1 as the
# rate. Its velocity has the opposite sign.

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ._numbers import alike

__all__ = ["adam", "rmsprop", "sgd", "sgd_momentum"]

Config = dict[str, Any] | None
Step = tuple[np.ndarray, dict[str, Any]]


def sgd(w: Any, dw: Any, config: Config = None) -> Step:
    """w -= learning_rate * dw, in place.

    config  "learning_rate" 1e-2

    >>> sgd(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.25})[0].tolist()
    [0.5]
    """
    config = _defaults(config, learning_rate=1e-2)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w: Any, dw: Any, config: Config = None) -> Step:
    """v = momentum * v - learning_rate * dw;  next_w = w + v.

    config  "learning_rate" 1e-2, "momentum" 0.9, "velocity": v, zeros at first

    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    >>> next_w, config = sgd_momentum(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.25})
    >>> next_w.tolist(), config["velocity"].tolist()
    ([0.5], [-0.5])
    """
    config = _defaults(config, learning_rate=1e-2, momentum=0.9)
    next_w, dw, v = _copies("sgd_momentum", w, dw, config.get("velocity"))
    np.negative(v, out=v)
    step = config["learning_rate"] * dw
    ops.sgd_step([next_w], [step], v.reshape(-1), 1.0, config["momentum"])
    config["velocity"] = np.negative(v, out=v)
    return next_w, config


def rmsprop(w: Any, dw: Any, config: Config = None) -> Step:
    """cache = decay_rate * cache + (1 - decay_rate) * dw^2;
    next_w = w - learning_rate * dw / (sqrt(cache) + epsilon).

    config  "learning_rate" 1e-2, "decay_rate" 0.99, "epsilon" 1e-8, "cache": zeros at first

    T. Tieleman, G. Hinton, "Lecture 6.5 - RMSProp", COURSERA, 2012.

    >>> config = {"learning_rate": 0.5, "decay_rate": 0.75, "epsilon": 0.0}
    >>> rmsprop(np.array([1.0]), np.array([2.0]), config)[0].tolist()
    [0.0]
    """
    config = _defaults(config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
    next_w, dw, cache = _copies("rmsprop", w, dw, config.get("cache"))
    rates = config["learning_rate"], config["decay_rate"], config["epsilon"]
    ops.rmsprop_step([next_w], [dw], cache.reshape(-1), None, None, *rates)
    config["cache"] = cache
    return next_w, config


def adam(w: Any, dw: Any, config: Config = None) -> Step:
    """t += 1;  m = beta1 * m + (1 - beta1) * dw;  v = beta2 * v + (1 - beta2) * dw^2;
    next_w = w - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    config  "learning_rate" 1e-3, "beta1" 0.9, "beta2" 0.999, "epsilon" 1e-8; "m", "v": zeros at
            first; "t": 0 at first

    D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    >>> config = {"learning_rate": 0.5, "epsilon": 0.0}
    >>> adam(np.array([1.0]), np.array([2.0]), config)[0].round(6).tolist()
    [0.5]
    """
    config = _defaults(config, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, t=0)
    config["t"] += 1
    next_w, dw, m, v = _copies("adam", w, dw, config.get("m"), config.get("v"))
    rates = config["learning_rate"], config["beta1"], config["beta2"], config["epsilon"]
    ops.adam_step([next_w], [dw], m.reshape(-1), v.reshape(-1), *rates, 0.0, config["t"])
    config["m"], config["v"] = m, v
    return next_w, config


def _defaults(config: Config, **defaults: Any) -> dict[str, Any]:
    """The caller's dictionary, or a new one, with missing values filled in."""
    config = {} if config is None else config
    for name, value in defaults.items():
        config.setdefault(name, value)
    return config


def _copies(where: str, w: Any, dw: Any, *states: Any) -> list[np.ndarray]:
    """Copies of w and of the states (zeros for None), and dw, all of w's shape and dtype."""
    w, dw = alike(where, w, dw)
    if dw.shape != w.shape:
        raise ValueError(f"{where}: w has shape {w.shape}, but dw {dw.shape}")
    given = [np.zeros_like(w) if state is None else np.asarray(state, w.dtype) for state in states]
    for state in given:
        if state.shape != w.shape:
            raise ValueError(f"{where}: w has shape {w.shape}, but its state {state.shape}")
    copied = [np.array(array, order="C") for array in (w, *given)]
    return [copied[0], np.ascontiguousarray(dw).reshape(w.shape), *copied[1:]]
