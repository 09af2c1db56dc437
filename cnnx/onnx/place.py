"""`Place`: where the nodes of one layer are added to an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers.base import Layer
from cnnx.layers.parameter import Parameter
from cnnx.onnx.package import the_package

__all__ = ["Nodes", "Place"]

Shape = tuple[int, ...]


class Nodes:
    """The nodes of an ONNX graph and its initialisers: named arrays, such as weights."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []
        self._taken: set[str] = set()
        self._weights: dict[int, tuple[Any, str]] = {}  # by id: the array, kept alive, and its name

    def name(self, wanted: str) -> str:
        """`wanted`, or if it is taken, `wanted` with a number."""
        name, number = wanted, 1
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name

    def add(self, operator: str, inputs: tuple[str, ...], path: str, attributes: Any) -> str:
        """The name of the output of a new node, which is that of the node too."""
        name = self.name(f"{path}/{operator}")
        node = the_package().helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(node)
        return name

    def initialiser(self, array: np.ndarray, wanted: str) -> str:
        """The name of an array; one that was given before, shared by two layers, has one name."""
        if id(array) not in self._weights:
            name = self.name(wanted)
            kind = np.int64 if array.dtype.kind in "iu" else np.float32
            content = np.ascontiguousarray(array, kind).reshape(array.shape)
            self.initialisers.append(the_package().numpy_helper.from_array(content, name))
            self._weights[id(array)] = array, name
        return self._weights[id(array)][1]


class Place:
    """Where a layer stands in the model, and where its ONNX nodes are added.

    opset   the version of the operators
    shapes  of the inputs for one sample, without the batch axis
    shape   of the output

    Values are known by name. A function of the table adds the nodes of a layer::

        def swish(place, layer, x):
            return place.add("Mul", x, place.add("Sigmoid", x))
    """

    def __init__(
        self, nodes: Nodes, path: str, layer: Layer, shapes: tuple[Shape, ...], shape: Shape
    ) -> None:
        self._nodes, self._path, self._layer = nodes, path, layer
        self.opset, self.shapes, self.shape = nodes.opset, shapes, shape

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output.

        attributes  numbers, strings, and lists of these, named as the operator's reference says
        """
        return self._nodes.add(
            operator, inputs, self._path or type(self._layer).__name__, attributes
        )

    def weight(self, name: str) -> str:
        """The name of a parameter or buffer of the layer, which is its key in `state_dict`."""
        value = getattr(self._layer, name)
        array = value.data if isinstance(value, Parameter) else value
        return self._nodes.initialiser(array, f"{self._path}.{name}" if self._path else name)

    def constant(self, value: Any, name: str = "constant") -> str:
        """The name of an array: of int64 if it holds integers, else of float32."""
        return self._nodes.initialiser(np.asarray(value), f"{self._path or 'model'}/{name}")
