"""Weight initialisation: arrays of a given shape, drawn from `cnnx.random`.

A weight of shape (out, in, kh, kw) or (out, in) has fan_in = in*kh*kw and fan_out = out*kh*kw: the
number of inputs of each output, and the number of outputs that each input contributes to.

    >>> import cnnx
    >>> layer = cnnx.Linear(4, 3)
    >>> layer.weight.data = cnnx.init.xavier_uniform((3, 4))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

__all__ = [
    "blank",
    "constant",
    "fans",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = int | Sequence[int]

_blank_limit: ContextVar[int | None] = ContextVar("cnnx_init_blank_limit", default=None)


@contextmanager
def blank(limit: int) -> Iterator[None]:
    """Context in which all initial values are zeros and no random number is drawn.

    For building a model whose weights are then loaded. An array of more than `limit` entries is a
    ValueError: the file being loaded contains none as large.
    """
    token = _blank_limit.set(limit)
    try:
        yield
    finally:
        _blank_limit.reset(token)


def _is_blank(shape: Shape) -> bool:
    limit = _blank_limit.get()
    if limit is None:
        return False
    size = shape if isinstance(shape, int) else math.prod(shape)
    if size > limit:
        raise ValueError(f"a weight of shape {shape} is larger than any array given ({limit})")
    return True


def _generator() -> np.random.Generator:
    from cnnx import random  # here: a model from a file draws nothing

    return random.generator()


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...): in*kh*kw and out*kh*kw.

    Example: ``fans((16, 3, 5, 5))`` is ``(75, 400)``.
    """
    if len(shape) < 2:
        raise ValueError(
            f"fans: weight has shape {tuple(shape)}, expected (out, in) or (out, in, kh, kw)"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def uniform(
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: Any = np.float32,
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """Uniformly distributed on [low, high). Example: ``uniform((2, 3), -1, 1)``."""
    if _is_blank(shape):
        return np.zeros(shape, dtype)
    rng = generator or _generator()
    # Drawn in float64 and cast, so that float32 and float64 weights have the same digits.
    return rng.uniform(low, high, shape).astype(dtype)


def normal(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: Any = np.float32,
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """Normally distributed. Example: ``normal((2, 3), std=0.02)``."""
    if _is_blank(shape):
        return np.zeros(shape, dtype)
    rng = generator or _generator()
    return rng.normal(mean, std, shape).astype(dtype)


def kaiming_uniform(shape: Sequence[int], a: float = 0.0, **options: Any) -> np.ndarray:
    """U(-b, b) with b = sqrt(6 / ((1 + a^2) * fan_in)).

    Keeps the variance of activations through ReLU layers (leaky ones of slope `a`). With
    a = sqrt(5), b = 1/sqrt(fan_in): the default of PyTorch's and of cnnx's Conv2D and Linear.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015.

    Example: ``kaiming_uniform((16, 3, 5, 5))``.
    """
    bound = math.sqrt(6.0 / ((1.0 + a * a) * max(1, fans(shape)[0])))
    return uniform(shape, -bound, bound, **options)


def kaiming_normal(shape: Sequence[int], a: float = 0.0, **options: Any) -> np.ndarray:
    """N(0, 2 / ((1 + a^2) * fan_in)): He's initialisation, normal form.

    Example: ``kaiming_normal((16, 3, 5, 5))``.
    """
    std = math.sqrt(2.0 / ((1.0 + a * a) * max(1, fans(shape)[0])))
    return normal(shape, 0.0, std, **options)


def xavier_uniform(shape: Sequence[int], gain: float = 1.0, **options: Any) -> np.ndarray:
    """U(-b, b) with b = gain * sqrt(6 / (fan_in + fan_out)).

    For tanh and sigmoid layers. X. Glorot, Y. Bengio, "Understanding the difficulty of training
    deep feedforward neural networks", AISTATS 2010.

    Example: ``xavier_uniform((10, 84))``.
    """
    bound = gain * math.sqrt(6.0 / max(1, sum(fans(shape))))
    return uniform(shape, -bound, bound, **options)


def xavier_normal(shape: Sequence[int], gain: float = 1.0, **options: Any) -> np.ndarray:
    """N(0, gain^2 * 2 / (fan_in + fan_out)): Glorot's initialisation, normal form.

    Example: ``xavier_normal((10, 84))``.
    """
    std = gain * math.sqrt(2.0 / max(1, sum(fans(shape))))
    return normal(shape, 0.0, std, **options)


def constant(shape: Shape, value: float, *, dtype: Any = np.float32) -> np.ndarray:
    """Every entry is `value`. Example: ``constant((3,), 0.01)``."""
    return np.zeros(shape, dtype) if _is_blank(shape) else np.full(shape, value, dtype)


def zeros(shape: Shape, *, dtype: Any = np.float32) -> np.ndarray:
    """Every entry is 0. Example: ``zeros((3,))``."""
    return constant(shape, 0.0, dtype=dtype)


def ones(shape: Shape, *, dtype: Any = np.float32) -> np.ndarray:
    """Every entry is 1. Example: ``ones((3,))``."""
    return constant(shape, 1.0, dtype=dtype)
