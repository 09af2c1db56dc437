"""Pooling over sliding windows: max_pool2d, relu_max_pool2d, avg_pool2d, each with its backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks, windows
from ..config import backend
from .gate import gate


def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    dilation: Any = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum over sliding windows.

    y[n, c, i, j] = max over (u, v) of x[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw]

    x            (n, c, h, w)
    kernel_size, stride, dilation   an integer or (rows, columns); stride defaults to kernel_size;
                 a kernel larger than the image has at most 256 rows and columns
    padding      an integer or (rows, columns), at most half of the kernel: never the maximum; or
                 "valid" (none), or "same", as in TensorFlow: oh = ceil(h / sh), and of an odd
                 number of rows more at the bottom
    ceil_mode    include a last, incomplete window at the bottom and the right; so a kernel larger
                 than the image has one window

    returns  y (n, c, oh, ow), oh = (h + 2*ph - dh*(kh - 1) - 1) // sh + 1 (rounded up with
             ceil_mode), and argmax, as y: u*kw + v of the first maximum, uint8 or, if kh*kw > 256,
             int32. ValueError if the cells of a window are so far apart that none is on the image.
    NaN is larger than every number, as in PyTorch.

    >>> y, argmax = ops.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    >>> y[0, 0].tolist(), argmax[0, 0].tolist()
    ([[5.0, 7.0], [13.0, 15.0]], [[3, 3], [3, 3]])
    """
    op = "max_pool2d"
    (x,), windowed = _forward(op, (x,), kernel_size, stride, padding, ceil_mode, dilation)
    kernel, stride, _, padding, dilation = windowed
    return backend().max_pool2d(x, kernel, stride, padding, dilation)


