"""cnnx.compat.network against the same formulas in plain NumPy."""

from __future__ import annotations

import doctest
import importlib
import pickle

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
from dialects import network as plain

from cnnx.compat import network
from cnnx.data import load_csv


def mlp(m):
    return [
        m.Linear(7, 9),
        m.BatchNorm1D(9),
        m.TanhLayer(),
        m.Linear(9, 8, "he"),
        m.LeakyReLULayer(0.1),
        m.Linear(8, 5, "small", bias=False),
    ]


def cnn(m):
    return [
        m.Conv2D(2, 3, 3, padding=1),
        m.BatchNorm2D(3),
        m.ReLULayer(),
        m.MaxPool2D(3, 2),
        m.Conv2D(3, 4, 2, stride=2, bias=False),
        m.SigmoidLayer(),
        m.Flatten(),
        m.Dropout(0.3),
        m.Linear(16, 5),
    ]


OPTIMIZERS = {
    "SGD": {"learning_rate": 0.1},
    "Momentum": {"learning_rate": 0.05, "momentum": 0.8},
    "RMSProp": {"learning_rate": 0.01, "decay": 0.8, "eps": 1e-6},
    "Adagrad": {"learning_rate": 0.05, "eps": 1e-4},
    "Adam": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "eps": 1e-6},
}


def trained(m, build, shape, optimizer, count_steps=True):
    np.random.seed(7)
    model, loss_fn = m.NeuralNetwork(), m.SoftmaxCrossEntropyLoss()
    for layer in build(m):
        model.add_layer(layer)
    stepper = getattr(m, optimizer)(**OPTIMIZERS[optimizer])
    losses = []
    for i in range(20):
        x, y = np.random.randn(6, *shape), np.random.randint(0, 5, 6)
        model.zero_grad()
        losses.append(loss_fn.forward(model.forward(x), np.eye(5)[y] if i % 2 else y))
        model.backward(loss_fn.backward())
        model.update_params(stepper)
        if count_steps:
            stepper.zero_step()
        if hasattr(stepper, "learning_rate"):
            stepper.learning_rate *= 0.9
        else:
            stepper.lr *= 0.9
    return losses, model


ARRAYS = ("weights", "bias", "gamma", "beta", "running_mean", "running_var", "weights_grad")


