"""`Node`: a node of a file, as a converter sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers.base import Layer
from cnnx.onnx.builder import Builder, Unsupported, Value
from cnnx.onnx.layers import Item, Operator
from cnnx.onnx.reader import FileGraph, FileNode, Shape

__all__ = ["Node", "Unsupported", "Value"]


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

    def several(self, layer: Layer, *inputs: Any) -> tuple[Any, ...]:
        """The results of a layer that returns an array of arrays, one for each output of the node;
        if the node has one output, the layer returns that itself.
        """
        made = self.apply(layer, *inputs)
        if len(self.outputs) == 1:
            return (made,)
        return tuple([self.apply(Item(i), made) for i in range(len(self.outputs))])

    def inlined(self, branch: FileGraph) -> tuple[Any, ...]:
        """The outputs of a branch, whose nodes are added in place of this one."""
        return self._builder.inlined(branch)

    def separate(self, *branches: FileGraph) -> tuple[list[Any], list[Value]]:
        """Graphs of branches, and the values around them that they read; see `Builder.separate`."""
        return self._builder.separate(branches)
