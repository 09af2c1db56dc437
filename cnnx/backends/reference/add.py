"""The sum of two arrays: where a shortcut meets the body that it goes around."""

from __future__ import annotations


def add(x, y):
    """z = x + y, element by element; x and y have one shape. dx = dy = dz, so there is no backward.

    Source: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition (2016).
    """
    return x + y
