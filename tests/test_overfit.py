"""cnnx.testing.overfit_one_batch: a good model reaches the bound; of a bad one it says what is."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import (
    SGD,
    Adam,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Layer,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
)
from cnnx.testing import overfit_one_batch

X = np.random.default_rng(0).normal(size=(12, 1, 4, 4)).astype(np.float32)
Y = np.arange(12) % 4


class Double(Layer):
    """y = 2 x, with a backward that is off by a factor."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return self.factor * dy


def net(*between):
    cnnx.manual_seed(0)
    return Sequential(Flatten(), Linear(16, 32), *between, ReLU(), Dropout(0.5), Linear(32, 4))


def notes(report):
    return {row.name: row.note for row in report.parameters if row.note}


def test_a_good_model_reaches_the_bound():
    report = overfit_one_batch(net(Double(2)), X, Y, optimizer=None, steps=400)
    assert report and report.reached
    assert report.losses[-1] < 0.01 * report.losses[0] < report.losses[-2]
    assert report.bound == pytest.approx(0, abs=1e-12)
    assert notes(report) == {} and report.hints == []
    assert all(row.gradient > 0 and row.moved > 0.01 for row in report.parameters)
    assert f"in {len(report.losses) - 1} steps" in repr(report)


def test_nothing_of_the_user_changes():
    model = Sequential(*net(), cnnx.BatchNorm1D(4).eval())
    model.eval()
    model[4].train()
    optimizer = Adam(model.parameters(), lr=1e-2)
    optimizer.zero_grad()
    model.backward(np.ones_like(model(X)))
    grads = [p.grad for p in model.parameters()]
    optimizer.step()
    before, state = model.state_dict(), optimizer.state_dict()
    stream = cnnx.random.get_state()
    overfit_one_batch(model, X, Y, optimizer=optimizer, steps=20)
    assert all(np.array_equal(before[name], a) for name, a in model.state_dict().items())
    assert repr(optimizer.state_dict()) == repr(state)
    assert [layer.training for layer in model] == [False] * 4 + [True, False]
    assert [p.grad for p in model.parameters()] == grads
    assert cnnx.random.get_state() == stream


@pytest.mark.parametrize("factor", [-2, 0, 1])
def test_a_wrong_backward_names_the_parameters_below_it_and_the_layer(factor):
    report = overfit_one_batch(net(Double(factor)), X, Y, steps=20)
    assert not report
    assert set(notes(report)) == {"1.weight", "1.bias"}
    assert "wrong gradient: the loss has the slope" in notes(report)["1.weight"]
    assert "that holds 1.bias, or comes after it" in report.hints[0]
    assert "Layers of your own: Double." in report.hints[0]


def test_a_layer_that_forgets_its_gradient_is_named_even_if_the_bound_is_reached():
    class Forgetful(Linear):
        def backward(self, dy, need_dx=True):
            return dy @ self.weight.data

    model = Sequential(Flatten(), Forgetful(16, 64), ReLU(), Linear(64, 4))
    report = overfit_one_batch(model, X, Y, optimizer=Adam(model.parameters(), lr=1e-2))
    assert report and not report.hints
    assert notes(report)["1.weight"] == "backward gave it no gradient"
    assert report.parameters[0].gradient is None and report.parameters[0].moved == 0
    report = overfit_one_batch(model, X, Y, steps=5)
    assert "backward gave it no gradient" in notes(report)["1.bias"]
    assert "wrong gradient" in notes(report)["1.bias"]
    assert "Layers of your own: Forgetful." in repr(report)


def test_frozen_parameters_and_those_that_the_optimizer_lacks_are_named():
    model = net()
    model[1].freeze()
    report = overfit_one_batch(model, X, Y, steps=5)
    assert notes(report) == dict.fromkeys(["1.weight", "1.bias"], "frozen (requires_grad=False)")
    assert report.hints == ["2 of 4 parameters are frozen: model.unfreeze() trains them"]
    model = net()
    report = overfit_one_batch(model, X, Y, optimizer=SGD(model[-1].parameters(), 0.1), steps=5)
    assert notes(report) == dict.fromkeys(["1.weight", "1.bias"], "not in the optimizer")


def test_dead_units_are_found():
    model = net()
    model[1].bias.data -= 100
    report = overfit_one_batch(model, X, Y, steps=20)
    assert notes(report)["1.weight"] == "its gradient was 0 in every step"
    assert "all outputs of layer 2 (ReLU) are 0" in report.hints[0]


