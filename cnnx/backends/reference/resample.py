"""Resizing images: the position of each output pixel in the input, and the value there.

Images are (n, c, h, w). steps is the number of pixels of x for one of y, (rows, columns).

Source: Gonzalez, Woods, Digital Image Processing (2018), section 2.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def interpolate(x, size, steps, mode, align_corners):
    """Resize the image to size[0] x size[1] pixels.

    nearest     y[n, c, i, j] = x[n, c, p[i], q[j]]
    bilinear    y[n, c, i, j] = (1 - a[i]) * (1 - b[j]) * x[n, c, p[i],  q[j]]
                              + (1 - a[i]) *      b[j]  * x[n, c, p[i],  q'[j]]
                              +      a[i]  * (1 - b[j]) * x[n, c, p'[i], q[j]]
                              +      a[i]  *      b[j]  * x[n, c, p'[i], q'[j]]

    p and q come from `nearest_pixels`; p, p', a and q, q', b from `linear_pixels`.

    x (n, c, h, w)  ->  y (n, c, *size)
    """
    if not x.size:
        return np.zeros((*x.shape[:2], *size), x.dtype)
    if mode == "nearest":
        p, q = map(nearest_pixels, x.shape[2:], size, steps)
        return x.take(p, axis=2).take(q, axis=3)
    (p, p1, a), (q, q1, b) = (
        linear_pixels(*axis, align_corners, x.dtype) for axis in zip(x.shape[2:], size, steps)
    )
    along = (1 - b) * x.take(q, axis=3) + b * x.take(q1, axis=3)
    a = a[:, None]
    return (1 - a) * along.take(p, axis=2) + a * along.take(p1, axis=2)


def interpolate_backward(dy, x_shape, steps, mode, align_corners):
    """Add each pixel's gradient to the pixels it was computed from, with the same weights.

    nearest     dx[n, c, p[i], q[j]] += dy[n, c, i, j]
    bilinear    dx[n, c, p[i], q[j]] += (1 - a[i]) * (1 - b[j]) * dy[n, c, i, j], and so on
    """
    dx = np.zeros(x_shape, dy.dtype)
    if not dx.size:
        return dx
    if mode == "nearest":
        p, q = map(nearest_pixels, x_shape[2:], dy.shape[2:], steps)
        np.add.at(dx, pixels_at(p, q), dy)
        return dx
    (p, p1, a), (q, q1, b) = (
        linear_pixels(*axis, align_corners, dy.dtype)
        for axis in zip(x_shape[2:], dy.shape[2:], steps)
    )
    for rows, of_rows in ((p, 1 - a), (p1, a)):
        for columns, of_columns in ((q, 1 - b), (q1, b)):
            np.add.at(dx, pixels_at(rows, columns), of_rows[:, None] * of_columns * dy)
    return dx


def pixels_at(rows, columns) -> Any:
    """The index of the pixels in these rows and columns, in every plane."""
    return ..., rows[:, None], columns


def nearest_pixels(n, count, step):
    """The one of n pixels that each of `count` is copied from, rounded as in PyTorch.

    p[i] = min(floor(i * step), n - 1), in float32; i if count is n, i // 2 if it is 2*n
    """
    i = np.arange(count)
    if count == n:
        return i
    if count == 2 * n:
        return i // 2
    return np.minimum(i.astype(np.float32) * np.float32(step), n - 1).astype(np.intp)


def linear_pixels(n, count, step, align_corners, dtype):
    """The two of n pixels around each of `count`, and the weight of the second.

    u[i] = i * step with align_corners, else max(0, (i + 1/2) * step - 1/2)
    p[i] = floor(u[i]), p'[i] = p[i] + 1, both at most n - 1; weight[i] = min(u[i] - p[i], 1)
    """
    i = np.arange(count)
    u = i * step if align_corners else np.maximum((i + 0.5) * step - 0.5, 0)
    p = np.minimum(u.astype(np.intp), n - 1)
    return p, np.minimum(p + 1, n - 1), np.minimum(u - p, 1).astype(dtype)
