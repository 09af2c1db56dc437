"""Local response normalisation. x is (n, c, l): the window of channel i are the channels from
i - size // 2 to i + (size - 1) // 2 that exist.

Source: Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural
Networks (2012).
"""

from __future__ import annotations

import numpy as np


def local_response_norm(x, size, alpha, beta, k):
    """y = x / b^beta, b = k + alpha / size * sum of x^2 over the window"""
    return x * _base(x, size, alpha, k) ** x.dtype.type(-beta)


def local_response_norm_backward(dy, x, size, alpha, beta, k):
    """Gradient of `local_response_norm`.

    dx[j] = dy[j] * b[j]^-beta
            - 2 * alpha * beta / size * x[j] * sum over i of dy[i] * x[i] * b[i]^(-beta - 1)

    over the channels i whose window contains j: j - (size - 1) // 2 ... j + size // 2
    """
    b = _base(x, size, alpha, k)
    terms = dy * x * b ** x.dtype.type(-beta - 1)
    sums = _window_sums(terms, (size - 1) // 2, size // 2)
    return dy * b ** x.dtype.type(-beta) + x * (x.dtype.type(-2 * alpha * beta / size) * sums)


def _base(x, size, alpha, k):
    squares = _window_sums(x * x, size // 2, (size - 1) // 2)
    return squares * x.dtype.type(alpha / size) + x.dtype.type(k)


def _window_sums(x, before, after):
    """For each channel the sum over so many channels before it, itself, and so many after it."""
    sums = np.zeros_like(x)
    c = x.shape[1]
    for shift in range(-min(before, c - 1), min(after, c - 1) + 1):
        if shift < 0:
            sums[:, -shift:] += x[:, :shift]
        else:
            sums[:, : c - shift] += x[:, shift:]
    return sums
