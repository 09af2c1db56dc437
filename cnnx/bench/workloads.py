"""The workloads: `OPS`, calls of every op at sizes of real networks, and `MODELS`, whole steps.

    for workload in OPS["conv2d"]:
        task = workload.prepare(np.random.default_rng(0))
        y = task.run()                       # on the backend in use

To add a size of an op, add it to the list in its line; to add a model, add a line to `MODELS`.
This file is longer than others because all workloads are in one place.
"""

# Design:
# Sizes are those of LeNet, of CIFAR networks, and of ResNet and MobileNet at their own resolution:
# from 100,000 numbers up, where the work outweighs the call overhead. The few smaller ones (logits
# of 64x10, LeNet's Linear) occur in every training step. The first size of an op is used in a quick
# run.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from cnnx import ops
from cnnx.losses import CrossEntropyLoss
from cnnx.optim import Adam

from .sizes import (
    DecoupledParameters,
    DenormalDense,
    DenormalWindows,
    Dense,
    DilatedWindows,
    Padded,
    Parameters,
    Resized,
    Shape,
    Shapes,
    Step,
    TiedWindows,
    Windows,
)
from .task import IN_PLACE, Arguments, Draw, Workload

__all__ = ["LAYERS", "MEMORY", "MODELS", "OPS", "all_workloads"]

OPS: dict[str, list[Workload]] = {}


def _add(
    op: str,
    sizes: list[Any],
    flops: Callable[[Any], float],
    arguments: Callable[[Draw, Any], Arguments],
    matrix: bool = False,
) -> None:
    OPS[op] = [Workload(op, size, flops, arguments, matrix) for size in sizes]


CONVOLUTIONS = [
    Windows(64, 16, 14, 14, 32, 3, 1, 1),
    Windows(64, 1, 28, 28, 16, 3, 1, 1),
    Windows(64, 6, 14, 14, 16, 5),
    Windows(64, 3, 32, 32, 64, 3, 1, 1),
    Windows(64, 64, 32, 32, 64, 3, 1, 1),
    Windows(64, 128, 16, 16, 128, 3, 1, 1),
    Windows(64, 256, 8, 8, 256, 3, 1, 1),
    Windows(64, 512, 4, 4, 512, 3, 1, 1),
    Windows(1, 64, 56, 56, 64, 3, 1, 1),
    Windows(8, 64, 56, 56, 64, 3, 1, 1),
    Windows(1, 512, 7, 7, 512, 3, 1, 1),
    Windows(8, 512, 7, 7, 512, 3, 1, 1),
    Windows(64, 64, 32, 32, 128, 3, 2, 1),
    Windows(64, 64, 32, 32, 128, 1, 2),
    Windows(8, 64, 56, 56, 256, 1),
    Windows(8, 256, 56, 56, 64, 1),
    Windows(32, 16, 32, 32, 96, 1),
    Windows(32, 384, 4, 4, 64, 1),
    Windows(1, 3, 224, 224, 64, 7, 2, 3),
    Windows(8, 3, 224, 224, 64, 7, 2, 3),
    Windows(8, 32, 112, 112, 32, 3, 1, 1, 32),
    Windows(8, 192, 28, 28, 192, 3, 2, 1, 192),
    Windows(32, 192, 16, 16, 192, 3, 1, 1, 192),
    Windows(32, 960, 4, 4, 960, 3, 1, 1, 960),
    Windows(8, 128, 28, 28, 128, 3, 1, 1, 32),
]
# A transposed convolution is named after the convolution of which it is the transpose.
TRANSPOSED = [Windows(64, 64, 32, 32, 128, 4, 2, 1), Windows(8, 32, 56, 56, 64, 2, 2)]
COLUMNS = [Windows(64, 16, 14, 14, 0, 3, 1, 1), Windows(64, 3, 32, 32, 0, 5, 1, 2)]
POOLS = [Windows(64, 64, 32, 32, 0, 2, 2), Windows(64, 16, 28, 28, 0, 2, 2)]
POOLS += [Windows(64, 64, 32, 32, 0, 3, 2, 1)]


