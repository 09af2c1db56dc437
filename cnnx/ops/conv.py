"""Convolution, its transpose and the window matrix: conv2d, conv_transpose2d, their backward,
im2col, col2im."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks, windows
from ..config import backend
from .activation import ending
from .gate import gate


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = None,
    add: Any = None,
) -> np.ndarray:
    """Two-dimensional convolution (cross-correlation, as in every deep-learning library).

    y[n, k, i, j] = activation(add[n, k, i, j] + bias[k] + sum over (c, u, v) of
                    weight[k, c, u, v] * x[n, c, i*stride + u*dilation - padding, j*stride +
                    v*dilation - padding])

    x         (n, c, h, w)
    weight    (oc, c // groups, kh, kw)
    bias      (oc,) or None
    stride, dilation    an integer or (rows, columns)
    padding   an integer, (rows, columns), "same" (stride 1 only), "valid", or
              ((top, bottom), (left, right))
    groups    number of groups into which channels and filters are split; groups = c: depthwise
    activation  applied last: one of `ops.activation.ENDINGS`, such as "relu"; None: none
    add       same shape as y: added before the activation; None: nothing

    returns   y (n, oc, oh, ow), oh = (h + top + bottom - dilation*(kh - 1) - 1) // stride + 1

    Raises ValueError for mismatched shapes or invalid numbers, TypeError for a dtype that is
    neither float32 nor float64. Stride and dilation may be arbitrarily large: time and memory
    depend on the actual number of windows.

    >>> ops.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), chapter 9.
    """
    (x, weight, bias, add), settings = _forward(
        "conv2d", (x, weight, bias, add), stride, padding, dilation, groups, activation
    )
    return backend().conv2d(x, weight, bias, *settings, add)


@gate("x", "weight", "bias", "add", optional=("bias", "add"))
def _forward(
    op: str, shapes: Any, stride: Any, padding: Any, dilation: Any, groups: Any, activation: Any
) -> tuple[Any, ...]:
    """The backend's (stride, padding, dilation, groups, activation)."""
    x, weight, bias, add = shapes
    geometry, y = _geometry(op, x, weight, stride, padding, dilation, groups)
    if bias is not None:
        checks.same_shape(op, "bias", bias, weight[:1], "one value per filter of weight {}", weight)
    activation = ending(op, activation)
    if add is not None:
        checks.dimensions(op, "add", add, 4)
        checks.same_shape(op, "add", add, y, "the shape of the result")
    return *geometry, activation


