"""Normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import init
from cnnx.layers import (
    BatchNorm1D,
    BatchNorm2D,
    GroupNorm,
    InstanceNorm2D,
    LayerNorm,
    LocalResponseNorm,
)
from cnnx.onnx.convert.table import converter
from cnnx.onnx.layers import Binary, Reduce, Unary
from cnnx.onnx.node import Node, Unsupported


@converter("BatchNormalization")
def batch_norm(node: Node) -> Any:
    """Its momentum is that of the old value, cnnx's that of the new one."""
    names = ("scale", "bias", "mean", "variance")
    weight, bias, mean, var = (node.array(i, name) for i, name in enumerate(names, start=1))
    momentum = 1 - node.get("momentum", 0.9)
    if node.get("training_mode", 0):
        raise Unsupported("training_mode=1")
    if not node.get("spatial", 1):
        raise Unsupported("spatial=0")
    make: Any = {2: BatchNorm1D, 3: BatchNorm1D}.get(node.rank() or 4, BatchNorm2D)
    if node.rank() == 5:
        raise Unsupported("five axes")
    with init.blank(weight.size):
        layer = make(weight.size, node.get("epsilon", 1e-5), min(max(momentum, 0.0), 1.0))
    for array in (mean, var):
        if array.shape != weight.shape:
            raise ValueError(f"its statistics have shape {array.shape}, expected {weight.shape}")
    layer = node.with_weights(layer, weight=weight, bias=bias)
    layer.running_mean, layer.running_var = mean.copy(), var.copy()
    return node.apply(layer, node.input(0))


@converter("InstanceNormalization")
def instance_norm(node: Node) -> Any:
    weight, bias = node.array(1, "scale"), node.array(2, "bias")
    eps = node.get("epsilon", 1e-5)
    with init.blank(weight.size):
        # Group normalisation with one channel a group takes any number of axes.
        layer: Any = (
            InstanceNorm2D(weight.size, eps, affine=True)
            if node.rank() == 4
            else GroupNorm(weight.size, weight.size, eps)
        )
    return node.apply(node.with_weights(layer, weight=weight, bias=bias), node.input(0))


@converter("GroupNormalization", since=21)
def group_norm(node: Node) -> Any:
    weight, bias = node.array(1, "scale"), node.array(2, "bias")
    node.ignore("stash_type")
    with init.blank(weight.size):
        layer = GroupNorm(node.get("num_groups"), weight.size, node.get("epsilon", 1e-5))
    return node.apply(node.with_weights(layer, weight=weight, bias=bias), node.input(0))


@converter("LayerNormalization")
def layer_norm(node: Node) -> Any:
    x, weight = node.input(0), node.array(1, "scale")
    axis, eps = node.get("axis", -1), node.get("epsilon", 1e-5)
    node.ignore("stash_type")
    bias = None if node.input(2) is None else node.array(2, "bias")
    rank = node.rank()
    if axis >= 0 and rank is None:
        raise Unsupported("an axis from the front of a value of unknown rank")
    count = -axis if axis < 0 else (rank or 0) - axis
    if weight.ndim != count or (bias is not None and bias.shape != weight.shape):
        raise Unsupported(f"a scale of shape {weight.shape} for {count} axes")
    with init.blank(weight.size):
        layer = LayerNorm(weight.shape, eps, bias=bias is not None)
    return node.apply(node.with_weights(layer, weight=weight, bias=bias), x)


@converter("LRN")
def local_response_norm(node: Node) -> Any:
    """ONNX centres an even window differently."""
    size = node.get("size")
    if size % 2 == 0:
        raise Unsupported(f"an even size, {size}")
    settings = node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    return node.apply(LocalResponseNorm(size, *settings), node.input(0))


@converter("MeanVarianceNormalization")
def mean_variance_norm(node: Node) -> Any:
    """(x - mean) / (std + 1e-9), over the axes."""
    x, axes = node.input(0), tuple(node.get("axes", (0, 2, 3)))
    difference = node.apply(Binary("sub"), x, node.apply(Reduce("mean", axes), x))
    square = node.apply(Binary("mul"), difference, difference)
    deviation = node.apply(Unary("sqrt"), node.apply(Reduce("mean", axes), square))
    deviation = node.apply(Binary("add"), deviation, np.array(1e-9, np.float32))
    return node.apply(Binary("div"), difference, deviation)
