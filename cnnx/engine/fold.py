"""Pass 2: batch norm becomes part of the weights of the layer before it."""

# Design:
# In eval mode batch norm is y = x * s + t with numbers s, t for each channel, which a weighted
# layer takes into its weights (layers/scaled.py). This is the only pass that changes results, by
# rounding errors.
# It requires that the layer before is of one of cnnx's own classes, that nothing else reads its
# output, and that the axis of its filters is the one that batch norm takes for channels.

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from cnnx.engine.graphs import graph_of, rewired
from cnnx.graph.graph import Graph
from cnnx.graph.wiring import Node, is_patched
from cnnx.layers.linear import Linear
from cnnx.layers.norm import BatchNorm1D, BatchNorm2D
from cnnx.layers.scaled import WEIGHTED, scaled

__all__ = ["fold"]

_NORMS = (BatchNorm1D, BatchNorm2D)


def fold(graph: Graph) -> Graph:
    """The graph without the batch norms that follow a convolution or linear layer.

    The layers before them are copied, with other weights: a layer that is used at several places
    becomes several layers.
    """
    wiring = graph.wiring()
    # To learn the ranks, an empty batch is run, which shows whether the shapes fit, too. Networks
    # whose inputs have other axes in front, such as the states of recurrent ones, cannot take it.
    layers = [node.layer for node in wiring.nodes]
    if not (any(type(x) in _NORMS for x in layers) or all(x._batch_first for x in layers)):
        return graph
    readers = Counter([i for node in wiring.nodes for i in node.inputs] + list(wiring.outputs))
    ranks = {node.outputs: len(shapes[0]) for node, shapes in wiring.shapes(*graph.input_shapes)}
    nodes: dict[int, Node] = {}  # by the number of their value
    instead: dict[int, int] = {}
    for node in wiring.nodes:
        value = instead.get(node.inputs[0], node.inputs[0])
        before = nodes.get(value)
        if (
            before is not None
            and readers[node.inputs[0]] == 1
            and _fits(before.layer, node.layer, ranks[before.outputs])
        ):
            nodes[value] = before._replace(layer=_folded(before.layer, node.layer))
            instead[node.outputs[0]] = value
        else:
            nodes[node.outputs[0]] = node
    return graph_of(rewired(wiring, nodes.values(), instead), graph.input_shapes)


def _fits(layer: Any, norm: Any, rank: int) -> bool:
    """rank: axes of the layer's input, without the batch axis."""
    return (
        type(layer) in WEIGHTED
        and type(norm) in _NORMS
        and not (is_patched(layer) or is_patched(norm))
        and norm.running_mean is not None
        and norm._dtype() == layer.weight.dtype
        and (type(layer) is not Linear or rank == 1)  # its filters are the last axis
    )


def _folded(layer: Any, norm: Any) -> Any:
    """A copy of the layer with batch norm in its weights."""
    scale = 1 / np.sqrt(norm.running_var.astype(np.float64) + norm.eps)
    shift = -norm.running_mean * scale
    if norm.weight is not None:
        scale, shift = scale * norm.weight.data, shift * norm.weight.data + norm.bias.data
    return scaled(layer, scale, shift)
