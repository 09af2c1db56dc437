"""`fit`, `evaluate` and `predict` of models of several outputs, with a loss for each."""

from __future__ import annotations

import numpy as np
import pytest
from training_helpers import blobs, mlp, quiet_fit, same

import cnnx
from cnnx import Graph, Input
from cnnx.layers import Add, Linear, ReLU
from cnnx.losses import CrossEntropyLoss, MSELoss
from cnnx.metrics import accuracy
from cnnx.optim import SGD


def two_ways():
    """A Graph of two inputs and two outputs."""
    cnnx.manual_seed(0)
    a, b = Input((2,)), Input((2,))
    hidden = ReLU()(Add()(Linear(2, 8)(a), Linear(2, 8)(b)))
    return Graph((a, b), (Linear(8, 3)(hidden), Linear(8, 1)(hidden)))


def test_a_list_of_one_loss_is_that_loss_times_its_weight():
    x, y = blobs(60)
    model, twin = mlp(), mlp()
    twin.load_state_dict(model.state_dict())
    for one, loss, weights, lr in [
        (model, [CrossEntropyLoss()], [0.5], 0.2),
        (twin, CrossEntropyLoss(), None, 0.1),
    ]:
        optimizer = SGD(one.parameters(), lr=lr)
        quiet_fit(one, (x, y), loss=loss, loss_weights=weights, optimizer=optimizer, seed=0)
    assert same(model.state_dict(), twin.state_dict())


def test_several_inputs_and_outputs_train_with_a_loss_for_each():
    x, y = blobs(90)
    heights = x[:, 1:]
    model, twin = two_ways(), two_ways()
    data = ((x, x[::-1]), (y, heights))
    history = quiet_fit(
        model,
        data,
        validation=data,
        loss=[CrossEntropyLoss(), MSELoss()],
        loss_weights=[1.0, 0.25],
        optimizer=SGD(model.parameters(), lr=0.1),
        batch_size=90,
        shuffle=False,
    )
    first, second = CrossEntropyLoss(), MSELoss()
    classes, numbers = twin(x, x[::-1])
    total = first(classes, y) + 0.25 * second(numbers, heights)
    twin.backward((first.backward(), 0.25 * second.backward().astype(np.float32)))
    SGD(twin.parameters(), lr=0.1).step()
    assert history["loss"] == [pytest.approx(total, rel=1e-6)]
    assert history["accuracy"] == [accuracy(classes, y)]
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, twin.state_dict()[name], rtol=1e-6, atol=1e-7)
    outputs = model.predict((x, x[::-1]), batch_size=40)
    np.testing.assert_allclose(outputs[0], model(x, x[::-1])[0], rtol=1e-5, atol=1e-6)
    scores = model.evaluate(data, loss=[CrossEntropyLoss(), MSELoss()], loss_weights=[1, 0.25])
    assert scores.loss == pytest.approx(history["val_loss"][0])


def test_one_target_for_all_outputs_and_outputs_without_a_loss():
    x, y = blobs(90)
    start = Input((2,))
    hidden = ReLU()(Linear(2, 8)(start))
    model = Graph(start, (Linear(8, 3)(hidden), Linear(8, 3)(hidden), Linear(8, 3)(hidden)))
    untrained = model.state_dict()
    history = quiet_fit(model, (x, y), loss=[CrossEntropyLoss(), CrossEntropyLoss(), None])
    moved = [name for name, a in model.state_dict().items() if not same({name: a}, untrained)]
    assert len(moved) == 6  # the hidden layer and two of the heads
    assert np.isfinite(history["loss"][0])
    with pytest.raises(ValueError, match="loss has 2 losses, but there are 3 outputs"):
        quiet_fit(model, (x, y), loss=[CrossEntropyLoss()] * 2)
    with pytest.raises(ValueError, match="3 outputs, expected one: give a loss for each"):
        quiet_fit(model, (x, y))
    with pytest.raises(ValueError, match="loss_weights has 1 entries for 2 losses"):
        quiet_fit(model, (x, y), loss=[CrossEntropyLoss()] * 2, loss_weights=[1])
    with pytest.raises(ValueError, match="loss_weights is for a list"):
        quiet_fit(mlp(), (x, y), loss_weights=[1])
