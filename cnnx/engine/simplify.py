"""Pass 1: remove the layers that do nothing in eval mode, and those that no output depends on."""

from __future__ import annotations

from cnnx.engine.graphs import graph_of, rewired
from cnnx.graph.graph import Graph
from cnnx.graph.wiring import is_patched
from cnnx.layers.containers import Identity
from cnnx.layers.dropout import Dropout, Dropout2D

__all__ = ["simplify"]

_NOTHING = (Identity, Dropout, Dropout2D)  # y = x in eval mode


def simplify(graph: Graph) -> Graph:
    """The same function of the inputs with fewer layers. The outputs have the same bits.

    Example: ``Conv2D, Identity, Dropout, ReLU`` becomes ``Conv2D, ReLU``
    """
    wiring = graph.wiring()
    nodes, instead = [], {}
    for node in wiring.nodes:
        if type(node.layer) in _NOTHING and not is_patched(node.layer):
            instead[node.outputs[0]] = node.inputs[0]
        else:
            nodes.append(node)
    return graph_of(rewired(wiring, nodes, instead), graph.input_shapes)
