"""Checkpoints of cnnx.compat.network."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cnnx.compat import network

OPTIMIZERS = {
    "SGD": lambda: network.SGD(0.1),
    "Momentum": lambda: network.Momentum(0.05, 0.8),
    "RMSProp": lambda: network.RMSProp(0.01, 0.8),
    "Adagrad": lambda: network.Adagrad(0.05),
    "Adam": lambda: network.Adam(0.01, 0.8, 0.99),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_continues_from_a_checkpoint_without_any_difference(tmp_path, optimizer):
    np.random.seed(7)
    model, stepper = network.NeuralNetwork(), OPTIMIZERS[optimizer]()
    for layer in (
        *(network.Conv2D(2, 3, 3, padding=1), network.BatchNorm2D(3), network.ReLULayer()),
        *(network.MaxPool2D(3, 2), network.Conv2D(3, 4, (2, 2), stride=2, bias=False)),
        *(network.SigmoidLayer(), network.Flatten(), network.Dropout(0.3)),
        *(network.Linear(16, 8), network.LeakyReLULayer(0.2), network.Linear(8, 5)),
    ):
        model.add_layer(layer)
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


def test_a_file_that_is_not_a_checkpoint_is_rejected(tmp_path):
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
