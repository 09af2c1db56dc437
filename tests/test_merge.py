"""Layers of several inputs: values computed by hand, gradients, dtypes, errors."""

from __future__ import annotations

import inspect
import textwrap

import numpy as np
import pytest
from layer_helpers import check_gradients, images

import cnnx
from cnnx.layers import (
    Add,
    Concat,
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Linear,
    Multiply,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    no_grad,
)

LAYERS = {"Add": Add(), "Multiply": Multiply(), "Concat": Concat(), "Concat -2": Concat(axis=-2)}


def test_add_sums_its_inputs_from_left_to_right():
    xs = [np.float32([[big, 1.0]]) for big in (2.0**24, 1.0, 1.0)]
    y = Add().forward(*xs)
    assert y.dtype == np.float32
    assert y.tolist() == [[2.0**24, 3.0]]  # 1 + 1 first would be 2 more
    assert Add().forward(xs[1], xs[2], xs[0]).tolist() == [[2.0**24 + 2, 3.0]]


def test_add_returns_the_same_gradient_for_every_input_without_a_copy():
    layer, dy = Add(), images(2, 3)
    layer.forward(images(2, 3), images(2, 3, seed=1), images(2, 3, seed=2))
    gradients = layer.backward(dy)
    assert isinstance(gradients, tuple) and len(gradients) == 3
    assert all(gradient is dy for gradient in gradients)


@pytest.mark.parametrize("name", LAYERS)
def test_the_result_and_the_gradients_have_the_dtype_of_the_first_input(name):
    layer = LAYERS[name]
    single, double, counts = np.ones((2, 2), "f4"), np.ones((2, 2)), np.ones((2, 2), int)
    cases = (single, double), (double, single), (counts, double), (double, counts)
    for xs in cases:
        expected = np.float64 if xs[0] is double else np.float32
        y = layer.forward(*xs)
        assert y.dtype == expected
        for dy in (y, y.astype(np.float64)):
            assert [g.dtype for g in layer.backward(dy)] == [expected, expected]


def test_multiply_scales_channels_by_a_gate():
    layer = Multiply()
    x, gate = np.arange(8.0).reshape(1, 2, 2, 2), np.array([10.0, 0.5]).reshape(1, 2, 1, 1)
    y = layer.forward(x, gate)
    assert y.ravel().tolist() == [0, 10, 20, 30, 2, 2.5, 3, 3.5]
    dx, dgate = layer.backward(np.ones_like(y))
    assert dx.ravel().tolist() == [10, 10, 10, 10, 0.5, 0.5, 0.5, 0.5]
    assert dgate.ravel().tolist() == [0 + 1 + 2 + 3, 4 + 5 + 6 + 7]


def test_concat_joins_its_inputs_in_order_and_splits_the_gradient():
    layer = Concat()
    a, b, c = np.array([[1.0], [2]]), np.array([[3.0, 4], [5, 6]]), np.array([[7.0], [8]])
    y = layer.forward(a, b, c)
    assert y.tolist() == [[1, 3, 4, 7], [2, 5, 6, 8]]
    gradients = layer.backward(10 * y)
    assert [g.tolist() for g in gradients] == [(10 * x).tolist() for x in (a, b, c)]
    assert all(g.flags.c_contiguous and g.base is not y for g in gradients)
    assert Concat(axis=0).forward(a, c).tolist() == [[1], [2], [7], [8]]
    assert Concat(axis=-1).forward(b, a).tolist() == [[3, 4, 1], [5, 6, 2]]


TORCH = {
    "Add": (Add(), lambda torch, a, b, c: a + b + c, [(2, 3, 4, 5)] * 3),
    "Multiply": (Multiply(), lambda torch, a, b: a * b, [(2, 3, 4, 5)] * 2),
    "gate": (Multiply(), lambda torch, a, b: a * b, [(2, 3, 4, 5), (2, 3, 1, 1)]),
    "gate first": (Multiply(), lambda torch, a, b: a * b, [(2, 3, 1, 1), (2, 3, 4, 5)]),
    "outer": (Multiply(), lambda torch, a, b: a * b, [(4, 1), (1, 5)]),
    "Concat": (
        Concat(),
        lambda torch, a, b, c: torch.cat([a, b, c], 1),
        [(2, 3, 4, 5), (2, 1, 4, 5), (2, 4, 4, 5)],
    ),
    "axis": (Concat(axis=-2), lambda torch, a, b: torch.cat([a, b], -2), [(2, 3, 4), (2, 2, 4)]),
    "batches": (Concat(axis=0), lambda torch, a, b: torch.cat([a, b]), [(2, 3), (4, 3)]),
}


