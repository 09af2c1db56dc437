"""The ONNX form of each layer: a function that adds its nodes, and the table of these.

This file is longer than others because all layers are in one table.
"""

# Design:
# The sizes of images are known, so what cnnx derives from them (padding="same", ceil_mode, windows
# of an adaptive pooling) is written as numbers. No operator then has to have PyTorch's rounding.
# A layer that does nothing in eval mode adds no node: its output is its input.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx import checks, windows
from cnnx.layers import (
    ELU,
    GELU,
    AdaptiveAvgPool1D,
    AdaptiveAvgPool2D,
    Add,
    AvgPool1D,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Concat,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Dropout,
    Dropout2D,
    Embedding,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    Identity,
    InstanceNorm2D,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MaxPool1D,
    MaxPool2D,
    Mish,
    Multiply,
    PReLU,
    ReLU,
    ReLU6,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Upsample,
    ZeroPad1D,
    ZeroPad2D,
)
from cnnx.onnx.place import Place
from cnnx.ops.pad import sides

__all__ = ["EMITTERS", "Emitter"]

Emitter = Callable[..., str]  # (place, layer, *names of the inputs) -> name of the output


# -- nothing, or one operator ----------------------------------------------------------------------


def nothing(place: Place, layer: Layer, x: str) -> str:
    return x


def operator(name: str) -> Emitter:
    """The layers that are an operator without settings."""

    def emit(place: Place, layer: Layer, *inputs: str) -> str:
        return place.add(name, *inputs)

    return emit


# -- convolution and linear ------------------------------------------------------------------------


def conv(place: Place, layer: Any, x: str) -> str:
    return place.add("Conv", *_weights(place, layer, x), **_geometry(layer))


def conv_transpose(place: Place, layer: Any, x: str) -> str:
    extra = list(layer.output_padding)
    geometry = _geometry(layer)
    return place.add("ConvTranspose", *_weights(place, layer, x), output_padding=extra, **geometry)


def linear(place: Place, layer: Linear, x: str) -> str:
    if len(place.shape) == 1:
        return place.add("Gemm", *_weights(place, layer, x), transB=1)
    y = place.add("MatMul", x, place.constant(layer.weight.data.T.copy(), "transposed_weight"))
    return y if layer.bias is None else place.add("Add", y, place.weight("bias"))


def embedding(place: Place, layer: Embedding, x: str) -> str:
    return place.add("Gather", place.weight("weight"), x, axis=0)


def _weights(place: Place, layer: Any, x: str) -> list[str]:
    inputs = [x, place.weight("weight")]
    return inputs if layer.bias is None else [*inputs, place.weight("bias")]


def _geometry(layer: Any) -> dict[str, Any]:
    sizes: Any = [layer.kernel_size, layer.stride, layer.dilation]
    padding = layer.padding
    if layer.axes == 1:
        sizes = [(1, *size) for size in sizes]
        padding = padding if isinstance(padding, str) else (0, padding)
    kernel, stride, dilation = sizes
    pads = windows.padding2d(type(layer).__name__, padding, kernel, stride, dilation)
    return {
        "kernel_shape": list(layer.kernel_size),
        "strides": list(layer.stride),
        "dilations": list(layer.dilation),
        "pads": _pads(layer, pads),
        "group": layer.groups,
    }


def _pads(layer: Any, padding: windows.Padding) -> list[int]:
    """((top, bottom), (left, right)) as ONNX writes it: all beginnings, then all ends."""
    of_axes = padding[-layer.axes :]
    return [before for before, _ in of_axes] + [after for _, after in of_axes]


# -- pooling ---------------------------------------------------------------------------------------


def max_pool(place: Place, layer: Any, x: str) -> str:
    window, _, padding, _ = _window(place, layer)
    return place.add("MaxPool", x, pads=_pads(layer, padding), **window)


def avg_pool(place: Place, layer: Any, x: str) -> str:
    """ONNX counts all of its padding, or none: what a mean counts is padded by a node before."""
    window, kernel, padding, counted = _window(place, layer)
    if layer.divisor_override is not None:
        pads = _pads(layer, padding)
        mean = place.add("AveragePool", x, pads=pads, count_include_pad=1, **window)
        return place.add("Mul", mean, place.constant(math.prod(kernel) / layer.divisor_override))
    if counted == padding:
        pads = _pads(layer, padding)
        return place.add("AveragePool", x, pads=pads, count_include_pad=1, **window)
    if any(map(any, counted)):
        x = _pad(place, x, _pads(layer, counted))
    (top, bottom), (left, right) = padding
    (above, below), (before, after) = counted
    rest = (top - above, bottom - below), (left - before, right - after)
    return place.add("AveragePool", x, pads=_pads(layer, rest), **window)