def _x(draw: Draw, s: Windows | Dense, *shape: int) -> np.ndarray:
    """Normal random numbers, or denormal ones if the size says so."""
    x = draw.normal(*shape)
    return (
        x * (np.finfo(x.dtype).tiny / 8) if isinstance(s, (DenormalWindows, DenormalDense)) else x
    )


def _conv2d(draw: Draw, s: Windows) -> Arguments:
    # Weights as small as initialised ones, so that outputs are in the range of real activations.
    weight = draw.normal(s.oc, s.c // s.groups, s.k, s.k) / np.sqrt(s.c // s.groups * s.k**2)
    weight = weight.astype(draw.dtype)
    options = {**s.options(), "groups": s.groups}
    x = _x(draw, s, *s.x_shape)
    return {"x": x, "weight": weight, "bias": draw.normal(s.oc), **options}


def _conv2d_backward(draw: Draw, s: Windows) -> Arguments:
    arguments = _conv2d(draw, s)
    del arguments["bias"]
    return {"dy": draw.normal(s.n, s.oc, *s.out), **arguments, "need_dx": s.need_dx}


# Backward is two convolutions: dy with the weight gives dx, dy with x gives dweight. A separate row
# measures dweight alone; dx alone is never computed in practice.
WEIGHT_ONLY = [s._replace(need_dx=False) for s in CONVOLUTIONS]
FAINT = DenormalWindows(64, 16, 14, 14, 32, 3, 1, 1)
_add("conv2d", [*CONVOLUTIONS, FAINT], lambda s: 2 * s.macs, _conv2d, matrix=True)
_add(
    "conv2d_backward",
    CONVOLUTIONS + WEIGHT_ONLY,
    lambda s: (4 if s.need_dx else 2) * s.macs,
    _conv2d_backward,
    matrix=True,
)


def _conv_transpose2d(draw: Draw, s: Windows) -> Arguments:
    arguments = _conv2d(draw, s)
    return {**arguments, "x": draw.normal(s.n, s.oc, *s.out), "bias": draw.normal(s.c)}


def _conv_transpose2d_backward(draw: Draw, s: Windows) -> Arguments:
    arguments = _conv_transpose2d(draw, s)
    del arguments["bias"]
    size = [(out - 1) * s.stride - 2 * s.padding + s.k for out in s.out]
    return {"dy": draw.normal(s.n, s.c, *size), **arguments}


_add("conv_transpose2d", TRANSPOSED, lambda s: 2 * s.macs, _conv_transpose2d, matrix=True)
_add(
    "conv_transpose2d_backward",
    TRANSPOSED,
    lambda s: 4 * s.macs,
    _conv_transpose2d_backward,
    matrix=True,
)


def _im2col(draw: Draw, s: Windows) -> Arguments:
    return {"x": draw.normal(*s.x_shape), "kernel_size": s.k, **s.options()}


def _col2im(draw: Draw, s: Windows) -> Arguments:
    cols = draw.normal(s.n * s.out[0] * s.out[1], s.c * s.k**2)
    return {"cols": cols, "x_shape": s.x_shape, "kernel_size": s.k, **s.options()}


_add("im2col", COLUMNS, lambda s: 0, _im2col)  # copies only
_add("col2im", COLUMNS, lambda s: s.taps, _col2im)  # an addition per entry


def _pool_backward(draw: Draw, s: Windows) -> Arguments:
    dy = draw.normal(s.n, s.c, *s.out)
    return {"dy": dy, "x_shape": s.x_shape, "kernel_size": s.k, **s.options()}


def _max_pool2d_backward(draw: Draw, s: Windows) -> Arguments:
    forward, more = _im2col(draw, s), {}
    if isinstance(s, TiedWindows):
        forward["x"] = np.maximum(forward["x"], 0)  # as after a ReLU: equal zeros
        more = {"ties": "all", "x": forward["x"]}
    _, argmax = ops.max_pool2d(**forward)
    return {"argmax": argmax, **_pool_backward(draw, s), **more}


def _relu_max_pool2d_backward(draw: Draw, s: Windows) -> Arguments:
    _, argmax = ops.relu_max_pool2d(**_im2col(draw, s))
    return {"argmax": argmax, **_pool_backward(draw, s)}


# For k*k cells, k*k - 1 comparisons or additions remain; a mean is scaled once.
DILATED = DilatedWindows(64, 64, 32, 32, 0, 3, 1)
_add("max_pool2d", [*POOLS, DILATED], lambda s: s.taps - s.outputs, _im2col)
TIED = TiedWindows(64, 16, 28, 28, 0, 2, 2)
_add(
    "max_pool2d_backward",
    [*POOLS, TIED, DILATED],
    lambda s: 2 * s.taps if isinstance(s, TiedWindows) else s.outputs,  # compared, added
    _max_pool2d_backward,
)
_add("relu_max_pool2d", POOLS, lambda s: s.taps, _im2col)
_add("relu_max_pool2d_backward", POOLS, lambda s: s.outputs, _relu_max_pool2d_backward)
_add("avg_pool2d", POOLS, lambda s: s.taps, _im2col)
_add("avg_pool2d_backward", POOLS, lambda s: s.taps + s.outputs, _pool_backward)

IMAGES = [Shape((64, 64, 32, 32)), Shape((64, 256, 8, 8))]


def _global_avg_pool2d_backward(draw: Draw, s: Shape) -> Arguments:
    return {"dy": draw.normal(s[0], s[1], 1, 1), "x_shape": tuple(s)}


_add("global_avg_pool2d", IMAGES, lambda s: s.elements, lambda draw, s: {"x": draw.normal(*s)})
_add("global_avg_pool2d_backward", IMAGES, lambda s: s[0] * s[1], _global_avg_pool2d_backward)


def _to_size(draw: Draw, s: Resized) -> Arguments:
    return {"x": draw.normal(*s.x_shape), "output_size": (s.oh, s.ow)}


def _from_size(draw: Draw, s: Resized) -> Arguments:
    return {"dy": draw.normal(*s.y_shape), "x_shape": s.x_shape}


# The last is that of a network whose images are of any size: windows that overlap.
ADAPTED = [Resized(32, 256, 14, 14, 7, 7), Resized(64, 64, 32, 32, 1, 1)]
ADAPTED += [Resized(16, 256, 28, 28, 4, 4), Resized(16, 256, 17, 23, 7, 7)]
_add("adaptive_avg_pool2d", ADAPTED, lambda s: np.prod(s.x_shape), _to_size)
_add("adaptive_avg_pool2d_backward", ADAPTED, lambda s: np.prod(s.x_shape), _from_size)


def _interpolate(draw: Draw, s: Resized) -> Arguments:
    return {"x": draw.normal(*s.x_shape), "size": (s.oh, s.ow), "mode": s.mode}


def _interpolate_backward(draw: Draw, s: Resized) -> Arguments:
    return {**_from_size(draw, s), "size": (s.oh, s.ow), "mode": s.mode}


def _resized_flops(s: Resized) -> float:
    """A mean of four: two products and a sum along the row, and again across; backward alike."""
    return 9.0 * np.prod(s.y_shape) if s.mode == "bilinear" else 0.0


RESIZED = [
    Resized(16, 64, *sizes, mode)
    for sizes in ((28, 28, 56, 56), (50, 50, 75, 85), (56, 56, 28, 28))
    for mode in ("nearest", "bilinear")
]
_add("interpolate", RESIZED, _resized_flops, _interpolate)
_add("interpolate_backward", RESIZED, _resized_flops, _interpolate_backward)

_add(
    "zero_pad2d",
    [Padded(64, 64, 32, 32, 1), Padded(64, 3, 224, 224, 3), Padded(64, 64, 34, 34, -1)],
    lambda s: 0,  # copies only
    lambda draw, s: {"x": draw.normal(*s[:4]), "padding": s.padding},
)


def _linear(draw: Draw, s: Dense) -> Arguments:
    weight = (draw.normal(s.outputs, s.inputs) / np.sqrt(s.inputs)).astype(draw.dtype)
    x = _x(draw, s, s.n, s.inputs)
    return {"x": x, "weight": weight, "bias": draw.normal(s.outputs)}


def _linear_backward(draw: Draw, s: Dense) -> Arguments:
    arguments = _linear(draw, s)
    del arguments["bias"]
    return {"dy": draw.normal(s.n, s.outputs), **arguments}


def _linear_macs(s: Dense) -> int:
    return s.n * s.inputs * s.outputs


DENSE = [
    Dense(256, 4096, 1000),
    Dense(64, 1568, 128),
    Dense(64, 400, 120),
    Dense(64, 120, 84),
    Dense(64, 512, 10),
    Dense(1, 4096, 1000),
]
_add(
    "linear",
    [*DENSE, DenormalDense(64, 1568, 128)],
    lambda s: 2 * _linear_macs(s),
    _linear,
    matrix=True,
)
_add("linear_backward", DENSE, lambda s: 4 * _linear_macs(s), _linear_backward, matrix=True)


def _batch_norm(draw: Draw, s: Shape) -> Arguments:
    c = s[1]
    running = {"running_mean": draw.zeros(c), "running_var": draw.zeros(c) + 1}
    return {"x": draw.normal(*s), "weight": draw.uniform(c), "bias": draw.normal(c), **running}


def _batch_norm_backward(draw: Draw, s: Shape) -> Arguments:
    forward = _batch_norm(draw, s)
    _, mean, inv_std = ops.batch_norm(**forward)
    saved = {"x": forward["x"], "weight": forward["weight"], "mean": mean, "inv_std": inv_std}
    return {"dy": draw.normal(*s), **saved}


# A value: 1 for the mean, 3 for the variance, then less the mean, scaled, shifted. Backward: 5 for
# the two sums, then dy - mean(dy) - normalised * mean(dy * normalised), scaled.
NORMS = [Shape((64, 64, 32, 32)), Shape((256, 1024)), Shape((64, 512, 4, 4))]
_add("batch_norm", NORMS, lambda s: 7 * s.elements, _batch_norm)
_add("batch_norm_backward", NORMS, lambda s: 9 * s.elements, _batch_norm_backward)


def _embedding(draw: Draw, s: Dense) -> Arguments:
    return {"indices": draw.labels(s.n, s.inputs), "weight": draw.normal(s.inputs, s.outputs)}


def _embedding_backward(draw: Draw, s: Dense) -> Arguments:
    given = {"indices": draw.labels(s.n, s.inputs), "num_embeddings": s.inputs}
    return {"dy": draw.normal(s.n, s.outputs), **given}


# So many words of a vocabulary, as vectors.
WORDS = [Dense(8192, 10000, 128), Dense(8192, 100, 64)]
_add("embedding", WORDS, lambda s: 0, _embedding)  # copies only
_add("embedding_backward", WORDS, lambda s: s.n * s.outputs, _embedding_backward)


def _row_norm(op: str, key: str, sizes: list[Shape]) -> None:
    """The same of rows: group_norm with 8 groups, layer_norm of the last axis."""

    def arguments(draw: Draw, s: Shape) -> Arguments:
        c = s[1]
        group = {key: math.gcd(c, 8) if op == "group_norm" else c}
        return {"x": draw.normal(*s), **group, "weight": draw.uniform(c), "bias": draw.normal(c)}

    def arguments_backward(draw: Draw, s: Shape) -> Arguments:
        forward = arguments(draw, s)
        _, mean, inv_std = getattr(ops, op)(**forward)
        del forward["bias"]
        return {"dy": draw.normal(*s), **forward, "mean": mean, "inv_std": inv_std}

    _add(op, sizes, lambda s: 7 * s.elements, arguments)
    _add(f"{op}_backward", sizes, lambda s: 10 * s.elements, arguments_backward)


GROUPED = [Shape((64, 64, 32, 32)), Shape((16, 256, 14, 14)), Shape((64, 256, 8, 8))]
_row_norm("group_norm", "num_groups", GROUPED)
_row_norm("layer_norm", "normalized_shape", [Shape((2048, 768)), Shape((8192, 96))])


def _response(draw: Draw, s: Shape) -> Arguments:
    return {"x": draw.normal(*s), "size": 5}


def _response_backward(draw: Draw, s: Shape) -> Arguments:
    return {"dy": draw.normal(*s), **_response(draw, s)}


# A window of five squares, scaled, shifted, raised to a power, and the quotient; backward: that
# twice, and a window of products.
RESPONSES = [Shape((64, 64, 32, 32)), Shape((8, 96, 27, 27))]
_add("local_response_norm", RESPONSES, lambda s: 14 * s.elements, _response)
_add("local_response_norm_backward", RESPONSES, lambda s: 26 * s.elements, _response_backward)


def _elementwise(op: str, sizes: list[Shape], forward: int, backward: int, saved: str) -> None:
    """A function of single numbers or rows, whose backward reads dy and one cached array."""

    def arguments(draw: Draw, s: Shape) -> Arguments:
        return {"x": draw.normal(*s)}

    def arguments_backward(draw: Draw, s: Shape) -> Arguments:
        x = draw.normal(*s)
        return {"dy": draw.normal(*s), saved: x if saved == "x" else getattr(ops, op)(x)}

    _add(op, sizes, lambda s: forward * s.elements, arguments)
    _add(f"{op}_backward", sizes, lambda s: backward * s.elements, arguments_backward)


ACTIVATIONS = [Shape((64, 64, 32, 32)), Shape((64, 16, 28, 28))]
ROWS = [Shape((256, 1000)), Shape((10000, 10))]
_elementwise("relu", ACTIVATIONS, 1, 1, "y")
_elementwise("relu6", ACTIVATIONS, 2, 2, "y")
_elementwise("hardsigmoid", ACTIVATIONS, 4, 2, "y")
_elementwise("hardswish", ACTIVATIONS, 5, 5, "x")
_elementwise("leaky_relu", ACTIVATIONS, 2, 2, "x")
_elementwise("sigmoid", ACTIVATIONS, 4, 3, "y")  # 1 / (1 + exp(-x)); dy * y * (1 - y)
_elementwise("tanh", ACTIVATIONS, 1, 3, "y")  # dy * (1 - y * y)
_elementwise("elu", ACTIVATIONS, 3, 3, "x")
_elementwise("gelu", ACTIVATIONS, 3, 7, "x")  # x * P; P + x * density
_elementwise("silu", ACTIVATIONS, 4, 8, "x")
_elementwise("softplus", ACTIVATIONS, 3, 4, "x")
_elementwise("mish", ACTIVATIONS, 5, 9, "x")
_elementwise("softmax", ROWS, 5, 4, "y")  # max, less it, exp, sum, divide; y * (dy - sum(dy * y))
_elementwise("log_softmax", ROWS, 5, 4, "y")  # max, less it, exp, sum, less; dy - exp(y) * sum(dy)


def _two_arrays(draw: Draw, s: Shape) -> Arguments:
    return {"x": draw.normal(*s), "y": draw.normal(*s)}


_add("add", ACTIVATIONS, lambda s: s.elements, _two_arrays)


def _prelu(draw: Draw, s: Shape) -> Arguments:
    return {"x": draw.normal(*s), "weight": draw.uniform(s[1])}


def _prelu_backward(draw: Draw, s: Shape) -> Arguments:
    return {"dy": draw.normal(*s), **_prelu(draw, s)}


SLOPED = [*ACTIVATIONS, Shape((8192, 96)), Shape((64, 512, 4, 4))]
_add("prelu", SLOPED, lambda s: 2 * s.elements, _prelu)
_add("prelu_backward", SLOPED, lambda s: 4 * s.elements, _prelu_backward)


# Gates of squeeze-and-excitation and of MobileNetV3, then one for each pixel, and two images.
PRODUCTS = [
    Shapes((Shape((64, 64, 32, 32)), Shape((64, 64, 1, 1)))),
    Shapes((Shape((8, 256, 56, 56)), Shape((8, 256, 1, 1)))),
    Shapes((Shape((32, 960, 7, 7)), Shape((32, 960, 1, 1)))),
    Shapes((Shape((64, 64, 32, 32)), Shape((64, 1, 32, 32)))),
    Shapes((Shape((64, 64, 32, 32)), Shape((64, 64, 32, 32)))),
]


def _binary(draw: Draw, s: Shapes) -> Arguments:
    return {"x": draw.normal(*s[0]), "y": draw.normal(*s[1]), "function": "subtract"}


_add("binary", PRODUCTS, lambda s: s[0].elements, _binary)
_add(
    "unary",
    ACTIVATIONS,
    lambda s: s.elements,
    lambda draw, s: {"x": draw.normal(*s), "function": "exp"},
)
# Sums over pixels, over rows, and over columns.
_add(
    "reduce",
    [Shape((64, 64, 32, 32)), Shape((2048, 768)), Shape((1, 512, 1024))],
    lambda s: s.elements,
    lambda draw, s: {
        "x": draw.normal(*s),
        "function": "sum",
        "axes": {4: (2, 3), 2: (1,), 3: (1,)}[len(s)],
    },
)


def _lstm(draw: Draw, s: Shape) -> Arguments:
    """s: steps, n, inputs, hidden."""
    steps, n, inputs, hidden = s
    w, r = draw.normal(1, 4 * hidden, inputs) / 8, draw.normal(1, 4 * hidden, hidden) / 8
    x, b = draw.normal(steps, n, inputs), draw.normal(1, 8 * hidden)
    return {"x": x, "w": w.astype(x.dtype), "r": r.astype(x.dtype), "b": b}


_add(
    "lstm",
    [Shape((100, 1, 128, 128)), Shape((100, 8, 128, 128)), Shape((50, 32, 256, 256))],
    lambda s: 8 * s[0] * s[1] * s[3] * (s[2] + s[3]),
    _lstm,
)
_add(
    "pad",
    [Shape((64, 64, 32, 32)), Shape((64, 3, 224, 224))],
    lambda s: 0,  # copies only
    lambda draw, s: {
        "x": draw.normal(*s),
        "padding": [(0, 0), (0, 0), (1, 1), (2, 2)],
        "mode": "reflect",
    },
)


def _multiply(draw: Draw, s: Shapes) -> Arguments:
    return {"x": draw.normal(*s[0]), "y": draw.normal(*s[1])}


def _multiply_backward(draw: Draw, s: Shapes) -> Arguments:
    return {"dy": draw.normal(*s[0]), **_multiply(draw, s)}


# A product a gradient, and an addition where they are summed.
_add("multiply", PRODUCTS, lambda s: s[0].elements, _multiply)
_add(
    "multiply_backward",
    PRODUCTS,
    lambda s: (2 if s[0] == s[1] else 3) * s[0].elements,
    _multiply_backward,
)

# A block of DenseNet-121 at its fourth and at its last layer, one on images of CIFAR's size, the
# branches of an Inception block, and a skip of U-Net.
JOINED = [
    Shapes([Shape((8, 64, 56, 56)), *[Shape((8, 32, 56, 56))] * 3]),
    Shapes([Shape((8, 256, 14, 14)), *[Shape((8, 32, 14, 14))] * 23]),
    Shapes([Shape((64, 24, 32, 32)), *[Shape((64, 12, 32, 32))] * 11]),
    Shapes(Shape((32, c, 28, 28)) for c in (64, 128, 32, 32)),
    Shapes((Shape((8, 64, 128, 128)), Shape((8, 64, 128, 128)))),
]


def _concat(draw: Draw, s: Shapes) -> Arguments:
    return {"arrays": [draw.normal(*shape) for shape in s]}


def _split(draw: Draw, s: Shapes) -> Arguments:
    return {"x": draw.normal(*s.joined), "sizes": tuple(shape[1] for shape in s)}


_add("concat", JOINED, lambda s: 0, _concat)  # copies only
_add("split", JOINED, lambda s: 0, _split)


def _dropout(op: str, name: str) -> None:
    """One multiplication by 0 or 1 / (1 - p); making the mask is integer work."""

    def arguments(draw: Draw, s: Shape) -> Arguments:
        return {name: draw.normal(*s), "p": 0.5, "seed": 1, "call": 2}

    _add(op, [Shape((64, 64, 32, 32)), Shape((64, 2048))], lambda s: s.elements, arguments)


_dropout("dropout", "x")
_dropout("dropout_backward", "dy")


def _cross_entropy(draw: Draw, s: Shape) -> Arguments:
    return {"logits": draw.normal(*s), "target": draw.labels(*s)}


# Softmax, then less the target and divided by n.
LOGITS = [Shape((256, 1000)), Shape((64, 10)), Shape((10000, 10))]
_add("cross_entropy", LOGITS, lambda s: 7 * s.elements, _cross_entropy)


_add("focal", LOGITS, lambda s: 7 * s.elements, _cross_entropy)


def _nll(draw: Draw, s: Shape) -> Arguments:
    return {"log_p": draw.normal(*s), "target": draw.labels(*s)}


_add("nll", LOGITS, lambda s: s.elements, _nll)  # zeros, and one number of each row


def _binary_focal(draw: Draw, s: Shape) -> Arguments:
    return {"logits": draw.normal(*s), "target": np.round(draw.uniform(*s))}


_add("binary_focal", [Shape((256, 1000))], lambda s: 20 * s.elements, _binary_focal)


def _loss(op: str, name: str, flops: int) -> None:
    """A loss of pairs of numbers, with its gradient."""

    def arguments(draw: Draw, s: Shape) -> Arguments:
        return {name: draw.uniform(*s), "target": draw.uniform(*s)}

    _add(op, [Shape((256, 1000)), Shape((1000, 1000))], lambda s: flops * s.elements, arguments)


_loss("mse", "pred", 4)  # difference, square, sum; scaled difference
_loss("bce", "pred", 12)  # 8 in the loss, two of them logarithms; (p - t) / (p * (1 - p)), scaled
_loss("l1", "pred", 4)
_loss("huber", "pred", 8)
_loss("smooth_l1", "pred", 8)
_loss("bce_with_logits", "logits", 12)  # 8 in max(z, 0) - z*t + log1p(exp(-|z|)), 4 in the gradient


LENET = Parameters((150, 6, 2400, 16, 48000, 120, 10080, 84, 840, 10))
ONE = Parameters((1_000_000,))
LARGE = Parameters((512 * 512 * 9, 512) * 4 + (256 * 256 * 9, 256) * 3)  # as in ResNet-18: 11M


def _step(op: str, flops: int, **options: float) -> None:
    """An optimiser step from an empty state, as in PyTorch's optimiser."""

    def arguments(draw: Draw, s: Parameters) -> Arguments:
        given = {name: [draw.normal(size) for size in s] for name in ("params", "grads")}
        state = {name: draw.zeros(s.elements) for name in IN_PLACE[op] if name != "params"}
        more: Arguments = {}
        if op == "rmsprop_step":
            more = {"grad_avg": None, "velocity": None}
        if isinstance(s, DecoupledParameters):
            more = {"weight_decay": 0.01, "decoupled": True}
        return {**given, **state, "lr": 1e-3, **options, **more}

    decoupled = [DecoupledParameters(ONE), DecoupledParameters(LARGE)] if op == "adam_step" else []
    _add(op, [ONE, LENET, LARGE, *decoupled], lambda s: flops * s.elements, arguments)


_step("sgd_step", 4, momentum=0.9)
_step("rmsprop_step", 9)
_step("adagrad_step", 7)
_step("adam_step", 13, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, step=1)

_MU = [0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2)]  # PyTorch's, with float32 products
_step(
    "nadam_step",
    15,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    mu=_MU[0],
    mu_next=_MU[1],
    mu_product=float(np.float32(_MU[0])),
    step=1,
)


