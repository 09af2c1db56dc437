"""Elementwise functions of one array, or of several with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnx import checks, ops
from cnnx.onnx.layers.operator import (
    Operator,
    broadcast_size,
    is_float,
    operator,
    summed_to,
)

__all__ = ["BINARY", "UNARY", "Affine", "Binary", "Cast", "Clip", "Unary", "Where"]


def erf(x: Any) -> Any:
    """2 P(X < sqrt(2) x) - 1 of a normal X; near 0 by its series, where the difference is inexact.

    erf(x) = 2/sqrt(pi) * sum over k of (-1)^k x^(2k+1) / (k! (2k+1))
    """
    near = np.abs(x) < 0.5
    far = np.where(near, 1, np.clip(x, -6, 6)) * math.sqrt(2)
    result = 2 * ops.gelu(np.ascontiguousarray(far, x.dtype)) / far - 1
    square = np.where(near, x, 0) ** 2
    series = np.zeros_like(square)
    for k in reversed(range(12)):
        series = (-1) ** k / (math.factorial(k) * (2 * k + 1)) + square * series
    return np.where(near, x * series * (2 / math.sqrt(math.pi)), result).astype(x.dtype)


# The names of functions for which there is an op, and theirs.
_OP_OF_ONE = {"neg": "negative", **{n: n for n in ("abs", "exp", "log", "reciprocal", "sqrt")}}
_OP_OF_TWO = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}
_OP_OF_TWO |= {"max": "maximum", "min": "minimum"}

# name -> the function, and its slope from x and y = f(x); None: no backward
UNARY: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any] | None]] = {
    "abs": (np.abs, lambda x, y: np.sign(x)),
    "ceil": (np.ceil, lambda x, y: np.zeros_like(x)),
    "cos": (np.cos, lambda x, y: -np.sin(x)),
    "erf": (erf, lambda x, y: np.exp(-x * x) * (2 / math.sqrt(math.pi))),
    "exp": (np.exp, lambda x, y: y),
    "floor": (np.floor, lambda x, y: np.zeros_like(x)),
    "log": (np.log, lambda x, y: 1 / x),
    "neg": (np.negative, lambda x, y: -np.ones_like(x)),
    "not": (np.logical_not, None),
    "reciprocal": (np.reciprocal, lambda x, y: -y * y),
    "round": (np.rint, lambda x, y: np.zeros_like(x)),
    "sign": (np.sign, lambda x, y: np.zeros_like(x)),
    "sin": (np.sin, lambda x, y: np.cos(x)),
    "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
}


@operator
class Unary(Operator):
    """y = f(x), elementwise.

    function  a name of `UNARY`: "exp", "sqrt", ...
    """

    settings: ClassVar[tuple[str, ...]] = ("function",)

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = checks.choice("Unary", "function", function, tuple(UNARY))

    def compute(self, x: Any) -> Any:
        if self.function in _OP_OF_ONE and is_float(x):
            return ops.unary(x, _OP_OF_ONE[self.function])
        with np.errstate(all="ignore"):
            return UNARY[self.function][0](x)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        slope = UNARY[self.function][1]
        if slope is None:
            return super().gradients(dy, y, x)
        with np.errstate(all="ignore"):
            return (dy * slope(x, y),)


def divide(a: Any, b: Any) -> Any:
    """The quotient; of integers it is rounded towards zero, as in C."""
    if a.dtype.kind == "f":
        return a / b
    quotient = np.abs(a) // np.abs(b)
    return (np.sign(a) * np.sign(b) * quotient).astype(a.dtype)


def power(a: Any, b: Any) -> Any:
    """a^b in the dtype of a."""
    return np.power(a, b.astype(a.dtype) if a.dtype.kind == "f" else b).astype(a.dtype)


# name -> the function, and the gradients of both from dy, y, a, b; None: no backward
BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., tuple[Any, Any]] | None]] = {
    "add": (np.add, lambda dy, y, a, b: (dy, dy)),
    "sub": (np.subtract, lambda dy, y, a, b: (dy, -dy)),
    "mul": (np.multiply, lambda dy, y, a, b: (dy * b, dy * a)),
    "div": (divide, lambda dy, y, a, b: (dy / b, -dy * y / b)),
    "pow": (power, lambda dy, y, a, b: (dy * b * power(a, b - 1), dy * y * np.log(np.abs(a)))),
    "max": (np.maximum, lambda dy, y, a, b: (dy * (a >= b), dy * (a < b))),
    "min": (np.minimum, lambda dy, y, a, b: (dy * (a <= b), dy * (a > b))),
    "mod": (np.mod, None),
    "fmod": (np.fmod, None),
    "and": (np.logical_and, None),
    "or": (np.logical_or, None),
    "xor": (np.logical_xor, None),
    "equal": (np.equal, None),
    "greater": (np.greater, None),
    "greater_equal": (np.greater_equal, None),
    "less": (np.less, None),
    "less_equal": (np.less_equal, None),
}


@operator
class Binary(Operator):
    """y = f(a, b), elementwise with NumPy's broadcasting.

    function  a name of `BINARY`: "add", "div", "greater", ...
    """

    trains: ClassVar[range] = range(2)
    settings: ClassVar[tuple[str, ...]] = ("function",)

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = checks.choice("Binary", "function", function, tuple(BINARY))

    @property
    def _settles(self) -> bool:
        """Of equal shapes it is an `Add`, which a convolution may compute."""
        return self.function == "add" and not (self.weights or self.constants)

    def compute(self, a: Any, b: Any) -> Any:
        if self.function in _OP_OF_TWO and is_float(a, b):
            return ops.binary(a, b, _OP_OF_TWO[self.function])
        if self._squares() and is_float(a):
            return ops.binary(a, a, "multiply")
        with np.errstate(all="ignore"):
            return BINARY[self.function][0](a, b)

    def _squares(self) -> bool:
        """Whether it is a power with the fixed exponent 2."""
        if self.function != "pow" or 1 not in self.constants:
            return False
        exponent = self.constants[1].array
        return exponent.shape in ((), (1,)) and bool(exponent == 2)

    def gradients(self, dy: Any, y: Any, a: Any, b: Any) -> tuple[Any, ...]:
        gradient = BINARY[self.function][1]
        if gradient is None:
            return super().gradients(dy, y, a, b)
        with np.errstate(all="ignore"):
            da, db = gradient(dy, y, a, b)
        return summed_to(da, a), summed_to(db, b)

    def result_size(self, *inputs: Any) -> int:
        return broadcast_size(*inputs)


@operator
class Affine(Operator):
    """y = x * scale + shift, with broadcasting.

    Where scale and shift are fixed numbers, it is one pass over x; and so it is where they are one
    for each channel of images: by the kernel of batch normalisation.
    """

    trains: ClassVar[range] = range(1, 3)

    def __init__(self) -> None:
        super().__init__()
        self._vectors: dict[Any, np.ndarray] = {}  # numbers, repeated for each channel

    def compute(self, x: Any, scale: Any, shift: Any) -> Any:
        numbers = self._numbers()
        if numbers is not None and is_float(x):
            return ops.unary(x, "affine", *numbers)
        if x.ndim == 4 and x.dtype.kind == "f" and x.shape[2] * x.shape[3] > 0:
            channels, dtype = x.shape[1], x.dtype
            weight = self._vector(scale, channels, dtype)
            bias = self._vector(shift, channels, dtype)
            if weight is not None and bias is not None:
                zeros, ones = (self._vector(number, channels, dtype) for number in (0.0, 1.0))
                return ops.batch_norm(x, weight, bias, zeros, ones, training=False, eps=0.0)[0]
        return np.asarray(x * scale + shift, x.dtype)

    def gradients(self, dy: Any, y: Any, x: Any, scale: Any, shift: Any) -> tuple[Any, ...]:
        return summed_to(dy * scale, x), summed_to(dy * x, scale), summed_to(dy, shift)

    def result_size(self, *inputs: Any) -> int:
        return broadcast_size(*inputs)

    def _derived(self) -> list[np.ndarray]:
        return super()._derived() + list(self._vectors.values())

    def _numbers(self) -> tuple[float, float] | None:
        """Scale and shift, if both are fixed numbers that do not add axes to x."""
        fixed = [self.constants[i].array for i in (1, 2) if i in self.constants]
        if len(fixed) < 2 or any(array.shape not in ((), (1,)) for array in fixed):
            return None
        scale, shift = (float(array.item()) for array in fixed)
        return (scale, shift) if max(abs(scale), abs(shift)) < 1e38 else None

    def _vector(self, array: Any, channels: int, dtype: Any) -> Any:
        """An array as one number per channel; None if it is not."""
        if np.size(array) == 1 and np.ndim(array) <= 3:
            number = float(np.reshape(array, ()))
            key = number, channels, dtype
            return self._vectors.setdefault(key, np.full(channels, number, dtype))
        if np.shape(array) in ((channels, 1, 1), (1, channels, 1, 1)) and array.dtype == dtype:
            return array.reshape(channels)
        return None


@operator
class Where(Operator):
    """y = a where the condition holds, else b, with broadcasting."""

    trains: ClassVar[range] = range(1, 3)

    def compute(self, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)

    def gradients(self, dy: Any, y: Any, condition: Any, a: Any, b: Any) -> tuple[Any, ...]:
        da, db = np.where(condition, dy, 0), np.where(condition, 0, dy)
        return None, summed_to(da, a), summed_to(db, b)

    def result_size(self, *inputs: Any) -> int:
        return broadcast_size(*inputs)


@operator
class Clip(Operator):
    """y = min(max(x, least), most). A bound may be None."""

    settings: ClassVar[tuple[str, ...]] = ("least", "most")

    def __init__(self, least: float | None, most: float | None) -> None:
        super().__init__()
        self.least, self.most = least, most

    def compute(self, x: Any) -> Any:
        if is_float(x):
            least = -math.inf if self.least is None else float(self.least)
            return ops.unary(x, "clip", least, math.inf if self.most is None else float(self.most))
        y = x if self.least is None else np.maximum(x, x.dtype.type(self.least))
        return y if self.most is None else np.minimum(y, x.dtype.type(self.most))

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        return (dy * (x == y),)


@operator
class Cast(Operator):
    """y = x as another dtype: "float32", "int64", "bool", ..."""

    settings: ClassVar[tuple[str, ...]] = ("dtype",)

    def __init__(self, dtype: str) -> None:
        super().__init__()
        kinds: tuple[str, ...] = ("bool", "float32", "float64", "int8", "int16", "int32", "int64")
        kinds = (*kinds, "uint8", "uint16", "uint32", "uint64")
        self.dtype = checks.choice("Cast", "dtype", dtype, kinds)

    def compute(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            return x.astype(self.dtype, copy=False)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        return (dy.astype(x.dtype) if x.dtype.kind == "f" else None,)
