"""cnnx.compat.sequential against the same formulas in plain NumPy."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
from dialects import network as plain_network
from dialects import sequential as plain

from cnnx.compat import sequential


def mlp(m):
    return [m.Linear(7, 9), m.ReLU(), m.Linear(9, 5), m.Softmax()]


def cnn(m):
    return [
        m.Conv2d(2, 3, padding=0),
        m.ReLU(),
        m.MaxPool2d(3, 2),
        m.Conv2d(3, 4, 2, 1, 1),
        m.ReLU(),
        m.MaxPool2d(),
        m.Flatten(),
        m.Dropout(0.25),
        m.Linear(16, 5),
        m.Softmax(),
    ]


OPTIMIZERS = {
    "Optimizer": {"lr": 0.2},
    "Adam": {"lr": 0.02, "decay": 0.01, "eps": 1e-4, "beta_1": 0.8, "beta_2": 0.95},
}


def trained(m, build, shape, optimizer, options):
    np.random.seed(7)
    loss = m.CrossEntropyLoss()
    model = m.Sequential(build(m), loss, getattr(m, optimizer)(**options))
    losses = []
    for _ in range(20):
        x, y = np.random.randn(6, *shape), np.random.randint(0, 5, 6)
        y_pred = model.forward(x)
        losses.append(model.calculate_loss(y_pred, y))
        model.zero_grad()
        model.backward(y_pred, y)
        model.optimize()
    return losses, model


@pytest.mark.parametrize("optimizer", ["Optimizer", "Adam", "default Adam"])
@pytest.mark.parametrize("build, shape", [(mlp, (7,)), (cnn, (2, 9, 9))], ids=["mlp", "cnn"])
def test_same_seed_same_losses_same_weights(build, shape, optimizer):
    options = OPTIMIZERS.get(optimizer, {})
    kind = optimizer.removeprefix("default ")
    losses, model = trained(sequential, build, shape, kind, options)
    expected, twin = trained(plain, build, shape, kind, options)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    for ours, theirs in zip(model.layers, twin.layers):
        for name in ("weights", "biases", "dweights", "dbiases"):
            if hasattr(theirs, name):
                same(getattr(ours, name), getattr(theirs, name), 1e-7)


LAYERS = {
    "Linear": (lambda m: m.Linear(4, 3), (5, 4)),
    "Conv2d": (lambda m: m.Conv2d(2, 3), (2, 2, 5, 6)),
    "Conv2d with a stride": (lambda m: m.Conv2d(2, 3, 2, 2, 0), (2, 2, 6, 8)),
    "MaxPool2d": (lambda m: m.MaxPool2d(), (2, 2, 6, 4)),
    "MaxPool2d that overlaps": (lambda m: m.MaxPool2d(3, 1), (2, 2, 6, 5)),
    "Flatten": (lambda m: m.Flatten(), (2, 3, 2)),
    "ReLU": (lambda m: m.ReLU(), (5, 4)),
    "Softmax": (lambda m: m.Softmax(), (5, 4)),
    "Dropout": (lambda m: m.Dropout(0.4), (5, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_forward_and_backward(name):
    make, shape = LAYERS[name]
    results = []
    for m in (sequential, plain):
        np.random.seed(1)
        layer, rounds = make(m), []
        for _ in range(2):
            y = layer(np.random.randint(-3, 4, shape).astype(float))
            rounds += [y, layer.backward(np.random.randn(*y.shape))]
        for attribute in ("weights", "biases", "dweights", "dbiases"):
            rounds.append(getattr(layer, attribute, np.zeros(0)))
        results.append(rounds)
    for ours, theirs in zip(*results):
        same(ours, theirs)


def test_zero_grad_empties_gradients():
    layer = sequential.Linear(2, 3)
    layer(np.ones((1, 2)))
    layer.backward(np.ones((1, 3)))
    assert layer.dweights.all() and layer.dbiases.shape == layer.biases.shape == (1, 3)
    sequential.Sequential([layer], None, None).zero_grad()
    assert not layer.dweights.any() and not layer.dbiases.any()


def test_losses_and_their_gradients():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(4), 3), np.array([1, 3, 0])
    p[0] = [0.0, 0.0, 1.0, 0.0]
    ours, theirs = sequential.CrossEntropyLoss(), plain.CrossEntropyLoss()
    for method in ("forward", "calculate", "backward"):
        expected = getattr(theirs, method)(p, y)
        np.testing.assert_allclose(getattr(ours, method)(p, y), expected, rtol=1e-12)
        np.testing.assert_allclose(getattr(ours, method)(p, np.eye(4)[y]), expected, rtol=1e-12)
    target = rng.normal(size=(3, 4))
    for method in ("forward", "calculate", "backward"):
        expected = getattr(plain.MSE(), method)(p, target)
        same(getattr(sequential.MSE(), method)(p, target), expected)


def test_adam_steps_weights_that_lie_anyhow():
    results = []
    for transposed in (False, True):
        np.random.seed(0)
        layer, optimizer = sequential.Linear(6, 4), sequential.Adam(lr=0.1)
        if transposed:
            layer.weights = np.ascontiguousarray(layer.weights)[::-1][::-1]
            spread = np.zeros((12, 4))
            spread[::2] = layer.weights
            layer.weights = spread[::2]
        for _ in range(3):
            layer.backward(np.cos(layer(np.ones((2, 6)))))
            optimizer.update_params(layer)
        results.append(layer.weights)
    same(*results)
    assert optimizer.count == 3


def data(count):
    np.random.seed(2)
    return np.random.randn(count, 2, 9, 9), np.random.randint(0, 5, count)


def test_train_val_returns_what_the_formulas_give(capsys):
    results = []
    for m in (sequential, plain):
        X, y = data(20)
        np.random.seed(3)
        model = m.Sequential(cnn(m), m.CrossEntropyLoss(), m.Adam())
        options = {"verbose_freq": 2} if m is sequential else {}
        results.append(m.train_val(model, X, y, X[:7], y[:7], 4, 8, **options))
    for ours, theirs in zip(*results):
        assert isinstance(ours, list) and len(ours) == 4
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Epoch 2/4", "Epoch 4/4"]


def test_dropout_is_off_in_test_and_on_again_after_it():
    X, y = data(8)
    model = sequential.Sequential(cnn(sequential), sequential.CrossEntropyLoss(), None)
    state = np.random.get_state()[1].copy()
    first = sequential.test(model, X, y)
    assert first == sequential.test(model, X, np.eye(5)[y])
    assert (np.random.get_state()[1] == state).all()
    assert (model.forward(X) != model.forward(X)).any()


def test_splits_batches_and_spirals():
    X = np.arange(40)
    parts = sequential.train_val_test_split(X, X * 2, 0.5, 0.25, 0.25)
    assert [len(part) for part in parts] == [20, 20, 10, 10, 10, 10]
    assert all((y == 2 * x).all() for x, y in zip(parts[::2], parts[1::2]))
    assert sorted(np.concatenate(parts[::2])) == X.tolist()
    np.random.seed(0)
    order = np.random.permutation(40)
    np.random.seed(0)
    found = [x for x, _ in sequential.batch_generator(X, X, 16)]
    assert np.concatenate(found).tolist() == order.tolist()
    np.random.seed(0)
    points, classes = sequential.generate_spiral_data(9, 2, 3)
    np.random.seed(0)
    same(points, plain_network.spiral(9, 3))
    assert classes.tolist() == [j for j in range(3) for _ in range(9)]


def test_plots_are_figures_and_draw_nothing_from_np_random(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    layers = [sequential.Linear(2, 3), sequential.Softmax()]
    model = sequential.Sequential(layers, None, None)
    state = np.random.get_state()[1].copy()
    figure = sequential.plot_spiral_data_decision_boundary(model, title="arms")
    assert figure.axes[0].get_title() == "arms"
    assert (np.random.get_state()[1] == state).all()
    curves = sequential.plot_training_metrics([2.0, 1.0], [0.5, 0.6], [2.1, 1.2], [0.4, 0.5])
    assert len(curves.axes) == 2 and len(curves.axes[0].lines) == 2
    pyplot.close("all")


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: sequential.Linear(2, 3)(np.ones((1, 3))), ValueError, r"\(1, 3\).*\(2, 3\)"),
        (lambda: sequential.Linear(2, 3).backward([[1]]), RuntimeError, "Linear: backward needs"),
        (lambda: sequential.Conv2d(1, 1)([[1.0]]), ValueError, "Conv2d: .*images"),
        (lambda: sequential.Dropout(1.0), ValueError, "p=1.0, expected"),
        (lambda: sequential.Adam(beta_2=0), ValueError, "beta_2=0, expected"),
        (lambda: sequential.Module()(1), NotImplementedError, "Module has no forward"),
        (
            lambda: sequential.CrossEntropyLoss().forward([[0.5, 0.5]], [2]),
            ValueError,
            "from 2 to 2, expected integers from 0 to 1",
        ),
        (lambda: sequential.MSE().forward([[1.0]], [1.0]), ValueError, r"y_true \(1,\)"),
        (lambda: sequential.train_val_test_split([1], [1], 0.5), ValueError, "is 0.8, not 1"),
        (lambda: sequential.generate_spiral_data(1, 3, 1), ValueError, "D=3"),
        (lambda: sequential.test(None, [], []), ValueError, "X has 0 samples and y 0"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_page_runs_with_its_import_lines_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path, 400)
    old, imports, idiomatic = page("sequential")
    names = run(with_new_imports(old, imports))
    assert names["spiral_accuracy"] > 0.85
    assert len(names["val_losses"]) == 6 and names["accuracy"] > 0.8
    assert run(idiomatic)["accuracy"] > 0.9


@pytest.mark.parametrize(
    "name", ["", ".layers", ".loss", ".module", ".optim", ".sequential", ".utils"]
)
def test_the_examples_run(name):
    found = doctest.testmod(importlib.import_module(f"cnnx.compat.sequential{name}"))
    assert found.attempted and not found.failed