def _ema(draw: Draw, s: Parameters) -> Arguments:
    averages, values = ([draw.normal(size) for size in s] for _ in range(2))
    return {"averages": averages, "values": values, "decay": 0.999}


_add("ema_step", [ONE, LENET, LARGE], lambda s: 3 * s.elements, _ema)

# --------------------------------------------------------------------------------------- models


def _train(draw: Draw, s: Step) -> Arguments:
    model = s.build().astype(draw.dtype)
    return {
        "model": model,
        # Such a small step barely changes the weights: the thousandth call does the same work on
        # the same kind of numbers as the first, where real training would reach zero gradients.
        "optimizer": Adam(model.parameters(), lr=1e-9),
        "loss_fn": CrossEntropyLoss(),
        "x": draw.normal(s.batch, *s.input_shape),
        "y": _labels(draw, s, model.output_shape(s.input_shape)[1:]),
    }


def _labels(draw: Draw, s: Step, pixels: tuple[int, ...]) -> np.ndarray:
    """A class for each sample, or for each of its pixels."""
    labels = draw.labels(s.batch * math.prod(pixels), s.classes)
    return labels.reshape(s.batch, *pixels)


def _predict(draw: Draw, s: Step) -> Arguments:
    x = draw.normal(s.batch, *s.input_shape)
    return {"model": s.build().astype(draw.dtype).eval(), "x": x}


