"""Networks as graphs of nodes: how they are defined, fused and executed.

symbol     `Input`, `Symbol`: symbolic values, which define a network when layers are called on them
graph      `Graph`: such a network as a layer
container  `Container`: the base of `Graph`, `Sequential`, `Residual` and `Concat`; flattening
wiring     `Node`, `Wiring`: nodes and edges
rewrite    the table of patterns: chains of nodes that run as one fused step
fused      the fused steps
steps      the step of a single node: forward, saved values, backward
run        the executor: forward over the steps, backward over the trace
"""

from cnnx.graph.graph import Graph
from cnnx.graph.symbol import Input, Symbol

__all__ = ["Graph", "Input", "Symbol"]
