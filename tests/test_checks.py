"""Invalid input is one error before any work, which begins with the op and contains the numbers.

A row of the table is a mistake: the op, what is wrong, the changed arguments, the error type, and
the words and numbers that its message must contain. The other arguments are those of the op's first
case. This file is longer than others because the whole table is in one place.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import cases
import numpy as np
import oracle
import pytest

import cnnx
from cnnx import ops

BACKENDS = cnnx.available_backends()
ROOT = Path(__file__).parents[1]


def _base(op, dtype=np.float64):
    return cases.CASES[op][0].arguments(dtype)


def _error(op, arguments):
    """The error of a call, the same on each backend; all arrays are unchanged."""
    arrays = cases.arrays(arguments)
    before = {name: value.tobytes() for name, value in arrays.items()}
    errors = []
    for backend in BACKENDS:
        with cnnx.use_backend(backend), pytest.raises((ValueError, TypeError)) as caught:
            getattr(ops, op)(**arguments)
        errors.append(caught.value)
    for name, value in arrays.items():
        assert value.tobytes() == before[name], f"{op}: {name} was changed before the error"
    assert len({(type(e), str(e)) for e in errors}) == 1, f"the backends differ: {errors}"
    return errors[0]


def _zeros(*shape):
    return np.zeros(shape)


# Base calls: conv2d x (2, 3, 6, 7), weight (4, 3, 3, 3), bias (4,), y (2, 4, 4, 5); im2col
# x (2, 3, 5, 6), kernel 3; pools x (2, 3, 6, 8), kernel 2; linear x (4, 6), weight (5, 6).
GEOMETRY = [
    ("a stride of zero", {"stride": 0}, ValueError, ["stride", "0"]),
    ("a negative stride", {"stride": (1, -2)}, ValueError, ["stride", "-2"]),
    ("half a stride", {"stride": 1.5}, TypeError, ["stride", "1.5"]),
    ("three strides", {"stride": (1, 2, 3)}, (ValueError, TypeError), ["stride", "(1, 2, 3)"]),
    ("a negative padding", {"padding": -1}, ValueError, ["padding", "-1"]),
    ("a padding of a half", {"padding": 0.5}, TypeError, ["padding", "0.5"]),
]
CONVOLUTION = [
    *GEOMETRY,
    ("an unknown padding", {"padding": "full"}, ValueError, ["padding", "full", "same", "valid"]),
    ("a negative side", {"padding": ((0, -3), (0, 0))}, ValueError, ["padding", "-3"]),
    ("a dilation of zero", {"dilation": 0}, ValueError, ["dilation", "0"]),
    ("a kernel past the image", {"dilation": 7}, ValueError, ["15"]),
    ("a huge padding", {"padding": 2**33}, ValueError, []),
]
CHANNELS = [
    ("channels", {"x": _zeros(2, 5, 6, 7)}, ValueError, ["5", "(4, 3, 3, 3)", "groups=1", "3"]),
    ("an image without batch", {"x": _zeros(3, 6, 7)}, ValueError, ["x", "(3, 6, 7)"]),
    ("a flat weight", {"weight": _zeros(4, 27)}, ValueError, ["weight", "(4, 27)"]),
    ("a large kernel", {"weight": _zeros(4, 3, 8, 3)}, ValueError, ["8", "6"]),
    ("groups that do not divide", {"groups": 2}, ValueError, ["groups", "2", "3"]),
    ("no groups", {"groups": 0}, ValueError, ["groups", "0"]),
    ("groups that are text", {"groups": "1"}, TypeError, ["groups", "1"]),
    ("same with a stride", {"padding": "same", "stride": 2}, ValueError, ["same", "2"]),
]
WINDOWS = [
    ("a kernel of zero", {"kernel_size": 0}, ValueError, ["kernel_size", "0"]),
    ("a kernel that is None", {"kernel_size": None}, TypeError, ["kernel_size", "None"]),
    ("a large kernel", {"kernel_size": (9, 2)}, ValueError, ["9"]),
]
AROUND = {"kernel_size": 2, "stride": 1, "padding": 1}
POOLING = [
    *GEOMETRY,
    *WINDOWS,
    ("padding over half a kernel", {"padding": 2}, ValueError, ["padding", "2"]),
    ("a huge kernel", {"kernel_size": 2**40}, ValueError, [str(2**40)]),
]
DILATED = [
    ("a dilation of zero", {"dilation": 0}, ValueError, ["dilation", "0"]),
    ("a dilation beyond the image", {"dilation": 9}, ValueError, ["dilation 9", "10"]),
    (
        "a window beside the image",
        {"dilation": (7, 1), "padding": (1, 0)},
        ValueError,
        ["dilation 7", "beside"],
    ),
]
NOT_POOLED = ("padding in unknown words", {"padding": "full"}, ValueError, ["'full'", "'same'"])
CEILING = ("rounding up by a number", {"ceil_mode": 1}, TypeError, ["ceil_mode", "1"])
MEAN = [
    CEILING,
    ("a padding counted by a word", {"count_include_pad": "no"}, TypeError, ["'no'", "True"]),
]
NO_DX = ("a gradient left out by a number", {"need_dx": 0}, TypeError, ["need_dx", "0"])
DIVISOR = ("a divisor of zero", {"divisor_override": 0}, ValueError, ["divisor_override", "0"])
NO_PIXELS = [
    # With padding alone there would be windows.
    (f"an image without {what}", {"x": _zeros(*shape), **AROUND}, ValueError, [str(shape)])
    for what, shape in (("rows", (2, 3, 0, 8)), ("columns", (2, 3, 6, 0)))
]
NO_PIXELS_BACK = [
    ("a gradient of no pixels", {"x_shape": (2, 3, 6, 0), **AROUND}, ValueError, ["(2, 3, 6, 0)"]),
]
NOT_AN_IMAGE = ("an image without batch", {"x": _zeros(3, 6, 7)}, ValueError, ["(3, 6, 7)"])
X_SHAPE = [
    ("three sizes", {"x_shape": (3, 6, 8)}, ValueError, ["x_shape", "(3, 6, 8)"]),
    ("a negative size", {"x_shape": (2, 3, -6, 8)}, ValueError, ["x_shape", "-6"]),
]
AXES = [
    ("an axis that is not there", {"axis": 2}, ValueError, ["axis", "2"]),
    ("an axis before the first", {"axis": -3}, ValueError, ["axis", "-3"]),
    ("half an axis", {"axis": 0.5}, TypeError, ["axis", "0.5"]),
]
RATES = [
    ("a share above one", {"p": 1.5}, ValueError, ["p", "1.5"]),
    ("a negative share", {"p": -0.1}, ValueError, ["p", "-0.1"]),
    ("a share that is not a number", {"p": np.nan}, ValueError, ["p", "nan"]),
    ("a negative seed", {"seed": -1}, ValueError, ["seed", "-1"]),
    ("a seed too large", {"seed": 2**63}, ValueError, ["seed", str(2**63)]),
    ("a negative call", {"call": -4}, ValueError, ["call", "-4"]),
    ("a seed of a half", {"seed": 0.5}, TypeError, ["seed", "0.5"]),
]
PRODUCTS = [  # x and y (1,)
    ("other sizes", {"x": _zeros(3), "y": _zeros(2)}, ValueError, ["(3,)", "(2,)", "1"]),
    ("other axes", {"y": _zeros(1, 1)}, ValueError, ["(1,)", "(1, 1)"]),
]
UNKNOWN = ("an unknown function", {"function": "sine"}, ValueError, ["function", "sine"])
SAME_SHAPE = [
    ("a target of another shape", {"target": _zeros(5, 3)}, ValueError, ["(5, 3)", "(5, 4)"]),
    ("a target that would broadcast", {"target": _zeros(4)}, ValueError, ["(4,)", "(5, 4)"]),
    ("an unknown reduction", {"reduction": "median"}, ValueError, ["reduction", "median", "mean"]),
]
STEPS = [
    (
        "a gradient of another shape",
        {"grads": [_zeros(3), _zeros(2)]},
        ValueError,
        ["grads[1]", "(2,)", "(2, 2)"],
    ),
    ("a gradient too few", {"grads": [_zeros(3)]}, ValueError, ["2 params", "1 grads"]),
    ("one array for all", {"params": _zeros(7)}, TypeError, ["params", "ndarray", "list"]),
    ("one gradient for all", {"grads": _zeros(7)}, TypeError, ["grads", "ndarray", "list"]),
    ("a rate that is not a number", {"lr": np.nan}, ValueError, ["lr", "nan"]),
    ("a negative rate", {"lr": -0.5}, ValueError, ["lr", "-0.5"]),
    ("a negative decay", {"weight_decay": -2.0}, ValueError, ["weight_decay", "-2"]),
    ("a maximum by a number", {"maximize": 1}, TypeError, ["maximize", "1"]),
]
# Base call: x (2, 3, 5, 6), weight (3, 4, 3, 3), bias (4,), y (2, 4, 7, 8).
TRANSPOSED = [
    *GEOMETRY,
    ("another number of channels", {"x": _zeros(2, 5, 5, 6)}, ValueError, ["x", "5", "3"]),
    ("a flat x", {"x": _zeros(2, 90)}, ValueError, ["x", "(2, 90)", "4"]),
    ("an empty kernel", {"weight": _zeros(3, 4, 0, 3)}, ValueError, ["weight", "(3, 4, 0, 3)"]),
    ("groups that do not divide", {"groups": 2}, ValueError, ["3", "groups=2"]),
    ("no groups", {"groups": 0}, ValueError, ["groups", "0"]),
    ("a padding that leaves nothing", {"padding": 4}, ValueError, ["-1 rows", "7", "8"]),
    (
        "an output padding of a stride",
        {"stride": 2, "output_padding": 2},
        ValueError,
        ["output_padding=2", "stride", "2"],
    ),
    ("a negative output padding", {"output_padding": -1}, ValueError, ["output_padding", "-1"]),
    ("a dilation of zero", {"dilation": 0}, ValueError, ["dilation", "0"]),
]
# Base call: x (2, 3, 5, 4), size (7, 9).
INTERPOLATION = [
    ("neither size nor factor", {"size": None}, ValueError, ["size=None", "scale_factor=None"]),
    ("both", {"scale_factor": 2}, ValueError, ["size=(7, 9)", "scale_factor=2"]),
    ("a size of zero", {"size": 0}, ValueError, ["size", "0"]),
    ("half a size", {"size": 2.5}, TypeError, ["size", "2.5"]),
    ("three sizes", {"size": (1, 2, 3)}, ValueError, ["size", "(1, 2, 3)"]),
    ("a huge size", {"size": 2**40}, ValueError, [str(2**40)]),
    ("an unknown mode", {"mode": "bicubic"}, ValueError, ["bicubic", "nearest", "bilinear"]),
    ("corners of nearest", {"align_corners": True}, ValueError, ["align_corners=True", "nearest"]),
    (
        "corners of a number",
        {"mode": "bilinear", "align_corners": 1},
        TypeError,
        ["align_corners", "1"],
    ),
    *(
        (f"a factor of {factor}", {"size": None, "scale_factor": factor}, error, words)
        for factor, error, words in (
            (0.1, ValueError, ["scale_factor=0.1", "0x0", "5x4"]),
            (-2, ValueError, ["scale_factor=-2", "0"]),
            (np.inf, ValueError, ["scale_factor=inf"]),
            (1e30, ValueError, ["4000000000000000079538499354624"]),
            ("2", TypeError, ["scale_factor='2'"]),
            ((1, 2, 3), ValueError, ["(1, 2, 3)", "3 entries"]),
        )
    ),
]
LABELS = np.array([0, 1, 2, 3, 0])
CLASS_LABELS = [  # scores (5, 4)
    ("a label too large", {"target": LABELS * 3}, ValueError, ["target[2]", "6", "4"]),
    ("a negative label", {"target": LABELS - 1}, ValueError, ["target[0]", "-1", "4"]),
    ("too few labels", {"target": LABELS[:3]}, ValueError, ["target", "(3,)", "(5,)"]),
    ("labels of floats", {"target": LABELS * 1.0}, (TypeError, ValueError), ["target", "float64"]),
    ("labels of text", {"target": LABELS.astype(str)}, TypeError, ["target", "<U21"]),
    ("labels that are truth", {"target": LABELS > 0}, TypeError, ["target", "bool"]),
    ("an unknown reduction", {"reduction": "median"}, ValueError, ["median", "mean", "sum"]),
    ("half a label to ignore", {"ignore_index": 0.5}, TypeError, ["ignore_index", "0.5"]),
]
OTHER_SHAPE = [  # dy (1,), as x or y
    ("a dy of another shape", {"dy": _zeros(2)}, ValueError, ["dy", "(2,)", "(1,)"]),
    ("a dy of more axes", {"dy": _zeros(1, 1)}, ValueError, ["dy", "(1, 1)", "(1,)"]),
]
ALPHAS = [
    ("an alpha that is not a number", {"alpha": np.nan}, ValueError, ["alpha", "nan"]),
    ("an alpha of text", {"alpha": "1"}, TypeError, ["alpha='1'"]),
    ("an alpha above float32", {"alpha": 1e39}, ValueError, ["alpha", "1e+39"]),
]
SLOPES = [
    ("an infinite slope", {"negative_slope": np.inf}, ValueError, ["negative_slope", "inf"]),
    ("no slope", {"negative_slope": None}, TypeError, ["negative_slope", "None"]),
]
APPROXIMATIONS = [
    ("an unknown approximation", {"approximate": "exp"}, ValueError, ["'exp'", "'none'", "'tanh'"]),
    ("truth in place of a word", {"approximate": True}, ValueError, ["approximate", "True"]),
]
BENDS = [
    ("a beta of zero", {"beta": 0}, ValueError, ["beta", "0"]),
    ("a beta that is not a number", {"beta": np.nan}, ValueError, ["beta", "nan"]),
    ("a threshold of text", {"threshold": "20"}, TypeError, ["threshold='20'"]),
]
# Base call: x (2, 6, 4, 5), 3 groups, weight and bias (6,).
GROUPS = [
    ("groups that do not divide", {"num_groups": 4}, ValueError, ["num_groups", "4", "6"]),
    ("no groups", {"num_groups": 0}, ValueError, ["num_groups", "0"]),
    ("half a group", {"num_groups": 1.5}, TypeError, ["num_groups", "1.5"]),
    ("one axis", {"x": _zeros(6)}, ValueError, ["x", "(6,)"]),
    ("a weight of another size", {"weight": _zeros(4)}, ValueError, ["weight", "(4,)", "(6,)"]),
    ("a weight of a group", {"weight": _zeros(3)}, ValueError, ["weight", "(3,)", "(6,)"]),
]
# Base call: x (5, 37), normalized_shape 37.
LAST_AXES = [
    ("other last axes", {"normalized_shape": 36}, ValueError, ["(5, 37)", "36"]),
    ("too many axes", {"normalized_shape": (2, 5, 37)}, ValueError, ["(5, 37)", "2", "5", "37"]),
    ("no axes", {"normalized_shape": ()}, ValueError, ["normalized_shape"]),
    ("a size of zero", {"normalized_shape": 0}, ValueError, ["normalized_shape", "0"]),
    ("half a size", {"normalized_shape": 18.5}, TypeError, ["normalized_shape", "18.5"]),
    ("a size of text", {"normalized_shape": "37"}, TypeError, ["normalized_shape", "37"]),
    ("a weight of another size", {"weight": _zeros(5)}, ValueError, ["weight", "(5,)", "(37,)"]),
]
EPSILON = [
    ("a negative eps", {"eps": -1.0}, ValueError, ["eps", "-1"]),
    ("an eps that is not a number", {"eps": np.nan}, ValueError, ["eps", "nan"]),
]
SLOPES_OF_CHANNELS = [  # x (3, 4, 5), weight (1,)
    ("slopes of other channels", {"weight": _zeros(3)}, ValueError, ["(3,)", "(1,)", "(3, 4, 5)"]),
    ("slopes of two axes", {"weight": _zeros(4, 1)}, ValueError, ["weight", "(4, 1)"]),
    ("slopes of one axis", {"x": _zeros(4), "weight": _zeros(4)}, ValueError, ["weight", "(4,)"]),
]
# Base call: x (2, 7, 4, 5), size 5.
NEIGHBOURS = [
    ("rows of features", {"x": _zeros(2, 7)}, ValueError, ["x", "(2, 7)"]),
    ("a size of zero", {"size": 0}, ValueError, ["size", "0"]),
    ("half a size", {"size": 2.5}, TypeError, ["size", "2.5"]),
    ("a negative alpha", {"alpha": -1.0}, ValueError, ["alpha", "-1"]),
    ("a beta that is not a number", {"beta": np.nan}, ValueError, ["beta", "nan"]),
    ("a negative k", {"k": -0.5}, ValueError, ["k", "-0.5"]),
]
# Base call: 5 indices, weight (7, 3).
NUMBERS = np.array([0, 6, 2, 2, 1])
INDICES = [
    ("a number too large", {"indices": NUMBERS + 1}, ValueError, ["indices[1]", "7", "6"]),
    ("a negative number", {"indices": NUMBERS - 2}, ValueError, ["indices[0]", "-2", "7"]),
    ("numbers that are floats", {"indices": NUMBERS * 1.0}, TypeError, ["indices", "float64"]),
    ("numbers that are truth", {"indices": NUMBERS > 0}, TypeError, ["indices", "bool"]),
]
ADAM = [  # of 7 parameters
    ("a state of another shape", {"exp_avg": _zeros(3)}, ValueError, ["exp_avg", "(3,)", "(7,)"]),
    ("squares of another shape", {"exp_avg_sq": _zeros(9)}, ValueError, ["exp_avg_sq", "(9,)"]),
    ("no squares", {"exp_avg_sq": None}, TypeError, ["exp_avg_sq"]),
    ("a step of zero", {"step": 0}, ValueError, ["step", "0"]),
    ("half a step", {"step": 1.5}, TypeError, ["step", "1.5"]),
    ("a beta of one", {"beta1": 1.0}, ValueError, ["beta1", "1"]),
    ("a negative beta", {"beta2": -0.5}, ValueError, ["beta2", "-0.5"]),
    ("a negative eps", {"eps": -1e-8}, ValueError, ["eps", "-1e-08"]),
    ("decoupled by a number", {"decoupled": 1}, TypeError, ["decoupled", "1"]),
]
TABLE = {
    "conv2d": [
        *CONVOLUTION,
        *CHANNELS,
        ("a bias of another size", {"bias": _zeros(5)}, ValueError, ["bias", "(5,)", "4"]),
        ("a bias of two axes", {"bias": _zeros(4, 1)}, ValueError, ["bias", "(4, 1)"]),
        ("another add", {"add": _zeros(1, 4, 4, 5)}, ValueError, ["(1, 4, 4, 5)", "(2, 4, 4, 5)"]),
        ("an unknown activation", {"activation": "gelu"}, ValueError, ["'gelu'", "'relu'"]),
    ],
    "conv2d_backward": [
        NO_DX,
        *CONVOLUTION,
        *CHANNELS,
        ("a dy of another size", {"dy": _zeros(2, 4, 4, 4)}, ValueError, ["dy", "(2, 4, 4, 4)"]),
        ("a flat dy", {"dy": _zeros(2, 80)}, ValueError, ["dy", "(2, 80)", "4"]),
    ],
    "conv_transpose2d": [
        *TRANSPOSED,
        ("a bias of another size", {"bias": _zeros(5)}, ValueError, ["bias", "(5,)", "4"]),
    ],
    "conv_transpose2d_backward": [
        NO_DX,
        *TRANSPOSED,
        ("a dy of another size", {"dy": _zeros(2, 4, 7, 7)}, ValueError, ["dy", "(2, 4, 7, 7)"]),
        ("a flat dy", {"dy": _zeros(2, 224)}, ValueError, ["dy", "(2, 224)", "4"]),
    ],
    "im2col": [*CONVOLUTION, *WINDOWS, NOT_AN_IMAGE],
    "col2im": [
        *CONVOLUTION,
        *WINDOWS,
        *X_SHAPE,
        ("columns for another image", {"cols": _zeros(24, 26)}, ValueError, ["(24, 26)", "27"]),
        ("cols of three axes", {"cols": _zeros(2, 12, 27)}, ValueError, ["(2, 12, 27)"]),
    ],
    "max_pool2d": [*POOLING, *DILATED, CEILING, NOT_POOLED, *NO_PIXELS, NOT_AN_IMAGE],
    "max_pool2d_backward": [
        *NO_PIXELS_BACK,
        *POOLING,
        *DILATED,
        CEILING,
        *X_SHAPE,
        ("a dy of another size", {"dy": _zeros(2, 3, 3, 3)}, ValueError, ["dy", "(2, 3, 3, 3)"]),
        (
            "an argmax of another size",
            {"argmax": np.zeros((2, 3, 4, 3), np.uint8)},
            ValueError,
            ["argmax", "(2, 3, 4, 3)"],
        ),
        ("an argmax of floats", {"argmax": _zeros(2, 3, 3, 4)}, TypeError, ["argmax", "float64"]),
        (
            "an argmax of another type",
            {"argmax": np.zeros((2, 3, 3, 4), np.int64)},
            TypeError,
            ["argmax", "int64", "uint8"],
        ),
        (
            "an argmax outside the window",
            {"argmax": np.full((2, 3, 3, 4), 4, np.uint8)},
            ValueError,
            ["argmax", "4"],
        ),
        ("unknown ties", {"ties": "last"}, ValueError, ["ties='last'", "'first'", "'all'"]),
        ("all ties without x", {"ties": "all"}, ValueError, ['ties="all" needs x', "argmax"]),
        ("x without ties", {"x": _zeros(2, 3, 6, 8)}, ValueError, ["x", 'ties="all"']),
        (
            "an x of another size",
            {"ties": "all", "x": _zeros(2, 3, 6, 7)},
            ValueError,
            ["x has shape", "(2, 3, 6, 7)", "(2, 3, 6, 8)"],
        ),
        (
            "an x of another dtype",
            {"ties": "all", "x": _zeros(2, 3, 6, 8).astype(np.float32)},
            TypeError,
            ["dy", "x", "float32", "float64"],
        ),
    ],
    "relu_max_pool2d": [*POOLING, *DILATED, CEILING, *NO_PIXELS, NOT_AN_IMAGE],
    "relu_max_pool2d_backward": [
        *NO_PIXELS_BACK,
        *POOLING,
        *DILATED,
        CEILING,
        *X_SHAPE,
        ("a dy of another size", {"dy": _zeros(2, 3, 3, 3)}, ValueError, ["dy", "(2, 3, 3, 3)"]),
        (
            "an argmax above that of a dead window",
            {"argmax": np.full((2, 3, 3, 4), 5, np.uint8)},
            ValueError,
            ["argmax", "5", "4"],
        ),
    ],
    "avg_pool2d": [*POOLING, *MEAN, DIVISOR, NOT_POOLED, *NO_PIXELS, NOT_AN_IMAGE],
    "avg_pool2d_backward": [
        *NO_PIXELS_BACK,
        *POOLING,
        *MEAN,
        DIVISOR,
        *X_SHAPE,
        ("a dy of another size", {"dy": _zeros(2, 3, 3, 3)}, ValueError, ["dy", "(2, 3, 3, 3)"]),
    ],
    "global_avg_pool2d": [
        NOT_AN_IMAGE,
        ("an image without pixels", {"x": _zeros(2, 3, 0, 4)}, ValueError, ["(2, 3, 0, 4)"]),
    ],
    "global_avg_pool2d_backward": [
        *X_SHAPE,
        ("a huge image", {"x_shape": (2, 3, 2**40, 2**40)}, ValueError, [str(2**40)]),
        ("a dy of pixels", {"dy": _zeros(2, 3, 2, 1)}, ValueError, ["dy", "(2, 3, 2, 1)"]),
    ],
    "adaptive_avg_pool2d": [
        NOT_AN_IMAGE,
        ("an image without pixels", {"x": _zeros(2, 3, 0, 4)}, ValueError, ["(2, 3, 0, 4)"]),
        ("no windows", {"output_size": 0}, ValueError, ["output_size", "0", "1"]),
        ("half a window", {"output_size": (1, 2.5)}, TypeError, ["output_size", "2.5"]),
        ("three sizes", {"output_size": (1, 2, 3)}, ValueError, ["(1, 2, 3)", "3 entries"]),
        ("a huge size", {"output_size": 2**40}, ValueError, [str(2**40)]),
    ],
    "adaptive_avg_pool2d_backward": [
        *X_SHAPE,
        (
            "other channels",
            {"dy": _zeros(2, 4, 3, 5)},
            ValueError,
            ["(2, 4, 3, 5)", "(2, 3, 6, 8)"],
        ),
        ("a dy without pixels", {"dy": _zeros(2, 3, 0, 5)}, ValueError, ["dy", "(2, 3, 0, 5)"]),
        ("an x without pixels", {"x_shape": (2, 3, 6, 0)}, ValueError, ["(2, 3, 6, 0)"]),
        ("a huge image", {"x_shape": (2, 3, 2**40, 2**40)}, ValueError, [str(2**40)]),
    ],
    "zero_pad2d": [
        NOT_AN_IMAGE,
        ("three sides", {"padding": (1, 2, 3)}, ValueError, ["(1, 2, 3)", "3 entries", "four"]),
        ("half a row", {"padding": 0.5}, TypeError, ["padding", "0.5"]),
        ("too much cut off", {"padding": (-3, -3, 0, 0)}, ValueError, ["(-3, -3, 0, 0)", "4x5"]),
        ("more than the image", {"padding": (0, 0, 9, -5)}, ValueError, ["(0, 0, 9, -5)", "4x5"]),
        ("a huge padding", {"padding": 2**50}, ValueError, [str(2**51 + 4)]),
    ],
    "interpolate": [
        *INTERPOLATION,
        NOT_AN_IMAGE,
        ("an image without pixels", {"x": _zeros(2, 3, 0, 4)}, ValueError, ["(2, 3, 0, 4)"]),
    ],
    "interpolate_backward": [
        *INTERPOLATION,
        *X_SHAPE,
        ("a dy of another size", {"dy": _zeros(2, 3, 7, 8)}, ValueError, ["dy", "(2, 3, 7, 8)"]),
        ("an x without pixels", {"x_shape": (2, 3, 6, 0)}, ValueError, ["(2, 3, 6, 0)"]),
    ],
    "linear": [
        ("features", {"x": _zeros(4, 7)}, ValueError, ["7", "(5, 6)", "6"]),
        ("a number for x", {"x": np.float64(1)}, (ValueError, TypeError), ["x"]),
        ("a weight of one axis", {"weight": _zeros(6)}, ValueError, ["weight", "(6,)"]),
        ("a bias of another size", {"bias": _zeros(6)}, ValueError, ["bias", "(6,)", "5"]),
        ("an unknown activation", {"activation": "tanh"}, ValueError, ["'tanh'", "'relu'"]),
    ],
    "linear_backward": [
        NO_DX,
        ("features", {"x": _zeros(4, 7)}, ValueError, ["7", "(5, 6)"]),
        ("a dy of another size", {"dy": _zeros(4, 6)}, ValueError, ["dy", "(4, 6)", "(4, 5)"]),
    ],
    "batch_norm": [
        ("one axis", {"x": _zeros(3)}, ValueError, ["x", "(3,)"]),
        ("five axes", {"x": _zeros(1, 3, 1, 1, 1)}, ValueError, ["x", "(1, 3, 1, 1, 1)"]),
        ("a weight of another size", {"weight": _zeros(4)}, ValueError, ["weight", "(4,)", "3"]),
        ("a bias of another size", {"bias": _zeros(2)}, ValueError, ["bias", "(2,)", "3"]),
        ("a mean of another size", {"running_mean": _zeros(4)}, ValueError, ["running_mean", "4"]),
        ("a var of another size", {"running_var": _zeros(4)}, ValueError, ["running_var", "4"]),
        ("one value in training", {"x": _zeros(1, 3)}, ValueError, ["1", "(1, 3)"]),
        (
            "no statistics in inference",
            {"training": False, "running_mean": None, "running_var": None},
            (ValueError, TypeError),
            ["running_mean"],
        ),
        ("a negative eps", {"eps": -1.0}, ValueError, ["eps", "-1"]),
        ("a momentum above one", {"momentum": 1.5}, ValueError, ["momentum", "1.5"]),
        ("another activation", {"activation": "tanh"}, ValueError, ["tanh", *oracle.ENDINGS]),
        ("an add of another shape", {"add": _zeros(5, 1)}, ValueError, ["add", "(5, 1)", "(5, 3)"]),
    ],
    "batch_norm_backward": [
        ("a dy of another size", {"dy": _zeros(5, 4)}, ValueError, ["dy", "(5, 4)", "(5, 3)"]),
        ("a mean of another size", {"mean": _zeros(4)}, ValueError, ["mean", "(4,)", "3"]),
        ("an inv_std of another size", {"inv_std": _zeros(2)}, ValueError, ["inv_std", "(2,)"]),
        ("a weight of another size", {"weight": _zeros(2)}, ValueError, ["weight", "(2,)"]),
        ("a bias of another size", {"bias": _zeros(4)}, ValueError, ["bias", "(4,)"]),
        ("training by a number", {"training": 1}, TypeError, ["training", "1"]),
        ("another activation", {"activation": "elu"}, ValueError, ["elu", *oracle.ENDINGS]),
    ],
    **{
        f"{op}_backward": OTHER_SHAPE
        for op in (*oracle.ENDINGS, *oracle.CURVES, "leaky_relu", "sigmoid", "tanh")
    },
    "leaky_relu": SLOPES,
    "leaky_relu_backward": [*OTHER_SHAPE, *SLOPES],
    "elu": ALPHAS,
    "elu_backward": [*OTHER_SHAPE, *ALPHAS],
    "gelu": APPROXIMATIONS,
    "gelu_backward": [*OTHER_SHAPE, *APPROXIMATIONS],
    "softplus": BENDS,
    "softplus_backward": [*OTHER_SHAPE, *BENDS],
    "prelu": SLOPES_OF_CHANNELS,
    "prelu_backward": [
        *SLOPES_OF_CHANNELS[:2],
        ("a dy of another shape", {"dy": _zeros(3, 4)}, ValueError, ["dy", "(3, 4)", "(3, 4, 5)"]),
    ],
    "group_norm": [
        *GROUPS,
        *EPSILON,
        ("a bias of another size", {"bias": _zeros(2)}, ValueError, ["bias", "(2,)", "(6,)"]),
    ],
    "group_norm_backward": [
        *[row for row in GROUPS if "x" not in row[1]],
        ("a dy of another shape", {"dy": _zeros(2, 6, 4)}, ValueError, ["dy", "(2, 6, 4)"]),
        ("a mean per channel", {"mean": _zeros(2, 6)}, ValueError, ["mean", "(2, 6)", "(2, 3)"]),
        ("an inv_std of one axis", {"inv_std": _zeros(6)}, ValueError, ["inv_std", "(6,)"]),
    ],
    "layer_norm": [
        *LAST_AXES,
        *EPSILON,
        ("a bias of another size", {"bias": _zeros(36)}, ValueError, ["bias", "(36,)", "(37,)"]),
    ],
    "layer_norm_backward": [
        *LAST_AXES,
        ("a dy of another shape", {"dy": _zeros(5, 36)}, ValueError, ["dy", "(5, 36)", "(5, 37)"]),
        ("a mean with an axis", {"mean": _zeros(5, 1)}, ValueError, ["mean", "(5, 1)", "(5,)"]),
        ("an inv_std of another size", {"inv_std": _zeros(4)}, ValueError, ["inv_std", "(4,)"]),
    ],
    "local_response_norm": NEIGHBOURS,
    "local_response_norm_backward": [
        *NEIGHBOURS[1:],
        ("a dy of another shape", {"dy": _zeros(2, 7, 4)}, ValueError, ["dy", "(2, 7, 4)"]),
    ],
    "embedding": [
        *INDICES,
        ("a weight of one axis", {"weight": _zeros(7)}, ValueError, ["weight", "(7,)"]),
    ],
    "embedding_backward": [
        *INDICES,
        ("a dy of other rows", {"dy": _zeros(4, 3)}, ValueError, ["dy", "(4, 3)", "(5, d)"]),
        ("a dy without axes", {"dy": np.float64(1)}, ValueError, ["dy", "()"]),
        ("a negative number of rows", {"num_embeddings": -1}, ValueError, ["num_embeddings", "-1"]),
        ("half a row", {"num_embeddings": 7.5}, TypeError, ["num_embeddings", "7.5"]),
        ("padding beyond the rows", {"padding_idx": 7}, ValueError, ["padding_idx", "7", "6"]),
        ("a negative padding", {"padding_idx": -1}, ValueError, ["padding_idx", "-1", "0"]),
        ("huge rows", {"num_embeddings": 2**62}, ValueError, ["dweight", str(2**62)]),
    ],
    "add": [
        ("a y of another shape", {"y": _zeros(2)}, ValueError, ["(2,)", "(1,)"]),
        ("a y of more axes", {"y": _zeros(1, 1)}, ValueError, ["(1, 1)", "(1,)"]),
    ],
    "concat": [
        ("no arrays", {"arrays": []}, ValueError, ["arrays"]),
        ("one array", {"arrays": _zeros(2, 3)}, TypeError, ["arrays", "ndarray"]),
        ("nothing", {"arrays": None}, TypeError, ["arrays", "None"]),
        (
            "other images",
            {"arrays": [_zeros(2, 4, 6, 6), _zeros(2, 4, 6, 6), _zeros(2, 4, 5, 6)], "axis": -3},
            ValueError,
            ["(2, 4, 6, 6)", "(2, 4, 5, 6)", "axis 1"],
        ),
        ("other axes", {"arrays": [_zeros(2, 3), _zeros(2)]}, ValueError, ["(2, 3)", "(2,)"]),
        ("no such axis", {"axis": 4}, ValueError, ["axis=4", "4 dimensions"]),
        ("half an axis", {"axis": 0.5}, TypeError, ["axis", "0.5"]),
    ],
    "split": [
        ("sizes that are too few", {"sizes": [2, 4]}, ValueError, ["[2, 4]", "6", "9"]),
        ("a negative size", {"sizes": [-1, 10]}, ValueError, ["sizes", "-1"]),
        ("half a size", {"sizes": [0.5, 8.5]}, TypeError, ["sizes", "0.5"]),
        ("no sizes", {"sizes": ()}, ValueError, ["sizes", "9"]),
        ("one size", {"sizes": 3}, TypeError, ["sizes=3"]),
        ("no such axis", {"axis": -5}, ValueError, ["axis=-5", "4 dimensions"]),
    ],
    "multiply": PRODUCTS,
    "binary": [PRODUCTS[0], UNKNOWN],
    "unary": [
        UNKNOWN,
        ("a factor that is text", {"a": "1"}, TypeError, ["a='1'"]),
        ("a shift that is no number", {"b": np.nan}, ValueError, ["b", "nan"]),
        ("an infinite factor", {"a": np.inf}, ValueError, ["a", "inf"]),
    ],
    "reduce": [
        UNKNOWN,
        ("no such axis", {"axes": 2}, ValueError, ["2", "2 dimensions"]),
        ("axes apart", {"x": _zeros(2, 3, 4), "axes": (0, 2)}, ValueError, ["axes=(0, 2)"]),
        ("an axis twice", {"axes": (1, 1)}, ValueError, ["axes=(1, 1)"]),
        ("half an axis", {"axes": 0.5}, TypeError, ["0.5"]),
        ("a number as a flag", {"keepdims": 1}, TypeError, ["keepdims=1"]),
        (
            "the largest of nothing",
            {"x": _zeros(3, 0), "function": "max"},
            ValueError,
            ["(3, 0)", "max"],
        ),
    ],
    "lstm": [  # x (1, 1, 5), hidden 4
        ("a matrix", {"x": _zeros(1, 5)}, ValueError, ["x", "(1, 5)"]),
        ("other inputs", {"x": _zeros(1, 1, 6)}, ValueError, ["w", "(1, 16, 5)", "(1, 16, 6)"]),
        ("other gates", {"r": _zeros(1, 15, 4)}, ValueError, ["r", "(1, 15, 4)", "(1, 16, 4)"]),
        ("half the bias", {"b": _zeros(1, 16)}, ValueError, ["b", "(1, 16)", "(1, 32)"]),
        ("another state", {"h": _zeros(1, 2, 4)}, ValueError, ["h", "(1, 2, 4)", "(1, 1, 4)"]),
        ("another cell", {"c": _zeros(1, 1, 3)}, ValueError, ["c", "(1, 1, 3)", "(1, 1, 4)"]),
        ("no inputs", {"x": _zeros(1, 1, 0)}, ValueError, ["(1, 1, 0)"]),
        ("an unknown direction", {"direction": "up"}, ValueError, ["direction", "up"]),
        ("one side of two", {"direction": "bidirectional"}, ValueError, ["w", "2 sides"]),
    ],
    "pad": [  # x (5,)
        ("an unknown mode", {"mode": "zeros"}, ValueError, ["mode", "zeros"]),
        ("one number", {"padding": 2}, ValueError, ["padding=2", "(5,)"]),
        ("two axes", {"padding": [(1, 1)] * 2}, ValueError, ["(5,)"]),
        ("half an element", {"padding": [(0.5, 1)]}, TypeError, ["padding", "0.5"]),
        ("too much cropped", {"padding": [(-3, -3)]}, ValueError, ["(-3, -3)", "5"]),
        ("nothing to repeat", {"padding": [(-5, 2)], "mode": "edge"}, ValueError, ["(-5, 2)"]),
        ("a huge border", {"padding": [(0, 2**61)]}, ValueError, [str(2**61 + 5)]),
        ("a value that is text", {"value": "0"}, TypeError, ["value='0'"]),
    ],
    "multiply_backward": [
        *PRODUCTS,
        ("a dy of another shape", {"dy": _zeros(2)}, ValueError, ["dy", "(2,)", "(1,)"]),
    ],
    "softmax": AXES,
    "log_softmax": AXES,
    **{
        f"{op}_backward": [
            *AXES,
            ("a dy of another shape", {"dy": _zeros(5, 6)}, ValueError, ["(5, 6)", "(5, 7)"]),
        ]
        for op in ("softmax", "log_softmax")
    },
    "dropout": RATES,
    "dropout_backward": RATES,
    "cross_entropy": [
        *CLASS_LABELS,
        (
            "probabilities of another shape",
            {"target": _zeros(5, 3)},
            ValueError,
            ["(5, 3)", "(5, 4)"],
        ),
        ("logits of one axis", {"logits": _zeros(5)}, ValueError, ["logits", "(5,)"]),
        ("weights for other classes", {"weight": _zeros(3)}, ValueError, ["weight", "(3,)", "4"]),
        ("too much smoothing", {"label_smoothing": 1.5}, ValueError, ["label_smoothing", "1.5"]),
    ],
    "nll": [
        *CLASS_LABELS,
        ("probabilities", {"target": _zeros(5, 4)}, TypeError, ["target", "float64"]),
        ("scores of one axis", {"log_p": _zeros(5)}, ValueError, ["log_p", "(5,)"]),
        ("weights for other classes", {"weight": _zeros(3)}, ValueError, ["weight", "(3,)", "4"]),
    ],
    "focal": [
        *CLASS_LABELS,
        ("probabilities", {"target": _zeros(5, 4)}, TypeError, ["target", "float64"]),
        ("logits of one axis", {"logits": _zeros(5)}, ValueError, ["logits", "(5,)"]),
        ("factors of other classes", {"alpha": _zeros(3)}, ValueError, ["alpha", "(3,)", "4"]),
        ("one factor", {"alpha": 0.25}, (ValueError, TypeError), ["alpha"]),
        ("a negative gamma", {"gamma": -1.0}, ValueError, ["gamma", "-1"]),
        ("an infinite gamma", {"gamma": np.inf}, ValueError, ["gamma", "inf"]),
    ],
    "binary_focal": [
        *SAME_SHAPE,
        ("a target between", {"target": _zeros(5, 4) + 0.5}, ValueError, ["target[0, 0]", "0.5"]),
        ("a negative gamma", {"gamma": -1.0}, ValueError, ["gamma", "-1"]),
        ("an alpha above one", {"alpha": 1.5}, ValueError, ["alpha", "1.5"]),
        ("factors of classes", {"alpha": _zeros(4)}, TypeError, ["alpha"]),
    ],
    "l1": SAME_SHAPE,
    "huber": [
        *SAME_SHAPE,
        ("a delta of zero", {"delta": 0.0}, ValueError, ["delta", "0"]),
        ("a negative delta", {"delta": -1.0}, ValueError, ["delta", "-1"]),
    ],
    "smooth_l1": [
        *SAME_SHAPE,
        ("a negative beta", {"beta": -1.0}, ValueError, ["beta", "-1"]),
        ("a beta of text", {"beta": "1"}, TypeError, ["beta='1'"]),
    ],
    "mse": SAME_SHAPE,
    "bce": [
        *SAME_SHAPE,
        ("a prediction above one", {"pred": _zeros(5, 4) + 1.5}, ValueError, ["1.5"]),
        ("a prediction below zero", {"pred": _zeros(5, 4) - 0.5}, ValueError, ["-0.5"]),
    ],
    "bce_with_logits": SAME_SHAPE,
    "sgd_step": [
        *STEPS,
        ("momentum without velocity", {"momentum": 0.9}, (ValueError, TypeError), ["velocity"]),
        ("a velocity of another shape", {"velocity": _zeros(3)}, ValueError, ["velocity", "(3,)"]),
        (
            "nesterov without momentum",
            {"nesterov": True, "momentum": 0.0},
            ValueError,
            ["nesterov", "momentum"],
        ),
        ("a dampening above one", {"dampening": 1.5}, ValueError, ["dampening", "1.5"]),
    ],
    "rmsprop_step": [
        *STEPS,
        (
            "a state of another shape",
            {"square_avg": _zeros(3)},
            ValueError,
            ["square_avg", "(3,)", "(7,)"],
        ),
        ("momentum without velocity", {"momentum": 0.9}, (ValueError, TypeError), ["velocity"]),
        ("a velocity of another shape", {"velocity": _zeros(3)}, ValueError, ["velocity", "(3,)"]),
        ("an alpha above one", {"alpha": 1.5}, ValueError, ["alpha", "1.5"]),
        ("a negative eps", {"eps": -1e-8}, ValueError, ["eps", "-1e-08"]),
        ("means of another shape", {"grad_avg": _zeros(3)}, ValueError, ["grad_avg", "(3,)"]),
    ],
    "adagrad_step": [
        *STEPS,
        ("a state of another shape", {"sum_sq": _zeros(3)}, ValueError, ["sum_sq", "(3,)", "(7,)"]),
        ("a negative eps", {"eps": -1e-8}, ValueError, ["eps", "-1e-08"]),
    ],
    "adam_step": [
        *STEPS,
        *ADAM,
        (
            "maxima of another shape",
            {"max_avg_sq": _zeros(3)},
            ValueError,
            ["max_avg_sq", "(3,)", "(7,)"],
        ),
        ("maxima in a list", {"max_avg_sq": [0.0] * 7}, TypeError, ["max_avg_sq", "list"]),
    ],
    "nadam_step": [
        *STEPS,
        *ADAM,
        ("a momentum of one", {"mu": 1.0}, ValueError, ["mu", "1"]),
        ("a next momentum below zero", {"mu_next": -0.1}, ValueError, ["mu_next", "-0.1"]),
        ("a product of text", {"mu_product": "1"}, TypeError, ["mu_product='1'"]),
    ],
    "ema_step": [
        (
            "a value of another shape",
            {"values": [_zeros(3), _zeros(2)]},
            ValueError,
            ["values[1]", "(2,)", "(2, 2)"],
        ),
        ("a value too few", {"values": [_zeros(3)]}, ValueError, ["2 averages", "1 values"]),
        ("one array for all", {"averages": _zeros(7)}, TypeError, ["averages", "ndarray", "list"]),
        ("one value for all", {"values": _zeros(7)}, TypeError, ["values", "ndarray", "list"]),
        ("an average that is a list", {"averages": [[0.0], [1.0]]}, TypeError, ["averages[0]"]),
        ("a decay above one", {"decay": 1.5}, ValueError, ["decay", "1.5"]),
        ("a negative decay", {"decay": -0.1}, ValueError, ["decay", "-0.1"]),
    ],
}
# Elementwise functions of x alone: their only mistakes are those of arrays, below.
OF_ONE_ARRAY = {"hardsigmoid", "hardswish", "mish", "relu", "relu6", "sigmoid", "silu", "tanh"}
MISTAKES = [(op, *mistake) for op, mistakes in TABLE.items() for mistake in mistakes]


@pytest.mark.parametrize(
    "op, what, changes, kind, words", MISTAKES, ids=[f"{m[0]}-{m[1]}" for m in MISTAKES]
)
def test_a_mistake_is_named_with_its_numbers(op, what, changes, kind, words):
    error = _error(op, _base(op) | changes)
    message = str(error)
    assert isinstance(error, kind), f"{type(error).__name__}: {message}"
    assert message.startswith(f"{op}: "), message
    assert "\n" not in message, "one error is one line"
    for word in words:
        assert re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", message), (
            f"no {word!r}: {message}"
        )


@pytest.mark.parametrize("op", ops.__all__)
def test_every_op_has_rows_and_each_of_its_settings_a_mistake(op):
    """A new op, or a new argument, needs rows in TABLE. Any array is tried below, too."""
    parameters = set(inspect.signature(getattr(ops, op)).parameters)
    if op in OF_ONE_ARRAY:
        assert parameters == {"x"}, f"{op} has settings: give it rows in TABLE"
        return
    rows = TABLE.get(op, [])
    assert len(rows) >= 2, f"TABLE has {len(rows)} rows of {op}, expected two or more"
    arrays = {name.partition("[")[0] for name in cases.arrays(_base(op))}
    missing = parameters - arrays - {name for row in rows for name in row[1]}
    assert not missing, f"no row of {op} changes {sorted(missing)}"


# ------------------------------------------------------------- mistakes that apply to every op

FLOATS = [
    (op, name)
    for op in cases.CASES
    for name, array in cases.arrays(_base(op)).items()
    if array.dtype.kind == "f"
]
SEVERAL = [p for p in FLOATS if sum(p[0] == q[0] for q in FLOATS) > 1]
# In conv2d and linear, the weight is not such an array.
OPTIONAL = ("bias", "weight", "running_mean", "running_var", "grads[0]", "grads[1]")
OPTIONAL += ("values[0]", "values[1]")  # of ema_step
OPTIONAL += ("h", "c")  # of lstm
REQUIRED = [
    (op, name)
    for op in cases.CASES
    for name in cases.arrays(_base(op))
    if name not in OPTIONAL or (name == "weight" and op.startswith(("conv", "linear")))
]


def _with(op, name, function):
    """The base call, with one of its arrays changed."""
    return cases.mapped(lambda key, a: function(a) if key == name else a, _base(op))


@pytest.mark.parametrize("dtype", ["float16", "int64", "complex64", "object", "bool"])
@pytest.mark.parametrize("op, name", FLOATS, ids=map("-".join, FLOATS))
def test_another_dtype_is_an_error_that_says_how_to_cast(op, name, dtype):
    error = _error(op, _with(op, name, lambda a: a.astype(dtype)))
    assert isinstance(error, TypeError)
    message = str(error)
    assert message.startswith(f"{op}: ") and dtype in message and name in message, message
    assert "float32" in message and "astype" in message, message


@pytest.mark.parametrize("op, name", SEVERAL, ids=map("-".join, SEVERAL))
def test_two_dtypes_in_one_call_are_an_error(op, name):
    error = _error(op, _with(op, name, lambda a: a.astype(np.float32)))
    assert isinstance(error, TypeError)
    assert str(error).startswith(f"{op}: "), str(error)
    assert "float32" in str(error) and "float64" in str(error), str(error)


@pytest.mark.parametrize("op, name", REQUIRED, ids=map("-".join, REQUIRED))
def test_none_instead_of_an_array_is_an_error(op, name):
    error = _error(op, _with(op, name, lambda a: None))
    assert isinstance(error, TypeError)
    assert str(error).startswith(f"{op}: ") and name in str(error), str(error)
    assert "None" in str(error), str(error)


@pytest.mark.parametrize("op, name", FLOATS, ids=map("-".join, FLOATS))
@pytest.mark.parametrize("value", ["text", {"a": 1}, [[1.0], [1.0, 2.0]]], ids=repr)
def test_a_value_that_is_not_an_array_is_an_error(op, name, value):
    error = _error(op, _with(op, name, lambda a: value))
    assert str(error).startswith(f"{op}: ") and name in str(error), str(error)


def test_one_running_statistic_without_the_other_is_an_error_in_inference():
    for name in ("running_mean", "running_var"):
        arguments = _base("batch_norm") | {"training": False, name: None}
        assert name in str(_error("batch_norm", arguments))
