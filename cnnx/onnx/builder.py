"""`Builder`: the graph that is being built, by the converters of its nodes."""

# Design:
# A branch of an `If` reads values around it by name. If the condition is known, the branch's nodes
# are added as if they stood in place of the `If`; their names are those of a scope of its own. If
# it is not, a second Builder makes a Graph of the branch, whose inputs are the condition and the
# values that are computed at run time; known ones are known inside too. What limits a file, and the
# parameters by array, belong to all builders of the file.

from __future__ import annotations

import copy
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnx.graph.graph import Graph
from cnnx.layers import Flatten, LogSoftmax, Softmax
from cnnx.layers.activation import Elementwise
from cnnx.layers.base import Layer
from cnnx.layers.parameter import Parameter
from cnnx.layers.run import no_grad, run_mode
from cnnx.onnx.layers import Always, Operator
from cnnx.onnx.reader import File, FileGraph, Shape, outer_names
from cnnx.onnx.recognise import recognise

__all__ = ["Builder", "Unsupported", "Value"]


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
    """The layers so far, and the values by name: arrays if they are known, else `Value`s.

    convert   the function that adds the nodes of a graph: convert(builder, graph)
    problems  what the file needs and cnnx lacks, of all builders of the file
    """

    def __init__(self, file: File, convert: Callable[[Builder, Any], None]) -> None:
        self.file, self._convert = file, convert
        self.problems: list[str] = []
        self.weights = {id(array) for array in file.arrays.values()}
        self._parameters: dict[int, Parameter] = {}
        self._budget = [2 * file.size + 2**27]  # bytes that folding may make
        self._start(len(file.inputs))
        for number, given in enumerate(file.inputs):
            floats = given.name in file.floats
            self.values[given.name] = Value(number, file.shapes.get(given.name), floats=floats)

    def _start(self, inputs: int) -> None:
        self.inputs = inputs
        self.values: ChainMap[str, Any] = ChainMap({})
        self.calls: list[tuple[str, Layer, tuple[int, ...]]] = []
        self._names: dict[str, int] = {}  # how often each was given

    # -- graphs --------------------------------------------------------------------------------

    def add(self, graph: File | FileGraph) -> None:
        """Add the layers of all nodes."""
        self.values.update(graph.arrays)
        self.weights.update(map(id, graph.arrays.values()))
        self._convert(self, graph)

    def inlined(self, branch: FileGraph) -> tuple[Any, ...]:
        """The outputs of a branch, whose nodes are added here."""
        self.values = self.values.new_child()
        self.add(branch)
        outputs = tuple([self.values[name] for name in branch.outputs])
        self.values = self.values.parents
        return outputs

    def separate(self, branches: Sequence[FileGraph]) -> tuple[list[Graph], list[Value]]:
        """Each branch as a graph, and the values around them that are its inputs: the first input
        is the condition, the others are these.
        """
        names = dict.fromkeys(name for branch in branches for name in outer_names(branch))
        around = {name: self.values[name] for name in names}
        read = {name: value for name, value in around.items() if isinstance(value, Value)}
        graphs = []
        for branch in branches:
            inside = copy.copy(self)
            inside._start(1 + len(read))
            inside.values.update(around)
            for number, (name, value) in enumerate(read.items(), start=1):
                inside.values[name] = Value(number, value.shape, value.sizes, value.floats)
            inside.add(branch)
            graphs.append(inside.graph(branch.outputs, [()] * inside.inputs))
        return graphs, list(read.values())

    def graph(self, outputs: Sequence[str], input_shapes: Sequence[Shape]) -> Graph:
        """The Graph, of the calls that its outputs need."""
        ends = []
        for name in outputs:
            value = self.values[name]
            if isinstance(value, np.ndarray):
                always = Always()
                always.fix(1, value)
                value = self.call(name, always, (Value(0, None),))
            ends.append(value.number)
        self.calls = recognise(self.calls, self.inputs, ends)
        needed, open_ends = set(range(self.inputs)), list(ends)
        while open_ends:
            number = open_ends.pop()
            if number not in needed:
                needed.add(number)
                open_ends += self.calls[number - self.inputs][2]
        order = {number: i for i, number in enumerate(sorted(needed))}
        calls = [self.calls[number - self.inputs] for number in sorted(needed)[self.inputs :]]
        model: Graph = Graph.from_config(
            {
                "layers": {name: layer for name, layer, _ in calls},
                "calls": [(name, [order[i] for i in inputs]) for name, _, inputs in calls],
                "outputs": [order[number] for number in ends],
                "input_shapes": input_shapes,
            }
        )
        return model.eval()

    # -- layers --------------------------------------------------------------------------------

    def call(self, wanted: str, layer: Layer, inputs: tuple[Value, ...]) -> Value:
        """Add a layer to the graph."""
        self.calls.append((self._name(wanted), layer, tuple(value.number for value in inputs)))
        return Value(self.inputs + len(self.calls) - 1, None)

    def fold(self, layer: Layer, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        """The result of a layer for known arrays; their total size is limited."""
        folds = layer.folds if isinstance(layer, Operator) else isinstance(layer, _FOLDED)
        if not folds:
            raise Unsupported("all of its inputs are constants")
        size = 8 * sum(x.size for x in arrays)
        if isinstance(layer, Operator):
            size = 8 * layer.result_size(*arrays)
        if size < 0 or size > self._budget[0]:
            raise ValueError(
                f"{type(layer).__name__} of constants would have {size // 8:,} elements: more than "
                "fits a file of this size"
            )
        self._budget[0] -= size
        with run_mode(training=False), no_grad():
            return np.asarray(layer.forward(*arrays))

    def parameter(self, array: np.ndarray, name: str) -> Parameter:
        """An array as a Parameter: the same one for all nodes that read an array of the file."""
        if id(array) not in self.weights:
            return Parameter(array, name)
        return self._parameters.setdefault(id(array), Parameter(array, name))

    def _name(self, wanted: str) -> str:
        """A name of a layer: that of the node, without the characters that separate names."""
        base = "".join(c if c.isalnum() else "_" for c in wanted).strip("_") or "node"
        if base.isdigit() or hasattr(Graph, base) or base.startswith("_"):
            base = f"node_{base}"
        while True:
            number = self._names[base] = self._names.get(base, -1) + 1
            name = f"{base}_{number}" if number else base
            if not number or name not in self._names:
                self._names.setdefault(name, 0)
                return name
