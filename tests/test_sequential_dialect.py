"""cnnx.compat.sequential against the same formulas in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from dialect_helpers import page, run, same, with_new_imports, write_mnist
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


def test_zero_grad_resets_gradients():
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


def test_adam_stores_its_averages_on_the_layer_in_any_memory_layout():
    results = []
    for layout in ("as made", "rows", "spread"):
        np.random.seed(0)
        layer, optimizer = sequential.Linear(6, 4), sequential.Adam(lr=0.1)
        if layout != "as made":
            layer.weights = np.ascontiguousarray(layer.weights)
        if layout == "spread":
            spread = np.zeros((12, 4))
            spread[::2] = layer.weights
            layer.weights = spread[::2]
        before = layer.weights.copy()
        first = layer.weights
        for _ in range(3):
            layer.backward(np.cos(layer(np.ones((2, 6)))))
            optimizer.update_params(layer)
        same(first, before)  # a step creates new arrays
        results.append((layer.weights, layer.weights_momentums, layer.weights_cache))
        assert layer.biases_momentums.shape == layer.biases_cache.shape == (1, 4)
    for other in results[1:]:
        for ours, theirs in zip(results[0], other):
            same(ours, theirs)
    assert optimizer.iterations == 4 and optimizer.lr == optimizer.lr_0 == 0.1


def test_the_rate_of_adam_decays_with_every_layer():
    layer, optimizer = sequential.Linear(2, 2), sequential.Adam(lr=1.0, decay=0.5)
    layer.backward(layer(np.ones((1, 2))))
    rates = []
    for _ in range(3):
        optimizer.update_params(layer)
        rates.append(optimizer.lr)
    assert rates == [1 / 1.5, 1 / 2, 1 / 2.5]


def data(count):
    np.random.seed(2)
    return np.random.randn(count, 2, 9, 9), np.random.randint(0, 5, count)


@pytest.mark.parametrize("labels", ["(n,)", "(n, 1)"])
def test_train_val_returns_and_draws_the_same_numbers_as_the_formulas(capsys, labels):
    results = []
    for m in (sequential, plain):
        X, y = data(20)
        y = y[:, None] if labels == "(n, 1)" else y
        np.random.seed(3)
        model = m.Sequential(cnn(m), m.CrossEntropyLoss(), m.Adam(decay=1e-3))
        options = {"verbose_freq": 2} if m is sequential else {}
        metrics = m.train_val(model, X, y, X[:7], y[:7], 4, 8, **options)
        results.append((*metrics, m.test(model, X, y), np.random.rand(3)))
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert results[0][-1].tolist() == results[1][-1].tolist()
    losses, accuracies, val_losses, val_accuracies, (loss, accuracy), _ = results[0]
    lines = [
        f"Epoch {n}, Train Loss: {losses[n - 1]:4f}, Train Accuracy: {accuracies[n - 1]:4f}, "
        f"Val Loss: {val_losses[n - 1]:4f}, Val Accuracy: {val_accuracies[n - 1]:4f}"
        for n in (2, 4)
    ]
    lines.append(f"Test Loss: {loss:4f}, Test Accuracy: {accuracy:4f}")
    assert capsys.readouterr().out.splitlines() == lines


class Scaled(sequential.Module):
    """A user-defined layer with weights; here the base class makes no difference."""

    def __init__(self, features):
        self.weights, self.biases = np.random.rand(1, features), np.zeros((1, features))

    def forward(self, x):
        self.x = x
        return x * self.weights + self.biases

    def backward(self, dvalues):
        self.dweights = (self.x * dvalues).sum(axis=0, keepdims=True)
        self.dbiases = dvalues.sum(axis=0, keepdims=True)
        return dvalues * self.weights


class SquaredLoss:
    """A user-defined loss: the squared error of probabilities."""

    def calculate(self, y_pred, y_true):
        return float(((y_pred - np.eye(y_pred.shape[1])[y_true]) ** 2).mean())

    def backward(self, y_pred, y_true):
        return 2 * (y_pred - np.eye(y_pred.shape[1])[y_true]) / y_pred.size


class Halving:
    """A user-defined optimiser."""

    lr = 0.5

    def update_params(self, layer):
        layer.weights = layer.weights - self.lr * layer.dweights
        layer.biases = layer.biases - self.lr * layer.dbiases
        self.lr *= 0.99


def test_user_defined_layers_losses_and_optimizers_train_the_same():
    results = []
    for m in (sequential, plain):
        np.random.seed(5)
        X, y = m.generate_spiral_data(12, 2, 3)
        layers = [m.Linear(2, 8), Scaled(8), m.ReLU(), m.Dropout(0.25), m.Linear(8, 3), m.Softmax()]
        model = m.Sequential(layers, SquaredLoss(), Halving())
        results.append((*m.train_val(model, X, y, X, y, 20, 8), np.random.rand(2)))
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert results[0][-1].tolist() == results[1][-1].tolist()


def test_sixty_epochs_of_the_spiral_follow_the_formulas():
    results = []
    for m in (sequential, plain):
        np.random.seed(0)
        X, y = m.generate_spiral_data(100, 2, 3)
        X_train, X_val, X_test, y_train, y_val, y_test = m.train_val_test_split(X, y)
        layers = [m.Linear(2, 64), m.ReLU(), m.Linear(64, 3), m.Softmax()]
        model = m.Sequential(layers, m.CrossEntropyLoss(), m.Adam(lr=0.02, decay=1e-4))
        metrics = m.train_val(model, X_train, y_train, X_val, y_val, epochs=60)
        results.append((*metrics, m.test(model, X_test, y_test)))
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_dropout_is_inactive_in_test_and_active_again_after_it():
    X, y = data(8)
    model = sequential.Sequential(cnn(sequential), sequential.CrossEntropyLoss(), None)
    first = sequential.test(model, X, y)
    np.testing.assert_allclose(first, sequential.test(model, X, np.eye(5)[y]), rtol=1e-12)
    assert (model.forward(X) != model.forward(X)).any()
    dropout = sequential.Dropout(0.5)
    x = np.ones((4, 4))
    state = np.random.get_state()[1].copy()
    assert dropout.forward(x, train=False) is x
    assert (np.random.get_state()[1] == state).all()


def test_splits_batches_and_spirals():
    X = np.arange(40)
    results = []
    for m in (sequential, plain):
        np.random.seed(0)
        results.append(m.train_val_test_split(X, X * 2, 0.52, 0.23, 0.25))
    assert [len(part) for part in results[0]] == [20, 9, 11, 20, 9, 11]
    for ours, theirs in zip(*results):
        assert ours.tolist() == theirs.tolist()
    np.random.seed(0)
    order = np.random.permutation(40)
    np.random.seed(0)
    found = [x for x, _ in sequential.batch_generator(X, X, 16)]
    assert np.concatenate(found).tolist() == order.tolist()
    np.random.seed(0)
    points, classes = sequential.generate_spiral_data(9, 2, 3)
    np.random.seed(0)
    expected, labels = plain.generate_spiral_data(9, 2, 3)
    same(points, expected)
    assert classes.dtype == np.uint8 and classes.tolist() == labels.tolist()


def test_attributes_that_scripts_read():
    x = np.random.randn(2, 1, 4, 4)
    convolution, pool, flatten = (
        sequential.Conv2d(1, 2),
        sequential.MaxPool2d(),
        sequential.Flatten(),
    )
    y = convolution(x)
    assert convolution.x is x and convolution.output is y
    pooled = pool(y)
    assert pool.x is y and pool.max_indices.shape == pooled.shape and pool.max_indices.max() < 4
    flat = flatten(pooled)
    assert flatten.backward(flat) is flatten.dx and flatten.dx.shape == pooled.shape
    dropout = sequential.Dropout(0.5)
    assert dropout.keep_prob == 0.5
    dropped = dropout(flat)
    same(dropped, flat * dropout.binary_mask)
    assert dropout.backward(flat) is dropout.dx
    relu, softmax, linear = sequential.ReLU(), sequential.Softmax(), sequential.Linear(8, 3)
    assert relu.backward(relu(flat)) is relu.dx
    assert softmax.backward(softmax(flat)) is softmax.dx and softmax.output.shape == flat.shape
    assert linear(flat).shape == (2, 3) and linear.x is flat
    loss = sequential.MSE()
    assert loss.forward(flat, dropped) is loss.output and loss.backward(flat, flat) is loss.dx
    assert sequential.Module()(x) is x and sequential.Module().backward(x) is x


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: sequential.Linear(2, 3)(np.ones((1, 3))), ValueError, r"\(1, 3\).*\(2, 3\)"),
        (lambda: sequential.Linear(2, 3).backward([[1]]), RuntimeError, "Linear: backward needs"),
        (lambda: sequential.Conv2d(1, 1)([[1.0]]), ValueError, "Conv2d: .*images"),
        (lambda: sequential.Dropout(1.0), ValueError, "p=1.0, expected"),
        (lambda: sequential.Adam(beta_2=0), ValueError, "beta_2=0, expected"),
        (lambda: sequential.Loss().calculate(1, 1), NotImplementedError, "Loss has no forward"),
        (lambda: sequential.Dropout().backward([1.0]), RuntimeError, "Dropout: backward needs"),
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
