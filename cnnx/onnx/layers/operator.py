"""`Operator`: the base of the layers for operators that cnnx has no other layer for."""

# Design:
# An operator is a function of arrays. In a file some of these are constants: weights, or numbers
# such as the axes of a transposition. The layer holds them by the position of the input, and reads
# only the others from its node. Float arrays of several elements are Parameters, which training
# changes, where the operator allows it; all others are settings (`Constant`), which `model.save`
# writes with the wiring.

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import numpy as np

from cnnx import init
from cnnx.layers.base import Layer, builtin
from cnnx.layers.parameter import Parameter

__all__ = ["OPERATORS", "Constant", "Operator", "operator"]

OPERATORS: dict[str, type[Operator]] = {}
AnyOperator = TypeVar("AnyOperator", bound="type[Operator]")


def operator(cls: AnyOperator) -> AnyOperator:
    """Mark a class as one that files of models may name; see `cnnx.layers.base.builtin`."""
    OPERATORS[cls.__name__] = cls
    return builtin(cls)


class Constant:
    """An array that is part of a layer's settings."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def config(self) -> dict[str, Any]:
        return {
            "dtype": self.array.dtype.str,
            "shape": self.array.shape,
            "values": tuple(self.array.ravel().tolist()),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        dtype = np.dtype(config["dtype"])
        if dtype.kind not in "biuf":
            raise ValueError(f"a constant has dtype {dtype}, expected numbers")
        return cls(np.array(config["values"], dtype).reshape(config["shape"]))


class Operator(Layer):
    """y = compute(*inputs). Some inputs may be fixed: the layer holds them, by position.

    A subclass defines `compute`, and `gradients(dy, y, *inputs)` with one gradient for each input,
    or None for an input that has none. Unlike other layers, it takes arrays of any dtype.

    weights    {position: Parameter}
    constants  {position: Constant}
    trains     the positions at which fixed float arrays of several elements are Parameters
    folds      whether it may be computed when a file is read
    """

    _batch_first: ClassVar[bool] = False  # the states of a recurrent network have it second
    folds: ClassVar[bool] = True
    trains: ClassVar[range] = range(0)
    settings: ClassVar[tuple[str, ...]] = ()  # the constructor's arguments

    def __init__(self) -> None:
        self.weights: dict[int, Parameter] = {}
        self.constants: dict[int, Constant] = {}

    def fix(self, position: int, array: np.ndarray) -> None:
        """Hold the input at a position."""
        if position in self.trains and array.dtype.kind == "f" and array.size > 1:
            self.weights[position] = Parameter(array.copy(), f"weights.{position}")
        else:
            self.constants[position] = Constant(array)

    def compute(self, *inputs: Any) -> Any:
        raise NotImplementedError

    def view(self, *inputs: Any) -> np.ndarray | None:
        """What the result is a copy of: a view of the first input, whatever its elements are; None:
        of no view.
        """
        return None

    def gradients(self, dy: Any, y: Any, *inputs: Any) -> tuple[Any, ...]:
        raise RuntimeError(f"{type(self).__name__} has no backward: it cannot be trained through")

    def result_size(self, *inputs: Any) -> int:
        """At most so many elements are in the result: what a file may ask for is limited."""
        return sum(np.size(x) for x in inputs)

    def forward(self, *xs: Any) -> Any:
        inputs = self._inputs(xs)
        y = self.compute(*inputs)
        self._save(y, *inputs)
        return y

    def backward(self, dy: Any) -> Any:
        y, *inputs = self._saved()
        dxs = self.gradients(self._float(dy), y, *inputs)
        for position, parameter in self.weights.items():
            if (gradient := dxs[position]) is not None:
                parameter.accumulate(gradient)
        read = [dx for i, dx in enumerate(dxs) if i not in self.weights and i not in self.constants]
        return tuple(read) if len(read) > 1 else read[0]

    def _derived(self) -> list[np.ndarray]:
        return [constant.array for constant in self.constants.values()]

    def _learns(self) -> bool:
        return any(parameter.requires_grad for parameter in self.weights.values())

    def _view(self, *xs: Any) -> np.ndarray | None:
        return self.view(*self._inputs(xs))

    def _inputs(self, xs: tuple[Any, ...]) -> list[Any]:
        """All inputs by position, the fixed ones among them."""
        if not self.weights and not self.constants:
            return [np.asarray(x) for x in xs]
        count = len(xs) + len(self.weights) + len(self.constants)
        given = iter(xs)
        return [
            self.constants[i].array
            if i in self.constants
            else self.weights[i].data
            if i in self.weights
            else np.asarray(next(given))
            for i in range(count)
        ]

    def config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in self.settings}
        if self.weights:
            config["weights"] = {i: p.shape for i, p in self.weights.items()}
        if self.constants:
            config["constants"] = {i: c.config() for i, c in self.constants.items()}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        weights, constants = config.pop("weights", {}), config.pop("constants", {})
        layer = cls(**config)
        for i, shape in weights.items():
            layer.weights[int(i)] = Parameter(init.zeros(tuple(shape)), f"weights.{i}")
        for i, constant in constants.items():
            layer.constants[int(i)] = Constant.from_config(constant)
        return layer

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.settings]
        for i, parameter in self.weights.items():
            parts.append(f"input {i}: weight of {parameter.shape}")
        for i, constant in self.constants.items():
            small = constant.array.size <= 8
            text = constant.array.tolist() if small else f"constant of {constant.array.shape}"
            parts.append(f"input {i}: {text}")
        return ", ".join(parts)


def is_float(*inputs: Any) -> bool:
    """Whether the ops take these arrays: all float32, or all float64."""
    dtype = inputs[0].dtype
    return dtype.type in (np.float32, np.float64) and all(x.dtype == dtype for x in inputs)


def broadcast_size(*inputs: Any) -> int:
    """The elements of the inputs' result after broadcasting."""
    return math.prod(np.broadcast_shapes(*[np.shape(x) for x in inputs]))


def summed_to(gradient: Any, x: Any) -> Any:
    """The gradient of a broadcast input: summed over the axes along which it was repeated."""
    shape = np.shape(x)
    extra = gradient.ndim - len(shape)
    if extra:
        gradient = gradient.sum(tuple(range(extra)))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and gradient.shape[i] != 1)
    return gradient.sum(axes, keepdims=True) if axes else gradient
