"""Small ONNX files, and the traps of the format: defaults, and forms that depend on the opset."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT = onnx.TensorProto.FLOAT


def model_of(nodes, inputs, outputs=("y",), arrays=None, opset=17, **options):
    """The bytes of a file. inputs: {name: shape}; arrays: {name: array}."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (arrays or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    options.setdefault("ir_version", 8)
    return helper.make_model(graph, opset_imports=imports, **options).SerializeToString()


def node(operator, inputs, outputs="y", **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# What it is about -> the nodes, the arrays, and the opset. The input x is (2, 3, 6, 7).
TRAPS = {
    "the stride of a pool is 1": ([node("MaxPool", "x", kernel_shape=[2, 2])], {}, 17),
    "a mean does not count padding": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        {},
        17,
    ),
    "a mean with padding at one end": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[0, 1, 2, 0], strides=[2, 2])],
        {},
        17,
    ),
    "a counted mean with padding at one end, and ceil_mode": (
        [
            node(
                "AveragePool",
                "x",
                kernel_shape=[3, 2],
                pads=[0, 1, 2, 0],
                strides=[2, 2],
                ceil_mode=1,
                count_include_pad=1,
            )
        ],
        {},
        22,
    ),
    "a maximum with padding at one end": (
        [node("MaxPool", "x", kernel_shape=[3, 3], pads=[0, 1, 2, 0], strides=[2, 1])],
        {},
        17,
    ),
    "auto_pad of a pool": (
        [node("MaxPool", "x", kernel_shape=[3, 3], auto_pad="SAME_LOWER", strides=[2, 2])],
        {},
        17,
    ),
    "auto_pad of a mean": (
        [node("AveragePool", "x", kernel_shape=[2, 2], auto_pad="SAME_UPPER", strides=[2, 2])],
        {},
        17,
    ),
    "auto_pad of a convolution": (
        [node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 3])],
        {"w": floats(4, 3, 3, 4)},
        17,
    ),
    "auto_pad of a convolution of stride 1": (
        [node("Conv", "x w", auto_pad="SAME_LOWER")],
        {"w": floats(4, 3, 2, 4)},
        17,
    ),
    "padding at one end": ([node("Conv", "x w", pads=[0, 1, 2, 0])], {"w": floats(4, 3, 3, 3)}, 17),
    "softmax of rows": ([node("Softmax", "x", axis=1)], {}, 11),
    "softmax of an axis": ([node("Softmax", "x", axis=1)], {}, 13),
    "log-softmax of rows": ([node("LogSoftmax", "x", axis=2)], {}, 11),
    "clip by attributes": ([node("Clip", "x", min=-0.5, max=0.25)], {}, 7),
    "clip with an absent bound": (
        [helper.make_node("Clip", ["x", "", "most"], ["y"])],
        {"most": np.array(0.25, np.float32)},
        17,
    ),
    "axes as attribute": (
        [node("Unsqueeze", "x", "a", axes=[0, 5]), node("Squeeze", "a", axes=[0])],
        {},
        11,
    ),
    "axes as input": (
        [node("Unsqueeze", "x i", "a"), node("Squeeze", "a j")],
        {"i": np.array([0, 5]), "j": np.array([0])},
        17,
    ),
    "slices by attributes": (
        [node("Slice", "x", starts=[1, -3], ends=[1000, -1], axes=[1, 3])],
        {},
        9,
    ),
    "slices by inputs, backwards": (
        [node("Slice", "x s e a t")],
        {
            "s": np.array([-1, 6]),
            "e": np.array([-1000, 1]),
            "a": np.array([1, 3]),
            "t": np.array([-1, -2]),
        },
        17,
    ),
    "reshape with 0 and -1": ([node("Reshape", "x s")], {"s": np.array([0, -1, 7])}, 17),
    "split as attribute": (
        [node("Split", "x", "a b", axis=1, split=[1, 2]), node("Concat", "b a", axis=1)],
        {},
        11,
    ),
    "split as input": (
        [node("Split", "x s", "a b", axis=1), node("Concat", "b a", axis=1)],
        {"s": np.array([2, 1])},
        17,
    ),
    "batch norm": (
        [node("BatchNormalization", "x s b m v", epsilon=0.1)],
        {name: np.abs(floats(3, seed=i)) for i, name in enumerate("sbmv")},
        17,
    ),
    "instance norm": (
        [node("InstanceNormalization", "x s b")],
        {name: floats(3, seed=i) for i, name in enumerate("sb")},
        17,
    ),
    "response norm": ([node("LRN", "x", size=3, alpha=0.1, bias=2.0)], {}, 17),
    "pad": (
        [node("Pad", "x p v")],
        {"p": np.array([0, 0, 1, 2, 0, 1, 0, -1]), "v": np.float32(3)},
        17,
    ),
    "pad by reflection": (
        [node("Pad", "x p", mode="reflect")],
        {"p": np.array([0, 0, 1, 2, 0, 0, 0, 3])},
        17,
    ),
    "resize, nearest": (
        [
            helper.make_node(
                "Resize",
                ["x", "", "s"],
                ["y"],
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": np.float32([1, 1, 2, 1.7])},
        17,
    ),
    "resize, round_prefer_floor": (
        [helper.make_node("Resize", ["x", "", "s"], ["y"])],
        {"s": np.float32([1, 1, 2, 1.7])},
        17,
    ),
    "resize, linear": (
        [helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear")],
        {"s": np.array([2, 3, 5, 19])},
        17,
    ),
    "resize, cubic": (
        [
            helper.make_node(
                "Resize", ["x", "", "s"], ["y"], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1
            )
        ],
        {"s": np.float32([1, 1, 2, 0.7])},
        17,
    ),
    "upsample": ([node("Upsample", "x s")], {"s": np.float32([1, 1, 2, 3])}, 9),
    "depth to space": (
        [node("SpaceToDepth", "x", "a", blocksize=1), node("DepthToSpace", "a", blocksize=1)],
        {},
        17,
    ),
    "gather": ([node("Gather", "x i", axis=2)], {"i": np.array([[0, -1], [2, 1]])}, 17),
    "slopes of channels": ([node("PRelu", "x s")], {"s": floats(3, 1, 1)}, 17),
    "slopes of pixels": ([node("PRelu", "x s")], {"s": floats(6, 7)}, 17),
    "hard sigmoid": ([node("HardSigmoid", "x", alpha=0.3, beta=0.4)], {}, 17),
    "selu": ([node("Selu", "x")], {}, 17),
    "erf": ([node("Erf", "x")], {}, 17),
    "mean without keepdims": ([node("ReduceMean", "x", axes=[-1, 1], keepdims=0)], {}, 17),
    "sum along an input's axes": ([node("ReduceSum", "x a")], {"a": np.array([2])}, 17),
    "arithmetic": (
        [
            node("Pow", "x two", "a"),
            node("Add", "a c", "b"),
            node("Sqrt", "b", "d"),
            node("Div", "x d", "e"),
            node("Max", "e x c", "f"),
            node("Sub", "c f"),
        ],
        {"two": np.float32(2), "c": np.abs(floats(3, 1, 1)) + 0.1},
        17,
    ),
    "where": (
        [node("Greater", "x zero", "c"), node("Where", "c x zero")],
        {"zero": np.zeros(1, np.float32)},
        17,
    ),
    "matrix products": (
        [
            node("MatMul", "x w", "a"),
            node("Transpose", "a", "t", perm=[0, 1, 3, 2]),
            node("MatMul", "a t"),
        ],
        {"w": floats(7, 5)},
        17,
    ),
    "transposed convolution": (
        [node("ConvTranspose", "x w b", strides=[2, 3], pads=[1, 0, 0, 2], output_padding=[1, 0])],
        {"w": floats(3, 4, 3, 3), "b": floats(4)},
        17,
    ),
    "transposed convolution of a given size": (
        [node("ConvTranspose", "x w", strides=[2, 2], output_shape=[12, 14])],
        {"w": floats(3, 4, 3, 3)},
        17,
    ),
}
