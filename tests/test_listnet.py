"""cnnx.compat.listnet against the same formulas in plain NumPy."""

from __future__ import annotations

import copy
import doctest

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
from dialects import listnet as plain

import cnnx
from cnnx.compat import listnet


def xor(m):
    return [m.Dense(2, 3), m.Tanh(), m.Dense(3, 1), m.Tanh()]


def mlp(m):
    return [m.Dense(784, 50), m.Tanh(), m.Dense(50, 10), m.Softmax()]


def convolutional(m):
    return [
        m.Convolutional((2, 9, 8), 3, 4),
        m.Sigmoid(),
        m.Convolutional((4, 7, 6), 2, 3),
        m.Activation(np.sin, np.cos),
        m.Reshape((3, 6, 5), (90, 1)),
        m.Dense(90, 2),
        m.Sigmoid(),
    ]


NETWORKS = {
    "xor": (xor, (2, 1), 1, "mse", 0.1),
    "mlp": (mlp, (784, 1), 10, "mse", 0.05),
    "convolutional": (convolutional, (2, 9, 8), 2, "binary_cross_entropy", 0.1),
}


def trained(m, name, steps, by_hand=False):
    """The loss of each sample, and the network."""
    build, shape, outputs, loss, rate = NETWORKS[name]
    np.random.seed(5)
    network = build(m)
    x, y = np.random.randn(steps, *shape), np.random.rand(steps, outputs, 1)
    losses = []

    def recorded(y_true, y_pred):
        losses.append(getattr(m, loss)(y_true, y_pred))
        return losses[-1]

    prime = getattr(m, f"{loss}_prime")
    if by_hand:
        for sample, target in zip(x, y):
            output = m.predict(network, sample)
            recorded(target, output)
            gradient = prime(target, output)
            for layer in reversed(network):
                gradient = layer.backward(gradient, rate)
    else:
        m.train(network, recorded, prime, x, y, 1, rate, False)
    return losses, network


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_seed_same_losses_same_weights(name, by_hand):
    losses, network = trained(listnet, name, 41, by_hand)
    expected, twin = trained(plain, name, 41)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    for ours, theirs in zip(network, twin):
        for attribute in ("weights", "bias", "kernels", "biases"):
            if hasattr(theirs, attribute):
                same(getattr(ours, attribute), getattr(theirs, attribute))


LAYERS = {
    "Dense": (lambda m: m.Dense(4, 3), (4, 1), (3, 1)),
    "large Dense": (lambda m: m.Dense(900, 40), (900, 1), (40, 1)),
    "Convolutional": (lambda m: m.Convolutional((2, 5, 6), 3, 4), (2, 5, 6), (4, 3, 4)),
    "Reshape": (lambda m: m.Reshape((2, 6), (3, 4)), (2, 6), (3, 4)),
    "Activation": (lambda m: m.Activation(np.sin, np.cos), (5, 1), (5, 1)),
    "Tanh": (lambda m: m.Tanh(), (5, 1), (5, 1)),
    "large Tanh": (lambda m: m.Tanh(), (99, 1), (99, 1)),
    "Sigmoid": (lambda m: m.Sigmoid(), (5, 1), (5, 1)),
    "Softmax": (lambda m: m.Softmax(), (5, 1), (5, 1)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_forward_and_backward_of_nested_lists_too(name):
    make, inputs, outputs = LAYERS[name]
    results = []
    for m in (listnet, plain):
        np.random.seed(2)
        layer = make(m)
        rounds = []
        for _ in range(3):
            x, dy = np.random.randn(*inputs), np.random.randn(*outputs)
            y = layer.forward(x.tolist())
            rounds += [y, layer.backward(dy, 0.1)]
        results.append(rounds)
    for ours, theirs in zip(*results):
        same(ours, theirs)


@pytest.mark.parametrize("name", ["mse", "binary_cross_entropy"])
def test_losses_and_their_gradients(name):
    y, p = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 1))
    for suffix in ("", "_prime"):
        theirs = getattr(plain, name + suffix)(y, p)
        same(getattr(listnet, name + suffix)(y, p), theirs)
        same(getattr(listnet, name + suffix)(y.tolist(), p.tolist()), theirs)