def _predict_flops(s: Step) -> float:
    """Of matrix products only: everything else is a few percent."""
    return 2.0 * s.batch * s.build().summary(s.input_shape).macs


def _model(name: str, input_shape: tuple[int, int, int], *train: int) -> list[Workload]:
    """Training at these batch sizes, and inference of 1 and 32 images."""
    # Backward costs two forwards. The first layer's dx is not computed, but counted nonetheless.
    steps = [Step(name, input_shape, batch) for batch in train]
    rows = [Workload("train", s, lambda s: 3 * _predict_flops(s), _train, True) for s in steps]
    single = [Step(name, input_shape, batch) for batch in (1, 32)]
    return [*rows, *(Workload("predict", s, _predict_flops, _predict, True) for s in single)]


CIFAR = (3, 32, 32)
MODELS: dict[str, list[Workload]] = {
    "lenet5": _model("lenet5", (1, 28, 28), 64, 32),
    "mnist_cnn": _model("mnist_cnn", (1, 28, 28), 64, 32),
    "digits_cnn": _model("digits_cnn", (1, 8, 8), 32),
    "mlp": _model("mlp", (1, 28, 28), 64),
    "vgg": _model("vgg", CIFAR, 64),
    "resnet20": _model("resnet20", CIFAR, 64),
    "resnet18": _model("resnet18", CIFAR, 32),
    "mobilenet_v2": _model("mobilenet_v2", CIFAR, 32),
    "densenet": _model("densenet", CIFAR, 64),
    "squeezenet": _model("squeezenet", CIFAR, 64),
    "se_resnet20": _model("se_resnet20", CIFAR, 64),
    "inception_small": _model("inception_small", CIFAR, 32),
    "unet": _model("unet", CIFAR, 32),
}
# The convolutions of `OPS` again, layer by layer, since they make up most of a model's time:
# forward, both gradients, weight gradient only.
LAYERS: dict[str, list[Workload]] = {
    "forward": [row for row in OPS["conv2d"] if row.size is not FAINT],
    "backward": [row for row in OPS["conv2d_backward"] if row.size.need_dx],
    "weight": [row for row in OPS["conv2d_backward"] if not row.size.need_dx],
}

# A step of each model at one batch size, for its memory, without `zero_grad`, which would free the
# gradients.
MEMORY: list[Workload] = [
    replace(rows[0], op="accumulate", size=rows[0].size._replace(batch=64))
    for rows in MODELS.values()
]


def all_workloads() -> list[Workload]:
    """Every op at every size, then every model."""
    return [workload for table in (OPS, MODELS) for rows in table.values() for workload in rows]
