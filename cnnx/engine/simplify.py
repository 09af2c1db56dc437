"""Pass 1: remove the layers that do nothing in eval mode, and those that no output depends on; sums
of several values are sums of two.
"""

from __future__ import annotations

from itertools import count

from cnnx.engine.graphs import graph_of, rewired
from cnnx.graph.graph import Graph
from cnnx.graph.wiring import Node, is_patched
from cnnx.layers.containers import Identity
from cnnx.layers.dropout import Dropout, Dropout2D
from cnnx.layers.merge import Add

__all__ = ["simplify"]

_NOTHING = (Identity, Dropout, Dropout2D)  # y = x in eval mode


def simplify(graph: Graph) -> Graph:
    """The same function of the inputs with fewer layers. The outputs have the same bits.

    Example: ``Conv2D, Identity, Dropout, ReLU`` becomes ``Conv2D, ReLU``
    """
    wiring = graph.wiring()
    free = count(1 + max([*wiring.outputs, *(i for node in wiring.nodes for i in node.outputs)]))
    nodes, instead = [], {}
    for node in wiring.nodes:
        own = not is_patched(node.layer)
        if own and type(node.layer) in _NOTHING:
            instead[node.outputs[0]] = node.inputs[0]
        elif own and type(node.layer) is Add and len(node.inputs) > 2:
            first, *others = node.inputs
            sums = [next(free) for _ in others[1:]] + [node.outputs[0]]
            for x, y in zip(others, sums, strict=True):
                nodes.append(Node(node.name, Add(), (first, x), (y,)))
                first = y
        else:
            nodes.append(node)
    return graph_of(rewired(wiring, nodes, instead), graph.input_shapes)
