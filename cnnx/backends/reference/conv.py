"""Convolution as one matrix product over windows, its transpose, and the window matrix itself
(im2col, col2im).

Images are (n, c, h, w), weights (oc, c // groups, kh, kw). stride and dilation are pairs, padding
is ((top, bottom), (left, right)). x is zero outside its borders. As usual in deep learning, the
kernel is not flipped: the operation is a cross-correlation.

Source: Goodfellow, Bengio, Courville, Deep Learning (2016), chapter 9; Chellapilla, Puri, Simard,
High Performance Convolutional Neural Networks for Document Processing (2006), for im2col.
"""

from __future__ import annotations

import numpy as np

from .epilogue import finish
from .windows import pad, scatter_windows, windows


def conv2d(x, weight, bias, stride, padding, dilation, groups, activation, add):
    """Cross-correlate images with a bank of filters.

    y[n, k, i, j] = activation(add[n, k, i, j] + bias[k] + sum over (c, u, v) of
                    weight[k, c, u, v] * x[n, c, i*sh + u*dh - top, j*sw + v*dw - left])

    With groups > 1, channels and filters are split into groups that are convolved separately.

    x (n, c, h, w), weight (oc, c // groups, kh, kw), bias (oc,) or None, activation a name or None,
    add as y or None  ->  y (n, oc, oh, ow)
    """
    wins = windows(pad(x, padding), weight.shape[2:], stride, dilation)
    y = np.concatenate(
        [
            np.tensordot(weight_g, wins_g, axes=([1, 2, 3], [1, 4, 5])).swapaxes(0, 1)
            for weight_g, wins_g in zip(np.split(weight, groups), np.split(wins, groups, axis=1))
        ],
        axis=1,
    )
    if bias is not None:
        y += bias[:, None, None]
    return finish(np.ascontiguousarray(y), activation, add)


def conv2d_backward(dy, x, weight, stride, padding, dilation, groups, need_dx):
    """Gradients of `conv2d`.

    dbias[k]            = sum over (n, i, j) of dy[n, k, i, j]
    dweight[k, c, u, v] = sum over (n, i, j) of
                          dy[n, k, i, j] * x[n, c, i*sh + u*dh - top, j*sw + v*dw - left]
    dx[n, c, i*sh + u*dh - top, j*sw + v*dw - left] +=
                          sum over k of weight[k, c, u, v] * dy[n, k, i, j]

    returns  dx (None unless need_dx), dweight, dbias
    """
    wins = windows(pad(x, padding), weight.shape[2:], stride, dilation)
    per_group = list(
        zip(
            np.split(dy, groups, axis=1),
            np.split(wins, groups, axis=1),
            np.split(weight, groups),
        )
    )
    dbias = dy.sum(axis=(0, 2, 3))
    dweight = np.concatenate(
        [np.tensordot(dy_g, wins_g, axes=([0, 2, 3], [0, 2, 3])) for dy_g, wins_g, _ in per_group]
    )
    if not need_dx:
        return None, dweight, dbias
    dwins = np.concatenate(
        [
            np.tensordot(dy_g, weight_g, axes=([1], [0])).transpose(0, 3, 1, 2, 4, 5)
            for dy_g, _, weight_g in per_group
        ],
        axis=1,
    )
    return scatter_windows(dwins, x.shape, stride, padding, dilation), dweight, dbias


