"""The ONNX form of the operators that a loaded graph has: they become the nodes that they were."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers.base import Layer
from cnnx.onnx.layers import (
    Affine,
    Binary,
    Clip,
    ConcatAny,
    Expand,
    FlattenTo2D,
    Gather,
    GlobalPool,
    MatMul,
    Operator,
    Pad,
    Reduce,
    ReshapeTo,
    Shape,
    Slice,
    Squeeze,
    Tile,
    Transpose,
    Unary,
    Unsqueeze,
    Where,
)
from cnnx.onnx.place import Place

__all__ = ["OPERATOR_EMITTERS"]

_BINARY = {"greater_equal": "GreaterOrEqual", "less_equal": "LessOrEqual"}
_REDUCE = {"l1": "ReduceL1", "l2": "ReduceL2", "sum_square": "ReduceSumSquare"}


def all_inputs(place: Place, layer: Operator, xs: tuple[str, ...]) -> list[str]:
    """The names of all inputs by position, the fixed ones among them."""
    fixed = {i: parameter.data for i, parameter in layer.weights.items()}
    fixed |= {i: constant.array for i, constant in layer.constants.items()}
    read = iter(xs)
    return [
        place.constant(fixed[i], f"input{i}") if i in fixed else next(read)
        for i in range(len(xs) + len(fixed))
    ]


def plain(operator: str, *names: str) -> Any:
    """An operator whose attributes are settings of the layer; None is left out."""

    def emit(place: Place, layer: Operator, *xs: str) -> str:
        settings = {name: getattr(layer, name) for name in names}
        given = {name: value for name, value in settings.items() if value is not None}
        return place.add(operator, *all_inputs(place, layer, xs), **given)

    return emit


def unary(place: Place, layer: Unary, x: str) -> str:
    return place.add(layer.function.capitalize(), x)


def binary(place: Place, layer: Binary, *xs: str) -> str:
    if layer.function == "fmod":
        return place.add("Mod", *all_inputs(place, layer, xs), fmod=1)
    name = _BINARY.get(layer.function, layer.function.capitalize())
    return place.add(name, *all_inputs(place, layer, xs))


def affine(place: Place, layer: Affine, *xs: str) -> str:
    x, scale, shift = all_inputs(place, layer, xs)
    return place.add("Add", place.add("Mul", x, scale), shift)


def reduce(place: Place, layer: Reduce, x: str) -> str:
    """The axes are an input since opset 13 for sums, and since 18 for others."""
    name = _REDUCE.get(layer.function, f"Reduce{layer.function.capitalize()}")
    keepdims = int(layer.keepdims)
    if layer.axes is None:
        return place.add(name, x, keepdims=keepdims)
    if place.opset >= 18 or name == "ReduceSum":
        axes = place.constant(np.array(layer.axes, np.int64), "axes")
        return place.add(name, x, axes, keepdims=keepdims, noop_with_empty_axes=1)
    return place.add(name, x, axes=list(layer.axes), keepdims=keepdims)


def reaxed(operator: str) -> Any:
    def emit(place: Place, layer: Any, x: str) -> str:
        if layer.axes is None:
            return place.add(operator, x)
        return place.add(operator, x, place.constant(np.array(layer.axes, np.int64), "axes"))

    return emit


def transpose(place: Place, layer: Transpose, x: str) -> str:
    return place.add("Transpose", x, **({} if layer.order is None else {"perm": list(layer.order)}))


def reshape(place: Place, layer: ReshapeTo, *xs: str) -> str:
    return place.add("Reshape", *all_inputs(place, layer, xs), allowzero=int(layer.zeros))


def clip(place: Place, layer: Clip, x: str) -> str:
    bounds = [
        "" if bound is None else place.constant(float(bound), name)
        for bound, name in ((layer.least, "least"), (layer.most, "most"))
    ]
    return place.add("Clip", x, *bounds)


def global_pool(place: Place, layer: GlobalPool, x: str) -> str:
    return place.add("GlobalMaxPool" if layer.function == "max" else "GlobalAveragePool", x)


OPERATOR_EMITTERS: dict[type[Layer], Any] = {
    Affine: affine,
    Binary: binary,
    Clip: clip,
    ConcatAny: plain("Concat", "axis"),
    Expand: plain("Expand"),
    FlattenTo2D: plain("Flatten", "axis"),
    Gather: plain("Gather", "axis"),
    GlobalPool: global_pool,
    MatMul: plain("MatMul"),
    Pad: plain("Pad", "mode"),
    Reduce: reduce,
    ReshapeTo: reshape,
    Shape: plain("Shape", "start", "end"),
    Slice: plain("Slice"),
    Squeeze: reaxed("Squeeze"),
    Tile: plain("Tile"),
    Transpose: transpose,
    Unary: unary,
    Unsqueeze: reaxed("Unsqueeze"),
    Where: plain("Where"),
}
