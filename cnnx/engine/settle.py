"""Pass 3, for inputs of certain shapes: what follows from the shapes alone is computed now.

A file from another library computes sizes, axes and positions by operators on the shapes of its
arrays, and chooses between branches by them. In a program, which is for certain shapes, all these
are constants: the layers that read them hold them, and a branch that is taken is part of the
network. A sum of equal shapes is an `Add`, which may become part of a convolution.
"""

# Design:
# The network is run once, on zeros, as far as its shapes matter. A value is known if it is a shape,
# or if all that it is computed from is known. An operator holds its known inputs, as it does those
# that are constants of a file. What is then read by nobody is left out.
# Scalar inputs may be known by their values: those that choose a branch (`choosing`), such as the
# sampling rate of a network for speech, have few different ones.

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from cnnx.engine.graphs import rewired
from cnnx.graph.wiring import Node, Wiring, is_builtin, is_patched
from cnnx.layers.merge import Add
from cnnx.layers.run import no_grad, run_mode
from cnnx.onnx.layers.control import If, Item
from cnnx.onnx.layers.elementwise import Binary
from cnnx.onnx.layers.made import Always, Shape
from cnnx.onnx.layers.operator import Constant, Operator

__all__ = ["choosing", "settle"]


def settle(wiring: Wiring, inputs: Sequence[np.ndarray], known: Sequence[int] = ()) -> Wiring:
    """The same function of inputs of these shapes, with fewer nodes.

    known  the inputs whose values are those of each call, too

    Example: ``Shape, Gather, Concat, ReshapeTo`` becomes ``ReshapeTo``
    """
    settling = _Settling(dict(enumerate(inputs)), known)
    with no_grad(), run_mode(training=False), np.errstate(all="ignore"):
        outputs = settling.add(wiring, range(wiring.inputs))
    return rewired(wiring._replace(outputs=outputs), settling.nodes, {})


def choosing(wiring: Wiring, scalars: Sequence[int]) -> tuple[int, ...]:
    """Those of these inputs that a condition may depend on."""
    found = []
    for scalar in scalars:
        reached, chooses = {scalar}, False
        for node in wiring.nodes:
            if reached.intersection(node.inputs):
                reached.update(node.outputs)
                chooses |= isinstance(node.layer, If)
        if chooses:
            found.append(scalar)
    return tuple(found)


class _Settling:
    """The nodes so far, with numbers of their own for all values."""

    def __init__(self, values: dict[int, Any], known: Sequence[int]) -> None:
        self.nodes: list[Node] = []
        self._values = values
        self._known = set(known)
        self._several: dict[int, tuple[int, ...]] = {}  # what a branch of several outputs returned
        self._free = count(len(values))

    def add(self, wiring: Wiring, inputs: Sequence[int], matter: bool = False) -> tuple[int, ...]:
        """All nodes of a network with these inputs; returns its outputs. matter: whether the shapes
        of these do.
        """
        numbers = dict(enumerate(inputs))
        last = max([i for i, node in enumerate(wiring.nodes) if node.layer._settles], default=-1)
        for i, node in enumerate(wiring.nodes):
            xs = tuple([numbers[value] for value in node.inputs])
            matters = matter or i < last
            if (made := self._taken(node, xs, matters)) is None:
                made = (next(self._free),)
                self._add(node._replace(inputs=xs, outputs=made), matters)
            numbers.update(zip(node.outputs, made, strict=True))
        return tuple([numbers[value] for value in wiring.outputs])

    def _taken(self, node: Node, xs: tuple[int, ...], matters: bool) -> tuple[int, ...] | None:
        """The output of a branch that is known to be taken, or one of its outputs."""
        layer = node.layer
        if type(layer) is Item and xs[0] in self._several:
            return (self._several[xs[0]][layer.number],)
        if type(layer) is not If or xs[0] not in self._known:
            return None
        outputs = self.add(layer.taken(self._values[xs[0]]).wiring(), xs, matters)
        if len(outputs) == 1:
            return outputs
        number = next(self._free)
        self._several[number] = outputs
        return (number,)

    def _add(self, node: Node, matters: bool) -> None:
        """A node. matters: whether the shape of its output does."""
        layer, (y,) = node.layer, node.outputs
        own = is_builtin(layer) and not is_patched(layer)
        known = {i: self._values[x] for i, x in enumerate(node.inputs) if x in self._known}
        if own and (type(layer) in (Always, Shape) or len(known) == len(node.inputs)):
            self._known.add(y)
        elif own and known and type(layer).forward is Operator.forward:
            inputs = tuple([x for i, x in enumerate(node.inputs) if i not in known])
            node = node._replace(layer=_holding(layer, known), inputs=inputs)
        elif own and type(layer) is Binary and layer._settles and self._alike(node.inputs):
            node = node._replace(layer=Add())
        if matters or y in self._known:
            self._values[y] = node.layer.forward(*[self._values[x] for x in node.inputs])
        self.nodes.append(node)

    def _alike(self, inputs: tuple[int, ...]) -> bool:
        """Whether values are images, features, ... of the same shape."""
        arrays = [self._values[x] for x in inputs if x in self._values]
        if len(arrays) < len(inputs) or any(x.dtype.kind != "f" or x.ndim < 2 for x in arrays):
            return False
        return len({(x.shape, x.dtype) for x in arrays}) == 1


def _holding(layer: Any, known: Mapping[int, np.ndarray]) -> Any:
    """A copy of an operator that holds these of the inputs that it is given, by their order."""
    fixed = layer.weights.keys() | layer.constants.keys()
    given = [i for i in range(len(fixed) + max(known) + 1) if i not in fixed]
    held = copy.copy(layer)
    constants = {given[i]: Constant(np.asarray(array)) for i, array in known.items()}
    held.constants = {**layer.constants, **constants}
    return held
