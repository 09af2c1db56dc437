"""Chains of operators that are layers of cnnx, in every order that exporters write."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx_helpers import assert_close, runtime, saved
from onnx_traps import floats, model_of, node

import cnnx
from cnnx import layers
from cnnx.onnx.layers.elementwise import Affine

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SHAPE = (2, 4, 6, 8)
NUMBERS = {
    "root": math.sqrt(2),
    "inverse": math.sqrt(0.5),
    "half": 0.5,
    "one": 1,
    "two": 2,
    "three": 3,
    "six": 6,
    "sixth": 1 / 6,
    "zero": 0,
    "slope": 0.2,
    "tanh": math.sqrt(2 / math.pi),
    "cube": 0.044715,
    "eps": 1e-5,
}
ARRAYS = {name: np.array(value, np.float32) for name, value in NUMBERS.items()}
ARRAYS |= {
    "kernel": floats(5, 4, 3, 3, seed=1),
    "pairs": floats(6, 2, 3, 3, seed=14),
    "bias": floats(5, seed=2),
    "hundreds": np.full(5, 100, np.float32),
    "four": floats(4, 1, 1, seed=13),
    "column": floats(1, 5, 1, 1, seed=3),
    "flat": floats(5, 1, 1, seed=4),
    "row": floats(8, seed=5),
    "row2": floats(8, seed=6),
    "matrix": floats(8, 5, seed=7),
    "vector": floats(5, seed=8),
    "turned": floats(4, 6, 3, 3, seed=9),
    "six_columns": floats(6, 1, 1, seed=10),
}
CONV = node("Conv", "x kernel", "c", pads=[1, 1, 1, 1])
ERF = [node("Div", "x root", "u"), node("Erf", "u", "e"), node("Add", "e one", "g")]
TANH = [
    node("Mul", "x x", "p"),
    node("Mul", "p x", "q"),
    node("Mul", "cube q", "r"),
    node("Add", "x r", "s"),
    node("Mul", "s tanh", "t"),
    node("Tanh", "t", "e"),
    node("Add", "one e", "g"),
]
CLIPPED = [node("Add", "x three", "a"), node("Clip", "a zero six", "g")]
MEAN = {"axes": [-1], "keepdims": 1}
NORMAL = [
    node("ReduceMean", "x", "m", **MEAN),
    node("Sub", "x m", "d"),
    node("Pow", "d two", "q"),
    node("ReduceMean", "q", "v", **MEAN),
    node("Add", "v eps", "w"),
    node("Sqrt", "w", "s"),
    node("Div", "d s", "n"),
]

# The nodes, of which the last makes y, and the layers that they become.
CHAINS = {
    "gelu": ([*ERF, node("Mul", "x g", "h"), node("Mul", "h half", "y")], [layers.GELU]),
    "gelu, half first": (
        [*ERF, node("Mul", "x half", "h"), node("Mul", "h g", "y")],
        [layers.GELU],
    ),
    "gelu, half of the gate": (
        [*ERF, node("Mul", "half g", "h"), node("Mul", "h x", "y")],
        [layers.GELU],
    ),
    "gelu by a product": (
        [
            node("Mul", "x inverse", "u"),
            node("Erf", "u", "e"),
            node("Add", "one e", "g"),
            node("Mul", "x g", "h"),
            node("Div", "h two", "y"),
        ],
        [layers.GELU],
    ),
    "gelu by tanh": ([*TANH, node("Mul", "half g", "h"), node("Mul", "x h", "y")], [layers.GELU]),
    "hardswish": (
        [*CLIPPED, node("Mul", "x g", "h"), node("Div", "h six", "y")],
        [layers.Hardswish],
    ),
    "hardswish of a gate": (
        [*CLIPPED, node("Mul", "g sixth", "h"), node("Mul", "h x", "y")],
        [layers.Hardswish],
    ),
    "silu": ([node("Sigmoid", "x", "g"), node("Mul", "g x", "y")], [layers.SiLU]),
    "bias": ([CONV, node("Add", "c column", "y")], [layers.Conv2D]),
    "bias of a bias": (
        [node("Conv", "x kernel bias", "c"), node("Sub", "c flat", "y")],
        [layers.Conv2D],
    ),
    "scales": (
        [
            CONV,
            node("Mul", "c column", "a"),
            node("Add", "half a", "b"),
            node("Div", "b flat", "y"),
        ],
        [layers.Conv2D],
    ),
    "transposed": (
        [
            node("ConvTranspose", "x turned", "c"),
            node("Mul", "c six_columns", "a"),
            node("Sub", "a six_columns", "y"),
        ],
        [layers.ConvTranspose2D],
    ),
    "linear": (
        [
            node("MatMul", "x matrix", "c"),
            node("Mul", "c vector", "a"),
            node("Add", "a vector", "y"),
        ],
        [layers.Linear],
    ),
    "a scale and a shift of images": (
        [node("Relu", "x", "a"), node("Mul", "half a", "b"), node("Add", "b three", "y")],
        [layers.ReLU, Affine],
    ),
    "scales and shifts of channels": (
        [
            node("Sub", "x four", "a"),
            node("Div", "a four", "b"),
            node("Mul", "b six", "c"),
            node("Add", "three c", "y"),
        ],
        [Affine],
    ),
    "before a convolution": (
        [
            *[node("Relu", "x", "a"), node("Mul", "a four", "b"), node("Sub", "b half", "c")],
            node("Conv", "c kernel bias", "y", strides=[2, 1]),
        ],
        [layers.ReLU, layers.Conv2D],
    ),
    "before a convolution and after it": (
        [
            *[node("Relu", "x", "a"), node("Mul", "a four", "b"), node("Sub", "b half", "c")],
            *[
                node("Conv", "c kernel", "d"),
                node("Add", "d column", "e"),
                node("Div", "e six", "y"),
            ],
        ],
        [layers.ReLU, layers.Conv2D],
    ),
    "before a convolution of groups": (
        [
            *[node("Relu", "x", "a"), node("Mul", "half a", "b"), node("Add", "b four", "c")],
            node("Conv", "c pairs", "y", group=2),
        ],
        [layers.ReLU, layers.Conv2D],
    ),
    "before a border": (
        [
            *[node("Relu", "x", "a"), node("Mul", "half a", "b"), node("Add", "b four", "c")],
            node("Conv", "c kernel", "y", pads=[0, 0, 1, 0]),
        ],
        [layers.ReLU, Affine, layers.Conv2D],
    ),
    "a gate with another slope": (
        [
            CONV,
            node("Mul", "c slope", "a"),
            node("Add", "a half", "b"),
            node("Clip", "b zero one", "y"),
        ],
        [layers.Conv2D, layers.Hardsigmoid],
    ),
    "a gate by six": (
        [
            CONV,
            node("Add", "c three", "a"),
            node("Clip", "a zero six", "b"),
            node("Div", "b six", "y"),
        ],
        [layers.Conv2D, layers.Hardsigmoid],
    ),
    "layer norm": (
        [*NORMAL, node("Mul", "n row", "p"), node("Add", "p row2", "y")],
        [layers.LayerNorm],
    ),
    "layer norm by a product": (
        [
            *[node("Mul", "d d", "q") if each.op_type == "Pow" else each for each in NORMAL],
            node("Mul", "row n", "p"),
            node("Add", "row2 p", "y"),
        ],
        [layers.LayerNorm],
    ),
}

# Nearly the same, which stay what they are.
OTHERS = {
    "gelu of another number": [*ERF, node("Mul", "x g", "h"), node("Mul", "h six", "y")],
    "gelu of another root": [
        node("Div", "x two", "u"),
        *ERF[1:],
        node("Mul", "x g", "h"),
        node("Mul", "h half", "y"),
    ],
    "gelu plus two": [
        *ERF[:2],
        node("Add", "e two", "g"),
        node("Mul", "x g", "h"),
        node("Mul", "h half", "y"),
    ],
    "hardswish of another bound": [
        node("Add", "x three", "a"),
        node("Clip", "a one six", "g"),
        node("Mul", "x g", "h"),
        node("Div", "h six", "y"),
    ],
    "hardswish of another value": [
        node("Neg", "x", "z"),
        *CLIPPED,
        node("Mul", "z g", "h"),
        node("Div", "h six", "y"),
    ],
    "bias along the columns": [CONV, node("Add", "c row", "y")],
    "divided by a convolution": [
        node("Conv", "x kernel hundreds", "c", pads=[1, 1, 1, 1]),
        node("Div", "half c", "y"),
    ],
    "subtracted from a number": [CONV, node("Sub", "half c", "y")],
    "a gate that is read again": [
        node("Sigmoid", "x", "g"),
        node("Mul", "g x", "h"),
        node("Add", "h g", "y"),
    ],
    "a convolution that is read again": [
        CONV,
        node("Add", "c column", "a"),
        node("Mul", "a c", "y"),
    ],
    "layer norm over other axes": [
        node("ReduceMean", "x", "m", axes=[-2], keepdims=1),
        *NORMAL[1:],
        node("Mul", "n row", "p"),
        node("Add", "p row2", "y"),
    ],
}


def loaded(nodes):
    read = {name for each in nodes for name in each.input}
    arrays = {name: array for name, array in ARRAYS.items() if name in read}
    content = model_of(nodes, {"x": list(SHAPE)}, arrays=arrays, opset=13)
    return cnnx.onnx.load(content), content


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_is_the_layer_that_it_computes(chain):
    nodes, kinds = CHAINS[chain]
    model, content = loaded(nodes)
    assert [type(each.layer) for each in model.wiring().nodes] == kinds
    x = floats(*SHAPE, seed=11) * 2
    [expected] = runtime(content, x)
    assert_close(model(x), expected, 1e-5)
    assert_close(cnnx.compile(model, SHAPE[1:], batch=2)(x), expected, 1e-5)
    assert_close(runtime(saved(model, SHAPE[1:]), x)[0], expected, 1e-5)


@pytest.mark.parametrize("chain", OTHERS)
def test_what_computes_something_else_stays_what_it_is(chain):
    model, content = loaded(OTHERS[chain])
    x = floats(*SHAPE, seed=12) * 2
    [expected] = runtime(content, x)
    assert_close(model(x), expected, 1e-5)
    kinds = {type(each.layer) for each in model.wiring().nodes}
    assert not kinds & {layers.GELU, layers.Hardswish, layers.SiLU, layers.LayerNorm}


@pytest.mark.parametrize("scale", [0.5, floats(4, 1, 1, seed=1), floats(1, 4, 1, 1, seed=2)])
def test_an_affine_of_images_is_a_job_and_others_are_computed_too(scale):
    """The kernel's results are those of NumPy for other shapes, and its gradients the quotients."""
    layer = Affine()
    layer.fix(1, np.asarray(scale, np.float32))
    layer.fix(2, np.float32(3) * np.ones_like(scale, np.float32))
    model = cnnx.Sequential(layer).eval()
    x = floats(*SHAPE)
    assert_close(model(x), x * np.float32(scale) + 3, 3e-7)
    plan = cnnx.compile(model, SHAPE[1:], batch=2)
    assert plan(x).tobytes() == model(x).tobytes()
    if "compiled" in cnnx.available_backends():
        assert "Python" not in plan.explain()
    rows = x.reshape(-1, *SHAPE[1:]) if np.ndim(scale) else x.reshape(-1, SHAPE[-1])
    assert_close(layer(rows), rows * np.float32(scale) + 3, 3e-7)
    double = layer.copy().astype(np.float64)
    cnnx.testing.gradcheck(double, floats(2, 4, 3, 3).astype(np.float64))


