"""`Node` and `Wiring`: a network as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnx.layers.base import BUILTIN, Layer
from cnnx.layers.run import no_grad, run_mode
from cnnx.tuples import NamedTuple

__all__ = ["Node", "Wiring", "is_builtin", "is_patched"]


class Node(NamedTuple):
    """A layer, and the numbers of its input and output values."""

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Wiring(NamedTuple):
    """Nodes in execution order. Values 0, 1, ... are the inputs, then the nodes' outputs."""

    inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def shapes(self, *input_shapes: Any) -> Iterator[tuple[Node, tuple[Any, ...]]]:
        """Each node, and the shapes of its inputs, for one sample."""
        for node, given, _ in self.flow(*input_shapes):
            yield node, given

    def flow(self, *input_shapes: Any) -> Iterator[tuple[Node, tuple[Any, ...], Any]]:
        """Each node, the shapes of its inputs, and that of its output or a tuple, for one sample.

        An empty batch is passed from node to node, as some values are no batches but computed from
        shapes.
        """
        values: list[Any] = [_empty(shape) for shape in input_shapes]
        for node in self.nodes:
            xs = [values[i] for i in node.inputs]
            given = tuple([tuple(x.shape[1:]) for x in xs])
            several = len(node.outputs) > 1
            if type(node.layer).output_shape is Layer.output_shape:
                with run_mode(training=False), no_grad():
                    y = node.layer.forward(*xs)
                made = tuple([tuple(each.shape[1:]) for each in (y if several else (y,))])
                values += y if several else (y,)
            else:
                shapes = node.layer.output_shape(*given)
                made = tuple(shapes) if several else (tuple(shapes),)
                values += map(_empty, made)
            yield node, given, made if several else made[0]


def _empty(shape: Any) -> np.ndarray:
    return np.empty((0, *map(int, shape)), np.float32)


def is_builtin(layer: Layer) -> bool:
    """Whether the class of a layer is one of cnnx's own, not a subclass."""
    return BUILTIN.get(type(layer).__name__) is type(layer)


def is_patched(layer: Layer) -> bool:
    """Whether forward or backward of this layer object was replaced by an attribute."""
    attributes = vars(layer)
    return "forward" in attributes or "backward" in attributes