def max_pool2d_backward(
    dy: Any,
    argmax: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    ties: str = "first",
    x: Any = None,
    dilation: Any = 1,
) -> np.ndarray:
    """Gradient of `max_pool2d`: each window's gradient goes to the pixel that was its maximum.

    dx[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw] += dy[n, c, i, j]
                                                    where u*kw + v = argmax[n, c, i, j]

    dy and argmax (n, c, oh, ow), x_shape (n, c, h, w); the rest as in `max_pool2d`
    ties     "first" maximum of a window, as in PyTorch; or "all" pixels of x that equal it, each of
             which receives the whole gradient. NaN equals nothing: a window whose maximum is NaN
             gives its gradient only to the first NaN, with "all" too.
    x        (n, c, h, w), the input of `max_pool2d`: required for ties="all", as argmax holds one
             maximum per window, and not accepted otherwise
    returns  dx (n, c, h, w)

    >>> y, argmax = ops.max_pool2d(np.arange(4.0).reshape(1, 1, 2, 2), 2)
    >>> ops.max_pool2d_backward(np.ones_like(y), argmax, (1, 1, 2, 2), 2)[0, 0].tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    >>> x = np.array([[[[1.0, 3.0], [3.0, 3.0]]]])
    >>> y, argmax = ops.max_pool2d(x, 2)
    >>> dx = ops.max_pool2d_backward(np.ones_like(y), argmax, x.shape, 2, ties="all", x=x)
    >>> dx[0, 0].tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    op = "max_pool2d_backward"
    if (checks.choice(op, "ties", ties, ("first", "all")) == "all") != (x is not None):
        raise ValueError(
            f'{op}: ties="all" needs x, the input of max_pool2d, as argmax holds one maximum per '
            "window: pass x=x"
            if x is None
            else f'{op}: x is given, but ties="first" reads only argmax: omit x, or pass ties="all"'
        )
    settings = kernel_size, stride, padding, ceil_mode, dilation
    *checked, dilation = _max_arguments(op, dy, argmax, x_shape, *settings)
    if x is not None:
        x = checks.array(op, "x", x, 4)
        checks.same_dtype(op, dy=checked[0], x=x)
        checks.same_shape(op, "x", x.shape, checked[2], "x_shape")
    return backend().max_pool2d_backward(*checked, x, dilation)


def relu_max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    dilation: Any = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """`max_pool2d` of max(x, 0), in one pass; argmax is all that its backward needs.

    y[n, c, i, j] = max(0, max over (u, v) of x[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw])

    Arguments as in `max_pool2d`.

    returns  y (n, c, oh, ow), and argmax, as y: u*kw + v of the first maximum, or kh*kw where no
             x of the window is above 0; uint8 or, if kh*kw > 255, int32.

    >>> y, argmax = ops.relu_max_pool2d(np.array([[[[-1.0, -2.0, 3.0, 4.0]]]]), (1, 2))
    >>> y[0, 0].tolist(), argmax[0, 0].tolist()
    ([[0.0, 4.0]], [[2, 1]])
    """
    op = "relu_max_pool2d"
    (x,), windowed = _forward(op, (x,), kernel_size, stride, padding, ceil_mode, dilation)
    kernel, stride, _, padding, dilation = windowed
    return backend().relu_max_pool2d(x, kernel, stride, padding, dilation)


def relu_max_pool2d_backward(
    dy: Any,
    argmax: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    dilation: Any = 1,
) -> np.ndarray:
    """Gradient of `relu_max_pool2d`: goes to each window's maximum, if that was above 0.

    dx[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw] += dy[n, c, i, j]
                                                    where u*kw + v = argmax[n, c, i, j]

    dy and argmax (n, c, oh, ow), x_shape (n, c, h, w); the rest as in `max_pool2d`
    returns  dx (n, c, h, w)

    >>> y, argmax = ops.relu_max_pool2d(np.array([[[[-1.0, -2.0, 3.0, 4.0]]]]), (1, 2))
    >>> ops.relu_max_pool2d_backward(np.ones_like(y), argmax, (1, 1, 1, 4), (1, 2)).tolist()
    [[[[0.0, 0.0, 0.0, 1.0]]]]
    """
    op = "relu_max_pool2d_backward"
    settings = kernel_size, stride, padding, ceil_mode, dilation
    checked = _max_arguments(op, dy, argmax, x_shape, *settings)
    return backend().relu_max_pool2d_backward(*checked)


def _max_arguments(op: str, dy: Any, argmax: Any, x_shape: Any, *settings: Any) -> tuple[Any, ...]:
    """The checked arguments of the backend's backward, for both max-poolings."""
    x_shape = checks.shape4d(op, "x_shape", x_shape)
    argmax = checks.from_anything(op, "argmax", argmax)
    (dy,), windowed = _backward(op, (dy,), *settings, shapes=(argmax.shape, x_shape))
    kernel, stride, _, padding, dilation = windowed
    forward = op.removesuffix("_backward")
    codes = kernel[0] * kernel[1] + (forward == "relu_max_pool2d")
    dtype = _ARGMAX[codes > 256]
    if argmax.dtype is not dtype and argmax.dtype.newbyteorder("=") != dtype:
        raise TypeError(
            f"{op}: argmax has dtype {argmax.dtype}, "
            f"but {forward} returns {dtype} for a kernel of {kernel[0]}x{kernel[1]}"
        )
    if argmax.size and (checks.largest(argmax) >= codes or (codes > 256 and argmax.min() < 0)):
        raise ValueError(
            f"{op}: argmax holds {argmax.max()}, but for a kernel of {kernel[0]}x{kernel[1]} "
            f"{forward} returns numbers from 0 to {codes - 1}"
        )
    if not checks.plain(argmax, dtype):
        argmax = np.require(argmax, dtype, ["C", "ALIGNED"])
    return dy, argmax, x_shape, kernel, stride, padding, dilation


_ARGMAX = (np.dtype(np.uint8), np.dtype(np.int32))  # for up to 256 codes, and for more


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Mean over sliding windows.

    y[n, c, i, j] = 1/m * sum over (u, v) of x[n, c, i*sh + u - ph, j*sw + v - pw]

    m is the number of the window's cells in the image, and with count_include_pad also those in the
    padding. Cells beyond the padding, which a last window may have with ceil_mode, never count, and
    neither does padding="same". divisor_override, a positive integer, takes the place of m.
    Other arguments as in `max_pool2d`.

    returns  y (n, c, oh, ow)

    >>> ops.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    op = "avg_pool2d"
    (x,), windowed = _forward(op, (x,), kernel_size, stride, padding, ceil_mode)
    kernel, stride, given, padding, _ = windowed
    divides = _counted(op, given, count_include_pad, divisor_override)
    return backend().avg_pool2d(x, kernel, stride, padding, *divides)