def conv2d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Gradients of `conv2d` with respect to x, weight and bias.

    dbias[k]            = sum over (n, i, j) of dy[n, k, i, j]
    dweight[k, c, u, v] = sum over (n, i, j) of
                          dy[n, k, i, j] * x[n, c, i*sh + u*dh - top, j*sw + v*dw - left]
    dx[n, c, i*sh + u*dh - top, j*sw + v*dw - left] +=
                          sum over k of weight[k, c, u, v] * dy[n, k, i, j]

    dy (n, oc, oh, ow): the gradient of conv2d's output; the rest as in `conv2d`.
    returns  dx (n, c, h, w), or None if need_dx is False; dweight, as weight; dbias (oc,)

    >>> dy, x, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> dx, dweight, dbias = ops.conv2d_backward(dy, x, weight)
    >>> dx[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    (dy, x, weight), settings = _backward(
        "conv2d_backward", (dy, x, weight), stride, padding, dilation, groups, need_dx
    )
    return backend().conv2d_backward(dy, x, weight, *settings)


@gate("dy", "x", "weight")
def _backward(
    op: str, shapes: Any, stride: Any, padding: Any, dilation: Any, groups: Any, need_dx: Any
) -> tuple[Any, ...]:
    """The backend's (stride, padding, dilation, groups, need_dx)."""
    dy, x, weight = shapes
    geometry, y = _geometry(op, x, weight, stride, padding, dilation, groups)
    checks.dimensions(op, "dy", dy, 4)
    checks.same_shape(op, "dy", dy, y, "the result of conv2d for x {} and weight {}", x, weight)
    return *geometry, checks.flag(op, "need_dx", need_dx)


def _geometry(
    op: str, x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> tuple[Any, ...]:
    """The backend's (stride, padding, dilation, groups), and the shape of y, from those of x and
    weight."""
    checks.dimensions(op, "x", x, 4)
    checks.dimensions(op, "weight", weight, 4)
    groups = checks.integer(op, "groups", groups, 1)
    n, c, h, w = x
    oc, group_channels, kh, kw = weight
    if 0 in weight:
        raise ValueError(f"{op}: weight has shape {weight}, but no size of it may be 0")
    if c != group_channels * groups:
        raise ValueError(
            f"{op}: x has {c} channels, but weight {weight} with groups={groups} "
            f"expects {group_channels * groups}"
            f"{checks.channels_last('x', x, group_channels * groups)}"
        )
    if oc % groups:
        raise ValueError(
            f"{op}: weight {weight} has {oc} filters, which groups={groups} does not divide"
        )
    stride = checks.pair(op, "stride", stride)
    dilation = checks.pair(op, "dilation", dilation)
    padding = windows.padding2d(op, padding, (kh, kw), stride, dilation)
    size = windows.output_size(op, (h, w), (kh, kw), stride, padding, dilation)
    checks.array_size(op, (n, oc, *size))
    geometry = windows.compact(op, (h, w), (kh, kw), size, stride, padding, dilation)
    return (*geometry, groups), (n, oc, *size)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> np.ndarray:
    """Transposed convolution: the adjoint of `conv2d`, which enlarges images where `conv2d` makes
    them smaller. The arguments and their order are PyTorch's.

    y[n, k, i*sh + u*dh - top, j*sw + v*dw - left] +=
                          sum over c of weight[c, k, u, v] * x[n, c, i, j]
    followed by adding bias[k]; values outside y are dropped

    x         (n, c, h, w)
    weight    (c, oc // groups, kh, kw)
    bias      (oc,) or None
    stride, dilation    an integer or (rows, columns)
    padding   removed from y on every side; given as in `conv2d`
    output_padding      rows added at the bottom and columns added at the right of y: an integer
              or (rows, columns), less than the stride or the dilation
    groups    number of groups into which channels and filters are split

    returns   y (n, oc, oh, ow),
              oh = (h - 1)*stride - top - bottom + dilation*(kh - 1) + output_padding + 1

    Raises ValueError for mismatched shapes or invalid numbers, and if almost no element of y
    depends on x; TypeError for a dtype that is neither float32 nor float64.

    >>> ops.conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]

    Source: Zeiler, Krishnan, Taylor, Fergus, Deconvolutional Networks (2010); Dumoulin, Visin, A
    guide to convolution arithmetic for deep learning (2016).
    """
    (x, weight, bias), settings = _transpose_forward(
        *("conv_transpose2d", (x, weight, bias)),
        *(stride, padding, output_padding, dilation, groups),
    )
    return backend().conv_transpose2d(x, weight, bias, *settings)


@gate("x", "weight", "bias", optional=("bias",))
def _transpose_forward(op: str, shapes: Any, *settings: Any) -> tuple[Any, ...]:
    """The backend's (stride, padding, output_padding, dilation, groups)."""
    x, weight, bias = shapes
    (stride, padding, *rest), extra, y = _transpose_geometry(op, x, weight, *settings)
    if bias is not None:
        why = "one value per filter of weight {}"
        checks.same_shape(op, "bias", bias, (y[1],), why, weight)
    return stride, padding, extra, *rest


def conv_transpose2d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Gradients of `conv_transpose2d` with respect to x, weight and bias.

    dbias[k]            = sum over (n, i, j) of dy[n, k, i, j]
    dweight[c, k, u, v] = sum over (n, i, j) of
                          x[n, c, i, j] * dy[n, k, i*sh + u*dh - top, j*sw + v*dw - left]
    dx[n, c, i, j]      = sum over (k, u, v) of
                          weight[c, k, u, v] * dy[n, k, i*sh + u*dh - top, j*sw + v*dw - left]

    dy (n, oc, oh, ow): the gradient of conv_transpose2d's output; the rest as there.
    returns  dx (n, c, h, w), or None if need_dx is False; dweight, as weight; dbias (oc,)

    >>> dy, x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))
    >>> dx, dweight, dbias = ops.conv_transpose2d_backward(dy, x, weight)
    >>> dx[0, 0].tolist(), dweight[0, 0].tolist(), dbias.tolist()
    ([[4.0, 4.0], [4.0, 4.0]], [[4.0, 4.0], [4.0, 4.0]], [9.0])
    """
    (dy, x, weight), settings = _transpose_backward(
        *("conv_transpose2d_backward", (dy, x, weight)),
        *(stride, padding, output_padding, dilation, groups, need_dx),
    )
    return backend().conv_transpose2d_backward(dy, x, weight, *settings)


@gate("dy", "x", "weight")
def _transpose_backward(op: str, shapes: Any, *settings: Any) -> tuple[Any, ...]:
    """The backend's (stride, padding, dilation, groups, need_dx)."""
    dy, x, weight = shapes
    *windowed, need_dx = settings
    geometry, _, y = _transpose_geometry(op, x, weight, *windowed)
    checks.dimensions(op, "dy", dy, 4)
    why = "the result of conv_transpose2d for x {} and weight {}"
    checks.same_shape(op, "dy", dy, y, why, x, weight)
    return *geometry, checks.flag(op, "need_dx", need_dx)


