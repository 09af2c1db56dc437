"""Sums, means and extremes along axes, and the softmax of old opsets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnx import checks, ops
from cnnx.onnx.layers.operator import Operator, is_float, operator

__all__ = ["REDUCTIONS", "ArgExtreme", "Reduce", "SoftmaxOfRows"]


def _equal(dy: Any, y: Any, x: Any, count: int) -> Any:
    """The gradient of an extreme, divided among the elements that are equal to it."""
    return dy * (x == y)


def _max(x: Any, axes: Any, keepdims: bool) -> Any:
    """The largest; of no elements the smallest number of the dtype."""
    least = -math.inf if x.dtype.kind == "f" else False if x.dtype == bool else _limits(x).min
    return np.max(x, axes, keepdims=keepdims, initial=least)


def _min(x: Any, axes: Any, keepdims: bool) -> Any:
    most = math.inf if x.dtype.kind == "f" else True if x.dtype == bool else _limits(x).max
    return np.min(x, axes, keepdims=keepdims, initial=most)


def _limits(x: Any) -> Any:
    return np.iinfo(x.dtype)


# name -> the function, and the gradient from dy and y (both with the axes of x), x and the number
# of elements that were reduced to one; None: no backward
Gradient = Callable[[Any, Any, Any, int], Any]
REDUCTIONS: dict[str, tuple[Callable[..., Any], Gradient | None]] = {
    "mean": (np.mean, lambda dy, y, x, count: np.broadcast_to(dy / count, x.shape)),
    "sum": (np.sum, lambda dy, y, x, count: np.broadcast_to(dy, x.shape)),
    "max": (_max, _equal),
    "min": (_min, _equal),
    "prod": (np.prod, None),
    "l1": (lambda x, axes, keepdims: np.sum(np.abs(x), axes, keepdims=keepdims), None),
    "l2": (lambda x, axes, keepdims: np.sqrt(np.sum(x * x, axes, keepdims=keepdims)), None),
    "sum_square": (lambda x, axes, keepdims: np.sum(x * x, axes, keepdims=keepdims), None),
}


_OPS = ("sum", "mean", "max", "min", "sum_square", "l2")  # those that `ops.reduce` has
_OF_IMAGES = ((2, 3), (-2, -1))  # the axes of pixels


def _is_images(x: Any) -> bool:
    """Arrays that the op for the mean over pixels takes."""
    return x.ndim == 4 and x.dtype.kind == "f" and x.shape[2] * x.shape[3] > 0


@operator
class Reduce(Operator):
    """y = one number for all elements along the axes.

    function  a name of `REDUCTIONS`: "mean", "sum", "max", ...
    axes      None: all of them
    keepdims  whether they stay, with size 1
    """

    settings: ClassVar[tuple[str, ...]] = ("function", "axes", "keepdims")

    def __init__(
        self, function: str, axes: tuple[int, ...] | None = None, keepdims: bool = True
    ) -> None:
        super().__init__()
        self.function = checks.choice("Reduce", "function", function, tuple(REDUCTIONS))
        self.axes, self.keepdims = axes, bool(keepdims)

    def compute(self, x: Any) -> Any:
        if self.function == "mean" and self.axes in _OF_IMAGES and _is_images(x):
            y = ops.adaptive_avg_pool2d(x, 1)
            return y if self.keepdims else y.reshape(x.shape[:2])
        if self.function in _OPS and is_float(x) and x.size and self._neighbours(x):
            return ops.reduce(x, self.function, self._axes(x), self.keepdims)
        y = REDUCTIONS[self.function][0](x, self._axes(x), keepdims=self.keepdims)
        return np.asarray(y, x.dtype)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        gradient = REDUCTIONS[self.function][1]
        if gradient is None:
            return super().gradients(dy, y, x)
        axes = range(x.ndim) if self.axes is None else [axis % x.ndim for axis in self.axes]
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        count = math.prod(x.shape[axis] for axis in axes)
        return (gradient(dy.reshape(shape), y.reshape(shape), x, count),)

    def _neighbours(self, x: Any) -> bool:
        """Whether the axes are next to each other."""
        if self.axes is None:
            return True
        axes = sorted(axis % x.ndim for axis in self.axes)
        return not axes or axes == list(range(axes[0], axes[-1] + 1))

    def _axes(self, x: Any) -> Any:
        return None if self.axes is None else tuple(self.axes)


@operator
class ArgExtreme(Operator):
    """y = the position of the first largest, or smallest, element along an axis, as int64."""

    settings: ClassVar[tuple[str, ...]] = ("largest", "axis", "keepdims", "last")

    def __init__(
        self, largest: bool, axis: int = 0, keepdims: bool = True, last: bool = False
    ) -> None:
        super().__init__()
        self.largest, self.axis = bool(largest), int(axis)
        self.keepdims, self.last = bool(keepdims), bool(last)

    def compute(self, x: Any) -> Any:
        given = np.flip(x, self.axis) if self.last else x
        find = np.argmax if self.largest else np.argmin
        y = find(given, self.axis, keepdims=self.keepdims)
        return np.asarray(x.shape[self.axis] - 1 - y if self.last else y, np.int64)


@operator
class SoftmaxOfRows(Operator):
    """Softmax, or its logarithm, of x as a matrix: the axes before `axis` are its rows."""

    settings: ClassVar[tuple[str, ...]] = ("axis", "log")

    def __init__(self, axis: int, log: bool = False) -> None:
        super().__init__()
        self.axis, self.log = int(axis), bool(log)

    def compute(self, x: Any) -> Any:
        function = ops.log_softmax if self.log else ops.softmax
        return function(self._rows(x), 1).reshape(x.shape)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        function = ops.log_softmax_backward if self.log else ops.softmax_backward
        return (function(self._rows(dy), self._rows(y), 1).reshape(x.shape),)

    def _rows(self, x: Any) -> Any:
        axis = self.axis % x.ndim if x.ndim else 0
        return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
