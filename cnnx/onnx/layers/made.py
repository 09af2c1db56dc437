"""Arrays that are made of numbers: shapes, ranges, constants."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from cnnx.onnx.layers.operator import Operator, operator

__all__ = ["Always", "ConstantOfShape", "Range", "Shape"]


@operator
class Shape(Operator):
    """y = the sizes of the axes start, ..., end - 1 of x, as int64."""

    _settles = True
    settings: ClassVar[tuple[str, ...]] = ("start", "end")

    def __init__(self, start: int = 0, end: int | None = None) -> None:
        super().__init__()
        self.start, self.end = start, end

    def compute(self, x: Any) -> Any:
        return np.array(x.shape[self.start : self.end], np.int64)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        return (None,)


@operator
class ConstantOfShape(Operator):
    """y = the same number, `value` of `dtype`, in this shape."""

    settings: ClassVar[tuple[str, ...]] = ("value", "dtype")

    def __init__(self, value: float, dtype: str) -> None:
        super().__init__()
        self.value, self.dtype = value, dtype

    def compute(self, shape: Any) -> Any:
        return np.full(tuple(int(n) for n in shape), self.value, self.dtype)

    def result_size(self, shape: Any) -> int:
        return math.prod(int(n) for n in shape)


@operator
class Range(Operator):
    """y = start, start + step, ... before the limit."""

    def compute(self, start: Any, limit: Any, step: Any) -> Any:
        numbers = np.arange(start.item(), limit.item(), step.item())
        return numbers.astype(start.dtype)

    def result_size(self, start: Any, limit: Any, step: Any) -> int:
        return max(0, math.ceil((limit.item() - start.item()) / step.item()))


@operator
class Always(Operator):
    """y = a constant, the second input, whatever x is: for an output that depends on nothing."""

    _settles = True

    def compute(self, x: Any, value: Any) -> Any:
        return value.copy()

    def gradients(self, dy: Any, y: Any, x: Any, value: Any) -> tuple[Any, ...]:
        return np.zeros(x.shape, dy.dtype), None
