"""The choice between two branches."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import If
from cnnx.onnx.node import Node
from cnnx.onnx.reader import FileGraph


@converter("If")
def if_(node: Node) -> Any:
    """A known condition leaves the nodes of one branch, in place of this one."""
    condition = node.input(0)
    then, otherwise = node.get("then_branch"), node.get("else_branch")
    for branch in (then, otherwise):
        if not isinstance(branch, FileGraph) or len(branch.outputs) != len(node.outputs):
            raise ValueError(f"expected two branches of {len(node.outputs)} outputs")
    if isinstance(condition, np.ndarray):
        return node.inlined(then if condition.item() else otherwise)
    graphs, around = node.separate(then, otherwise)
    return node.several(If(*graphs), condition, *around)
