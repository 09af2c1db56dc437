"""Networks as flat graphs of layers: what the first passes take and return."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from cnnx.graph.container import Container, flatten
from cnnx.graph.graph import Graph
from cnnx.graph.wiring import Node, Wiring
from cnnx.layers.base import Layer

__all__ = ["flat_copy", "graph_of", "rewired"]

Shapes = tuple[tuple[int, ...], ...]


def flat_copy(model: Layer, input_shapes: Shapes) -> Graph:
    """All layers of a model at any depth as one graph, in eval mode.

    The layers are copies: training the model later does not change them.
    """
    if isinstance(model, Container) and model.opens():
        wiring, _ = flatten(model)
    else:
        inputs = tuple(range(len(input_shapes)))
        wiring = Wiring(
            len(inputs), (Node("layer", model, inputs, (len(inputs),)),), (len(inputs),)
        )
    layers = copy.deepcopy([node.layer for node in wiring.nodes])  # together: some share weights
    nodes = tuple(
        node._replace(layer=layer) for node, layer in zip(wiring.nodes, layers, strict=True)
    )
    return graph_of(wiring._replace(nodes=nodes), input_shapes)


def graph_of(wiring: Wiring, input_shapes: Shapes) -> Graph:
    """A graph of these nodes, in eval mode. Nodes of the same layer get one name, others different
    ones.
    """
    layers: dict[str, Layer] = {}
    names: dict[int, str] = {}
    for name, layer, _, _ in wiring.nodes:
        if id(layer) not in names:
            names[id(layer)] = _free_name(name, layers)
            layers[names[id(layer)]] = layer
    calls = [(names[id(node.layer)], node.inputs) for node in wiring.nodes]
    graph: Graph = Graph.from_config(
        {
            "layers": layers,
            "calls": calls,
            "outputs": wiring.outputs,
            "input_shapes": input_shapes,
        }
    )
    return graph.eval()


def rewired(wiring: Wiring, nodes: Iterable[Node], instead: Mapping[int, int]) -> Wiring:
    """A wiring of some of the nodes, which keep the numbers of their values.

    instead  {i: j}: whoever reads value i reads value j instead

    Nodes that no output depends on are left out, and the values are numbered anew.
    """

    def source(value: int) -> int:
        while value in instead:
            value = instead[value]
        return value

    outputs = [source(value) for value in wiring.outputs]
    needed, kept = set(outputs), []
    for node in reversed(tuple(nodes)):
        if needed.intersection(node.outputs):
            inputs = tuple([source(value) for value in node.inputs])
            needed.update(inputs)
            kept.append(node._replace(inputs=inputs))
    kept.reverse()
    order = [*range(wiring.inputs), *[value for node in kept for value in node.outputs]]
    number = {value: i for i, value in enumerate(order)}

    def numbers(values: Iterable[int]) -> tuple[int, ...]:
        return tuple([number[value] for value in values])

    renumbered = [
        node._replace(inputs=numbers(node.inputs), outputs=numbers(node.outputs)) for node in kept
    ]
    return Wiring(wiring.inputs, tuple(renumbered), numbers(outputs))


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free