def adaptive_avg_pool(place: Place, layer: Any, x: str) -> str:
    """The mean over windows of different sizes is a product with a matrix for each axis."""
    n = layer.axes
    before, after = place.shapes[0][-n:], place.shape[-n:]
    if set(after) == {1}:
        return place.add("GlobalAveragePool", x)
    if all(size % count == 0 for size, count in zip(before, after)):
        kernel = [size // count for size, count in zip(before, after)]
        return place.add("AveragePool", x, kernel_shape=kernel, strides=kernel)
    x = place.add("MatMul", x, place.constant(_means(before[-1], after[-1]).T.copy(), "columns"))
    if n == 2:
        x = place.add("MatMul", place.constant(_means(before[0], after[0]), "rows"), x)
    return x


def _means(size: int, count: int) -> np.ndarray:
    """(count, size): row i is the mean over floor(i*size/count) <= j < ceil((i+1)*size/count)."""
    rows = np.zeros((count, size), np.float32)
    for i in range(count):
        start, end = i * size // count, -(-(i + 1) * size // count)
        rows[i, start:end] = 1 / (end - start)
    return rows


def _window(place: Place, layer: Any) -> tuple[dict[str, Any], Any, Any, Any]:
    """Attributes of a pooling, its kernel, its whole padding, and what of it a mean counts."""
    name, given = type(layer).__name__, layer._geometry()
    kernel, stride, dilation = (
        checks.pair(name, what, given.get(what, 1))
        for what in ("kernel_size", "stride", "dilation")
    )
    image: Any = place.shapes[0][1:] if layer.axes == 2 else (1, place.shapes[0][-1])
    settings = image, kernel, stride
    padding, counts = windows.pool_padding(name, given["padding"], *settings, dilation)
    counted = padding if counts and given.get("count_include_pad", True) else ((0, 0), (0, 0))
    if given["ceil_mode"]:
        padding = windows.ceil_padding(*settings, padding, dilation)
    window = {"kernel_shape": list(kernel[-layer.axes :]), "strides": list(stride[-layer.axes :])}
    if dilation != (1, 1):
        window["dilations"] = list(dilation[-layer.axes :])
    return window, kernel, padding, counted


# -- normalisation ---------------------------------------------------------------------------------


def batch_norm(place: Place, layer: Any, x: str) -> str:
    if layer.running_mean is None:
        return _norm_of_batch(place, layer, x)
    statistics = place.weight("running_mean"), place.weight("running_var")
    affine = _scale_and_bias(place, layer, layer.num_features)
    return place.add("BatchNormalization", x, *affine, *statistics, epsilon=layer.eps)


def _norm_of_batch(place: Place, layer: Any, x: str) -> str:
    """Without running statistics, the batch's own are used in eval mode, too."""
    axes = [0, *range(2, 1 + len(place.shape))]
    difference = place.add("Sub", x, _mean(place, x, axes))
    variance = _mean(place, place.add("Mul", difference, difference), axes)
    deviation = place.add("Sqrt", place.add("Add", variance, place.constant(layer.eps, "eps")))
    return _scaled(place, layer, place.add("Div", difference, deviation))


def instance_norm(place: Place, layer: InstanceNorm2D, x: str) -> str:
    if layer.running_mean is not None:
        return batch_norm(place, layer, x)
    affine = _scale_and_bias(place, layer, layer.num_features)
    return place.add("InstanceNormalization", x, *affine, epsilon=layer.eps)


def group_norm(place: Place, layer: GroupNorm, x: str) -> str:
    """A group is a channel of an instance norm. GroupNormalization exists from opset 21 on only."""
    groups = layer.num_groups
    rows = place.add("Reshape", x, place.constant([0, groups, -1], "groups"))
    ones = place.constant(np.ones(groups, np.float32), "ones")
    zeros = place.constant(np.zeros(groups, np.float32), "zeros")
    rows = place.add("InstanceNormalization", rows, ones, zeros, epsilon=layer.eps)
    return _scaled(place, layer, place.add("Reshape", rows, _sample_shape(place)))


def layer_norm(place: Place, layer: LayerNorm, x: str) -> str:
    sizes, axis = layer.normalized_shape, -len(layer.normalized_shape)
    scale = place.constant(np.ones(sizes, np.float32), "ones")
    inputs = [x, scale if layer.weight is None else place.weight("weight")]
    if layer.bias is not None:
        inputs.append(place.weight("bias"))
    return place.add("LayerNormalization", *inputs, axis=axis, epsilon=layer.eps)


def local_response_norm(place: Place, layer: LocalResponseNorm, x: str) -> str:
    if layer.size % 2:
        settings = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
        return place.add("LRN", x, size=layer.size, **settings)
    # ONNX centres an even window one channel further: the sum as a 1x1 convolution of the squares.
    c, *axes = place.shapes[0]
    channels = np.arange(c)
    offset = channels - channels[:, None]
    band = (offset >= -(layer.size // 2)) & (offset < layer.size // 2)
    weight = (band * (layer.alpha / layer.size)).astype(np.float32)
    weight = weight.reshape(c, c, *[1] * len(axes))
    squares = place.add("Mul", x, x)
    bias = place.constant(np.full(c, layer.k, np.float32), "k")
    base = place.add("Conv", squares, place.constant(weight, "window"), bias)
    return place.add("Div", x, place.add("Pow", base, place.constant(layer.beta, "beta")))


def _scale_and_bias(place: Place, layer: Any, c: int) -> list[str]:
    if layer.weight is not None:
        return [place.weight("weight"), place.weight("bias")]
    ones, zeros = np.ones(c, np.float32), np.zeros(c, np.float32)
    return [place.constant(ones, "ones"), place.constant(zeros, "zeros")]


def _scaled(place: Place, layer: Any, x: str) -> str:
    """x * weight + bias, both per channel."""
    if layer.weight is None:
        return x
    shape = (-1, *[1] * (len(place.shape) - 1))
    x = place.add("Mul", x, place.constant(layer.weight.data.reshape(shape), "weight"))
    return place.add("Add", x, place.constant(layer.bias.data.reshape(shape), "bias"))


def _mean(place: Place, x: str, axes: list[int]) -> str:
    if place.opset >= 18:
        return place.add("ReduceMean", x, place.constant(axes, "axes"))
    return place.add("ReduceMean", x, axes=axes)


# -- activations -----------------------------------------------------------------------------------


def relu6(place: Place, layer: Layer, x: str) -> str:
    return place.add("Clip", x, place.constant(0.0, "least"), place.constant(6.0, "most"))


def leaky_relu(place: Place, layer: LeakyReLU, x: str) -> str:
    return place.add("LeakyRelu", x, alpha=layer.negative_slope)


def prelu(place: Place, layer: PReLU, x: str) -> str:
    slopes = layer.weight.data
    if slopes.size > 1:
        slopes = slopes.reshape(-1, *[1] * (len(place.shape) - 1))
    return place.add("PRelu", x, place.constant(slopes, "slopes"))


def elu(place: Place, layer: ELU, x: str) -> str:
    return place.add("Elu", x, alpha=layer.alpha)


def hardsigmoid(place: Place, layer: Layer, x: str) -> str:
    return place.add("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def silu(place: Place, layer: Layer, x: str) -> str:
    return place.add("Mul", x, place.add("Sigmoid", x))


def mish(place: Place, layer: Layer, x: str) -> str:
    return place.add("Mul", x, place.add("Tanh", place.add("Softplus", x)))


def gelu(place: Place, layer: GELU, x: str) -> str:
    """Opset 20 has an operator. Before: x * (1 + erf(x / sqrt(2))) / 2, or the formula of tanh."""
    if place.opset >= 20:
        return place.add("Gelu", x, approximate=layer.approximate)
    if layer.approximate == "none":
        scaled = place.add("Mul", x, place.constant(math.sqrt(0.5), "sqrt_half"))
        curve = place.add("Erf", scaled)
    else:
        cube = place.add("Mul", place.add("Mul", x, x), x)
        cube = place.add("Mul", cube, place.constant(0.044715, "cubic"))
        slope = place.constant(math.sqrt(2 / math.pi), "slope")
        curve = place.add("Tanh", place.add("Mul", place.add("Add", x, cube), slope))
    half = place.add("Mul", x, place.constant(0.5, "half"))
    return place.add("Mul", half, place.add("Add", curve, place.constant(1.0, "one")))


def softplus(place: Place, layer: Softplus, x: str) -> str:
    beta = place.constant(layer.beta, "beta")
    scaled = x if layer.beta == 1 else place.add("Mul", x, beta)
    y = place.add("Softplus", scaled)
    y = y if layer.beta == 1 else place.add("Div", y, beta)
    if layer.threshold >= 20:  # log(1 + exp(20)) is 20 in float32
        return y
    above = place.add("Greater", scaled, place.constant(layer.threshold, "threshold"))
    return place.add("Where", above, x, y)


def softmax(place: Place, layer: Softmax, x: str) -> str:
    return place.add("Softmax", x, axis=layer.axis)


def log_softmax(place: Place, layer: LogSoftmax, x: str) -> str:
    return place.add("LogSoftmax", x, axis=layer.axis)


# -- shapes ----------------------------------------------------------------------------------------


def flatten(place: Place, layer: Flatten, x: str) -> str:
    if layer.start_dim == 1:
        return place.add("Flatten", x, axis=1)
    if layer.start_dim == 0:
        raise ValueError("onnx.save: Flatten(0) joins samples, and the batch must stay an axis")
    return place.add("Reshape", x, _sample_shape(place))


def reshape(place: Place, layer: Reshape, x: str) -> str:
    return place.add("Reshape", x, _sample_shape(place))


def concat(place: Place, layer: Concat, *inputs: str) -> str:
    return place.add("Concat", *inputs, axis=layer.axis)


def add(place: Place, layer: Add, *inputs: str) -> str:
    return place.add("Add" if len(inputs) == 2 else "Sum", *inputs)


def zero_pad(place: Place, layer: Any, x: str) -> str:
    left, right, top, bottom = sides(type(layer).__name__, layer._sides())
    return _pad(place, x, _pads(layer, ((top, bottom), (left, right))))


def upsample(place: Place, layer: Upsample, x: str) -> str:
    """The output size as numbers, unless a factor also determines the distance of the pixels."""
    if layer.mode == "nearest":
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        how |= {"mode": "nearest"}
    else:
        corners = "align_corners" if layer.align_corners else "half_pixel"
        how = {"coordinate_transformation_mode": corners, "mode": "linear"}
    if layer.scale_factor is None or layer.align_corners:
        start = place.add("Shape", x, start=0, end=2)
        sizes = place.add("Concat", start, place.constant(place.shape[1:], "size"), axis=0)
        return place.add("Resize", x, "", "", sizes, **how)
    factors = layer.scale_factor
    rows, columns = factors if checks.is_sequence(factors) else (factors, factors)
    scales = place.constant(np.array([1, 1, rows, columns], np.float32), "scales")
    return place.add("Resize", x, "", scales, **how)


def _sample_shape(place: Place) -> str:
    """The output's shape; 0 is "as before", for the batch."""
    return place.constant([0, *place.shape], "shape")


def _pad(place: Place, x: str, pads: list[int]) -> str:
    n = len(pads) // 2
    return place.add("Pad", x, place.constant([0, 0, *pads[:n], 0, 0, *pads[n:]], "pads"))


EMITTERS: dict[type[Layer], Emitter] = {
    Identity: nothing,
    Dropout: nothing,
    Dropout2D: nothing,
    Conv1D: conv,
    Conv2D: conv,
    ConvTranspose1D: conv_transpose,
    ConvTranspose2D: conv_transpose,
    Linear: linear,
    Embedding: embedding,
    MaxPool1D: max_pool,
    MaxPool2D: max_pool,
    AvgPool1D: avg_pool,
    AvgPool2D: avg_pool,
    AdaptiveAvgPool1D: adaptive_avg_pool,
    AdaptiveAvgPool2D: adaptive_avg_pool,
    GlobalAvgPool1D: operator("GlobalAveragePool"),
    GlobalAvgPool2D: operator("GlobalAveragePool"),
    BatchNorm1D: batch_norm,
    BatchNorm2D: batch_norm,
    InstanceNorm2D: instance_norm,
    GroupNorm: group_norm,
    LayerNorm: layer_norm,
    LocalResponseNorm: local_response_norm,
    ReLU: operator("Relu"),
    ReLU6: relu6,
    LeakyReLU: leaky_relu,
    PReLU: prelu,
    ELU: elu,
    GELU: gelu,
    SiLU: silu,
    Mish: mish,
    Sigmoid: operator("Sigmoid"),
    Tanh: operator("Tanh"),
    Hardsigmoid: hardsigmoid,
    Hardswish: operator("HardSwish"),
    Softplus: softplus,
    Softmax: softmax,
    LogSoftmax: log_softmax,
    Flatten: flatten,
    Reshape: reshape,
    ZeroPad1D: zero_pad,
    ZeroPad2D: zero_pad,
    Upsample: upsample,
    Add: add,
    Multiply: operator("Mul"),
    Concat: concat,
}