@pytest.mark.parametrize(
    ("lr", "hint"),
    [
        (1e-7, "the learning rate 1e-07 is too small"),
        (0.3, "the loss grew: the learning rate 0.3 is too large"),
        (1e9, "the loss became inf: the learning rate 1e+09 is too large"),
        (0.01, "the loss was still falling: it needs more steps than 60"),
    ],
)
def test_a_learning_rate_that_is_too_small_or_too_large(lr, hint):
    cnnx.manual_seed(0)
    model = Sequential(Flatten(), Linear(16, 1))
    optimizer, loss = SGD(model.parameters(), lr), cnnx.MSELoss()
    target = np.linspace(-2, 2, 12).reshape(12, 1)
    report = overfit_one_batch(model, X, target, loss=loss, optimizer=optimizer, steps=60)
    assert not report and hint in report.hints[-1]


def test_equal_samples_with_different_targets_are_named():
    x = X.copy()
    x[7] = x[2]
    report = overfit_one_batch(net(), x, Y, steps=20)
    assert "samples 2 and 7 are equal, but their targets differ" in report.hints[0]


def test_a_model_that_cannot_reach_the_targets():
    model = Sequential(Flatten(), Linear(16, 16), ReLU(), Linear(16, 1), Sigmoid())
    target = np.linspace(2, 3, 12).reshape(12, 1)  # a sigmoid stays below 1
    adam = Adam(model.parameters(), lr=0.01)
    report = overfit_one_batch(model, X, target, loss=cnnx.MSELoss(), optimizer=adam)
    assert not report and "its last layer may limit the outputs" in report.hints[0]


def test_the_bound_is_the_entropy_of_the_targets():
    """Of smoothed labels 0.925, 0.025, 0.025, 0.025; of probabilities; of a yes with 0.2."""

    def bound(loss, y, out=4):
        model = Sequential(Flatten(), Linear(16, out))
        return overfit_one_batch(model, X, y, loss=loss, steps=1).bound

    entropy = -(0.925 * np.log(0.925) + 3 * 0.025 * np.log(0.025))
    assert bound(CrossEntropyLoss(label_smoothing=0.1), Y) == pytest.approx(entropy)
    rows = np.tile([0.5, 0.25, 0.25, 0.0], (12, 1))
    assert bound(CrossEntropyLoss(), rows) == pytest.approx(1.5 * np.log(2))
    # With the factors 1, 2, 4, 8 the best probabilities are 4, 4, 8, 0 sixteenths.
    loss = CrossEntropyLoss(weight=[1, 2, 4, 8])
    expected = -(0.5 * np.log(1 / 4) + 2 * 0.25 * np.log(1 / 4) + 4 * 0.25 * np.log(1 / 2))
    assert bound(loss, rows) == pytest.approx(expected)
    yes = np.full((12, 1), 0.2)
    entropy = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    assert bound(cnnx.BCEWithLogitsLoss(), yes, 1) == pytest.approx(entropy)
    best = 0.6 / 1.4  # p, with a yes that counts three times
    expected = -(3 * 0.2 * np.log(best) + 0.8 * np.log(1 - best))
    assert bound(cnnx.BCEWithLogitsLoss(pos_weight=3.0), yes, 1) == pytest.approx(expected)


def test_several_inputs_and_outputs():
    a, b = cnnx.Input((3,)), cnnx.Input((3,))
    both = cnnx.Concat()(a, b)
    model = cnnx.Graph((a, b), (Linear(6, 4)(both), Linear(6, 1)(both)))
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype(np.float32)
    losses = [CrossEntropyLoss(label_smoothing=0.1), cnnx.MSELoss()]
    optimizer = Adam(model.parameters(), lr=0.1)
    y = Y[:5], np.arange(5.0).reshape(5, 1)
    report = overfit_one_batch(model, (x[0], x[1]), y, loss=losses, optimizer=optimizer)
    assert report
    entropy = -(0.925 * np.log(0.925) + 3 * 0.025 * np.log(0.025))
    assert report.bound == pytest.approx(entropy)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, X, Y), {}, TypeError, "model is a int"),
        ((net(), X, Y[:5]), {}, ValueError, "x and y have 12 and 5 samples"),
        ((net(), X[:0], Y[:0]), {}, ValueError, "from 1 on"),
        ((net(), X, Y), {"steps": 0}, ValueError, "steps=0"),
        ((net(), X, Y), {"tolerance": 2}, ValueError, "tolerance"),
        ((net(), X, Y), {"optimizer": SGD(net().parameters(), 1)}, ValueError, "no parameter of"),
        ((net(), X, Y), {"optimizer": "adam"}, TypeError, "optimizer is 'adam'"),
        ((Flatten(), X, Y), {}, ValueError, "no parameters"),
        ((net(), X, Y + 1), {}, ValueError, "label"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, options, error, message):
    with pytest.raises(error, match=message):
        overfit_one_batch(*arguments, **options)
