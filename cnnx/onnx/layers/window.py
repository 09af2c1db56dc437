"""Padding and pooling that depend on the image size, or differ at the two ends of an axis."""

# Design:
# cnnx's pools pad both ends alike, by at most half of the window. ONNX allows any numbers, and
# auto_pad derives them from the image's size, which a file may leave free. So these operators pad
# the image first, which costs a copy; files whose padding has the usual form do not get here, and
# max-pooling has "same" itself.

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from cnnx import ops, windows
from cnnx.onnx.layers.operator import Operator, is_float, operator

__all__ = ["AveragePool", "GlobalPool", "MaxPool", "SamePad", "same_pads"]

Sizes = tuple[int, ...]
Pads = list[tuple[int, int]]


def same_pads(size: Any, kernel: Any, stride: Any, dilation: Any, lower: bool) -> Pads:
    """(before, after) along each axis for ceil(size / stride) windows; lower: more before."""
    pads = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        small, large = total // 2, total - total // 2
        pads.append((large, small) if lower else (small, large))
    return pads


@operator
class SamePad(Operator):
    """y = x with the zeros that give a convolution ceil(size / stride) windows."""

    folds: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ("kernel", "stride", "dilation", "lower")

    def __init__(self, kernel: Sizes, stride: Sizes, dilation: Sizes, lower: bool) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.lower = bool(lower)

    def compute(self, x: Any) -> Any:
        pads = [(0, 0), (0, 0), *self._pads(x)]
        return ops.pad(x, pads) if is_float(x) else np.pad(x, pads)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        inner = [slice(before, before + n) for (before, _), n in zip(self._pads(x), x.shape[2:])]
        return (dy[(slice(None), slice(None), *inner)],)

    def _pads(self, x: Any) -> Pads:
        return same_pads(x.shape[2:], self.kernel, self.stride, self.dilation, self.lower)


class _Pool(Operator):
    """Base of both.

    padding  (before, after) of each axis, or "same_upper" or "same_lower"
    """

    folds: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ("kernel", "stride", "padding", "ceil", "dilation")

    def __init__(
        self,
        kernel: Sizes,
        stride: Sizes,
        padding: Any,
        ceil: bool = False,
        dilation: Sizes | None = None,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.ceil = kernel, stride, padding, bool(ceil)
        self.dilation = dilation or (1,) * len(kernel)

    def _geometry(self, x: Any) -> tuple[Any, Pads, Pads]:
        """x as images, and (before, after) of its rows and columns: given, and with the border
        that completes the last windows.
        """
        size = x.shape[2:]
        if isinstance(self.padding, str):
            lower = self.padding == "same_lower"
            pads = same_pads(size, self.kernel, self.stride, self.dilation, lower)
        else:
            pads = [(before, after) for before, after in self.padding]
        if len(size) == 1:
            x, pads = x[:, :, None], [(0, 0), *pads]
        whole = pads
        if self.ceil:
            image: Any = x.shape[2:]
            kernel, stride, dilation = self._pairs()
            given: Any = tuple(pads)
            whole = list(windows.ceil_padding(image, kernel, stride, given, dilation))
        return x, pads, whole

    def _pairs(self) -> tuple[Any, Any, Any]:
        """Kernel, stride and dilation of rows and columns."""
        one = (1,) * (2 - len(self.kernel))
        return (*one, *self.kernel), (*one, *self.stride), (*one, *self.dilation)


def _padded(x: Any, pads: Pads, value: float = 0.0) -> Any:
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=value)


def _inner(dx: Any, pads: Pads, shape: Any) -> Any:
    (top, _), (left, _) = pads
    rows, columns = (1, *shape[2:])[-2:]
    return dx[:, :, top : top + rows, left : left + columns].reshape(shape)


