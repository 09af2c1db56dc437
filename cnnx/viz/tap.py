"""A tap: records the output of a layer inside a model, and its gradient."""

from __future__ import annotations

import copy
from typing import Any

from cnnx.graph.container import Container
from cnnx.graph.wiring import Node, Wiring
from cnnx.layers import Concat, Layer, Residual

from .look import Chain, Place, part

__all__ = ["Tap", "replaced", "tapped"]


class Tap(Layer):
    """y = x; records the x of its first forward, and the gradient of that x."""

    def __init__(self) -> None:
        # In a dict, as a layer called several times may not assign attributes (graph/steps.py).
        self.values: dict[str, Any] = {}

    @property
    def seen(self) -> Any:
        return self.values["seen"]

    @property
    def gradient(self) -> Any:
        return self.values["gradient"]

    def forward(self, x: Any) -> Any:
        self.values.setdefault("seen", x)
        return x

    def backward(self, dy: Any) -> Any:
        self.values["gradient"] = dy  # the first call is the last to run backward
        return dy


class _Tapped(Container):
    """A layer with the given number of inputs, followed by a tap."""

    def __init__(self, layer: Layer, inputs: int, tap: Tap) -> None:
        self.layer, self.inputs, self.tap = layer, inputs, tap

    def wiring(self) -> Wiring:
        n = self.inputs
        layer = Node("layer", self.layer, tuple(range(n)), (n,))
        return Wiring(n, (layer, Node("tap", self.tap, (n,), (n + 1,))), (n + 1,))

    def parts(self) -> list[Any]:
        return [self.layer, self.tap]


def tapped(layers: Chain, place: Place) -> tuple[Any, Tap]:
    """A model of the same layers, with a tap after the one at the given place."""
    tap, model = Tap(), part(layers)
    path = (str(place.number), *place.inside)
    layer: Any = model
    inputs = 1
    for name in path:
        node = next(node for node in layer.wiring().nodes if node.name == name)
        layer, inputs = node.layer, len(node.inputs)
    return replaced(model, path, _Tapped(layer, inputs, tap)), tap


def replaced(layer: Any, inside: tuple[str, ...], other: Layer) -> Any:
    """The layer with another in the place of the one inside it. Containers are copied, since
    another place may use the same ones.
    """
    if not inside:
        return other
    name, twin = inside[0], copy.copy(layer)
    if isinstance(twin, Residual):
        setattr(twin, name, replaced(getattr(layer, name), inside[1:], other))
    elif isinstance(twin, Concat):
        branches = list(layer.branches)
        branches[int(name)] = replaced(branches[int(name)], inside[1:], other)
        twin.branches = tuple(branches)
    else:  # Sequential, Graph
        vars(twin)["_layers"] = dict(vars(layer)["_layers"])
        twin[name] = replaced(layer[name], inside[1:], other)
    return twin