def test_attributes_that_scripts_read():
    np.random.seed(0)
    layer = listnet.Convolutional((2, 6, 5), 3, 4)
    assert (layer.depth, layer.input_shape, layer.input_depth) == (4, (2, 6, 5), 2)
    assert layer.output_shape == layer.biases.shape == (4, 4, 3)
    assert layer.kernels_shape == layer.kernels.shape == (4, 2, 3, 3)
    x = np.ones((2, 6, 5))
    assert layer.forward(x) is layer.output and (layer.input == x).all()
    dense = listnet.Dense(3, 2)
    assert dense.weights.shape == (2, 3) and dense.bias.shape == (2, 1)
    for m in (listnet, plain):
        layer = m.Layer()
        assert layer.input is None and layer.output is None
        assert layer.forward(1) is None and layer.backward(1, 0.1) is None


def test_kernals_is_an_alias_of_kernels():
    layer = listnet.Convolutional((2, 6, 5), 3, 4)
    assert layer.kernals is layer.kernels
    layer.kernals = np.zeros((4, 2, 3, 3))
    assert not layer.kernels.any()
    same(layer.forward(np.ones((2, 6, 5))), layer.biases)


@pytest.mark.parametrize("sizes", [(4, 3), (900, 40), (3, 3), (1, 1)])
@pytest.mark.parametrize("columns", [None, 1, 5])
def test_dense_accepts_several_columns_and_vectors_as_numpy_does(sizes, columns):
    shape = sizes[:1] if columns is None else (sizes[0], columns)
    results = []
    for m in (listnet, plain):
        np.random.seed(1)
        layer = m.Dense(*sizes)
        layer.forward(np.random.randn(sizes[0], 1))
        layer.backward(np.random.randn(sizes[1], 1), 0.1)  # a large layer may delay its update
        x = np.random.randn(*shape)
        results.append((layer.forward(x), layer.forward(x.tolist())))
        assert layer.input.shape == shape
    for ours, theirs in zip(*results):
        assert ours.shape == theirs.shape
        same(ours, theirs)


def test_a_line_fitted_to_points_that_are_vectors_of_length_one():
    results = []
    for m in (listnet, plain):
        np.random.seed(0)
        x = np.random.rand(8, 1)
        network = [m.Dense(1, 1)]
        m.train(network, m.mse, m.mse_prime, x, 3 * x + 1, 5, 0.1, False)
        results.append((network[0].weights, network[0].bias))
    for ours, theirs in zip(*results):
        same(ours, theirs)


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_dense_learns_from_one_column(shape):
    """The original formulas fail too, but only after they have changed the weights."""
    layer = listnet.Dense(2, 3)
    before = layer.weights.copy()
    layer.forward(np.ones(shape))
    with pytest.raises(ValueError, match=r"Dense: .*one column \(2, 1\).*shape \(2,"):
        layer.backward(np.ones((3, 1)), 0.1)
    assert (layer.weights == before).all()


def test_weights_of_a_large_layer_are_up_to_date_whenever_they_are_read():
    def step(layers):
        x, dy = np.random.randn(900, 1), np.random.randn(40, 1)
        for layer in layers:
            layer.forward(x)
            layer.backward(dy, 0.01)

    np.random.seed(0)
    ours, theirs = listnet.Dense(900, 40), plain.Dense(900, 40)
    theirs.weights = copy.deepcopy(ours).weights.copy()
    theirs.bias = ours.bias.copy()
    for _ in range(21):
        step([ours, theirs])
    twin = copy.deepcopy(ours)
    kept = ours.weights
    same(kept, theirs.weights)
    same(twin.weights, theirs.weights)
    step([ours, theirs])
    same(kept, theirs.weights)  # an array that was read before sees every step
    ours.weights = mine = theirs.weights.copy()
    step([ours, theirs])
    same(mine, theirs.weights)


