"""Errors of `Input`, Symbols and `Graph`, and of files that describe no graph."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import Product, images

from cnnx import Add, Graph, Input, Linear, Sequential, Tanh

ERRORS = {
    "no-symbol": (lambda x: Graph(x, np.ones(3)), TypeError, "outputs has a ndarray"),
    "empty": (lambda x: Graph(x, ()), ValueError, "outputs is empty"),
    "twice": (lambda x: Graph((x, x), Tanh()(x)), ValueError, "twice"),
    "unused": (lambda x: Graph((x, Input((2,))), Tanh()(x)), ValueError, r"input 1, of shape \(2"),
    "missing": (
        lambda x: Graph(Input((7,)), Tanh()(x)),
        ValueError,
        r"Input of shape \(3,\) that is not among the inputs, of shapes \(7,\)",
    ),
    "mixed": (lambda x: Add()(x, np.ones(3)), TypeError, "input 1 is a ndarray"),
    "shapes": (lambda x: x + Input((2,)), ValueError, r"\(0, 3\) and \(0, 2\)"),
    "misfit": (lambda x: Linear(5, 2)(x), ValueError, "5"),
    "no-shape": (lambda x: Input((3, 0)), ValueError, r"shape is \(3, 0\)"),
    "text": (lambda x: Input("image"), ValueError, "shape is 'image'"),
    "given-two": (lambda x: Graph(x, Tanh()(x))(np.ones(3), np.ones(3)), TypeError, "2 inputs"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_invalid_graphs_and_calls_are_errors(name):
    call, error, words = ERRORS[name]
    with pytest.raises(error, match=words):
        call(Input((3,)))


def test_a_wrong_number_of_gradients_is_an_error():
    class Wrong(Product):
        def backward(self, dy):
            return dy

    x = Input((3,))
    model = Graph(x, (Wrong()(x, x), x))
    model(images(2, 3))
    with pytest.raises(TypeError, match=r"Graph.backward: expected a tuple of 2 gradients"):
        model.backward(images(2, 3))
    with pytest.raises(TypeError, match=r"Wrong.backward returned a ndarray.*tuple of 2"):
        model.backward((images(2, 3), None))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("calls", (("0", (1,)),)),  # reads what it makes
        ("calls", (("0", (-1,)),)),
        ("calls", (("0", ()),)),
        ("calls", (("9", (0,)),)),
        ("calls", (("0", (0.5,)),)),
        ("outputs", (5,)),
        ("outputs", ()),
        ("layers", 3),
        ("input_shapes", None),
    ],
)
def test_invalid_wiring_in_a_file_is_an_error(key, value):
    x = Input((3,))
    config = Graph(x, Tanh()(x)).config() | {key: value}
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Graph.from_config(config)


def test_a_patched_graph_of_two_outputs_inside_a_model_is_an_error():
    x = Input((3,))
    pair = Graph(x, (Tanh()(x), Linear(3, 3)(x)))
    model = Sequential(pair, Add())
    assert model(images(2, 3)).shape == (2, 3)
    pair.forward = pair.forward
    with pytest.raises(ValueError, match="0: this Graph of 2 outputs overrides forward"):
        model(images(2, 3))
