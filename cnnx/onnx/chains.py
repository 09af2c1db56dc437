"""Calls of layers as chains: what makes the value that a layer reads, and whether only it does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from cnnx.layers.activation import ReLU6
from cnnx.layers.base import Layer
from cnnx.layers.merge import Multiply
from cnnx.layers.scaled import WEIGHTED
from cnnx.onnx.layers.elementwise import Binary, Clip

__all__ = ["Call", "Chains", "close", "computes", "is_relu6", "scalar"]

Call = tuple[str, Layer, tuple[int, ...]]  # name, layer, and the numbers of its inputs


class Chains:
    """Calls, and who reads their results."""

    def __init__(self, calls: Sequence[Call], inputs: int, outputs: Sequence[int]) -> None:
        self.calls, self._first = list(calls), inputs
        self._readers = Counter([i for _, _, given in calls for i in given] + list(outputs))
        self._weights = Counter([id(_weight(layer)) for _, layer, _ in calls])

    def replace(self, number: int, call: Call) -> None:
        """Another call makes the value. What nobody reads any more reads nothing itself."""
        before = list(self.given(number))
        self._readers.update(call[2])
        self.calls[number - self._first] = call
        while before:
            i = before.pop()
            self._readers[i] -= 1
            if self._readers[i] == 0 and i >= self._first:
                before += self.given(i)

    def layer(self, number: int) -> Any:
        """What makes a value; None for an input."""
        return self.calls[number - self._first][1] if number >= self._first else None

    def given(self, number: int) -> tuple[int, ...]:
        return self.calls[number - self._first][2]

    def name(self, number: int) -> str:
        return self.calls[number - self._first][0]

    def is_read(self, number: int) -> bool:
        """Whether anything needs a value."""
        return self._readers[number] > 0

    def inner(self, number: int) -> Any:
        """The layer that makes a value which one call reads; None for other values."""
        return self.layer(number) if self._readers[number] == 1 else None

    def weighted(self, number: int, scales: bool) -> Any:
        """The inner weighted layer that makes a value; None for others, and if its weights would be
        scaled but are those of another layer too.
        """
        layer = self.inner(number)
        if type(layer) not in WEIGHTED or (scales and self.shares_weights(layer)):
            return None
        return layer

    def shares_weights(self, layer: Any) -> bool:
        """Whether the weights of a weighted layer are those of another one, too."""
        return self._weights[id(layer.weight)] > 1

    def product(self, number: int, depth: int = 8) -> tuple[float, list[int]]:
        """(c, values): the value is c times their product. depth: of the operators it looks at."""
        layer = self.layer(number)
        if type(layer) is Multiply or (computes(layer, "mul") and len(self.given(number)) == 2):
            scale = 1.0
            values: list[int] = []
            for i in self.given(number):
                factor, several = self._inner_product(i, depth)
                scale, values = scale * factor, values + several
            return scale, values
        own = _factor(layer)
        if own is None:
            return 1.0, [number]
        scale, values = self._inner_product(self.given(number)[0], depth)
        return own * scale, values

    def _inner_product(self, number: int, depth: int) -> tuple[float, list[int]]:
        if depth == 0 or self.inner(number) is None:
            return 1.0, [number]
        return self.product(number, depth - 1)

    def pairs(self, number: int, scale: float) -> Iterator[tuple[int, int]]:
        """(a, b) and (b, a), if the value is scale * a * b, and only the product reads b."""
        factor, values = self.product(number)
        if len(values) == 2 and close(factor, scale):
            for a, b in (values, values[::-1]):
                if a != b and self.inner(b) is not None:
                    yield a, b

    def plus(self, number: int, constant: float) -> int | None:
        """x, if this inner value is x + constant."""
        layer = self.inner(number)
        fixed = scalar(layer) if computes(layer, "add") else None
        return self.given(number)[0] if fixed is not None and close(fixed, constant) else None


def _weight(layer: Any) -> Any:
    """The weight of a weighted layer, or None."""
    return layer.weight if type(layer) in WEIGHTED else None


def computes(layer: Any, function: str) -> bool:
    return type(layer) is Binary and layer.function == function


def scalar(layer: Any) -> float | None:
    """The number that is an input of a Binary."""
    constants = list(layer.constants.values())
    if len(constants) != 1 or layer.weights or constants[0].array.size != 1:
        return None
    return float(constants[0].array.reshape(()))


def _factor(layer: Any) -> float | None:
    """c, if it computes c * x."""
    if computes(layer, "mul"):
        return scalar(layer)
    if computes(layer, "div") and 1 in layer.constants:
        divisor = scalar(layer)
        return 1 / divisor if divisor else None
    return None


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4)  # files have float32, and shortened constants


def is_relu6(layer: Any) -> bool:
    return type(layer) is ReLU6 or (type(layer) is Clip and (layer.least, layer.most) == (0, 6))
