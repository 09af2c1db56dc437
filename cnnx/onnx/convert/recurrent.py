"""Recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import LSTM, Slice, Squeeze
from cnnx.onnx.node import Node, Unsupported

_SIDES = {"forward": 1, "reverse": 1, "bidirectional": 2}
_OTHERS = ("lengths", "h", "c", "peepholes")  # inputs from position 4 on, which may be absent


@converter("LSTM")
def lstm(node: Node) -> Any:
    direction = node.get("direction", "forward")
    if direction not in _SIDES:
        raise ValueError(f"direction is {direction!r}, expected one of {', '.join(_SIDES)}")
    sides = _SIDES[direction]
    functions = [name.lower() for name in node.get("activations", ())]
    if functions not in ([], ["sigmoid", "tanh", "tanh"] * sides):
        raise Unsupported(f"activations {', '.join(functions)}, but Sigmoid, Tanh, Tanh")
    node.ignore("activation_alpha", "activation_beta")  # these functions have none
    weight, recurrent = node.array(1, "W"), node.array(2, "R")
    hidden = node.get("hidden_size", recurrent.shape[-1] if recurrent.ndim else 0)
    bias = np.zeros((sides, 8 * hidden), weight.dtype)
    if node.input(3) is not None:
        bias = node.array(3, "B")
    _check("W", weight, (sides, 4 * hidden, weight.shape[-1] if weight.ndim else 0))
    _check("R", recurrent, (sides, 4 * hidden, hidden))
    _check("B", bias, (sides, 8 * hidden))
    given = {name: node.input(i) for i, name in enumerate(_OTHERS, start=4)}
    given = {name: value for name, value in given.items() if value is not None}
    layer = LSTM(
        direction,
        tuple(given),
        node.get("clip"),
        bool(node.get("input_forget", 0)),
        bool(node.get("layout", 0)),
    )
    made = node.apply(layer, node.input(0), weight, recurrent, bias, *given.values())
    axis = 1 if layer.batch_first else 0
    y = node.apply(Slice(), made, *_between(0, -2, axis))
    h, c = (
        node.apply(Squeeze((axis,)), node.apply(Slice(), made, *_between(start, end, axis)))
        for start, end in ((-2, -1), (-1, _END))
    )
    return (y, h, c)[: len(node.outputs)]


_END = 2**31 - 1


def _between(start: int, end: int, axis: int) -> tuple[np.ndarray, ...]:
    """What `Slice` reads besides x."""
    return tuple(np.array([n], np.int64) for n in (start, end, axis))


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"its {name} has shape {array.shape}, expected {shape}")
