"""Elementwise arithmetic, comparisons and logic."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers import Add, Multiply
from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import Binary, Cast, Unary, Where
from cnnx.onnx.node import Node, Unsupported, Value

_UNARY = {
    **{name: name.lower() for name in ("Abs", "Ceil", "Cos", "Exp", "Floor", "Log", "Neg")},
    **{name: name.lower() for name in ("Not", "Reciprocal", "Round", "Sign", "Sin", "Sqrt")},
}
_BINARY = {
    **{name: name.lower() for name in ("Sub", "Div", "Pow", "And", "Or", "Xor")},
    **{name: name.lower() for name in ("Equal", "Greater", "Less")},
    "GreaterOrEqual": "greater_equal",
    "LessOrEqual": "less_equal",
}
# Names of types in a file, by their number there.
_DTYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64"},
    **{9: "bool", 10: "float32", 11: "float64", 12: "uint32", 13: "uint64", 16: "float32"},
}


@converter(*_UNARY)
def unary(node: Node) -> Any:
    node.ignore("consumed_inputs")
    return node.apply(Unary(_UNARY[node.operator]), node.input(0))


@converter(*_BINARY)
def binary(node: Node) -> Any:
    return node.apply(Binary(_BINARY[node.operator]), node.input(0), node.input(1))


@converter("Add", "Sum")
def add(node: Node) -> Any:
    if _alike(node.inputs):
        return node.apply(Add(), *node.inputs) if len(node.inputs) > 1 else node.input(0)
    return _chain(node, "add")


@converter("Mul")
def multiply(node: Node) -> Any:
    a, b = node.inputs
    if isinstance(a, Value) and isinstance(b, Value) and a.rank == b.rank and _is_floats(a):
        return node.apply(Multiply(), a, b)
    return node.apply(Binary("mul"), a, b)


@converter("Max", "Min")
def extreme(node: Node) -> Any:
    return _chain(node, node.operator.lower())


@converter("Mean")
def mean(node: Node) -> Any:
    total, count = _chain(node, "add"), np.array(len(node.inputs), np.float32)
    return node.apply(Binary("div"), total, count)


@converter("Mod")
def mod(node: Node) -> Any:
    return node.apply(Binary("fmod" if node.get("fmod", 0) else "mod"), *node.inputs)


@converter("Where")
def where(node: Node) -> Any:
    return node.apply(Where(), *node.inputs)


@converter("Cast")
def cast(node: Node) -> Any:
    kind = node.get("to")
    node.ignore("saturate", "round_mode")
    if kind not in _DTYPES:
        raise Unsupported(f"type {kind}")
    return node.apply(Cast(_DTYPES[kind]), node.input(0))


def _chain(node: Node, function: str) -> Any:
    """A function of two of the first inputs, of its result and the next, ..."""
    result = node.input(0)
    for other in node.inputs[1:]:
        result = node.apply(Binary(function), result, other)
    return result


def _alike(inputs: list[Any]) -> bool:
    """Whether all are floats, computed at run time and of the same shape."""
    if not all(isinstance(x, Value) and _is_floats(x) for x in inputs):
        return False
    shapes = {x.shape for x in inputs}
    return len(shapes) == 1 and None not in next(iter(shapes))


def _is_floats(value: Value) -> bool:
    """Layers would cast integers, such as numbers computed from shapes, to float32."""
    return value.floats and value.rank is not None and value.rank >= 2