def conv_transpose2d(x, weight, bias, stride, padding, output_padding, dilation, groups):
    """The adjoint of `conv2d`: every pixel of x adds its multiple of the filter to y.

    y[n, k, i*sh + u*dh - top, j*sw + v*dw - left] +=
                          sum over c of weight[c, k, u, v] * x[n, c, i, j]
    followed by adding bias[k]. Values outside y are dropped; output_padding adds rows at the bottom
    and columns at the right, to reach every size whose convolution has the size of x.

    x (n, c, h, w), weight (c, oc // groups, kh, kw), bias (oc,) or None  ->  y (n, oc, oh, ow)
    oh = (h - 1)*sh - top - bottom + dh*(kh - 1) + output_padding + 1
    """
    (kh, kw), (sh, sw), (dh, dw) = weight.shape[2:], stride, dilation
    oh = (x.shape[2] - 1) * sh - sum(padding[0]) + dh * (kh - 1) + output_padding[0] + 1
    ow = (x.shape[3] - 1) * sw - sum(padding[1]) + dw * (kw - 1) + output_padding[1] + 1
    values = np.concatenate(
        [
            np.tensordot(x_g, weight_g, axes=([1], [0])).transpose(0, 3, 1, 2, 4, 5)
            for x_g, weight_g in zip(np.split(x, groups, axis=1), np.split(weight, groups))
        ],
        axis=1,
    )
    y = scatter_windows(values, (x.shape[0], values.shape[1], oh, ow), stride, padding, dilation)
    if bias is not None:
        y += bias[:, None, None]
    return y


def conv_transpose2d_backward(dy, x, weight, stride, padding, dilation, groups, need_dx):
    """Gradients of `conv_transpose2d`: those of `conv2d` with the roles of x and dy exchanged.

    dbias[k]            = sum over (n, i, j) of dy[n, k, i, j]
    dweight[c, k, u, v] = sum over (n, i, j) of
                          x[n, c, i, j] * dy[n, k, i*sh + u*dh - top, j*sw + v*dw - left]
    dx[n, c, i, j]      = sum over (k, u, v) of
                          weight[c, k, u, v] * dy[n, k, i*sh + u*dh - top, j*sw + v*dw - left]

    returns  dx (None unless need_dx), dweight, dbias
    """
    _, _, h, w = x.shape
    wins = windows(pad(dy, padding), weight.shape[2:], stride, dilation)[:, :, :h, :w]
    per_group = list(
        zip(np.split(x, groups, axis=1), np.split(wins, groups, axis=1), np.split(weight, groups))
    )
    dbias = dy.sum(axis=(0, 2, 3))
    dweight = np.concatenate(
        [np.tensordot(x_g, wins_g, axes=([0, 2, 3], [0, 2, 3])) for x_g, wins_g, _ in per_group]
    )
    if not need_dx:
        return None, dweight, dbias
    dx = np.concatenate(
        [
            np.tensordot(weight_g, wins_g, axes=([1, 2, 3], [1, 4, 5])).swapaxes(0, 1)
            for _, wins_g, weight_g in per_group
        ],
        axis=1,
    )
    return np.ascontiguousarray(dx), dweight, dbias


def im2col(x, kernel, stride, padding, dilation):
    """Copy every window of every image to one row of a matrix.

    cols[(n, i, j), (c, u, v)] = x[n, c, i*sh + u*dh - top, j*sw + v*dw - left]

    x (n, c, h, w)  ->  cols (n*oh*ow, c*kh*kw)
    """
    wins = windows(pad(x, padding), kernel, stride, dilation)
    n, c, oh, ow, kh, kw = wins.shape
    return wins.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, c * kh * kw)


def col2im(cols, x_shape, kernel, stride, padding, dilation):
    """Add every row of a window matrix to its pixels: the adjoint of `im2col`.

    x[n, c, i*sh + u*dh - top, j*sw + v*dw - left] += cols[(n, i, j), (c, u, v)]

    cols (n*oh*ow, c*kh*kw), x_shape (n, c, h, w)  ->  x (n, c, h, w)
    """
    n, c, h, w = x_shape
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    oh = (h + sum(padding[0]) - dh * (kh - 1) - 1) // sh + 1
    ow = (w + sum(padding[1]) - dw * (kw - 1) - 1) // sw + 1
    values = cols.reshape(n, oh, ow, c, kh, kw).transpose(0, 3, 1, 2, 4, 5)
    return scatter_windows(values, x_shape, stride, padding, dilation)
