"""im2col and col2im in plain NumPy, as `functional` and `network` have them."""

from __future__ import annotations

import numpy as np


def output_size(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride + 1


def im2col(X, FH, FW, stride=1, padding=0):
    N, C, H, W = X.shape
    oh, ow = output_size(H, FH, stride, padding), output_size(W, FW, stride, padding)
    img = np.pad(X, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    col = np.zeros((N, C, FH, FW, oh, ow))
    for y in range(FH):
        for x in range(FW):
            col[:, :, y, x] = img[:, :, y : y + stride * oh : stride, x : x + stride * ow : stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(N * oh * ow, -1)


def col2im(col, X_shape, FH, FW, stride=1, padding=0):
    N, C, H, W = X_shape
    oh, ow = output_size(H, FH, stride, padding), output_size(W, FW, stride, padding)
    col = col.reshape(N, oh, ow, C, FH, FW).transpose(0, 3, 4, 5, 1, 2)
    img = np.zeros((N, C, H + 2 * padding + stride - 1, W + 2 * padding + stride - 1))
    for y in range(FH):
        for x in range(FW):
            img[:, :, y : y + stride * oh : stride, x : x + stride * ow : stride] += col[:, :, y, x]
    return img[:, :, padding : padding + H, padding : padding + W]


def convolve(X, W, b, stride, padding):
    """The convolution and its column matrix."""
    N, _, H, width = X.shape
    F, _, FH, FW = W.shape
    oh, ow = output_size(H, FH, stride, padding), output_size(width, FW, stride, padding)
    X_col = im2col(X, FH, FW, stride, padding)
    out = X_col @ W.reshape(F, -1).T + b
    return out.reshape(N, oh, ow, F).transpose(0, 3, 1, 2), X_col


def convolve_backward(dout, X_shape, W, X_col, stride, padding):
    F, _, FH, FW = W.shape
    d = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    dX = col2im(d @ W.reshape(F, -1), X_shape, FH, FW, stride, padding)
    return dX, (d.T @ X_col).reshape(W.shape), d.sum(axis=0)