def avg_pool2d_backward(
    dy: Any,
    x_shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Gradient of `avg_pool2d`: each window's gradient is divided equally among its m cells.

    dx[n, c, i*sh + u - ph, j*sw + v - pw] += dy[n, c, i, j] / m

    dy (n, c, oh, ow), x_shape (n, c, h, w); the rest as in `avg_pool2d`
    returns  dx (n, c, h, w)

    >>> ops.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 2)[0, 0].tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    op = "avg_pool2d_backward"
    x_shape = checks.shape4d(op, "x_shape", x_shape)
    settings = kernel_size, stride, padding, ceil_mode
    (dy,), windowed = _backward(op, (dy,), *settings, shapes=(x_shape,))
    kernel, stride, given, padding, _ = windowed
    divides = _counted(op, given, count_include_pad, divisor_override)
    return backend().avg_pool2d_backward(dy, x_shape, kernel, stride, padding, *divides)


_NO_PADDING = (0, 0), (0, 0)


def _counted(
    op: str, padding: windows.Padding, count_include_pad: Any, divisor: Any
) -> tuple[windows.Padding, int | None]:
    """The padding whose cells the mean counts, and what takes the place of their number."""
    counts = checks.flag(op, "count_include_pad", count_include_pad)
    if divisor is not None:
        divisor = checks.integer(op, "divisor_override", divisor, 1, 2**31 - 1)
    return (padding if counts else _NO_PADDING), divisor


@gate("x")
def _forward(op: str, shapes: Any, *settings: Any) -> list[Any]:
    """kernel, stride, padding as a mean counts it and as extended by ceil_mode, dilation."""
    (x,) = shapes
    checks.dimensions(op, "x", x, 4)
    *windowed, _ = _windows(op, x, *settings)
    return windowed


@gate("dy")
def _backward(op: str, shapes: Any, *settings: Any) -> list[Any]:
    """The same, for the shapes of dy, argmax (of max-pooling only) and x."""
    dy, *argmax, x = shapes
    checks.dimensions(op, "dy", dy, 4)
    *windowed, y = _windows(op, x, *settings)
    forward = op.removesuffix("_backward")
    checks.same_shape(op, "dy", dy, y, "the result of {} for x_shape {}", forward, x)
    checks.array_size(op, x)
    for shape in argmax:
        checks.same_shape(op, "argmax", shape, y, "the shape of dy")
    return windowed


def _windows(
    op: str,
    x_shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    dilation: Any = 1,
) -> tuple[Any, ...]:
    """kernel, stride, the padding that a mean may count and that extended by ceil_mode, dilation,
    and the shape of y."""
    n, c, h, w = x_shape
    kernel = checks.pair(op, "kernel_size", kernel_size)
    stride = kernel if stride is None else checks.pair(op, "stride", stride)
    dilation = checks.pair(op, "dilation", dilation)
    given, counts = windows.pool_padding(op, padding, (h, w), kernel, stride, dilation)
    checks.not_empty_image(op, "x", x_shape)
    _not_far_larger(op, kernel, (h, w))
    if checks.flag(op, "ceil_mode", ceil_mode):
        grown = windows.ceil_padding((h, w), kernel, stride, given, dilation)
    else:
        grown = given
    size = windows.output_size(op, (h, w), kernel, stride, grown, dilation)
    windows.no_window_beside(op, (h, w), size, stride, grown, dilation)
    dense = dilation == (1, 1)
    compact = windows.compact(op, (h, w), kernel, size, stride, grown, dilation)
    if dense:  # every window overlaps the image: only the stride of a single one can be arbitrary
        stride = compact[0]
    else:
        stride, grown, dilation = compact
    return kernel, stride, given if counts else _NO_PADDING, grown, dilation, (n, c, *size)


_LARGE_KERNEL = 256  # rows or columns, allowed for any image
_LARGEST_CODE = 2**31 - 1  # of argmax


def _not_far_larger(op: str, kernel: checks.Pair, size: checks.Pair) -> None:
    """Cells in the padding cost time too, and argmax numbers all cells."""
    if (
        kernel[0] > max(size[0], _LARGE_KERNEL)
        or kernel[1] > max(size[1], _LARGE_KERNEL)
        or kernel[0] * kernel[1] >= _LARGEST_CODE
    ):
        raise ValueError(
            f"{op}: kernel_size={kernel} is too large for an image of {size[0]}x{size[1]}: "
            f"at most the image's size (or {_LARGE_KERNEL}), and less than {_LARGEST_CODE} cells, "
            f"are expected"
        )
