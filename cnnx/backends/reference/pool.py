"""Pooling: the maximum or the mean of every window.

Images are (n, c, h, w). kernel and stride are pairs, padding is ((top, bottom), (left, right)).

Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 9.3.
"""

from __future__ import annotations

import numpy as np

from .windows import pad, scatter_windows, windows


def max_pool2d(x, kernel, stride, padding, dilation=(1, 1)):
    """Maximum over sliding windows.

    y[n, c, i, j]      = max over (u, v) of x[n, c, i*sh + u*dh - top, j*sw + v*dw - left]
    argmax[n, c, i, j] = u*kw + v of the first maximum, which `max_pool2d_backward` reads

    Padding is never the maximum: it counts as -inf, and in a window of only -inf the first pixel is
    the maximum. NaN wins over every number, as in PyTorch.

    x (n, c, h, w)  ->  y (n, c, oh, ow), argmax (n, c, oh, ow), uint8 or, if kh*kw > 256, int32
    """
    wins = windows(pad(x, padding, value=-np.inf), kernel, stride, dilation)
    wins = wins.reshape(*wins.shape[:4], kernel[0] * kernel[1])
    is_pixel = windows(pad(np.ones((1, 1, *x.shape[2:])), padding), kernel, stride, dilation)
    is_pixel = is_pixel.reshape(*is_pixel.shape[:4], kernel[0] * kernel[1])

    y = wins.max(axis=-1)
    argmax = np.where(y == -np.inf, is_pixel.argmax(axis=-1), wins.argmax(axis=-1))
    return y, argmax.astype(np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)


def max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding, x=None, dilation=(1, 1)):
    """Pass each window's gradient to the pixel that was its maximum.

    dx[n, c, i*sh + u*dh - top, j*sw + v*dw - left] += dy[n, c, i, j]
                                                       where u*kw + v = argmax[n, c, i, j]

    If x (n, c, h, w) is given, every other pixel of the window with the same value receives the
    gradient as well. NaN equals nothing, and neither does an argmax inside the padding.
    """
    kh, kw = kernel
    cells = np.arange(kh * kw).reshape(kh, kw)
    receives = argmax[..., None, None] == cells
    if x is not None:
        wins = windows(pad(x, padding, value=np.nan), kernel, stride, dilation)
        cell = argmax[..., None].astype(np.intp)
        maxima = np.take_along_axis(wins.reshape(*argmax.shape, kh * kw), cell, -1)
        receives |= wins == maxima[..., None]
    dwins = np.where(receives, dy[..., None, None], dy.dtype.type(0))
    return scatter_windows(dwins, x_shape, stride, padding, dilation)


def relu_max_pool2d(x, kernel, stride, padding, dilation=(1, 1)):
    """max(y, 0) of `max_pool2d`'s y, which is also the maximum over windows of max(x, 0).

    argmax is kh*kw if the window's maximum is not above 0: such a window is dead, and passes no
    gradient. Backward therefore needs neither x nor max(x, 0).

    x (n, c, h, w)  ->  y (n, c, oh, ow), argmax (n, c, oh, ow), uint8 or, if kh*kw > 255, int32
    """
    y, argmax = max_pool2d(x, kernel, stride, padding, dilation)
    cells = kernel[0] * kernel[1]
    dead = y <= 0
    argmax = np.where(dead, cells, argmax).astype(np.uint8 if cells <= 255 else np.int32)
    return np.where(dead, y.dtype.type(0), y), argmax


def relu_max_pool2d_backward(dy, argmax, x_shape, kernel, stride, padding, dilation=(1, 1)):
    """Pass each live window's gradient to the pixel that was its maximum.

    dx[n, c, i*sh + u*dh - top, j*sw + v*dw - left] += dy[n, c, i, j]
                                                       where u*kw + v = argmax[n, c, i, j]
    """
    geometry = kernel, stride, padding
    return max_pool2d_backward(dy, argmax, x_shape, *geometry, dilation=dilation)


def avg_pool2d(x, kernel, stride, padding, counted, divisor=None):
    """Mean over sliding windows.

    y[n, c, i, j] = 1/m[i, j] * sum over (u, v) of x[n, c, i*sh + u - top, j*sw + v - left]

    m[i, j] is the number of cells of the window that count: those on the image, and those on the
    part of the padding given by `counted`, ((top, bottom), (left, right)). A divisor, if given,
    takes the place of m.

    x (n, c, h, w)  ->  y (n, c, oh, ow)
    """
    total = windows(pad(x, padding), kernel, stride).sum(axis=(-2, -1))
    if divisor is not None:
        return total / x.dtype.type(divisor)
    return total / window_sizes(x, kernel, stride, padding, counted)