@operator
class MaxPool(_Pool):
    """Maximum over windows, as `MaxPool2D`; the border is never the maximum."""

    def compute(self, x: Any) -> Any:
        y, _ = self._pooled(x)[0]
        return y.reshape(*x.shape[:2], *y.shape[4 - x.ndim + 2 :])

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        (pooled, argmax), padded, whole, settings = self._pooled(x)
        dy = dy.reshape(pooled.shape)
        dx = ops.max_pool2d_backward(dy, argmax, padded.shape, *settings)
        return (_inner(dx, whole, x.shape),)

    def _pooled(self, x: Any) -> Any:
        kernel, stride, dilation = self._pairs()
        settings: Any
        if self.padding == "same_upper" and not self.ceil and x.ndim == 4:  # the op pads by itself
            settings = kernel, stride, "same", False, dilation
            return ops.max_pool2d(x, *settings), x, [(0, 0), (0, 0)], settings
        images, _, whole = self._geometry(x)
        padded = _padded(images, whole, -math.inf)
        settings = kernel, stride, 0, False, dilation
        return ops.max_pool2d(padded, *settings), padded, whole, settings


@operator
class AveragePool(_Pool):
    """Mean over windows, as `AvgPool2D`.

    counted  whether the given padding counts; the border that completes the last windows does not
    """

    settings: ClassVar[tuple[str, ...]] = (*_Pool.settings, "counted")

    def __init__(
        self,
        kernel: Sizes,
        stride: Sizes,
        padding: Any,
        ceil: bool = False,
        dilation: Sizes | None = None,
        counted: bool = False,
    ) -> None:
        super().__init__(kernel, stride, padding, ceil, dilation)
        self.counted = bool(counted)

    def compute(self, x: Any) -> Any:
        images, pads, whole = self._geometry(x)
        weight = self._filter(x.dtype)
        c = x.shape[1]
        kernel = np.repeat(weight, c, 0)
        y = ops.conv2d(_padded(images, whole), kernel, None, *self._steps(), c)
        y = y / self._counts(images, pads, whole, weight)
        return y.reshape(*x.shape[:2], *y.shape[4 - x.ndim + 2 :])

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        images, pads, whole = self._geometry(x)
        weight = self._filter(x.dtype)
        c = x.shape[1]
        counts = self._counts(images, pads, whole, weight)
        dy = dy.reshape(*dy.shape[:2], *counts.shape[2:]) / counts
        padded = _padded(images, whole)
        kernel = np.repeat(weight, c, 0)
        dx, _, _ = ops.conv2d_backward(dy, padded, kernel, *self._steps(), c)
        return (_inner(dx, whole, x.shape),)

    def _filter(self, dtype: Any) -> Any:
        """Ones: the sum over a window is a convolution, which may be dilated."""
        return np.ones((1, 1, *self._pairs()[0]), dtype)

    def _steps(self) -> tuple[Any, int, Any]:
        _, stride, dilation = self._pairs()
        return stride, 0, dilation

    def _counts(self, images: Any, pads: Pads, whole: Pads, weight: Any) -> Any:
        """How many elements of each window count."""
        ones = np.ones((1, 1, *images.shape[2:]), images.dtype)
        if self.counted:
            ones = _padded(ones, pads, 1.0)
            whole = [(b - p, a - q) for (b, a), (p, q) in zip(whole, pads)]
        return ops.conv2d(_padded(ones, whole), weight, None, *self._steps())


@operator
class GlobalPool(Operator):
    """y = the mean, or the maximum, of each channel. (n, c, ...) -> (n, c, 1, ...)"""

    settings: ClassVar[tuple[str, ...]] = ("function",)

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def compute(self, x: Any) -> Any:
        axes = tuple(range(2, x.ndim))
        if is_float(x) and x.size:
            return ops.reduce(x, self.function, axes, keepdims=True)
        return (np.max if self.function == "max" else np.mean)(x, axes, keepdims=True)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        if self.function == "mean":
            return (np.broadcast_to(dy / math.prod(x.shape[2:]), x.shape),)
        flat = x.reshape(*x.shape[:2], -1)
        dx = np.zeros(flat.shape, dy.dtype)
        first = flat.argmax(2)[..., None]
        np.put_along_axis(dx, first, dy.reshape(first.shape), 2)
        return (dx.reshape(x.shape),)
