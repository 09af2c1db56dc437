"""cnnx.compat.network against the same formulas in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
from dialects import network as plain

from cnnx.compat import network


def mlp(m):
    return [
        m.Linear(7, 9),
        m.BatchNorm1D(9),
        m.TanhLayer(),
        m.Linear(9, 8, "He"),
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
        stepper.learning_rate *= 0.9
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
def test_each_layer_forward_and_backward_and_accumulated_gradients(name):
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
    x = np.array([[1000.0, 700.0, 1000.0], [0.0, -1e4, 1.0]])
    np.testing.assert_allclose(network.softmax(x), plain.softmax(x), rtol=1e-12)
    assert network.softmax(x)[1, 1] > 0  # exp(-500), where exp(-10001) would be 0


def test_losses_and_their_derivatives():
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(4), 3), np.array([1, 3, 0])
    p[1] = [1.0, 0.0, 0.0, 0.0]
    for t in (labels, np.eye(4)[labels]):
        for suffix in ("", "_derivative"):
            name = f"cross_entropy_loss{suffix}"
            expected = getattr(plain, name)(p, t)
            np.testing.assert_allclose(getattr(network, name)(p, t), expected, rtol=1e-12)
    t = rng.normal(size=(3, 4))
    np.testing.assert_allclose(network.mse_loss(p, t), plain.mse_loss(p, t), rtol=1e-12)
    same(network.mse_loss_derivative(p, t), plain.mse_loss_derivative(p, t))
    assert network.mse_loss(np.ones((3, 1)), np.zeros(3)) == 1.0
    loss = network.SoftmaxCrossEntropyLoss()
    assert loss([[0.0, 1000.0]], [0]) == pytest.approx(-np.log(1e-15))
    same(loss.cache[0], [[0.0, 1.0]])
    same(loss.backward(), [[-1.0, 1.0]])


STATES = {"Momentum": "velocities", "RMSProp": "cache", "Adagrad": "G", "Adam": "v"}


@pytest.mark.parametrize("layout", ["rows", "columns", "spread"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_updates_one_array_in_place_in_any_memory_layout(name, layout):
    results = []
    for m in (network, plain):
        rng = np.random.default_rng(0)
        base = np.zeros((4, 6))
        param = {"rows": np.zeros((4, 3)), "columns": np.zeros((3, 4)).T, "spread": base[:, ::2]}
        param = param[layout]
        param[...] = rng.normal(size=(4, 3))
        optimizer = getattr(m, name)(**OPTIMIZERS[name])
        for _ in range(3):
            optimizer.update(param, rng.normal(size=(4, 3)))
            optimizer.zero_step()
        state = getattr(optimizer, STATES[name])[id(param)] if name in STATES else param
        results.append((param, state))
        assert not base[:, 1::2].any()
    for ours, theirs in zip(*results):
        same(ours, theirs, 1e-12)


def test_adam_counts_between_two_zero_steps():
    optimizer, a, b = network.Adam(), np.ones(2), np.ones(3)
    assert optimizer.t == 0
    optimizer.update(a, a)
    optimizer.update(b, b)
    assert optimizer.t == 1
    optimizer.zero_step()
    optimizer.step()
    optimizer.update(a, a)
    assert optimizer.t == 2 and optimizer.m[id(b)].shape == (3,)


class Scaled:
    """A user-defined layer with weights, without a base class."""

    def __init__(self, features):
        self.factor = np.random.rand(features)
        self.zero_grad()

    def forward(self, x):
        self.x = x
        return x * self.factor

    def backward(self, grad_output):
        self.factor_grad += (self.x * grad_output).sum(axis=0)
        return grad_output * self.factor

    def update_params(self, optimizer):
        optimizer.update(self.factor, self.factor_grad)

    def zero_grad(self):
        self.factor_grad = np.zeros_like(self.factor)


class HalfSquares:
    """A user-defined loss."""

    def forward(self, predictions, targets):
        self.difference = predictions - targets
        return 0.5 * float((self.difference**2).mean())

    def backward(self):
        return self.difference / self.difference.size


class SignDescent:
    """A user-defined optimiser."""

    def update(self, params, gradients):
        params -= 0.01 * np.sign(gradients)


def test_user_defined_layers_losses_and_optimizers_train_the_same():
    results = []
    for m in (network, plain):
        np.random.seed(5)
        model, loss_fn, losses = m.NeuralNetwork(), HalfSquares(), []
        own = Scaled(6)
        for layer in (m.Linear(3, 6), own, m.TanhLayer(), m.Dropout(0.2), m.Linear(6, 2)):
            model.add_layer(layer)
        X, y = np.random.randn(24, 3), np.random.randn(24, 2)
        before = own.factor.copy()
        for _ in range(7):
            for x, t in m.batch_iterator(X, y, 8):
                model.zero_grad()
                losses.append(loss_fn.forward(model.forward(x), t))
                model.backward(m.clip_gradients(loss_fn.backward(), 0.1))
                model.update_params(SignDescent())
            model.eval()
            losses.append(loss_fn.forward(model.forward(X), y))
            model.train()
        assert (own.factor != before).all()
        results.append((losses, own.factor, np.random.rand(2)))
    (losses, factor, drawn), (expected, twin, drawn_there) = results
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    same(factor, twin, 1e-9)
    assert drawn.tolist() == drawn_there.tolist()


def test_dropout_draws_after_eval_and_not_after_set_training():
    x, drawn = np.ones((3, 4)), []
    model, layer = network.NeuralNetwork(), network.Dropout(0.5)
    model.add_layer(layer)
    for prepare in (model.eval, model.train, lambda: layer.set_training(False)):
        prepare()
        np.random.seed(0)
        y = model.forward(x)
        drawn.append((bool((y == x).all()), np.random.rand()))
    np.random.seed(0)
    first = np.random.rand()
    np.random.seed(0)
    np.random.rand(3, 4)
    after = np.random.rand()
    assert drawn == [(True, after), (False, after), (True, first)]
    nothing = network.Dropout(0.0)
    np.random.seed(0)
    assert (nothing.forward(x) == x).all() and np.random.rand() == first


def test_eval_affects_dropout_and_batch_norm():
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


def test_batch_norm_accepts_gamma_and_beta_and_can_be_not_affine():
    layer = network.BatchNorm1D(2, gamma=2.0, beta=3.0)
    y = layer.forward([[1.0, 2.0], [3.0, 6.0]])
    np.testing.assert_allclose(y, [[1, 1], [5, 5]], atol=1e-4)
    bare = network.BatchNorm1D(2, affine=False, gamma=2.0, beta=3.0)
    y = bare.forward([[1.0, 2.0], [3.0, 6.0]])
    np.testing.assert_allclose(y, [[-1, -1], [1, 1]], atol=1e-4)
    assert bare.backward([[1.0, 2.0], [1.0, 1.0]]).shape == (2, 2)
    bare.update_params(network.SGD(1.0))
    assert bare.gamma.tolist() == [1, 1] and bare.beta.tolist() == [0, 0]
    assert not bare.gamma_grad.any()
    layer.set_training(False)
    before = layer.gamma_grad.copy()
    layer.forward([[1.0, 2.0]])
    layer.backward([[1.0, 1.0]])
    assert (layer.gamma_grad == before).all()
    network.BatchNorm2D(1).set_training()


def test_batch_norm_of_one_sample_returns_beta():
    layer = network.BatchNorm1D(2, beta=3.0)
    assert layer.forward([[1.0, 2.0]]).tolist() == [[3.0, 3.0]]
    same(layer.running_mean, [0.1, 0.2])
    same(layer.running_var, [0.9, 0.9])


def test_clip_gradients_and_batches():
    g = np.array([[3.0, 4.0]])
    same(network.clip_gradients(g, 1.0), plain.clip_gradients(g, 1.0))
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


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: network.Linear(2, 3).forward(np.ones((1, 3))), ValueError, r"\(1, 3\).*\(2, 3\)"),
        (lambda: network.Linear(2, 3).backward([[1]]), RuntimeError, "Linear: backward needs"),
        (lambda: network.Conv2D(1, 1, 3).forward([[1.0]]), ValueError, "Conv2D: .*images"),
        (lambda: network.Dropout(1.0), ValueError, "dropout_rate=1.0, expected"),
        (lambda: network.Zone_3D(1, 2, 3, [[1, 2, 3]]), ValueError, r"expected \(2, 3\)"),
        (lambda: network.cross_entropy_loss([[1.0]], [[1, 2]]), ValueError, r"targets \(1, 2\)"),
        (lambda: network.cross_entropy_loss([[1.0]], [1]), ValueError, "expected integers from 0"),
        (lambda: network.mse_loss([1.0], [1.0, 2.0]), ValueError, "1 predictions, but 2 targets"),
        (lambda: network.SGD().update([1.0], [1.0]), TypeError, "params is a list"),
        (
            lambda: network.Momentum().update(np.ones((4, 3)), np.ones(3)),
            ValueError,
            r"shape \(4, 3\), gradients \(3,\)",
        ),
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
