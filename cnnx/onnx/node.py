"""`Node`: a node of a file, as a converter sees it, and the graph that is being built."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers import Flatten, LogSoftmax, Softmax
from cnnx.layers.activation import Elementwise
from cnnx.layers.base import Layer
from cnnx.layers.parameter import Parameter
from cnnx.layers.run import no_grad, run_mode
from cnnx.onnx.layers import Operator
from cnnx.onnx.reader import File, FileNode, Shape

__all__ = ["Builder", "Node", "Unsupported", "Value"]


# Layers of cnnx whose result is as large as their input.
_FOLDED = (Elementwise, Flatten, LogSoftmax, Softmax)


class Unsupported(Exception):
    """Something that a file needs and that cnnx lacks."""


class Value:
    """A value that is computed in each run.

    number  in the graph
    shape   as far as known: numbers, names of free sizes, None; None if not even the rank is known
    sizes   of a value that is a shape: its elements, as far as known
    floats  whether it is known to hold floats
    """

    def __init__(
        self, number: int, shape: Shape | None, sizes: Shape | None = None, floats: bool = False
    ) -> None:
        self.number, self.shape, self.sizes, self.floats = number, shape, sizes, floats

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)


class Builder:
    """The layers so far, and the values by name: arrays if they are known, else `Value`s."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.values: dict[str, Any] = dict(file.arrays)
        self.weights = {id(array) for array in file.arrays.values()}
        self.calls: list[tuple[str, Layer, tuple[int, ...]]] = []
        self._names: dict[str, int] = {}  # how often each was given
        self._parameters: dict[int, Parameter] = {}
        self._budget = 2 * file.size + 2**27  # bytes that folding may make
        for number, given in enumerate(file.inputs):
            floats = given.name in file.floats
            self.values[given.name] = Value(number, file.shapes.get(given.name), floats=floats)

    def call(self, wanted: str, layer: Layer, inputs: tuple[Value, ...]) -> Value:
        """Add a layer to the graph."""
        self.calls.append((self._name(wanted), layer, tuple(value.number for value in inputs)))
        return Value(len(self.file.inputs) + len(self.calls) - 1, None)

    def fold(self, layer: Layer, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        """The result of a layer for known arrays; their total size is limited."""
        folds = layer.folds if isinstance(layer, Operator) else isinstance(layer, _FOLDED)
        if not folds:
            raise Unsupported("all of its inputs are constants")
        size = 8 * sum(x.size for x in arrays)
        if isinstance(layer, Operator):
            size = 8 * layer.result_size(*arrays)
        if size < 0 or size > self._budget:
            raise ValueError(
                f"{type(layer).__name__} of constants would have {size // 8:,} elements: more than "
                "fits a file of this size"
            )
        self._budget -= size
        with run_mode(training=False), no_grad():
            return np.asarray(layer.forward(*arrays))

    def parameter(self, array: np.ndarray, name: str) -> Parameter:
        """An array as a Parameter: the same one for all nodes that read an array of the file."""
        if id(array) not in self.weights:
            return Parameter(array, name)
        return self._parameters.setdefault(id(array), Parameter(array, name))

    def _name(self, wanted: str) -> str:
        """A name of a layer: that of the node, without the characters that separate names."""
        from cnnx.graph.graph import Graph

        base = "".join(c if c.isalnum() else "_" for c in wanted).strip("_") or "node"
        if base.isdigit() or hasattr(Graph, base) or base.startswith("_"):
            base = f"node_{base}"
        while True:
            number = self._names[base] = self._names.get(base, -1) + 1
            name = f"{base}_{number}" if number else base
            if not number or name not in self._names:
                self._names.setdefault(name, 0)
                return name


class Node:
    """A node of a file: what a converter reads, and the door through which it adds layers::

    def leaky_relu(node):
        return node.apply(LeakyReLU(node.get("alpha", 0.01)), node.input(0))
    """

    def __init__(self, builder: Builder, node: FileNode) -> None:
        self._builder, self._node = builder, node
        self._read: set[str] = set()
        self.opset = builder.file.opset
        self.operator, self.outputs = node.operator, node.outputs
        self.inputs = [builder.values[name] if name else None for name in node.inputs]

    # -- what the file says --------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        self._read.add(name)
        return self._node.attributes.get(name, default)

    def ignore(self, *names: str) -> None:
        """Attributes that change nothing."""
        self._read.update(names)

    def unread(self) -> list[str]:
        """The attributes that the converter did not ask for."""
        return sorted(set(self._node.attributes) - self._read)

    def input(self, number: int) -> Any:
        """An input, an array or a `Value`; None if it is absent."""
        return self.inputs[number] if number < len(self.inputs) else None

    def array(self, number: int, what: str) -> np.ndarray:
        """An input that must be known when the file is read."""
        found = self.input(number)
        if not isinstance(found, np.ndarray):
            state = "absent" if found is None else "computed at run time"
            raise Unsupported(f"its {what} is {state}, but a constant is expected")
        return found

    def setting(self, name: str, number: int, default: Any = None) -> Any:
        """A list of integers that is an attribute in old opsets, and an input in newer ones."""
        if name in self._node.attributes:
            return tuple(self.get(name))
        if self.input(number) is None:
            return default
        return tuple(int(n) for n in self.array(number, name).reshape(-1))

    def rank(self, number: int = 0) -> int | None:
        """The number of axes of an input, if known."""
        found = self.input(number)
        return found.ndim if isinstance(found, np.ndarray) else found.rank

    def known_shape(self, number: int = 0) -> Shape | None:
        found = self.input(number)
        return found.shape

    def with_weights(self, layer: Any, **arrays: Any) -> Any:
        """The layer, its parameters replaced by these arrays, of the same shapes; None: as is."""
        for name, array in arrays.items():
            if array is None:
                continue
            expected = getattr(layer, name)
            if expected is None or expected.shape != array.shape:
                shape = None if expected is None else expected.shape
                raise ValueError(f"its {name} has shape {array.shape}, expected {shape}")
            setattr(layer, name, self._builder.parameter(array, name))
        return layer

    # -- what it becomes -----------------------------------------------------------------------

    def apply(self, layer: Layer, *inputs: Any) -> Any:
        """The result of a layer: a `Value`, or an array if all inputs are arrays.

        An `Operator` holds those of its inputs that are arrays; other layers need `Value`s.
        """
        if all(isinstance(x, np.ndarray) for x in inputs):
            return self._builder.fold(layer, inputs)
        for number, x in enumerate(inputs):
            if isinstance(x, np.ndarray):
                assert isinstance(layer, Operator)
                layer.fix(number, x)
        read = tuple(x for x in inputs if isinstance(x, Value))
        return self._builder.call(self._node.name, layer, read)