@pytest.mark.skipif("compiled" not in cnnx.available_backends(), reason="NumPy's threads")
def test_samples_one_at_a_time_stay_on_one_thread():
    """Also when pending updates are applied: several threads would wait for a busy process."""
    teams = cnnx.backends.load("compiled").parallel._teams
    network = [
        listnet.Convolutional((1, 28, 28), 3, 5),
        listnet.Sigmoid(),
        listnet.Reshape((5, 26, 26), (3380, 1)),
        listnet.Dense(3380, 100),
        listnet.Sigmoid(),
    ]
    cnnx.set_num_threads(3)
    teams()
    x, y = np.random.rand(33, 1, 28, 28), np.random.rand(33, 100, 1)
    listnet.train(network, listnet.mse, listnet.mse_prime, x, y, 1, 0.1, False)
    assert teams() == (1, 1)


def test_train_prints_the_mean_loss_of_each_epoch(capsys):
    np.random.seed(0)
    x, y = [[[0], [1]], [[1], [1]]], [[[0]], [[1]]]
    listnet.train(xor(listnet), listnet.mse, listnet.mse_prime, x, y, 2)
    np.random.seed(0)
    plain.train(xor(plain), plain.mse, plain.mse_prime, np.array(x), np.array(y), 2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("=")[0] for line in lines] == 2 * ["1/2, error", "2/2, error"]
    errors = [float(line.split("=")[1]) for line in lines]
    np.testing.assert_allclose(errors[:2], errors[2:])


def test_user_defined_layers_and_a_layer_used_in_two_places():
    class Double(listnet.Layer):
        def forward(self, input):
            return 2 * input

        def backward(self, output_gradient, learning_rate):
            return 2 * output_gradient

    results = []
    for m in (listnet, plain):
        np.random.seed(0)
        dense = m.Dense(2, 2)
        network = [dense, Double(), dense]
        m.train(network, m.mse, m.mse_prime, np.ones((3, 2, 1)), np.ones((3, 2, 1)), 1, 1e-3, False)
        results.append(dense.weights)
    same(*results)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: listnet.Dense(2, 3).forward([1]), ValueError, r"\(1,\).*\(3, 2\).*\(2, 1\)"),
        (
            lambda: listnet.Dense(2, 3).forward(np.ones((3, 2, 1))),
            ValueError,
            r"\(3, 2, 1\).*\(3, 2\).*\(2, 1\)",
        ),
        (lambda: listnet.Dense(2, 3).backward([[1]], 1), RuntimeError, "Dense: backward needs"),
        (lambda: listnet.Tanh().backward([[1]], 1), RuntimeError, "Tanh: backward needs"),
        (
            lambda: listnet.Convolutional((1, 4, 4), 5, 1),
            ValueError,
            r"kernel_size=5 does not fit input_shape=\(1, 4, 4\)",
        ),
        (
            lambda: listnet.Convolutional((1, 4, 4), 3, 1).forward(np.ones((4, 4))),
            ValueError,
            r"input has shape \(4, 4\), expected \(1, 4, 4\)",
        ),
        (
            lambda: listnet.train([], listnet.mse, listnet.mse_prime, [1], []),
            ValueError,
            "x_train has 1 samples and y_train 0",
        ),
        (lambda: listnet.Sigmoid().forward("x"), ValueError, "Sigmoid expects numbers"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_gradient_of_another_shape_is_named_and_changes_nothing():
    layer = listnet.Dense(2, 3)
    before = layer.weights.copy()
    layer.forward([[1], [2]])
    with pytest.raises(ValueError, match=r"output_gradient has shape \(2, 1\), expected \(3, 1\)"):
        layer.backward([[1], [2]], 0.1)
    assert (layer.weights == before).all()


def test_the_page_runs_with_its_import_lines_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path, 400)
    old, imports, idiomatic = page("listnet")
    names = run(with_new_imports(old, imports))
    np.testing.assert_allclose(names["answers"], [0, 1, 1, 0], atol=0.2)
    assert names["accuracy"] >= 0.99
    assert run(idiomatic)["accuracy"] >= 0.99


def test_the_examples_run():
    found = doctest.testmod(listnet)
    assert found.attempted and not found.failed
