"""The product of two arrays, as of images and channel gates."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend


def multiply(x: Any, y: Any) -> np.ndarray:
    """Elementwise product of two arrays, with NumPy's broadcasting: z = x * y.

    x, y     the same number of axes; their sizes along each axis are equal, or one is 1 and is
             broadcast: gates (n, c, 1, 1) times images (n, c, h, w)

    returns  z, of the larger size along each axis. ValueError for shapes that do not match.

    >>> ops.multiply(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[10.0], [0.5]])).tolist()
    [[10.0, 20.0], [1.5, 2.0]]

    Source: Hu, Shen, Sun, Squeeze-and-Excitation Networks (2018).
    """
    x, y, _ = _checked("multiply", x, y)
    return backend().multiply(x, y)


def multiply_backward(dy: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `multiply`: dy * y and dy * x, each summed over the axes that were broadcast.

    dy       the gradient of the result; x and y as in `multiply`

    returns  the gradients of x and of y, in their shapes. Sums are in double, in an order that
             depends only on the shapes. If both x and y are broadcast along some axis, both are
             first copied to their full size, which takes longer.

    >>> x, y = np.array([[1.0, 2.0, 3.0]]), np.array([[5.0]])
    >>> dx, of_y = ops.multiply_backward(np.ones((1, 3)), x, y)
    >>> dx.tolist(), of_y.tolist()
    ([[5.0, 5.0, 5.0]], [[6.0]])
    """
    op = "multiply_backward"
    x, y, shape = _checked(op, x, y)
    dy = checks.array(op, "dy", dy)
    checks.same_shape(op, "dy", dy.shape, shape, "the shape of x * y")
    checks.same_dtype(op, dy=dy, x=x)
    return backend().multiply_backward(dy, x, y)


def _checked(op: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """x, y and the shape of their product."""
    x, y = checks.array(op, "x", x), checks.array(op, "y", y)
    checks.same_dtype(op, x=x, y=y)
    if x.shape == y.shape:
        return x, y, x.shape
    if x.ndim != y.ndim:
        raise ValueError(
            f"{op}: x has shape {x.shape} and y has shape {y.shape}, but the same number of "
            "axes is expected: add axes of size 1 to the one with fewer"
        )
    shape = tuple(n if m == 1 else m for m, n in zip(x.shape, y.shape, strict=True))
    if any(n not in (1, size) for n, size in zip(y.shape, shape, strict=True)):
        raise ValueError(
            f"{op}: x has shape {x.shape} and y has shape {y.shape}, but along each axis equal "
            "sizes are expected, or a size of 1"
        )
    checks.array_size(op, shape)
    return x, y, shape
