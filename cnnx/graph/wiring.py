"""`Node` and `Wiring`: a network as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cnnx.layers.base import BUILTIN, Layer

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
        shapes = list(map(tuple, input_shapes))
        for node in self.nodes:
            given = tuple([shapes[i] for i in node.inputs])
            yield node, given
            made = node.layer.output_shape(*given)
            shapes += made if len(node.outputs) > 1 else (made,)


def is_builtin(layer: Layer) -> bool:
    """Whether the class of a layer is one of cnnx's own, not a subclass."""
    return BUILTIN.get(type(layer).__name__) is type(layer)


def is_patched(layer: Layer) -> bool:
    """Whether forward or backward of this layer object was replaced by an attribute."""
    attributes = vars(layer)
    return "forward" in attributes or "backward" in attributes
