"""Local response normalisation: local_response_norm, local_response_norm_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate


def local_response_norm(
    x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    """Divide every element by a power of the mean square of neighbouring channels at its pixel.

    y[n, i, l] = x[n, i, l] / (k + alpha / size * sum of x[n, j, l]^2 over the window of i)^beta

    x (n, c, ...)  ->  y as x
    size   channels of a window: i - size // 2 to i + (size - 1) // 2, those that exist
    k      added to the mean, not negative, as alpha

    >>> x = np.array([[[3.0], [4.0], [0.0]]])
    >>> ops.local_response_norm(x, 2, alpha=2.0, beta=0.5, k=0.0).round(4).tolist()
    [[[1.0], [0.8], [0.0]]]

    Source: Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural
    Networks (2012); alpha divided by size as in PyTorch.
    """
    op = "local_response_norm"
    (x,), flat = _forward(op, (x,))
    settings = _settings(op, size, alpha, beta, k)
    return backend().local_response_norm(x.reshape(flat), *settings).reshape(x.shape)


def local_response_norm_backward(
    dy: Any, x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    """Gradient of `local_response_norm` from its input x, with the same settings.

    With b the base of the power: dx[j] = dy[j] * b[j]^-beta - 2 * alpha * beta / size * x[j] * sum
    of dy[i] * x[i] * b[i]^(-beta - 1) over the channels i whose window contains j.

    >>> x = np.array([[[3.0], [4.0]]])
    >>> ops.local_response_norm_backward(np.ones((1, 2, 1)), x, 1, 1.0, 1.0, 0.0).round(4).tolist()
    [[[-0.1111], [-0.0625]]]
    """
    op = "local_response_norm_backward"
    (dy, x), flat = _backward(op, (dy, x))
    settings = _settings(op, size, alpha, beta, k)
    dx = backend().local_response_norm_backward(dy.reshape(flat), x.reshape(flat), *settings)
    return dx.reshape(x.shape)


def _settings(op: str, size: Any, alpha: Any, beta: Any, k: Any) -> tuple[int, float, float, float]:
    return (
        checks.integer(op, "size", size, least=1),
        checks.real(op, "alpha", alpha, 0.0),
        checks.real(op, "beta", beta),
        checks.real(op, "k", k, 0.0),
    )


@gate("x")
def _forward(op: str, shapes: Any) -> tuple[int, int, int]:
    return _flat(op, shapes[0])


@gate("dy", "x")
def _backward(op: str, shapes: Any) -> tuple[int, int, int]:
    checks.same_shape(op, "dy", *shapes, "the shape of x")
    return _flat(op, shapes[1])


def _flat(op: str, x: tuple[int, ...]) -> tuple[int, int, int]:
    """x as (n, c, positions)."""
    if len(x) < 3:
        raise ValueError(f"{op}: x has shape {x}, but (n, c, l) or (n, c, h, w) is expected")
    return x[0], x[1], math.prod(x[2:])
