"""Cases of prepared ops, for test_jobs.py: needs the compiled backend.

A family adds its rows to CASES: how to prepare the job, the inputs in the order of `Job.arrays`
(None for an optional one), and the op that gives the expected outputs.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from job_case import Case
from job_cases_elementwise import (
    ACTIVATIONS,
    ARITHMETIC,
    BORDERS,
    CURVES,
    PRELU,
    REDUCTIONS,
    UNARY,
)
from job_cases_layout import LAYOUT

from cnnx.backends import compiled
from cnnx.backends.compiled import jobs

# --- linear

LINEAR = {
    f"linear {n}x{inputs}->{outputs} {activation}": Case(
        lambda dtype, n=n, inputs=inputs, outputs=outputs, activation=activation: (
            jobs.prepare_linear((n, inputs), (outputs, inputs), dtype, activation)
        ),
        lambda x, w, b, activation=activation: (compiled.linear(x, w, b, activation),),
        ((n, inputs), (outputs, inputs), (outputs,) if bias else None),
    )
    for n, inputs, outputs, activation, bias in [
        (1, 7, 5, None, True),
        (3, 400, 120, "relu", True),
        (33, 120, 84, "hardswish", False),
    ]
}


# --- pooling


def codes_below(cells, shape):
    kind = np.uint8 if cells <= 256 else np.int32
    return lambda rng, dtype: rng.integers(cells, size=shape).astype(kind)


def max_pool_cases(x, y, windows, dilation, relu):
    """Of the maximum over windows, of x and y of these shapes, with ReLU or without."""

    def prepare(dtype, **how):
        return jobs.prepare_max_pool2d(x, dtype, *windows, dilation, relu=relu, **how)

    prefix = "relu_" if relu else ""
    forward = getattr(compiled, f"{prefix}max_pool2d")
    backward = getattr(compiled, f"{prefix}max_pool2d_backward")
    codes = codes_below(math.prod(windows[0]) + relu, y)
    cases = {
        "": Case(prepare, lambda image: forward(image, *windows, dilation), (x,)),
        "_backward": Case(
            partial(prepare, backward=True),
            lambda dy, argmax: (backward(dy, argmax, x, *windows, dilation=dilation),),
            (y, codes),
        ),
    }
    if not relu:
        cases["_backward to ties"] = Case(
            partial(prepare, backward=True, ties=True),
            lambda dy, argmax, image: (backward(dy, argmax, x, *windows, image, dilation),),
            (y, codes, x),
        )
    return {
        f"{prefix}max_pool2d{part} {x} by {windows[0]} {dilation}": cases[part] for part in cases
    }


def avg_pool_cases(x, y, windows):
    counted = windows[2]

    def prepare(dtype, backward):
        return jobs.prepare_avg_pool2d(x, dtype, *windows, counted, backward=backward)

    return {
        f"avg_pool2d {x} by {windows[0]}": Case(
            partial(prepare, backward=False),
            lambda image: (compiled.avg_pool2d(image, *windows, counted),),
            (x,),
        ),
        f"avg_pool2d_backward {x} by {windows[0]}": Case(
            partial(prepare, backward=True),
            lambda dy: (compiled.avg_pool2d_backward(dy, x, *windows, counted),),
            (y,),
        ),
    }


def adaptive_cases(x, size):
    def prepare(dtype, backward):
        return jobs.prepare_adaptive_avg_pool2d(x, dtype, size, backward)

    return {
        f"adaptive_avg_pool2d to {size}": Case(
            partial(prepare, backward=False),
            lambda image: (compiled.adaptive_avg_pool2d(image, size),),
            (x,),
        ),
        f"adaptive_avg_pool2d_backward from {size}": Case(
            partial(prepare, backward=True),
            lambda dy: (compiled.adaptive_avg_pool2d_backward(dy, x),),
            ((*x[:2], *size),),
        ),
    }


POOL = {}
for x_shape, y_size, kernel, stride, rows, columns, dilation in [
    ((1, 6, 28, 28), (14, 14), (2, 2), (2, 2), 0, 0, 1),  # pairs, planes of an even height
    ((2, 3, 17, 18), (8, 9), (2, 2), (2, 2), 0, 0, 1),  # and of an odd one
    ((3, 17, 9, 8), (5, 4), (3, 3), (2, 2), 1, 1, 1),  # windows
    ((1, 2, 20, 21), (5, 5), (16, 17), (1, 1), 0, 0, 1),  # of more than 256 cells
    ((2, 3, 17, 18), (5, 6), (3, 4), (3, 3), 1, 2, 2),  # dilated
]:
    y_shape, windows = (*x_shape[:2], *y_size), (kernel, stride, ((rows, rows), (columns, columns)))
    apart = (dilation, dilation)
    POOL |= max_pool_cases(x_shape, y_shape, windows, apart, relu=False)
    POOL |= max_pool_cases(x_shape, y_shape, windows, apart, relu=True)
    if dilation == 1:
        POOL |= avg_pool_cases(x_shape, y_shape, windows)
for size in [(1, 1), (4, 8), (3, 5)]:
    POOL |= adaptive_cases((2, 5, 8, 16), size)


# --- batch normalisation


def positive(channels):
    return lambda rng, dtype: rng.uniform(0.5, 2, channels).astype(dtype)


def norm_cases(x, activation, training, all_arrays):
    eps, c = 1e-5, x[1:2]
    affine, add = ((c, c), x) if all_arrays else ((None, None), None)
    running = (None, None) if training else (c, positive(c))
    of = f"{x} {'training' if training else 'inference'}"
    return {
        f"batch_norm {of}": Case(
            lambda dtype: jobs.prepare_batch_norm(x, dtype, training, eps, activation),
            lambda x, weight, bias, add, mean, var, momentum: compiled.batch_norm(
                x, weight, bias, mean, var, training, 0, eps, activation, add
            ),
            (x, *affine, add, *running, None),
        ),
        f"batch_norm_backward {of}": Case(
            lambda dtype: jobs.prepare_batch_norm_backward(x, dtype, training, activation),
            lambda dy, x, weight, bias, mean, inv_std: compiled.batch_norm_backward(
                dy, x, weight, mean, inv_std, training, bias, activation
            ),
            (x, x, *affine, c, positive(c)),
        ),
    }


NORM = {}
for training in (True, False):
    NORM |= norm_cases((4, 5, 200), None, training, all_arrays=False)  # planes
    NORM |= norm_cases((4, 33, 9), "relu", training, all_arrays=True)  # columns
    NORM |= norm_cases((16, 300, 1), "hardswish", training, all_arrays=True)

# --- concatenation

CONCAT = {
    f"concat {sizes} along {axis} of {shape}": Case(
        lambda dtype, shape=shape, sizes=sizes, axis=axis: jobs.prepare_concat(
            [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes], dtype, axis
        ),
        lambda *arrays, axis=axis: (compiled.concat(list(arrays), axis),),
        tuple([(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]),
    )
    for shape, axis, sizes in [
        ((3, 0, 5, 7), 1, (1, 4, 2)),
        ((1, 0, 90, 70), 1, (3, 9)),
        ((0, 5), 0, (2, 1)),
        ((2, 3, 0), 2, (1,) * 63),
    ]
}

# --- padding, resizing, normalisation of each image

PAD = {
    f"zero_pad2d {padding}": Case(
        lambda dtype, padding=padding: jobs.prepare_zero_pad2d((2, 3, 5, 7), dtype, padding),
        lambda x, padding=padding: (compiled.zero_pad2d(x, padding),),
        ((2, 3, 5, 7),),
    )
    for padding in [((1, 2), (3, 0)), ((-1, 1), (0, -2)), ((0, 0), (0, 0))]
}
RESIZED = {
    f"interpolate {size} {mode} {align}": Case(
        lambda dtype, size=size, steps=steps, mode=mode, align=align: jobs.prepare_interpolate(
            (2, 3, 5, 7), dtype, size, steps, mode, align
        ),
        lambda x, size=size, steps=steps, mode=mode, align=align: (
            compiled.interpolate(x, size, steps, mode, align),
        ),
        ((2, 3, 5, 7),),
    )
    for size, steps, mode, align in [
        ((10, 14), (0.5, 0.5), "nearest", False),
        ((4, 9), (5 / 4, 7 / 9), "nearest", False),
        ((10, 14), (0.5, 0.5), "bilinear", False),
        ((9, 3), (4 / 8, 6 / 2), "bilinear", True),
    ]
}


def group_norm_case(shape, groups, weight, bias):
    c = shape[1]

    def op(x, *given):
        vectors = iter(given)
        taken = [next(vectors) if there else None for there in (weight, bias)]
        return compiled.group_norm(x, groups, *taken, 1e-5)

    return Case(
        lambda dtype: jobs.prepare_group_norm(shape, dtype, groups, 1e-5, weight, bias),
        op,
        (shape, *[(c,)] * (weight + bias)),
    )


GROUP_NORM = {
    f"group_norm {shape} {groups} {weight} {bias}": group_norm_case(shape, groups, weight, bias)
    for shape, groups, weight, bias in [
        ((2, 6, 5), 3, True, True),
        ((2, 6, 200), 3, True, True),
        ((3, 40, 1), 1, True, False),
        ((2, 6, 5), 2, False, False),
        ((2, 6, 200), 6, False, True),
    ]
}
RESPONSE_NORM = {
    f"local_response_norm {shape} {size}": Case(
        lambda dtype, shape=shape, size=size: jobs.prepare_local_response_norm(
            shape, dtype, size, 0.3, 0.75, 1.5
        ),
        lambda x, size=size: (compiled.local_response_norm(x, size, 0.3, 0.75, 1.5),),
        (shape,),
    )
    for shape, size in [((2, 7, 5), 5), ((1, 3, 600), 2)]
}

# --- convolution

# Algorithm (of float32), direction, x, weight, y; stride, padding and dilation if not 1, 1 and 1.
CONVOLUTIONS = [
    ("direct", "forward", (2, 3, 9, 20), (5, 3, 3, 3), (2, 5, 9, 20)),
    ("direct", "backward_data", (2, 3, 9, 20), (5, 3, 3, 3), (2, 5, 9, 20)),
    ("direct", "backward_data", (1, 5, 17, 33), (7, 5, 3, 3), (1, 7, 9, 17), 2),
    ("direct", "backward_weight", (5, 3, 9, 20), (20, 3, 3, 3), (5, 20, 5, 10), 2),
    ("direct", "forward", (2, 3, 9, 9), (16, 3, 3, 3), (2, 16, 5, 5), 2),
    ("direct", "forward", (2, 3, 9, 9), (20, 3, 3, 3), (2, 20, 9, 9), 1, 2, 2),
    ("implicit_gemm", "backward_data", (2, 20, 9, 9), (4, 20, 3, 3), (2, 4, 9, 9)),
    ("implicit_gemm", "backward_data", (2, 20, 9, 9), (4, 20, 3, 3), (2, 4, 5, 5), 2),
    ("columns", "forward", (2, 64, 4, 4), (128, 64, 3, 3), (2, 128, 4, 4)),
    ("columns", "backward_data", (2, 64, 4, 4), (128, 64, 3, 3), (2, 128, 4, 4)),
    ("columns", "backward_weight", (2, 64, 4, 4), (128, 64, 3, 3), (2, 128, 4, 4)),
    ("pointwise", "forward", (2, 3, 9, 9), (5, 3, 1, 1), (2, 5, 9, 9), 1, 0),
    ("pointwise", "backward_data", (2, 3, 9, 9), (5, 3, 1, 1), (2, 5, 5, 5), 2, 0),
    ("pointwise", "backward_weight", (2, 3, 9, 9), (5, 3, 1, 1), (2, 5, 9, 9), 1, 0),
    ("depthwise_by_planes", "forward", (2, 8, 9, 13), (8, 1, 3, 3), (2, 8, 9, 13)),
    ("depthwise_by_planes", "forward", (1, 5, 50, 61), (5, 1, 3, 3), (1, 5, 48, 59), 1, 0),
    ("depthwise_by_planes", "forward", (2, 8, 19, 26), (8, 1, 3, 3), (2, 8, 10, 13), 2),
    ("depthwise_by_planes", "forward", (1, 5, 60, 91), (5, 1, 3, 3), (1, 5, 29, 45), 2, 0),
    ("depthwise_by_planes", "backward_data", (2, 8, 9, 13), (8, 1, 3, 3), (2, 8, 9, 13)),
    ("depthwise", "forward", (2, 8, 9, 9), (16, 1, 3, 3), (2, 16, 9, 9)),
    ("depthwise", "backward_data", (2, 8, 9, 9), (8, 1, 3, 3), (2, 8, 5, 5), 2),
    ("depthwise", "backward_data", (1, 12, 40, 41), (18, 2, 3, 3), (1, 18, 40, 41), 1, 2, 2),
    ("direct", "forward", (2, 20, 30, 1), (24, 20, 5, 1), (2, 24, 26, 1), 1, 0),  # one column
    ("direct", "backward_data", (2, 20, 30, 1), (24, 20, 5, 1), (2, 24, 26, 1), 1, 0),
    ("direct", "backward_weight", (2, 20, 30, 1), (24, 20, 5, 1), (2, 24, 13, 1), 2, 0),
    ("depthwise", "backward_weight", (2, 8, 9, 9), (8, 1, 3, 3), (2, 8, 9, 9)),
    ("winograd", "forward", (2, 16, 9, 9), (20, 16, 3, 3), (2, 20, 9, 9)),
    ("winograd", "backward_data", (2, 16, 9, 9), (20, 16, 3, 3), (2, 20, 9, 9)),
    ("winograd", "forward", (40, 24, 11, 13), (30, 24, 3, 3), (40, 30, 11, 13)),
    ("winograd", "backward_weight", (40, 24, 11, 13), (30, 24, 3, 3), (40, 30, 11, 13)),
    ("winograd_by_filters", "forward", (1, 128, 9, 9), (128, 128, 3, 3), (1, 128, 9, 9)),
    ("winograd_by_filters", "backward_data", (1, 128, 9, 9), (128, 128, 3, 3), (1, 128, 9, 9)),
    ("winograd_by_strips", "backward_weight", (2, 16, 9, 9), (16, 16, 3, 3), (2, 16, 9, 9)),
]


def convolution(direction, x, weight, y, stride=1, padding=1, dilation=1):
    """A case. A transposed convolution gives dx with a bias."""
    groups, stride, dilation = x[1] // weight[1], (stride, stride), (dilation, dilation)
    sides = ((padding, padding), (padding, padding))
    settings, zeros = (stride, sides, dilation, groups), np.zeros(weight)
    op, shapes = {
        "forward": (
            lambda x, w, b, add: (compiled.conv2d(x, w, b, *settings, "relu", add),),
            (x, weight, y[1:2], y),
        ),
        "backward_data": (
            lambda dy, w, b: (
                compiled.conv_transpose2d(dy, w, b, stride, sides, (0, 0), dilation, groups),
            ),
            (y, weight, x[1:2]),
        ),
        "backward_weight": (
            lambda dy, x: compiled.conv2d_backward(
                dy, x, zeros.astype(x.dtype), *settings, need_dx=False
            )[1:],
            (y, x),
        ),
    }[direction]
    activation = "relu" if direction == "forward" else None
    return Case(
        lambda dtype: jobs.prepare_convolution(
            direction, x, weight, y, stride, (padding, padding), dilation, dtype, activation
        ),
        op,
        shapes,
    )


CONVOLUTION = {
    " ".join(map(str, (algorithm, *geometry))): convolution(*geometry)
    for algorithm, *geometry in CONVOLUTIONS
}

# The algorithm for weights that are packed once, that of the eager op, x, weight, y, stride.
PACKED = [
    ("direct", "columns", (1, 64, 4, 4), (130, 64, 3, 3), (1, 130, 4, 4), 1),
    ("direct", "columns", (1, 280, 8, 7), (240, 280, 3, 3), (1, 240, 8, 7), 1),  # parts of filters
    ("direct", "columns", (2, 70, 8, 9), (140, 70, 3, 3), (2, 140, 4, 5), 2),
    ("winograd", "winograd_by_filters", (1, 128, 33, 34), (130, 128, 3, 3), (1, 130, 33, 34), 1),
    ("winograd_by_panels", "columns", (1, 130, 8, 7), (140, 130, 3, 3), (1, 140, 8, 7), 1),
    ("winograd_by_panels", "winograd", (3, 17, 9, 14), (40, 17, 3, 3), (3, 40, 9, 14), 1),  # bands
    (
        "winograd_by_panels",
        "winograd_by_filters",
        (1, 128, 9, 9),
        (130, 128, 3, 3),
        (1, 130, 9, 9),
        1,
    ),
    ("winograd_by_panels", "winograd", (1, 24, 31, 30), (16, 24, 3, 3), (1, 16, 31, 30), 1),
    ("pointwise_by_panels", "pointwise", (1, 300, 4, 4), (130, 300, 1, 1), (1, 130, 4, 4), 1),
    ("pointwise_by_panels", "pointwise", (1, 5, 1, 9), (7, 5, 1, 1), (1, 7, 1, 9), 1),
    ("pointwise_by_panels", "pointwise", (2, 270, 9, 20), (50, 270, 1, 1), (2, 50, 9, 20), 1),
    ("pointwise", "pointwise", (2, 20, 4, 4), (10, 20, 1, 1), (2, 10, 4, 4), 1),  # gathered
    ("pointwise_by_panels", "pointwise", (1, 20, 9, 9), (10, 20, 1, 1), (1, 10, 5, 5), 2),
    ("pointwise_by_panels", "pointwise", (1, 270, 19, 37), (50, 270, 1, 1), (1, 50, 10, 19), 2),
    ("pointwise_by_panels", "pointwise", (2, 20, 41, 23), (70, 20, 1, 1), (2, 70, 14, 8), 3),
    ("columns_by_panels", "pointwise", (1, 300, 1, 1), (75, 300, 1, 1), (1, 75, 1, 1), 1),
    ("columns_by_panels", "pointwise", (3, 5, 2, 3), (7, 5, 1, 1), (3, 7, 2, 3), 1),
    ("columns_by_panels", "direct", (1, 64, 2, 2), (50, 64, 3, 3), (1, 50, 1, 1), 2),
    ("columns_by_panels", "columns", (4, 70, 4, 4), (130, 70, 3, 3), (4, 130, 2, 2), 2),
    ("columns_by_panels", "columns", (2, 130, 2, 4), (140, 130, 3, 3), (2, 140, 2, 4), 1),
    ("direct", "direct", (2, 20, 9, 28), (130, 20, 5, 5), (2, 130, 9, 28), 1),  # tiles of two rows
]


def packed_once(row):
    """The job of a row of PACKED, with ReLU."""
    _, _, *shapes, stride = row
    windows = (stride, stride), (shapes[1][2] // 2,) * 2, (1, 1)
    return jobs.prepare_convolution("forward", *shapes, *windows, np.float32, "relu", packed=True)


CASES = LINEAR | ACTIVATIONS | CURVES | PRELU | ARITHMETIC | POOL | PAD | RESIZED | CONCAT
CASES |= UNARY | REDUCTIONS | BORDERS | LAYOUT
CASES |= NORM | GROUP_NORM | RESPONSE_NORM | CONVOLUTION
