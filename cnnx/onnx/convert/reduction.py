"""Reductions along axes."""

from __future__ import annotations

from typing import Any

from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import ArgExtreme, Reduce
from cnnx.onnx.node import Node

_FUNCTIONS = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceSumSquare": "sum_square",
}


@converter(*_FUNCTIONS)
def reduce(node: Node) -> Any:
    """Without axes all are reduced, or none, if `noop_with_empty_axes` says so."""
    axes = node.setting("axes", 1)
    nothing = node.get("noop_with_empty_axes", 0)
    keepdims = bool(node.get("keepdims", 1))
    if not axes:
        axes = () if nothing else None
    return node.apply(Reduce(_FUNCTIONS[node.operator], axes, keepdims), node.input(0))


@converter("ArgMax", "ArgMin")
def arg_extreme(node: Node) -> Any:
    keepdims, last = bool(node.get("keepdims", 1)), bool(node.get("select_last_index", 0))
    layer = ArgExtreme(node.operator == "ArgMax", node.get("axis", 0), keepdims, last)
    return node.apply(layer, node.input(0))
