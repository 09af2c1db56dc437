"""`Wiring`: nodes and edges, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cnnx.layers.base import BUILTIN, Layer

__all__ = ["Node", "Wiring", "is_builtin", "is_patched"]


class Node(NamedTuple):
    """A layer, the numbers of the values that it reads, and of those that it makes."""

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Wiring(NamedTuple):
    """Nodes in an order that runs. Values 0, 1, ... are the inputs; each node makes the next."""

    inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def shapes(self, *input_shapes: Any) -> Iterator[tuple[Node, tuple[Any, ...]]]:
        """Each node, and the shapes of the values that it reads, for one sample."""
        shapes = list(map(tuple, input_shapes))
        for node in self.nodes:
            given = tuple([shapes[i] for i in node.inputs])
            yield node, given
            made = node.layer.output_shape(*given)
            shapes += made if len(node.outputs) > 1 else (made,)


def is_builtin(layer: Layer) -> bool:
    """Whether a layer is of one of cnnx's own classes, and not of a subclass."""
    return BUILTIN.get(type(layer).__name__) is type(layer)


def is_patched(layer: Layer) -> bool:
    """Whether this one layer was given a forward or backward of its own, as an attribute."""
    attributes = vars(layer)
    return "forward" in attributes or "backward" in attributes
