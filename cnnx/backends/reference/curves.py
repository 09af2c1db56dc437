"""Smooth activations: y = f(x) element by element, dx = dy * f'(x). x may have any shape.

Where a formula would give 0 * inf, x is bounded first, far beyond where the other factor is 0:
infinity gives the limit, and NaN stays NaN.
"""

from __future__ import annotations

import math

import numpy as np

from .activation import sigmoid

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

_FAR = 2000  # exp(-2000) is 0


def elu(x, alpha):
    """y = x where x > 0, else alpha * (exp(x) - 1).

    Source: Clevert, Unterthiner, Hochreiter, Fast and Accurate Deep Network Learning by Exponential
    Linear Units (2015).
    """
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def elu_backward(dy, x, alpha):
    """dx = dy where x > 0, else dy * alpha * exp(x)"""
    return np.where(x > 0, dy, dy * (x.dtype.type(alpha) * np.exp(np.minimum(x, 0))))


def gelu(x, approximate):
    """y = x * P(X < x) of a normal X: x * erfc(-x / sqrt(2)) / 2.

    approximate "tanh": y = x * sigmoid(2 * u), u = sqrt(2 / pi) * (x + 0.044715 * x^3), which is
    x * (1 + tanh(u)) / 2.

    Source: Hendrycks, Gimpel, Gaussian Error Linear Units (2016).
    """
    below = sigmoid(_gate(x)) if approximate == "tanh" else _normal_below(x)
    return np.maximum(x, -_FAR) * below


def gelu_backward(dy, x, approximate):
    """dx = dy * (p + x * slope of p), p being the factor of x in forward: the slope is
    exp(-x^2 / 2) / sqrt(2 * pi), or p * (1 - p) times that of 2 * u."""
    near = np.clip(x, -_FAR, _FAR)
    if approximate == "tanh":
        u = _gate(x)
        p, of_u = sigmoid(u), math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * near * near)
        return dy * (p + near * (p * sigmoid(-u) * of_u.astype(x.dtype)))
    density = np.exp(-near * near / 2) * x.dtype.type(1 / math.sqrt(2 * math.pi))
    return dy * (_normal_below(x) + near * density)


def _gate(x):
    near = np.clip(x, -_FAR, _FAR)
    return x.dtype.type(math.sqrt(8 / math.pi)) * (near + x.dtype.type(0.044715) * near**3)


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _normal_below(x):
    return np.asarray(_erfc(x.astype(np.float64) * -math.sqrt(0.5)) / 2, x.dtype)


def silu(x):
    """y = x * sigmoid(x), also called swish.

    Source: Elfwing, Uchibe, Doya, Sigmoid-Weighted Linear Units (2017).
    """
    return np.maximum(x, -_FAR) * sigmoid(x)


def silu_backward(dy, x):
    """dx = dy * (s + x * s * (1 - s)), s = sigmoid(x)"""
    near = np.clip(x, -_FAR, _FAR)
    return dy * (sigmoid(x) + near * sigmoid(x) * sigmoid(-x))


def softplus(x, beta, threshold):
    """y = log(1 + exp(beta * x)) / beta, or x where beta * x > threshold.

    Source: Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing
    (2000).
    """
    z = x.dtype.type(beta) * x
    y = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / x.dtype.type(beta)
    return np.where(z > threshold, x, y)


def softplus_backward(dy, x, beta, threshold):
    """dx = dy * sigmoid(beta * x), or dy where beta * x > threshold"""
    z = x.dtype.type(beta) * x
    return np.where(z > threshold, dy, dy * sigmoid(z))


def mish(x):
    """y = x * tanh(log(1 + exp(x)))

    With e = exp(-|x|), the tanh is e * (e + 2) / (e * (e + 2) + 2) where x < 0, else
    (1 + 2 * e) / (1 + 2 * e + 2 * e^2).

    Source: Misra, Mish: A Self Regularized Non-Monotonic Activation Function (2019).
    """
    return np.maximum(x, -_FAR) * _tanh_of_softplus(x)


def mish_backward(dy, x):
    """dx = dy * (t + x * (1 - t^2) * sigmoid(x)), t = tanh(log(1 + exp(x)))

    (1 - t^2) * sigmoid(x) is 4 * e * (1 + e) over the square of the denominator of t where x < 0,
    else 4 * e^2 * (1 + e).
    """
    near, e = np.clip(x, -_FAR, _FAR), np.exp(-np.abs(x))
    slope = np.where(
        x < 0,
        4 * e * (1 + e) / (e * (e + 2) + 2) ** 2,
        4 * e * e * (1 + e) / (1 + 2 * e + 2 * e * e) ** 2,
    )
    return dy * (_tanh_of_softplus(x) + near * slope)


def _tanh_of_softplus(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e * (e + 2) / (e * (e + 2) + 2), (1 + 2 * e) / (1 + 2 * e + 2 * e * e))