@pytest.mark.parametrize("name", TORCH)
def test_forward_and_gradients_match_torch(name):
    torch = pytest.importorskip("torch")
    layer, twin, shapes = TORCH[name]
    xs = [images(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    tensors = [torch.tensor(x, requires_grad=True) for x in xs]
    expected = twin(torch, *tensors)
    dy = images(*expected.shape, seed=9)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(layer.forward(*xs), expected.detach().numpy(), rtol=1e-14)
    for dx, tensor in zip(layer.backward(dy), tensors, strict=True):
        np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-13, atol=1e-15)


def test_add_and_concat_save_no_array():
    x = images(2, 3)
    for layer in (Add(), Concat()):
        layer.forward(x, x)
        assert not any(isinstance(value, np.ndarray) for value in layer._saved())


def test_overwriting_an_input_that_multiply_needs_is_detected():
    layer, x, gate = Multiply(), images(2, 3, 4, 4), images(2, 3, 1, 1)
    for written in (x, gate):
        y = layer.forward(x, gate)
        written[...] = 7
        with pytest.raises(RuntimeError, match=r"Multiply\.backward: .*modified in place"):
            layer.backward(y)


def test_gradients_of_a_squeeze_and_excitation_block_match_finite_differences():
    x = cnnx.Input((4, 5, 6))
    h = Conv2D(4, 4, 3, padding=1)(x)
    gate = Sequential(
        GlobalAvgPool2D(), Flatten(), Linear(4, 2), ReLU(), Linear(2, 4), Sigmoid(),
        Reshape((4, 1, 1)),
    )  # fmt: skip
    model = cnnx.Graph(x, h * gate(h) + x).astype(np.float64)
    check_gradients(model, images(3, 4, 5, 6))


def test_gradients_of_a_dense_block_match_finite_differences():
    x = cnnx.Input((3, 5, 6))
    features = [x]
    for count in (3, 5, 7):
        joined = Concat()(*features) if len(features) > 1 else x
        features.append(ReLU()(Conv2D(count, 2, 3, padding=1)(joined)))
    y = Concat()(*features)
    assert y.shape == (9, 5, 6)
    check_gradients(cnnx.Graph(x, y).astype(np.float64), images(2, 3, 5, 6))


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_is_saved_inside_no_grad(name):
    layer = LAYERS[name].copy()
    with no_grad():
        layer.forward(images(2, 3), images(2, 3))
    with pytest.raises(RuntimeError, match="no forward"):
        layer.backward(images(2, 3))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    ("xs", "error", "message"),
    [
        ((), ValueError, r"{}: no input given, expected two or more"),
        ((np.ones(2),), ValueError, r"{}: one input given, expected two or more"),
        (([np.ones(2), np.ones(2)],), ValueError, r"{}: one input given"),
        ((np.ones(2), np.array(["a", "b"])), TypeError, "{}: x has dtype"),
        ((np.ones(2), np.ma.masked_array([1.0, 2.0])), TypeError, "{}: x is a masked array"),
    ],
)
def test_invalid_inputs_of_any_of_the_layers_are_errors(name, xs, error, message):
    with pytest.raises(error, match=message.format(name.split()[0])):
        LAYERS[name].forward(*xs)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (
            Add(),
            [(2, 6, 6, 6), (2, 4, 6, 6)],
            r"Add: the inputs have shapes \(2, 6, 6, 6\) and \(2, 4, 6, 6\), expected equal shapes",
        ),
        (Add(), [(2, 3), (2, 3), (2, 1)], r"shapes \(2, 3\), \(2, 3\) and \(2, 1\)"),
        (Multiply(), [(2, 3), (2, 3), (2, 3)], "Multiply: 3 inputs given, expected two"),
        (Multiply(), [(2, 3), (2, 4)], r"multiply: x has shape \(2, 3\) and y has shape \(2, 4\)"),
        (Multiply(), [(2, 3, 4, 4), (2, 3)], r"\(2, 3, 4, 4\).*\(2, 3\).*the same number of axes"),
        (
            Concat(),
            [(2, 3, 4), (2, 3, 4), (2, 3, 5)],
            r"\(2, 3, 5\): expected equal sizes along all axes but axis 1",
        ),
        (Concat(axis=-4), [(2, 3), (2, 3)], "concat: axis=-4, but .* 2 dimensions"),
    ],
)
def test_incompatible_shapes_are_errors_that_name_them(layer, shapes, message):
    with pytest.raises(ValueError, match=message):
        layer.forward(*map(np.ones, shapes))


def test_an_invalid_axis_is_an_error_in_the_constructor():
    for axis in (0.5, "1", None):
        with pytest.raises(TypeError, match="Concat: axis"):
            Concat(axis=axis)


@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_batch_runs_forward_and_backward(name):
    layer, x = LAYERS[name], np.zeros((0, 4, 8, 8), np.float32)
    y = layer.forward(x, x)
    assert len(y) == 0 and y.ndim == 4
    assert [dx.shape for dx in layer.backward(y)] == [x.shape, x.shape]


def test_an_empty_batch_gives_a_broadcast_gate_a_gradient_of_zero():
    layer = Multiply()
    y = layer.forward(np.zeros((0, 4, 8, 8)), np.ones((1, 4, 1, 1)))
    dx, dgate = layer.backward(y)
    assert dx.shape == (0, 4, 8, 8)
    assert dgate.tolist() == np.zeros((1, 4, 1, 1)).tolist()


@pytest.mark.parametrize("layer", [Add(), Multiply(), Concat(axis=-2)], ids=repr)
def test_config_copy_and_file_reproduce_the_layer(layer, tmp_path):
    layer.save(tmp_path / "layer.npz")
    for other in (layer.copy(), cnnx.load(tmp_path / "layer.npz")):
        assert type(other) is type(layer)
        assert other.config() == layer.config()
        assert repr(other) == repr(layer)


@pytest.mark.parametrize("layer", [Add, Multiply, Concat])
def test_the_example_in_a_docstring_runs(layer):
    example = inspect.getdoc(layer).partition("Example::")[2]
    names = {"np": np, **{name: getattr(cnnx, name) for name in cnnx.__all__}}
    exec(textwrap.dedent(example), names)
    assert names["layer"].__class__ is layer