def test_a_value_that_is_an_output_stays():
    nodes = [CONV, node("Add", "c column", "y")]
    model = cnnx.onnx.load(
        model_of(
            nodes,
            {"x": list(SHAPE)},
            outputs=["c", "y"],
            arrays={name: ARRAYS[name] for name in ("kernel", "column")},
        )
    )
    c, y = model(floats(*SHAPE))
    np.testing.assert_array_equal(y, c + ARRAYS["column"])


def test_weights_that_two_layers_share_are_not_scaled():
    nodes = [
        CONV,
        node("Mul", "c half", "a"),
        node("Conv", "x kernel", "b", pads=[1, 1, 1, 1]),
        node("Add", "b column", "d"),
        node("Add", "a d", "y"),
    ]
    model, content = loaded(nodes)
    x = floats(*SHAPE)
    assert_close(model(x), runtime(content, x)[0], 1e-5)
    assert len({id(p) for p in model.parameters() if p.data.ndim == 4}) == 1


def test_a_long_chain_takes_no_longer_for_each_node():
    """Products of products, each of which could be the end of a chain."""
    nodes = [node("Mul", f"a{i} x" if i else "x x", f"a{i + 1}") for i in range(3000)]
    nodes.append(node("Neg", "a3000", "y"))
    model, _ = loaded(nodes)
    assert len(model.wiring().nodes) == 3001
