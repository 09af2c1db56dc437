"""Operators that move elements, and those that compute with shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnx.layers import Concat, Flatten
from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import (
    ConcatAny,
    ConstantOfShape,
    DepthToSpace,
    Expand,
    FlattenTo2D,
    Gather,
    Pad,
    Part,
    Range,
    Reduce,
    ReshapeTo,
    Resize,
    Shape,
    Slice,
    SpaceToDepth,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from cnnx.onnx.node import Node, Unsupported, Value


@converter("Constant")
def constant(node: Node) -> Any:
    """One of several attributes, by the type of the value."""
    value = node.get("value")
    if value is not None:
        return value
    kinds = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    for name, kind in kinds.items():
        if (value := node.get(name)) is not None:
            return np.array(value, kind)
    raise Unsupported("a value that is neither an array nor numbers")


@converter("ConstantOfShape")
def constant_of_shape(node: Node) -> Any:
    value = node.get("value", np.zeros(1, np.float32)).reshape(-1)
    return node.apply(ConstantOfShape(value[0].item(), value.dtype.name), node.input(0))


@converter("Range")
def range_of(node: Node) -> Any:
    return node.apply(Range(), *node.inputs)


@converter("Shape")
def shape(node: Node) -> Any:
    """Known sizes are folded, by Gather and Slice one by one."""
    x, start, end = node.input(0), node.get("start", 0), node.get("end")
    known = x.shape[start:end] if x.shape is not None else None
    if known is not None and all(isinstance(n, int) for n in known):
        return np.array(known, np.int64)
    made = node.apply(Shape(start, end), x)
    return Value(made.number, None, known)


@converter("Size")
def size(node: Node) -> Any:
    x = node.input(0)
    if isinstance(x, Value) and not all(isinstance(n, int) for n in x.shape or (None,)):
        return node.apply(Reduce("prod", None, False), node.apply(Shape(), x))
    return np.array(math.prod(x.shape), np.int64)


@converter("Gather")
def gather(node: Node) -> Any:
    x, numbers, axis = node.input(0), node.input(1), node.get("axis", 0)
    if isinstance(x, Value) and x.sizes is not None and isinstance(numbers, np.ndarray):
        found = [x.sizes[n] for n in numbers.reshape(-1)]
        if all(isinstance(n, int) for n in found):
            return np.array(found, np.int64).reshape(numbers.shape)
    return node.apply(Gather(axis), x, numbers)


@converter("Slice")
def slice_by_attributes(node: Node) -> Any:
    starts, ends = (np.array(node.get(name), np.int64) for name in ("starts", "ends"))
    axes = np.array(node.get("axes", range(len(starts))), np.int64)
    return node.apply(Slice(), node.input(0), starts, ends, axes)


@converter("Slice", since=10)
def slice_by_inputs(node: Node) -> Any:
    x, starts, ends, axes, steps = (node.input(i) for i in range(5))
    known = all(isinstance(each, np.ndarray) for each in (starts, ends)) and steps is None
    if isinstance(x, Value) and x.sizes is not None and known:
        found = x.sizes[starts.item() : ends.item()]
        if all(isinstance(n, int) for n in found):
            return np.array(found, np.int64)
    where = [starts, ends]
    if axes is None and steps is not None:
        if not isinstance(starts, np.ndarray):
            raise Unsupported("steps without axes, for starts that are computed at run time")
        axes = np.arange(len(starts))
    where += [each for each in (axes, steps) if each is not None]
    return node.apply(Slice(), x, *where)


@converter("Split")
def split(node: Node) -> Any:
    """Into parts of these sizes, an attribute or an input, or into as many as it has outputs."""
    x, axis = node.input(0), node.get("axis", 0)
    sizes, count = node.setting("split", 1), len(node.outputs)
    if node.get("num_outputs", count) != count or (sizes and len(sizes) != count):
        raise ValueError(f"it has {count} outputs, but not as many parts")
    return tuple(node.apply(Part(axis, i, count, sizes), x) for i in range(count))


@converter("Concat")
def concat(node: Node) -> Any:
    axis, inputs = node.get("axis", 1), node.inputs
    floats = all(isinstance(x, Value) and x.floats for x in inputs)
    if floats and len(inputs) > 1:
        return node.apply(Concat(axis=axis), *inputs)
    return node.apply(ConcatAny(axis), *inputs)


@converter("Reshape")
def reshape(node: Node) -> Any:
    x, target = node.input(0), node.input(1)
    if target is None:  # opset 1 to 4
        target = np.array(node.get("shape"), np.int64)
    zeros = bool(node.get("allowzero", 0))
    if isinstance(x, Value) and isinstance(target, np.ndarray) and not zeros:
        target = _any_batch(node, x, target)
    return node.apply(ReshapeTo(zeros), x, target)


def _any_batch(node: Node, x: Value, target: np.ndarray) -> np.ndarray:
    """A file that was written for one size of the batch is right for others too, if the first axis
    stays as it is.
    """
    if x.shape and isinstance(x.shape[0], int) and target.size > 1 and target[0] == x.shape[0]:
        target = target.copy()
        target[0] = 0
    return target


@converter("Flatten")
def flatten(node: Node) -> Any:
    axis = node.get("axis", 1)
    if axis == 1 and isinstance(node.input(0), Value):
        return node.apply(Flatten(), node.input(0))
    return node.apply(FlattenTo2D(axis), node.input(0))


@converter("Transpose")
def transpose(node: Node) -> Any:
    order = node.get("perm")
    return node.apply(Transpose(None if order is None else tuple(order)), node.input(0))


@converter("Squeeze")
def squeeze(node: Node) -> Any:
    return node.apply(Squeeze(node.setting("axes", 1)), node.input(0))


@converter("Unsqueeze")
def unsqueeze(node: Node) -> Any:
    return node.apply(Unsqueeze(node.setting("axes", 1)), node.input(0))


@converter("Pad")
def pad_by_attributes(node: Node) -> Any:
    pads = np.array(node.get("pads"), np.int64)
    value = np.array(node.get("value", 0.0), np.float32)
    return node.apply(Pad(_mode(node)), node.input(0), pads, value)


@converter("Pad", since=11)
def pad_by_inputs(node: Node) -> Any:
    x, pads, value, axes = (node.input(i) for i in range(4))
    inputs = [x, pads]
    if axes is not None or value is not None:
        inputs.append(np.array(0, np.float32) if value is None else value)
    if axes is not None:
        inputs.append(axes)
    return node.apply(Pad(_mode(node)), *inputs)


def _mode(node: Node) -> str:
    mode = node.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        raise Unsupported(f"mode {mode!r}")
    return mode


@converter("Expand")
def expand(node: Node) -> Any:
    return node.apply(Expand(), node.input(0), node.input(1))


@converter("Tile")
def tile(node: Node) -> Any:
    return node.apply(Tile(), node.input(0), node.input(1))


@converter("DepthToSpace")
def depth_to_space(node: Node) -> Any:
    mode = node.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise ValueError(f"mode is {mode!r}")
    return node.apply(DepthToSpace(node.get("blocksize"), mode), node.input(0))


@converter("SpaceToDepth")
def space_to_depth(node: Node) -> Any:
    return node.apply(SpaceToDepth(node.get("blocksize")), node.input(0))


@converter("Upsample")
def upsample(node: Node) -> Any:
    """The older form of Resize: its scales are an attribute, then an input."""
    scales = node.get("scales")
    target = node.input(1) if scales is None else np.array(scales, np.float32)
    mode = node.get("mode", "nearest")
    layer = Resize("scales", _interpolation(mode), "asymmetric", "floor")
    return node.apply(layer, node.input(0), target)


@converter("Resize", since=10)
def resize_by_scales(node: Node) -> Any:
    mode = _interpolation(node.get("mode", "nearest"))
    return node.apply(Resize("scales", mode, "asymmetric", "floor"), node.input(0), node.input(1))


@converter("Resize", since=11)
def resize(node: Node) -> Any:
    """To sizes, or by scales, whose input is absent or empty if sizes are given."""
    x, scales, sizes = node.input(0), node.input(2), node.input(3)
    coordinates = node.get("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_half_pixel_for_nn" or coordinates == "tf_crop_and_resize":
        raise Unsupported(f"coordinate_transformation_mode {coordinates!r}")
    node.ignore("extrapolation_value")
    axes = node.get("axes")
    mode = _interpolation(node.get("mode", "nearest"))
    if node.get("antialias", 0):
        raise Unsupported("antialias")
    layer = Resize(
        "scales" if sizes is None else "sizes",
        mode,
        coordinates,
        node.get("nearest_mode", "round_prefer_floor"),
        node.get("cubic_coeff_a", -0.75),
        bool(node.get("exclude_outside", 0)),
        None if axes is None else tuple(axes),
        node.get("keep_aspect_ratio_policy", "stretch"),
    )
    return node.apply(layer, x, scales if sizes is None else sizes)


def _interpolation(mode: str) -> str:
    if mode not in ("nearest", "linear", "cubic"):
        raise Unsupported(f"mode {mode!r}")
    return mode
