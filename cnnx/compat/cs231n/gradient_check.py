"""`gradient_check` of the course: gradients by central differences, to check analytic ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "grad_check_sparse",
    "rel_error",
]


def eval_numerical_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, verbose: bool = True, h: float = 1e-5
) -> np.ndarray:
    """(f(x + h) - f(x - h)) / 2h for each number of x, which is changed in place and restored.

    f        returns a number        verbose  print each index with its slope

    >>> eval_numerical_gradient(lambda x: (x**2).sum(), np.array([1.0, 3.0]), False).round(6)
    array([2., 6.])
    """
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        above, below = _at(f, x, index, h)
        grad[index] = (above - below) / (2 * h)
        if verbose:
            print(index, grad[index])
    return grad


def eval_numerical_gradient_array(
    f: Callable[[np.ndarray], Any], x: np.ndarray, df: Any, h: float = 1e-5
) -> np.ndarray:
    """The gradient of sum(f(x) * df) with respect to x, for an f that returns an array like df.

    >>> eval_numerical_gradient_array(lambda x: x**2, np.array([1.0, 3.0]), [1.0, 10.0]).round(6)
    array([ 2., 60.])
    """
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        above, below = _at(f, x, index, h)
        grad[index] = np.sum((above - below) * df) / (2 * h)
    return grad


def grad_check_sparse(
    f: Callable[[np.ndarray], float],
    x: np.ndarray,
    analytic_grad: np.ndarray,
    num_checks: int = 10,
    h: float = 1e-5,
) -> None:
    """Print the slope of f at some indices, drawn by Python's `random`, next to the given gradient.

    >>> grad_check_sparse(lambda x: (x**2).sum(), np.array([3.0]), np.array([6.0]), 1)
    numerical: 6.000000 analytic: 6.000000, relative error: ...
    """
    for _ in range(num_checks):
        index = tuple(random.randrange(size) for size in x.shape)
        above, below = _at(f, x, index, h)
        slope, given = (above - below) / (2 * h), analytic_grad[index]
        error = abs(slope - given) / max(abs(slope) + abs(given), np.finfo(float).tiny)
        print(f"numerical: {slope:f} analytic: {given:f}, relative error: {error:e}")


def rel_error(x: Any, y: Any) -> float:
    """The maximum of |x - y| / max(1e-8, |x| + |y|).

    >>> rel_error([1.0, 2.0], [1.0, 2.0])
    0.0
    """
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))))


def _at(f: Callable[[np.ndarray], Any], x: np.ndarray, index: Any, h: float) -> tuple[Any, Any]:
    """f with x[index] raised by h, and lowered; copied, since f may return a view."""
    before = x[index]
    try:
        x[index] = before + h
        above = np.array(f(x))
        x[index] = before - h
        below = np.array(f(x))
    finally:
        x[index] = before
    return above, below
