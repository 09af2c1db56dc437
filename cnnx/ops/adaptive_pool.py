"""Pooling over windows that cover the image: global_avg_pool2d, adaptive_avg_pool2d, each with its
backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend


def global_avg_pool2d(x: Any) -> np.ndarray:
    """Mean of every channel over the whole image.

    y[n, c, 0, 0] = 1/(h*w) * sum over (i, j) of x[n, c, i, j]

    x (n, c, h, w)  ->  y (n, c, 1, 1)

    >>> ops.global_avg_pool2d(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[1.5]]]]

    Source: Lin, Chen, Yan, Network In Network (2014).
    """
    x = checks.array("global_avg_pool2d", "x", x, 4)
    checks.not_empty_image("global_avg_pool2d", "x", x.shape)
    return backend().global_avg_pool2d(x)


def global_avg_pool2d_backward(dy: Any, x_shape: Any) -> np.ndarray:
    """Gradient of `global_avg_pool2d`: dx[n, c, i, j] = dy[n, c, 0, 0] / (h*w).

    dy (n, c, 1, 1), x_shape (n, c, h, w)  ->  dx (n, c, h, w)

    >>> ops.global_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2))[0, 0].tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    op = "global_avg_pool2d_backward"
    dy = checks.array(op, "dy", dy, 4)
    x_shape = checks.shape4d(op, "x_shape", x_shape)
    checks.not_empty_image(op, "x_shape", x_shape)
    checks.same_shape(
        op, "dy", dy.shape, (*x_shape[:2], 1, 1), "one value per channel of x_shape {}", x_shape
    )
    checks.array_size(op, x_shape)
    return backend().global_avg_pool2d_backward(dy, x_shape)


def adaptive_avg_pool2d(x: Any, output_size: Any) -> np.ndarray:
    """Mean over oh x ow windows that cover the image.

    y[n, c, i, j] = mean of x[n, c, r, s] over floor(i*h/oh) <= r < ceil((i+1)*h/oh); s likewise

    x            (n, c, h, w)
    output_size  (oh, ow): a number or a pair; None, alone or in the pair, keeps the size of x

    returns  y (n, c, oh, ow). If h is a multiple of oh, windows do not overlap; otherwise they
             overlap by at most a pixel.

    >>> ops.adaptive_avg_pool2d(np.array([[[[1.0, 2.0, 6.0]]]]), (1, 2)).tolist()
    [[[[1.5, 4.0]]]]

    Source: He, Zhang, Ren, Sun, Spatial Pyramid Pooling in Deep Convolutional Networks (2015).
    """
    op = "adaptive_avg_pool2d"
    x = checks.array(op, "x", x, 4)
    rows, columns = adaptive_size(op, output_size)
    checks.not_empty_image(op, "x", x.shape)
    n, c, h, w = x.shape
    size = h if rows is None else rows, w if columns is None else columns
    checks.array_size(op, (n, c, *size))
    return backend().adaptive_avg_pool2d(x, size)


def adaptive_avg_pool2d_backward(dy: Any, x_shape: Any) -> np.ndarray:
    """Gradient of `adaptive_avg_pool2d`: each window's is divided equally among its m cells.

    dx[n, c, r, s] += dy[n, c, i, j] / m, for every cell (r, s) of the window

    dy (n, c, oh, ow), x_shape (n, c, h, w)  ->  dx (n, c, h, w)

    >>> ops.adaptive_avg_pool2d_backward(np.array([[[[2.0, 4.0]]]]), (1, 1, 1, 3)).tolist()
    [[[[1.0, 3.0, 2.0]]]]
    """
    op = "adaptive_avg_pool2d_backward"
    dy = checks.array(op, "dy", dy, 4)
    x_shape = checks.shape4d(op, "x_shape", x_shape)
    checks.not_empty_image(op, "x_shape", x_shape)
    checks.not_empty_image(op, "dy", dy.shape)
    expected = (*x_shape[:2], *dy.shape[2:])
    why = "the images and channels of x_shape {}"
    checks.same_shape(op, "dy", dy.shape, expected, why, x_shape)
    checks.array_size(op, x_shape)
    return backend().adaptive_avg_pool2d_backward(dy, x_shape)


def adaptive_size(op: str, output_size: Any) -> tuple[int | None, int | None]:
    """(rows, columns) from a number, a pair, or None; None: the size of the image."""
    if type(output_size) is int:  # the usual case: pooling small images takes microseconds
        return (checks.integer(op, "output_size", output_size, 1),) * 2
    sizes = output_size if checks.is_sequence(output_size) else (output_size, output_size)
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"{op}: output_size={output_size!r} has {len(sizes)} entries, but one integer or two "
            "are expected"
        )
    rows, columns = (
        None if size is None else checks.integer(op, "output_size", size, 1)
        for size in (sizes[0], sizes[-1])
    )
    return rows, columns
