"""Sliding windows over an image, the basis of convolution, pooling, im2col and col2im.

Shapes      images (n, c, h, w); windows (n, c, oh, ow, kh, kw)
Arguments   kernel, stride, dilation are (rows, columns), padding ((top, bottom), (left, right))
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided


def pad(x, padding, value=0):
    """Add rows and columns of `value` around every image."""
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def crop(x, padding):
    """Remove the rows and columns that `pad` added."""
    (top, bottom), (left, right) = padding
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def windows(x, kernel, stride, dilation=(1, 1)):
    """View the images as windows, without copying.

    windows[n, c, i, j, u, v] = x[n, c, i*sh + u*dh, j*sw + v*dw]
    """
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    (n, c, h, w), (dn, dc, row, column) = x.shape, x.strides
    oh, ow = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    # Not sliding_window_view: it lists the pixels between the taps too, more than NumPy can count.
    strides = (dn, dc, sh * row, sw * column, dh * row, dw * column)
    return as_strided(x, (n, c, oh, ow, kh, kw), strides, writeable=False)


def scatter_windows(values, x_shape, stride, padding, dilation=(1, 1)):
    """Add every window's values to the pixels it was taken from: the adjoint of pad + windows.

    x[n, c, i*sh + u*dh - top, j*sw + v*dw - left] += values[n, c, i, j, u, v]

    The loop runs over the kernel only, where for one (u, v) all windows touch different pixels; or
    over the windows, if they are fewer.
    """
    n, c, h, w = x_shape
    _, _, oh, ow, kh, kw = values.shape
    (top, bottom), (left, right) = padding
    (sh, sw), (dh, dw) = stride, dilation
    if not values.size:
        return np.zeros(x_shape, values.dtype)
    x = np.zeros((n, c, h + top + bottom, w + left + right), values.dtype)
    if oh * ow < kh * kw:
        for i in range(oh):
            for j in range(ow):
                rows = slice(i * sh, i * sh + dh * kh, dh)
                columns = slice(j * sw, j * sw + dw * kw, dw)
                x[:, :, rows, columns] += values[:, :, i, j]
        return np.ascontiguousarray(crop(x, padding))
    for u in range(kh):
        for v in range(kw):
            rows = slice(u * dh, u * dh + sh * oh, sh)
            columns = slice(v * dw, v * dw + sw * ow, sw)
            x[:, :, rows, columns] += values[:, :, :, :, u, v]
    return np.ascontiguousarray(crop(x, padding))
