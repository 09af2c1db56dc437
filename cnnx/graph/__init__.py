"""The network as nodes and edges: how it is written, rewritten and run.

symbol     `Input`, `Symbol`: a network is written by calling layers on values without numbers
graph      `Graph`: the layer that such a network is
container  `Container`: what `Graph`, `Sequential`, `Residual` and `Concat` have in common
wiring     nodes and edges; containers inside containers opened into one flat list
rewrite    the table of patterns: nodes that run as one step
fused      the steps of these patterns
steps      one node's step: forward, what it saves, backward
run        the executor: forward over the steps, backward over what they saved
"""

from cnnx.graph.graph import Graph
from cnnx.graph.symbol import Input, Symbol

__all__ = ["Graph", "Input", "Symbol"]
