"""Pickles of models: what they keep, in this process and in another one."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from engine_helpers import drawn, trained

import cnnx
from cnnx import EMA, Activation, Adam, BatchNorm1D, Dropout, Linear, ReLU, Sequential
from cnnx.compat import functional, listnet, network, sequential

# What another process does with a pickle of {name: (model, x)}: the outputs, by name.
ANSWERS = """
import pickle, sys
import numpy as np
models = pickle.load(sys.stdin.buffer)
answers = {name: np.asarray(model.forward(x)) for name, (model, x) in models.items()}
sys.stdout.buffer.write(pickle.dumps(answers))
"""
LARGE = {"resnet18", "resnet50", "vgg11"}  # of the families of resnet20 and vgg


def families():
    """{name: (a small network of each family, a batch)}, in eval mode."""
    found = {}
    for name in set(cnnx.models.names()) - LARGE:
        cnnx.manual_seed(0)
        shape = 1, 32, 32
        x = drawn((2, *shape))
        model = trained(cnnx.models.build(name, shape, 3))
        found[name] = (model, x.reshape(2, -1) if name == "mlp" else x)
    return found


def dialects():
    """{name: (a model of each dialect that has one, a batch)}."""
    x = drawn((2, 4), np.float64)
    net = network.NeuralNetwork()
    for layer in (network.Linear(4, 3), network.ReLULayer()):
        net.add_layer(layer)
    loss, optimizer = sequential.CrossEntropyLoss(), sequential.Adam(lr=0.01)
    layers = [sequential.Linear(4, 3), sequential.Softmax()]
    owner = sequential.Sequential(layers, loss_func=loss, optimizer=optimizer)
    return {
        "listnet": (listnet.Dense(4, 3), x[0].reshape(-1, 1)),
        "functional": (functional.SimpleCNN(), drawn((2, 1, 28, 28), np.float64)),
        "network": (net, x),
        "sequential": (owner, x),
    }


def in_another_process(models):
    run = subprocess.run(
        [sys.executable, "-c", ANSWERS], input=pickle.dumps(models), capture_output=True
    )
    assert run.returncode == 0, run.stderr.decode()
    return pickle.loads(run.stdout)


def test_models_of_all_families_and_dialects_answer_the_same_in_another_process():
    np.random.seed(0)
    models = {**families(), **dialects()}
    answers = in_another_process(models)
    assert len(answers) == len(cnnx.models.names()) - len(LARGE) + 4
    for name, (model, x) in models.items():
        np.testing.assert_array_equal(answers[name], model.forward(x), err_msg=name)


def test_an_optimiser_and_averages_in_one_pickle_keep_the_model_that_they_train():
    cnnx.manual_seed(0)
    model = Sequential(Linear(3, 4), BatchNorm1D(4), ReLU(), Linear(4, 2))
    training = {"model": model, "optimizer": Adam(model.parameters()), "ema": EMA(model, 0.5)}
    twins = pickle.loads(pickle.dumps(training))
    for step in range(3):
        x, dy = drawn((5, 3), seed=step), drawn((5, 2), seed=10 + step)
        for each in (training, twins):
            each["optimizer"].zero_grad()
            each["model"](x)
            each["model"].backward(dy)
            each["optimizer"].step()
            each["ema"].update()
    assert twins["ema"].model is twins["model"]
    state = model.state_dict()
    for name, value in twins["model"].state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    averages = training["ema"].state_dict()["averages"]
    for name, value in twins["ema"].state_dict()["averages"].items():
        np.testing.assert_array_equal(value, averages[name])
        assert name.endswith("num_batches_tracked") or np.any(value != state[name])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
@pytest.mark.parametrize("make", [network.Momentum, network.RMSProp, network.Adagrad, network.Adam])
def test_an_optimiser_of_the_network_dialect_keeps_the_state_of_each_array(make, duplicate):
    """Its dictionaries have the ids of the arrays as keys, as in the old programs."""
    np.random.seed(0)
    layer, optimizer = network.Linear(3, 2), make(learning_rate=0.1)
    pair = layer, optimizer
    for step in range(4):
        if step == 2:
            pair = duplicate((layer, optimizer))
        for each, method in {id(one[0]): one for one in ((layer, optimizer), pair)}.values():
            method.zero_step()
            for name in ("weights", "bias"):
                array = getattr(each, name)
                method.update(array, drawn(array.shape, np.float64, seed=step))
    assert pair[0] is not layer and pair[0].weights is not layer.weights
    np.testing.assert_array_equal(pair[0].weights, layer.weights)
    np.testing.assert_array_equal(pair[0].bias, layer.bias)
    for name in optimizer.STATES:
        assert len(getattr(pair[1], name)) == 2


def test_a_part_of_a_model_beside_it_in_one_pickle_remains_its_part():
    """As an autoencoder and its encoder, in an object of the user: for weights, running statistics
    and modes."""
    encoder = Sequential(Linear(4, 3), BatchNorm1D(3), Dropout(0.5))
    part, whole = pickle.loads(pickle.dumps((encoder, Sequential(encoder, Linear(3, 4)))))
    assert whole[0] is part and part[1] is not encoder[1]
    part.eval()
    assert not whole[0][2].training
    whole[0].train()(drawn((5, 4)))
    assert np.any(part[1].running_mean != 0)
    np.testing.assert_array_equal(part[1].running_mean, whole[0][1].running_mean)


class Scaled(cnnx.Layer):
    """It has attributes that are no arguments, and one that no file describes."""

    def __init__(self):
        self.factor, self.table, self.seen = 3.0, np.arange(3.0), {"calls": 7}

    def forward(self, x):
        return self.factor * x


def test_attributes_that_no_file_describes_are_in_a_pickle():
    model = Sequential(Linear(3, 3), Scaled(), Activation(np.sin, np.cos)).eval()
    model.notes = ["run 12"]
    model.preprocessing = cnnx.Preprocessing((3,), classes=("a", "b", "c"))
    model[1].table += 1
    twin = pickle.loads(pickle.dumps(model))
    assert twin.notes == ["run 12"] and twin[1].seen == {"calls": 7}
    assert twin.preprocessing == model.preprocessing and not twin.training
    np.testing.assert_array_equal(twin[1].table, np.arange(3.0) + 1)
    x = drawn((2, 3))
    np.testing.assert_array_equal(twin(x), model(x))
    with pytest.raises(TypeError, match="cannot describe"):
        model.save(io.BytesIO())


def test_arrays_of_a_pickle_can_be_sent_without_a_copy():
    """Buffers of protocol 5, as Dask and joblib's memory maps use them."""
    model = cnnx.models.lenet5()
    buffers = []
    content = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    total = sum(parameter.data.nbytes for parameter in model.parameters())
    assert sum(buffer.raw().nbytes for buffer in buffers) == total
    assert len(content) < total / 50
    twin = pickle.loads(content, buffers=buffers)
    assert np.shares_memory(twin.parameters()[0].data, model.parameters()[0].data)


def test_bytes_of_a_file_are_read_like_the_file_and_refused_if_they_are_a_pickle():
    """The way of docs/many_files.md to give a model away: nothing in the bytes is executed."""
    model = trained(cnnx.models.lenet5())
    file = io.BytesIO()
    model.save(file)
    x = drawn((2, 1, 28, 28))
    np.testing.assert_array_equal(cnnx.load(io.BytesIO(file.getvalue()))(x), model(x))
    with pytest.raises(ValueError, match="pickle"):
        cnnx.load(io.BytesIO(pickle.dumps(model)))