@pytest.mark.parametrize("count_steps", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("build, shape", [(mlp, (7,)), (cnn, (2, 9, 9))], ids=["mlp", "cnn"])
def test_same_seed_same_losses_same_weights(build, shape, optimizer, count_steps):
    losses, model = trained(network, build, shape, optimizer, count_steps)
    expected, twin = trained(plain, build, shape, optimizer, count_steps)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    for ours, theirs in zip(model.layers, twin.layers):
        for name in ARRAYS:
            if getattr(theirs, name, None) is not None:
                same(getattr(ours, name), getattr(theirs, name), 1e-7)


LAYERS = {
    "Linear": (lambda m: m.Linear(4, 3), (5, 4)),
    "Conv2D": (lambda m: m.Conv2D(2, 3, 3, 2, 1), (2, 2, 6, 7)),
    "MaxPool2D": (lambda m: m.MaxPool2D(3, 2), (2, 2, 7, 8)),
    "MaxPool2D of two": (lambda m: m.MaxPool2D(), (2, 2, 6, 6)),
    "Flatten": (lambda m: m.Flatten(), (2, 3, 2)),
    "Dropout": (lambda m: m.Dropout(0.4), (5, 4)),
    "BatchNorm1D": (lambda m: m.BatchNorm1D(4), (5, 4)),
    "BatchNorm2D": (lambda m: m.BatchNorm2D(2), (3, 2, 4, 3)),
    "ReLULayer": (lambda m: m.ReLULayer(), (5, 4)),
    "SigmoidLayer": (lambda m: m.SigmoidLayer(), (5, 4)),
    "TanhLayer": (lambda m: m.TanhLayer(), (5, 4)),
    "LeakyReLULayer": (lambda m: m.LeakyReLULayer(), (5, 4)),
    "SoftmaxLayer": (lambda m: m.SoftmaxLayer(), (5, 4)),
    "Activation": (lambda m: m.Activation(np.sin, np.cos), (5, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_forward_and_backward_and_gradients_that_add_up(name):
    make, shape = LAYERS[name]
    results = []
    for m in (network, plain):
        np.random.seed(1)
        layer, rounds = make(m), []
        for _ in range(2):
            y = layer.forward(np.random.randint(-3, 4, shape).astype(float))
            rounds += [y, layer.backward(np.random.randn(*y.shape))]
        for attribute in ("weights_grad", "bias_grad", "gamma_grad", "beta_grad"):
            rounds.append(getattr(layer, attribute, np.zeros(0)))
        results.append(rounds)
    for ours, theirs in zip(*results):
        same(ours, theirs)
    if hasattr(layer, "weights_grad"):
        ours = make(network)
        ours.zero_grad()
        assert not ours.weights_grad.any()


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "leaky_relu"])
def test_functions_and_their_derivatives(name):
    x = np.array([[-3.0, 0.0, 0.5], [2.0, -0.1, 7.0]])
    for suffix in ("", "_derivative"):
        same(getattr(network, name + suffix)(x), getattr(plain, name + suffix)(x))


def test_sigmoid_and_softmax_clip_at_500():
    assert network.sigmoid([-1e4]) == np.exp(-500.0) and network.sigmoid([1e4]) == 1
    np.testing.assert_allclose(network.softmax([[1000.0, 700.0]]), [[0.5, 0.5]])
    x = np.random.default_rng(0).normal(size=(3, 4))
    same(network.softmax(x), plain.softmax(x))


@pytest.mark.parametrize("name", ["mse_loss", "cross_entropy_loss"])
def test_losses_and_their_derivatives(name):
    rng = np.random.default_rng(0)
    p, t = rng.dirichlet(np.ones(4), 3), np.eye(4)[[1, 3, 0]]
    p[1] = [1.0, 0.0, 0.0, 0.0]
    for suffix in ("", "_derivative"):
        expected = getattr(plain, name + suffix)(p, t)
        np.testing.assert_allclose(getattr(network, name + suffix)(p, t), expected, rtol=1e-12)
    assert network.cross_entropy_loss(p, [1, 3, 0]) == network.cross_entropy_loss(p, t)


def test_optimizers_step_any_array_in_place():
    base = np.zeros((4, 6))
    param = base[:, ::2]  # neither contiguous nor its transpose
    for _ in range(2):
        optimizer = network.Momentum(0.5, 0.5)
        optimizer.update([param], [np.ones((4, 3))])
    assert (base[:, ::2] == -1).all() and not base[:, 1::2].any()
    with pytest.raises(ValueError, match=r"\(4, 3\), its gradient \(3,\)"):
        optimizer.update([param], [np.ones(3)])
    with pytest.raises(ValueError, match="1 params, but 2 gradients"):
        optimizer.update([param], [1, 2])


def test_eval_reaches_dropout_and_batch_norm():
    model = network.CNN()
    model.add_layer(network.BatchNorm1D(3))
    model.add_layer(network.Dropout(0.5))
    assert isinstance(model, network.NeuralNetwork) and model.training
    x = np.random.default_rng(0).normal(size=(6, 3))
    model.forward(x)
    model.eval()
    assert not model.training
    first, norm = model.forward(x), model.layers[0]
    expected = (x - norm.running_mean) / np.sqrt(norm.running_var + norm.eps)
    same(first, expected)
    same(norm.running_var, 0.9 + 0.1 * x.var(0))
    model.train()
    assert (model.forward(x) == 0).any()


def test_batch_norm_takes_gamma_beta_and_does_without():
    layer = network.BatchNorm1D(2, gamma=2.0, beta=3.0)
    y = layer.forward([[1.0, 2.0], [3.0, 6.0]])
    np.testing.assert_allclose(y, [[1, 1], [5, 5]], atol=1e-4)
    bare = network.BatchNorm1D(2, affine=False)
    bare.forward([[1.0, 2.0], [3.0, 6.0]])
    assert bare.gamma is None and bare.backward([[1.0, 1.0], [1.0, 1.0]]).shape == (2, 2)
    assert bare.parameters() == []


def test_clip_gradients_and_batches():
    g = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(network.clip_gradients(g, 1.0), [[0.6, 0.8]])
    assert (network.clip_gradients(g, 10.0) == g).all()
    np.random.seed(0)
    order = np.arange(5)
    np.random.shuffle(order)
    np.random.seed(0)
    found = list(network.batch_iterator(np.arange(5) * 10, np.arange(5), 2))
    assert np.concatenate([y for _, y in found]).tolist() == order.tolist()
    assert all((x == 10 * y).all() for x, y in found)
    straight = network.batch_iterator(np.arange(5), np.arange(5), shuffle=False)
    assert next(straight)[0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="X has 2 samples, y 3"):
        next(network.batch_iterator([1, 2], [1, 2, 3]))


@pytest.mark.parametrize("name", ["Spiral", "Circle", "Line", "Zone"])
def test_points_are_drawn_from_np_random_as_they_always_were(name):
    np.random.seed(4)
    P, L = getattr(network, name)(11, 3, 2).generate()
    np.random.seed(4)
    same(P, getattr(plain, name.lower())(11, 3))
    assert L.tolist() == [j for j in range(3) for _ in range(11)]
    with pytest.raises(ValueError, match="n_dimensions=3, its points have 2"):
        getattr(network, name)(11, 3, 3)


def test_points_in_space_and_polynomials(tmp_path):
    np.random.seed(0)
    P, L = network.Zone_3D(500, 2, 3, [[0, 0, 0], [50, 0, 0]]).generate()
    assert P.shape == (1000, 3) and L.shape == (1000,)
    assert abs(P[500:].mean(0) - [50, 0, 0]).max() < 1
    np.random.seed(0)
    data = network.GeneratePolynomialData()
    x, y = data.generate()
    np.random.seed(0)
    expected = x**2 - 2 * x + 3 + np.random.normal(0, 5, 200)
    same(x, np.linspace(-10, 10, 200))
    same(y, expected)
    data.save_to_csv(tmp_path / "p.csv")
    assert (load_csv(tmp_path / "p.csv", float).y[:, 0] == y).all()
    assert data.get_init_gen() == (200, [1, -2, 3], 5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_checkpoint_goes_on_as_if_nothing_had_happened(tmp_path, optimizer):
    _, model = trained(network, cnn, (2, 9, 9), optimizer)
    stepper = getattr(network, optimizer)(**OPTIMIZERS[optimizer])
    x, y = np.random.randn(6, 2, 9, 9), np.random.randint(0, 5, 6)

    def step(model, stepper):
        loss_fn = network.SoftmaxCrossEntropyLoss()
        np.random.seed(0)
        model.zero_grad()
        value = loss_fn(model.forward(x), y)
        model.backward(loss_fn.backward())
        model.update_params(stepper)
        stepper.zero_step()
        return value

    step(model, stepper)
    network.save_checkpoint(model, stepper, tmp_path / "c.npz")
    before = np.random.get_state()[1].copy()
    loaded, again = network.load_checkpoint(tmp_path / "c.npz", "CNN")
    assert (np.random.get_state()[1] == before).all()
    assert type(loaded) is network.CNN and type(again) is type(stepper)
    for _ in range(3):
        assert step(model, stepper) == step(loaded, again)


def test_a_checkpoint_that_is_none_is_refused(tmp_path):
    model = network.NeuralNetwork()
    model.add_layer(network.Activation(np.sin, np.cos))
    with pytest.raises(TypeError, match="Activation is not one of"):
        network.save_checkpoint(model, None, tmp_path / "c.npz")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.pkl").write_bytes(pickle.dumps({"layers": [1, 2, 3]}))
    with pytest.raises(ValueError, match=r"pickle.*np\.savez"):
        network.load_checkpoint(tmp_path / "old.pkl")
    with pytest.raises(ValueError, match="model_type is 'MLP', expected one of NeuralNetwork, CNN"):
        network.load_checkpoint(tmp_path / "old.pkl", "MLP")


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: network.Linear(2, 3).forward(np.ones((1, 3))), ValueError, r"\(1, 3\).*\(2, 3\)"),
        (lambda: network.Linear(2, 3).backward([[1]]), RuntimeError, "Linear: backward needs"),
        (lambda: network.Conv2D(1, 1, 3).forward([[1.0]]), ValueError, "Conv2D: .*images"),
        (lambda: network.Dropout(1.0), ValueError, "dropout_rate=1.0, expected"),
        (lambda: network.Zone_3D(1, 2, 3, [[1, 2, 3]]), ValueError, r"expected \(2, 3\)"),
        (lambda: network.cross_entropy_loss([[1.0]], [[1, 2]]), ValueError, "y_true"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_page_runs_with_its_import_lines_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path, 400)
    old, imports, idiomatic = page("network")
    names = run(with_new_imports(old, imports))
    assert names["accuracy"] == names["again"] > 0.85
    assert names["points"].shape == (300, 2)
    assert run(idiomatic)["accuracy"] > 0.9


@pytest.mark.parametrize(
    "name", ["", ".activations", ".data", ".layers", ".losses", ".model", ".optimizers"]
)
def test_the_examples_run(name):
    found = doctest.testmod(importlib.import_module(f"cnnx.compat.network{name}"))
    assert found.attempted and not found.failed
