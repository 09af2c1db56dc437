"""cnnx.compat.functional against the same formulas in plain NumPy."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
from dialects import functional as plain

from cnnx.compat import functional


def test_same_seed_same_losses_same_weights():
    results = []
    for m in (functional, plain):
        np.random.seed(3)
        model = m.SimpleCNN()
        model.W *= 30  # larger weights: with tiny ones any two results would agree
        model.fc.W *= 30
        losses = []
        for _ in range(20):
            X, y = np.random.randn(2, 1, 28, 28), np.random.randint(0, 10, 2)
            losses.append(model.forward(X, y))
            model.backward()
        scores = model.forward(X)
        results.append((losses, model.W, model.b, model.fc.W, model.fc.b, scores))
    (losses, *ours), (expected, *theirs) = results
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    for a, b in zip(ours, theirs):
        same(a, b)


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 1), (3, 2)])
def test_convolution_and_its_columns(stride, padding):
    rng = np.random.default_rng(0)
    X, W, b = rng.normal(size=(2, 3, 8, 7)), rng.normal(size=(4, 3, 3, 2)), rng.normal(size=4)
    out, cache = functional.conv_forward(X, W, b, stride, padding)
    expected, twin = plain.conv_forward(X, W, b, stride, padding)
    same(out, expected)
    assert len(cache) == 6 and cache[3:5] == (stride, padding)
    for a, e in zip(cache, twin):
        np.testing.assert_array_equal(a, e)
    dout = rng.normal(size=out.shape)
    for a, e in zip(functional.conv_backward(dout, cache), plain.conv_backward(dout, twin)):
        same(a, e)
    columns = functional.im2col(X, 3, 2, stride, padding)
    np.testing.assert_array_equal(columns, plain.im2col(X, 3, 2, stride, padding))
    back = functional.col2im(columns, X.shape, 3, 2, stride, padding)
    same(back, plain.col2im(columns, X.shape, 3, 2, stride, padding))


@pytest.mark.parametrize("b", [0.5, 2, np.float64(0.5), np.array([0.5])], ids=repr)
def test_one_number_as_the_bias_of_all_filters(b):
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(2, 3, 6, 5)), rng.normal(size=(4, 3, 3, 2))
    out, cache = functional.conv_forward(X, W, b)
    expected, twin = plain.conv_forward(X, W, b)
    same(out, expected)
    assert cache[2] == b
    dout = rng.normal(size=out.shape)
    for a, e in zip(functional.conv_backward(dout, cache), plain.conv_backward(dout, twin)):
        assert a.shape == e.shape
        same(a, e)


@pytest.mark.parametrize("pool, stride", [(2, 2), (3, 2), (2, 3), (1, 1)])
def test_every_maximum_of_a_window_receives_the_gradient(pool, stride):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (2, 3, 7, 8)).astype(float)  # with many ties
    ours, theirs = functional.MaxPool(pool, stride), plain.MaxPool(pool, stride)
    out = ours.forward(X)
    same(out, theirs.forward(X))
    dout = rng.normal(size=out.shape)
    same(ours.backward(dout), theirs.backward(dout))
    assert ours.cache is X


LAYERS = {
    "ReLU": (lambda m: m.ReLU(), (3, 4), (3, 4)),
    "Flatten": (lambda m: m.Flatten(), (2, 3, 4), (2, 12)),
    "Dense": (lambda m: m.Dense(5, 3), (4, 5), (4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_forward_and_backward(name):
    make, inputs, outputs = LAYERS[name]
    results = []
    for m in (functional, plain):
        np.random.seed(0)
        layer, rounds = make(m), []
        for _ in range(3):
            x, dy = np.random.randn(*inputs), np.random.randn(*outputs)
            rounds += [layer.forward(x), layer.backward(dy)]
        if name == "Dense":
            np.testing.assert_array_equal(layer.X, x)
        results.append(rounds)
    for ours, theirs in zip(*results):
        same(ours, theirs)


def test_attributes_that_scripts_read():
    model = functional.SimpleCNN()
    assert (model.num_filters, model.filter_size) == (8, 3)
    assert model.W[0, 0].shape == (3, 3) and not model.b.any() and model.b.shape == (8,)
    assert model.fc.W.shape == (1568, 10) and model.fc.b.shape == (10,)
    loss = model.forward(np.ones((2, 1, 28, 28)), np.array([1, 2]))
    assert isinstance(loss, float)
    assert model.relu.cache[0].shape == (8, 28, 28)
    assert model.pool.cache.shape == (2, 8, 28, 28)
    assert model.flatten.input_shape == (2, 8, 14, 14) and len(model.conv_cache) == 6
    np.testing.assert_allclose(model.loss_fn.probs.sum(1), 1)
    assert model.loss_fn.y.tolist() == [1, 2]
    same(model.loss_fn.backward(), (model.loss_fn.probs - np.eye(10)[[1, 2]]) / 2)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: functional.im2col(np.ones((3, 3)), 2, 2), ValueError, r"im2col: .*\(3, 3\)"),
        (lambda: functional.ReLU().backward([[1]]), RuntimeError, "ReLU: backward needs"),
        (
            lambda: functional.conv_forward(np.ones((1, 1, 3, 3)), np.ones((4, 1, 2, 2)), [1, 2]),
            ValueError,
            r"conv_forward: b has 2 numbers, .* W \(4, 1, 2, 2\)",
        ),
        (lambda: functional.SimpleCNN().backward(), RuntimeError, "SimpleCNN: backward needs"),
        (
            lambda: functional.SimpleCNN().forward(np.ones((1, 1, 14, 14))),
            ValueError,
            r"Dense: input has shape \(1, 392\), but weights \(1568, 10\)",
        ),
        (lambda: functional.SoftmaxLoss().forward([[1.0, 2.0]], [2]), ValueError, "2"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_gradients_of_another_shape_are_named():
    dense, pool = functional.Dense(2, 3), functional.MaxPool()
    dense.forward(np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"gradient has shape \(4, 2\), expected \(4, 3\)"):
        dense.backward(np.ones((4, 2)))
    pool.forward(np.ones((1, 1, 4, 4)))
    with pytest.raises(ValueError, match=r"gradient has shape \(1, 1, 1, 2\)"):
        pool.backward(np.ones((1, 1, 1, 2)))


def test_the_page_runs_with_its_import_lines_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path, 400)
    old, imports, idiomatic = page("functional")
    names = run(with_new_imports(old, imports))
    assert np.mean(names["losses"][-50:]) < 0.5 * names["losses"][0]
    assert names["feature_maps"].shape == (8, 28, 28) and names["dW"].shape == (1, 1, 3, 3)
    assert names["accuracy"] > 0.7
    assert run(idiomatic)["accuracy"] > 0.9


def test_the_examples_run():
    found = doctest.testmod(functional)
    assert found.attempted and not found.failed
