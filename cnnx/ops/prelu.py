"""Leaky ReLU with a trainable slope: prelu, prelu_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

Flat = tuple[int, int, int]


def prelu(x: Any, weight: Any) -> np.ndarray:
    """Leaky ReLU with a slope for each channel: y = x where x > 0, else weight * x.

    x (n, c, ...) with weight (c,); or any shape with weight (1,), one slope for all  ->  y as x

    >>> ops.prelu(np.array([[-1.0, 2.0], [3.0, -4.0]]), np.array([0.5, 0.25])).tolist()
    [[-0.5, 2.0], [3.0, -1.0]]

    Source: He et al., Delving Deep into Rectifiers (2015).
    """
    (x, weight), flat = _forward("prelu", (x, weight))
    return backend().prelu(x.reshape(flat), weight).reshape(x.shape)


def prelu_backward(dy: Any, x: Any, weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `prelu`: dx = dy where x > 0, else weight * dy, and dweight, for each channel
    the sum of dy * x where x <= 0.

    >>> x = np.array([[-1.0, 2.0], [3.0, -4.0]])
    >>> dx, dweight = ops.prelu_backward(np.ones((2, 2)), x, np.array([0.5, 0.25]))
    >>> dx.tolist(), dweight.tolist()
    ([[0.5, 1.0], [1.0, 0.25]], [-1.0, -4.0])
    """
    (dy, x, weight), flat = _backward("prelu_backward", (dy, x, weight))
    dx, dweight = backend().prelu_backward(dy.reshape(flat), x.reshape(flat), weight)
    return dx.reshape(x.shape), dweight


@gate("x", "weight")
def _forward(op: str, shapes: Any) -> Flat:
    return _flat(op, *shapes)


@gate("dy", "x", "weight")
def _backward(op: str, shapes: Any) -> Flat:
    dy, x, weight = shapes
    checks.same_shape(op, "dy", dy, x, "the shape of x")
    return _flat(op, x, weight)


def _flat(op: str, x: tuple[int, ...], weight: tuple[int, ...]) -> Flat:
    """x as (n, c, positions)."""
    if weight == (1,):
        return 1, 1, math.prod(x)
    if len(x) < 2 or weight != x[1:2]:
        raise ValueError(
            f"{op}: weight has shape {weight}, but (1,) is expected, or one slope for each channel "
            f"of x {x}"
        )
    return x[0], x[1], math.prod(x[2:])
