"""Smooth activations, each with its backward: elu, gelu, silu, softplus, mish."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .activation import with_saved

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "mish",
    "mish_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
]


def elu(x: Any, alpha: float = 1.0) -> np.ndarray:
    """Exponential linear unit: y = x where x > 0, else alpha * (exp(x) - 1), elementwise.

    >>> ops.elu(np.array([-np.inf, 0.0, 2.0])).tolist()
    [-1.0, 0.0, 2.0]

    Source: Clevert, Unterthiner, Hochreiter, Fast and Accurate Deep Network Learning by Exponential
    Linear Units (2015).
    """
    return backend().elu(checks.array("elu", "x", x), checks.real("elu", "alpha", alpha))


def elu_backward(dy: Any, x: Any, alpha: float = 1.0) -> np.ndarray:
    """Gradient of `elu` from its input x: dx = dy where x > 0, else dy * alpha * exp(x).

    >>> ops.elu_backward(np.array([3.0, 3.0]), np.array([0.0, 2.0]), alpha=0.5).tolist()
    [1.5, 3.0]
    """
    dy, x = with_saved("elu_backward", dy, "x", x)
    return backend().elu_backward(dy, x, checks.real("elu_backward", "alpha", alpha))


def gelu(x: Any, approximate: str = "none") -> np.ndarray:
    """Gaussian error linear unit: y = x * P(X < x) of a normal X, elementwise.

    P(X < x) = erfc(-x / sqrt(2)) / 2 is computed to a few units in the last place on both sides of
    zero; -inf gives 0.

    approximate  "none", or "tanh": y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2

    >>> ops.gelu(np.array([-1.0, 0.0, 1.0])).round(4).tolist()
    [-0.1587, 0.0, 0.8413]

    Source: Hendrycks, Gimpel, Gaussian Error Linear Units (2016).
    """
    return backend().gelu(checks.array("gelu", "x", x), _approximate("gelu", approximate))


def gelu_backward(dy: Any, x: Any, approximate: str = "none") -> np.ndarray:
    """Gradient of `gelu` from its input x: dx = dy * (P(X < x) + x * exp(-x^2 / 2) / sqrt(2 * pi)).

    approximate  as in forward: "tanh" is the gradient of that formula

    >>> ops.gelu_backward(np.array([2.0, 2.0]), np.array([0.0, 9.0])).tolist()
    [1.0, 2.0]
    """
    op = "gelu_backward"
    dy, x = with_saved(op, dy, "x", x)
    return backend().gelu_backward(dy, x, _approximate(op, approximate))


def _approximate(op: str, value: Any) -> str:
    return checks.choice(op, "approximate", value, ("none", "tanh"))


def silu(x: Any) -> np.ndarray:
    """Sigmoid linear unit, or swish: y = x / (1 + exp(-x)), elementwise; -inf gives 0.

    >>> ops.silu(np.array([-np.inf, 0.0, 1.0])).round(4).tolist()
    [-0.0, 0.0, 0.7311]

    Source: Elfwing, Uchibe, Doya, Sigmoid-Weighted Linear Units (2017).
    """
    return backend().silu(checks.array("silu", "x", x))


def silu_backward(dy: Any, x: Any) -> np.ndarray:
    """Gradient of `silu` from its input x: dx = dy * (s + x * s * (1 - s)), s = sigmoid(x).

    >>> ops.silu_backward(np.array([2.0]), np.array([0.0])).tolist()
    [1.0]
    """
    return backend().silu_backward(*with_saved("silu_backward", dy, "x", x))


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """Smooth ReLU: y = log(1 + exp(beta * x)) / beta, or x where beta * x > threshold.

    beta is any number but 0. Small results, of x far below 0, are not rounded to 0.

    >>> ops.softplus(np.array([0.0, 30.0])).round(4).tolist()
    [0.6931, 30.0]

    Source: Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing
    (2000).
    """
    op = "softplus"
    return backend().softplus(checks.array(op, "x", x), *_bend(op, beta, threshold))


def softplus_backward(dy: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """Gradient of `softplus` from its input x: dx = dy * sigmoid(beta * x), or dy where
    beta * x > threshold.

    >>> ops.softplus_backward(np.array([2.0, 2.0]), np.array([0.0, 30.0])).tolist()
    [1.0, 2.0]
    """
    op = "softplus_backward"
    dy, x = with_saved(op, dy, "x", x)
    return backend().softplus_backward(dy, x, *_bend(op, beta, threshold))


def _bend(op: str, beta: Any, threshold: Any) -> tuple[float, float]:
    beta = checks.real(op, "beta", beta)
    if beta == 0:
        raise ValueError(f"{op}: beta=0, but another number is expected: y is divided by it")
    return beta, checks.real(op, "threshold", threshold)


def mish(x: Any) -> np.ndarray:
    """y = x * tanh(log(1 + exp(x))), elementwise; -inf gives 0.

    >>> ops.mish(np.array([-1.0, 0.0, 1.0])).round(4).tolist()
    [-0.3034, 0.0, 0.8651]

    Source: Misra, Mish: A Self Regularized Non-Monotonic Activation Function (2019).
    """
    return backend().mish(checks.array("mish", "x", x))


def mish_backward(dy: Any, x: Any) -> np.ndarray:
    """Gradient of `mish` from its input x: dx = dy * (t + x * (1 - t^2) * sigmoid(x)),
    t = tanh(log(1 + exp(x))).

    >>> ops.mish_backward(np.array([5.0]), np.array([0.0])).round(4).tolist()
    [3.0]
    """
    return backend().mish_backward(*with_saved("mish_backward", dy, "x", x))