def avg_pool2d_backward(dy, x_shape, kernel, stride, padding, counted, divisor=None):
    """Distribute each window's gradient equally among its cells.

    dx[n, c, i*sh + u - top, j*sw + v - left] += dy[n, c, i, j] / m[i, j]; or / divisor, if given
    """
    image = np.zeros((1, 1, *x_shape[2:]), dy.dtype)
    sizes = window_sizes(image, kernel, stride, padding, counted)
    share = dy / (sizes if divisor is None else dy.dtype.type(divisor))
    dwins = np.broadcast_to(share[..., None, None], (*dy.shape, *kernel))
    return scatter_windows(dwins, x_shape, stride, padding)


def window_sizes(x, kernel, stride, padding, counted):
    """Number of cells that count in every window, (1, 1, oh, ow)."""
    cells = pad(np.ones((1, 1, *x.shape[2:]), x.dtype), counted, value=1)
    (top, bottom), (left, right) = padding
    (counted_top, counted_bottom), (counted_left, counted_right) = counted
    rest = (
        (top - counted_top, bottom - counted_bottom),
        (left - counted_left, right - counted_right),
    )
    return windows(pad(cells, rest), kernel, stride).sum(axis=(-2, -1))


def global_avg_pool2d(x):
    """Mean of every channel over the whole image.

    y[n, c, 0, 0] = 1/(h*w) * sum over (i, j) of x[n, c, i, j]

    x (n, c, h, w)  ->  y (n, c, 1, 1)
    """
    return x.mean(axis=(2, 3), keepdims=True)


def global_avg_pool2d_backward(dy, x_shape):
    """dx[n, c, i, j] = dy[n, c, 0, 0] / (h*w)"""
    h, w = x_shape[2:]
    return np.ascontiguousarray(np.broadcast_to(dy / dy.dtype.type(h * w), x_shape))


def adaptive_avg_pool2d(x, size):
    """Mean over size[0] x size[1] windows that cover the image.

    y[n, c, i, j] = mean of x[n, c, r, s] over floor(i*h/oh) <= r < ceil((i+1)*h/oh), s alike

    x (n, c, h, w)  ->  y (n, c, *size)
    """
    if not x.size:
        return np.zeros((*x.shape[:2], *size), x.dtype)
    rows, columns = map(adaptive_windows, x.shape[2:], size)
    total = sums_between(sums_between(x, rows, axis=2), columns, axis=3)
    return total / adaptive_window_sizes(rows, columns, x.dtype)


def adaptive_avg_pool2d_backward(dy, x_shape):
    """Share each window's gradient equally among its m[i, j] cells.

    dx[n, c, r, s] += dy[n, c, i, j] / m[i, j] for all cells (r, s) of the window
    """
    dx, along = np.zeros(x_shape, dy.dtype), np.zeros((*dy.shape[:3], x_shape[3]), dy.dtype)
    if not dx.size:
        return dx
    rows, columns = map(adaptive_windows, x_shape[2:], dy.shape[2:])
    share = dy / adaptive_window_sizes(rows, columns, dy.dtype)
    for j, (begin, end) in enumerate(zip(*columns)):
        along[:, :, :, begin:end] += share[:, :, :, j : j + 1]
    for i, (begin, end) in enumerate(zip(*rows)):
        dx[:, :, begin:end] += along[:, :, i : i + 1]
    return dx


def adaptive_windows(n, count):
    """Where each of `count` windows on n pixels begins, and where it ends."""
    i = np.arange(count)
    return i * n // count, -(-(i + 1) * n // count)


def adaptive_window_sizes(rows, columns, dtype):
    """Number of cells of every window, (oh, ow)."""
    return np.multiply.outer(rows[1] - rows[0], columns[1] - columns[0]).astype(dtype)


def sums_between(x, edges, axis):
    """Sums of x along an axis, from each begin to its end; they may overlap."""
    shape = list(x.shape)
    shape[axis] = 1
    x = np.concatenate([x, np.zeros(shape, x.dtype)], axis)  # reduceat wants an end within x
    begins, ends = edges
    between = np.add.reduceat(x, np.stack([begins, ends], axis=1).ravel(), axis)
    return between.take(2 * np.arange(len(begins)), axis)  # not those from an end to a begin
