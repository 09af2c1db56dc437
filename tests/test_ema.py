"""EMA: against a plain loop and PyTorch's averages, swapping, state."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import cnnx
from cnnx import EMA
from cnnx.layers import BatchNorm1D, Linear, Sequential


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