def _transpose_geometry(
    op: str,
    x: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
) -> tuple[Any, ...]:
    """The backend's (stride, padding, dilation, groups) and output_padding, and the shape of y."""
    checks.dimensions(op, "x", x, 4)
    checks.dimensions(op, "weight", weight, 4)
    groups = checks.integer(op, "groups", groups, 1)
    n, c, h, w = x
    channels, group_filters, kh, kw = weight
    if 0 in weight:
        raise ValueError(f"{op}: weight has shape {weight}, but no size of it may be 0")
    if c != channels:
        raise ValueError(
            f"{op}: x has {c} channels, but weight {weight} expects {channels}"
            f"{checks.channels_last('x', x, channels)}"
        )
    if c % groups:
        raise ValueError(f"{op}: x has {c} channels, which groups={groups} does not divide")
    stride = checks.pair(op, "stride", stride)
    dilation = checks.pair(op, "dilation", dilation)
    padding = windows.padding2d(op, padding, (kh, kw), stride, dilation)
    extra = checks.pair(op, "output_padding", output_padding, 0)
    size = windows.transposed_size(op, (h, w), (kh, kw), stride, padding, dilation, extra)
    y = (n, group_filters * groups, *size)
    checks.array_size(op, y)
    # The windows are on y, one for each pixel of x.
    stride, padding, dilation = windows.compact(
        op, size, (kh, kw), (h, w), stride, padding, dilation
    )
    extra = windows.beyond_reach(size, (kh, kw), (h, w), stride, padding, dilation)
    return (stride, padding, dilation, groups), extra, y


def im2col(
    x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> np.ndarray:
    """Every window of every image as one row of a matrix; `col2im` is its backward.

    cols[(n, i, j), (c, u, v)] = x[n, c, i*sh + u*dh - top, j*sw + v*dw - left], or zero

    x (n, c, h, w); kernel_size, stride, dilation an integer or a pair; padding as in `conv2d`
    returns  cols (n*oh*ow, c*kh*kw)

    >>> ops.im2col(np.arange(9.0).reshape(1, 1, 3, 3), 2).tolist()
    [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0], [3.0, 4.0, 6.0, 7.0], [4.0, 5.0, 7.0, 8.0]]

    Source: Chellapilla, Puri, Simard, High Performance Convolutional Neural Networks for Document
    Processing (2006).
    """
    op = "im2col"
    x = checks.array(op, "x", x, 4)
    geometry, _ = _windows(op, x.shape, kernel_size, stride, padding, dilation)
    return backend().im2col(x, *geometry)


def col2im(
    cols: Any, x_shape: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> np.ndarray:
    """Rows of a window matrix added to their pixels: adjoint, and so backward, of `im2col`.

    x[n, c, i*sh + u*dh - top, j*sw + v*dw - left] += cols[(n, i, j), (c, u, v)]

    cols (n*oh*ow, c*kh*kw); x_shape (n, c, h, w); the rest as in `im2col`
    returns  x (n, c, h, w)

    >>> ops.col2im(np.ones((4, 4)), (1, 1, 3, 3), 2)[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    op = "col2im"
    cols = checks.array(op, "cols", cols, 2)
    x_shape = checks.shape4d(op, "x_shape", x_shape)
    geometry, cols_shape = _windows(op, x_shape, kernel_size, stride, padding, dilation)
    checks.same_shape(op, "cols", cols.shape, cols_shape, "the windows of x_shape {}", x_shape)
    checks.array_size(op, x_shape)
    return backend().col2im(cols, x_shape, *geometry)


def _windows(
    op: str, x_shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[Any, ...]:
    """The backend's (kernel, stride, padding, dilation), and the shape of the window matrix."""
    n, c, h, w = x_shape
    kernel = checks.pair(op, "kernel_size", kernel_size)
    stride = checks.pair(op, "stride", stride)
    dilation = checks.pair(op, "dilation", dilation)
    padding = windows.padding2d(op, padding, kernel, stride, dilation)
    oh, ow = windows.output_size(op, (h, w), kernel, stride, padding, dilation)
    columns = c * kernel[0] * kernel[1]
    checks.array_size(op, ((n or 1) * oh * ow, columns))
    geometry = windows.compact(op, (h, w), kernel, (oh, ow), stride, padding, dilation)
    return (kernel, *geometry), (n * oh * ow, columns)
