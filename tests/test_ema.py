"""EMA: against a plain loop and PyTorch's averages, swapping, state."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import cnnx
from cnnx import EMA, Layer, Parameter
from cnnx.layers import BatchNorm1D, Linear, Sequential
from cnnx.layers.state import entries


def model(dtype=np.float64):
    net = Sequential(Linear(3, 4), BatchNorm1D(4), Linear(4, 2))
    return net.astype(dtype)


def change(net, step):
    """New weights and statistics, as after a step of training."""
    rng = np.random.default_rng(step)
    for parameter in net.parameters():
        parameter.data = rng.normal(size=parameter.shape).astype(parameter.dtype)
    norm = next(layer for layer in net.modules() if isinstance(layer, BatchNorm1D))
    norm.running_mean = rng.normal(size=4).astype(norm.running_mean.dtype)
    norm.num_batches_tracked = np.array(norm.num_batches_tracked + 1)


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("warmup", [False, True])
def test_averages_are_those_of_a_plain_loop(backend, warmup):
    net = model()
    ema = EMA(net, decay=0.6, warmup=warmup)
    expected = net.state_dict()
    with cnnx.use_backend(backend):
        for n in range(8):
            change(net, n)
            ema.update()
            d = min(0.6, (1 + n) / (10 + n)) if warmup else 0.6
            for name, value in net.state_dict().items():
                mean = d * expected[name] + (1 - d) * value
                expected[name] = value if value.dtype.kind == "i" else mean
    averages = ema.state_dict()["averages"]
    assert set(averages) == set(expected)
    for name, average in averages.items():
        np.testing.assert_allclose(average, expected[name], rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("buffers", [False, True])
def test_averages_are_those_of_torch(buffers):
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    net = model()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)
    ).double()

    def follow():
        arrays = {name: torch.from_numpy(array) for name, array in net.state_dict().items()}
        theirs.load_state_dict(arrays)

    follow()
    ema = EMA(net, decay=0.7, buffers=buffers)
    average = get_ema_multi_avg_fn(0.7)
    twin = AveragedModel(theirs, multi_avg_fn=average, use_buffers=buffers)
    twin.update_parameters(theirs)  # the first call copies
    for step in range(5):
        change(net, step)
        follow()
        ema.update()
        twin.update_parameters(theirs)
    expected = dict(twin.module.named_parameters())
    if buffers:
        expected |= {k: v for k, v in twin.module.named_buffers() if "num" not in k}
    averages = ema.state_dict()["averages"]
    for name, value in expected.items():
        np.testing.assert_allclose(averages[name], value.detach().numpy(), rtol=1e-12)
    assert ("1.running_mean" in averages) is buffers


def test_the_averaged_model_is_given_back_even_after_an_error():
    net = model()
    ema = EMA(net, decay=0.5)
    change(net, 1)
    ema.update()
    own, averages = net.state_dict(), ema.state_dict()["averages"]
    with pytest.raises(ZeroDivisionError), ema.averaged():
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(value, averages[name])
        with pytest.raises(RuntimeError, match="averaged"):
            ema.update()
        with pytest.raises(RuntimeError, match="already"), ema.averaged():
            pass
        raise ZeroDivisionError
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, own[name])
    assert ema.state_dict()["updates"] == 1


def test_the_averages_can_become_the_model():
    net = model()
    ema = EMA(net, decay=0.5)
    change(net, 1)
    ema.update()
    ema.copy_to_model()
    averages = ema.state_dict()["averages"]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, averages[name])
    change(net, 2)
    np.testing.assert_array_equal(ema.state_dict()["averages"]["0.weight"], averages["0.weight"])


def test_a_saved_average_continues_with_the_same_bits():
    net = model(np.float32)
    ema = EMA(net, decay=0.9, warmup=True)
    for step in range(3):
        change(net, step)
        ema.update()
    twin = EMA(net, decay=0.9, warmup=True)
    twin.load_state_dict(ema.state_dict())
    change(net, 4)
    ema.update()
    twin.update()
    for name, value in ema.state_dict()["averages"].items():
        np.testing.assert_array_equal(twin.state_dict()["averages"][name], value)


def test_a_wrong_state_is_refused_and_changes_nothing():
    ema = EMA(model(), decay=0.9)
    good = ema.state_dict()
    other, shape = copy.deepcopy(good), copy.deepcopy(good)
    del other["averages"]["0.bias"]
    shape["averages"]["0.bias"] = np.zeros(7)
    for state, message in ((other, "0.bias"), (shape, r"\(7,\)"), ({}, "averages")):
        with pytest.raises(ValueError, match=message):
            ema.load_state_dict(state)
    np.testing.assert_array_equal(
        ema.state_dict()["averages"]["0.bias"], good["averages"]["0.bias"]
    )


def test_a_shared_layer_is_averaged_once():
    layer = Linear(3, 3)
    net = Sequential(layer, layer)
    ema = EMA(net, decay=0.5)
    before = layer.weight.data.copy()
    layer.weight.data = before + 1
    ema.update()
    with ema.averaged():
        np.testing.assert_allclose(layer.weight.data, before + 0.5, rtol=1e-6)


def test_averages_follow_a_model_that_changes_its_dtype():
    net = model(np.float32)
    ema = EMA(net, decay=0.5)
    net.astype(np.float64)
    ema.update()
    with ema.averaged():
        assert net(np.ones((2, 3))).dtype == np.float64
    assert ema.state_dict()["averages"]["0.weight"].dtype == np.float64


class Branches(Layer):
    """Layers and a parameter in a list, a dict and attributes."""

    buffer_names = ("scale",)

    def __init__(self):
        self.blocks = [[Linear(2, 2)], {"head": Linear(2, 3)}]
        self.own = Parameter(np.ones(2))
        self.extra = None
        self.scale = None

    def forward(self, x):
        return x


class Chosen(Layer):
    """Finds its layers in a way of its own."""

    def __init__(self):
        self.key, self.store = "a", Store()

    def children(self):
        return iter([(self.key, self.store.layers[self.key])])


class Store:
    def __init__(self):
        self.layers = {"a": Linear(2, 2), "b": Linear(2, 2)}


def _swapped_names(net):
    net._layers = dict(zip(net._layers, reversed(net._layers.values()), strict=True))


CHANGES = {
    "a layer of a chain is replaced": (model, lambda net: net.__setitem__(0, Linear(3, 4))),
    "another head": (model, lambda net: net.__setitem__(2, Linear(4, 7))),
    "a layer more": (model, lambda net: net.append(Linear(2, 2))),
    "layers change places": (lambda: Sequential(Linear(2, 2), Linear(2, 2)), _swapped_names),
    "no bias": (model, lambda net: setattr(net[0], "bias", None)),
    "a parameter is replaced": (
        Branches,
        lambda net: setattr(net, "own", Parameter(np.full(2, 5.0))),
    ),
    "a parameter more": (Branches, lambda net: setattr(net, "extra", Parameter(np.ones(3)))),
    "past __setattr__": (Branches, lambda net: vars(net).update(own=Parameter(np.ones(2)))),
    "a buffer more": (Branches, lambda net: setattr(net, "scale", np.ones(3, np.float32))),
    "a list grows": (Branches, lambda net: net.blocks[0].append(Linear(1, 1))),
    "in a list": (Branches, lambda net: net.blocks[0].__setitem__(0, Linear(2, 2))),
    "in a dict": (Branches, lambda net: net.blocks[1].update(head=Linear(2, 3))),
    "another key": (Branches, lambda net: net.blocks[1].update(tail=net.blocks[1].pop("head"))),
    "an attribute less": (Branches, lambda net: delattr(net, "own")),
    "children of its own": (Chosen, lambda net: setattr(net, "key", "b")),
    "dtype": (model, lambda net: net.astype(np.float32)),
    "frozen": (model, lambda net: net.freeze()),
    "loaded": (model, lambda net: net.load_state_dict(model().state_dict())),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("used", [False, True])
def test_averages_follow_a_model_that_changes(name, used):
    make, alter = CHANGES[name]
    cnnx.manual_seed(0)
    net = make()
    ema = EMA(net, decay=0.75)
    for _ in range(2):
        ema.update()
    if used:  # what a layer saves for backward is no part of the model
        net(np.ones((2, 3), np.float32)) if make is model else None
        ema.update()
    before = ema.state_dict()["averages"]
    alter(net)
    for _ in range(2):
        for parameter in net.parameters():
            parameter.data = parameter.data + 1
        expected = {}
        for key, value in net.state_dict().items():
            known = key in before and before[key].shape == value.shape and value.dtype.kind == "f"
            expected[key] = 0.75 * before[key] + 0.25 * value if known else value
        ema.update()
        before = ema.state_dict()["averages"]
        assert list(before) == list(expected)
        for key, average in before.items():
            assert average.dtype == net.state_dict()[key].dtype
            np.testing.assert_allclose(average, expected[key], rtol=1e-6, atol=1e-6, err_msg=key)


def test_the_model_is_searched_again_only_if_it_changed(monkeypatch):
    net = model(np.float32)
    ema = EMA(net)
    walks = []
    monkeypatch.setattr("cnnx.optim.ema.entries", lambda m: walks.append(m) or entries(m))
    x, y = np.ones((4, 3), np.float32), np.zeros(4, int)
    optimizer, loss_fn = cnnx.SGD(net.parameters(), lr=0.1), cnnx.CrossEntropyLoss()
    for _ in range(3):
        walks.clear()  # the first forward adds attributes, which counts as a change
        loss_fn(net(x), y)
        net.backward(loss_fn.backward())
        optimizer.step()
        ema.update()
    assert walks == []
    net[2] = Linear(4, 2)
    ema.update()
    assert walks == [net]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_follows_its_own_model(duplicate):
    ema = EMA(model(), decay=0.5)
    ema.update()
    twin = duplicate(ema)
    own = ema.state_dict()["averages"]["0.bias"]
    twin.model[0].bias.data = twin.model[0].bias.data + 1
    twin.model[2] = Linear(4, 5)
    twin.update()
    ema.update()
    np.testing.assert_array_equal(ema.state_dict()["averages"]["0.bias"], own)
    np.testing.assert_allclose(twin.state_dict()["averages"]["0.bias"], own + 0.5)
    assert twin.state_dict()["averages"]["2.weight"].shape == (5, 4)


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="model is a list"):
        EMA([1])
    with pytest.raises(ValueError, match=r"decay=1\.5"):
        EMA(model(), decay=1.5)


def test_fit_validates_and_ends_with_the_averages():
    net = model(np.float32)
    ema = EMA(net, decay=0.5)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    cnnx.fit(net, (x, np.zeros(16, int)), epochs=2, batch_size=8, ema=ema, verbose=False)
    assert ema.state_dict()["updates"] == 4
    np.testing.assert_array_equal(
        net.state_dict()["0.weight"], ema.state_dict()["averages"]["0.weight"]
    )
