"""Each layer, with settings other than its defaults: saved, copied, summarised, frozen, in a Graph.

tests/test_model_state.py tests the same of whole models, and what goes wrong.
"""

from __future__ import annotations

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
from layer_helpers import OWN

import cnnx

X2, X3, X4 = (2, 6), (2, 6, 8), (2, 6, 8, 8)
POOL = {"stride": 2, "padding": 1, "ceil_mode": True}
CONV = {"in_channels": 6, "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}
CONV |= {"dilation": 2, "groups": 2, "bias": False}
STATISTICS = {"num_features": 6, "eps": 1e-3, "momentum": 0.3}
PERMITTED = {"inplace": True}
# Class: (arguments, shape of x). Every setting that has a default has another value here.
LAYERS = {
    "AdaptiveAvgPool1D": ({"output_size": 3}, X3),
    "AdaptiveAvgPool2D": ({"output_size": (3, None)}, X4),
    "AvgPool1D": ({"kernel_size": 3, "count_include_pad": False} | POOL, X3),
    "AvgPool2D": (
        {"kernel_size": (3, 2), "count_include_pad": False, "divisor_override": 5} | POOL,
        X4,
    ),
    "BatchNorm1D": (STATISTICS | {"affine": False, "track_running_stats": False}, X2),
    "BatchNorm2D": (STATISTICS | {"affine": False, "track_running_stats": False}, X4),
    "Conv1D": (CONV, X3),
    "Conv2D": (CONV, X4),
    "ConvTranspose1D": (CONV | {"output_padding": 1}, X3),
    "ConvTranspose2D": (CONV | {"output_padding": (1, 0)}, X4),
    "Dropout": ({"p": 0.3} | PERMITTED, X4),
    "Dropout2D": ({"p": 0.3} | PERMITTED, X4),
    "ELU": ({"alpha": 0.7} | PERMITTED, X4),
    "Embedding": ({"num_embeddings": 7, "embedding_dim": 3, "padding_idx": 2}, None),
    "Flatten": ({"start_dim": 2}, X4),
    "GELU": ({"approximate": "tanh"}, X4),
    "GlobalAvgPool1D": ({}, X3),
    "GlobalAvgPool2D": ({}, X4),
    "GroupNorm": ({"num_groups": 3, "num_channels": 6, "eps": 1e-3, "affine": False}, X4),
    "Hardsigmoid": (PERMITTED, X4),
    "Hardswish": (PERMITTED, X4),
    "Identity": ({}, X4),
    "InstanceNorm2D": (STATISTICS | {"affine": True, "track_running_stats": True}, X4),
    "LayerNorm": (
        {"normalized_shape": (8, 8), "eps": 1e-3, "elementwise_affine": False, "bias": False},
        X4,
    ),
    "LeakyReLU": ({"negative_slope": 0.3} | PERMITTED, X4),
    "Linear": ({"in_features": 6, "out_features": 4, "bias": False}, X2),
    "LocalResponseNorm": ({"size": 3, "alpha": 0.1, "beta": 0.5, "k": 2.0}, X4),
    "LogSoftmax": ({"axis": 2}, X4),
    "MaxPool1D": ({"kernel_size": 3, "dilation": 2} | POOL, X3),
    "MaxPool2D": ({"kernel_size": 3, "dilation": (1, 2)} | POOL, X4),
    "Mish": (PERMITTED, X4),
    "PReLU": ({"num_parameters": 6, "init": 0.1}, X4),
    "ReLU": (PERMITTED, X4),
    "ReLU6": (PERMITTED, X4),
    "Reshape": ({"shape": (12, -1)}, X4),
    "SiLU": (PERMITTED, X4),
    "Sigmoid": ({}, X4),
    "Softmax": ({"axis": -1}, X4),
    "Softplus": ({"beta": 2.0, "threshold": 1.0}, X4),
    "Tanh": ({}, X4),
    "Upsample": ({"scale_factor": (2, 1.5), "mode": "bilinear", "align_corners": True}, X4),
    "ZeroPad1D": ({"padding": (1, 2)}, X3),
    "ZeroPad2D": ({"padding": (1, 2, 0, -1)}, X4),
}
# Of layers, Python functions or Symbols: test_model_state.py, test_graph.py, test_merge.py.
OTHERS = {"Activation", "Add", "Concat", "Graph", "Multiply", "Residual", "Sequential"}
# The same with its parameters, for those whose settings above leave them out.
WITH_WEIGHTS = {
    "BatchNorm1D": {"num_features": 6},
    "BatchNorm2D": {"num_features": 6},
    "GroupNorm": {"num_groups": 3, "num_channels": 6},
    "LayerNorm": {"normalized_shape": 8},
}
BOTH = [*((name, *row) for name, row in LAYERS.items())]
BOTH += [(name, settings, LAYERS[name][1]) for name, settings in WITH_WEIGHTS.items()]
each_layer = pytest.mark.parametrize(
    "name, settings, shape", BOTH, ids=[f"{row[0]}-{len(row[1])}" for row in BOTH]
)


def _made(name, settings, shape):
    """The layer after a training step, and an input."""
    rng = np.random.default_rng(0)
    x = rng.integers(7, size=(2, 5)) if shape is None else rng.normal(size=shape)
    cnnx.manual_seed(0)
    layer = OWN[name](**settings).astype(np.float64)
    for parameter in layer.parameters():
        parameter.data = rng.normal(size=parameter.shape)
    y = layer(x)
    layer.backward(np.ones_like(y))
    return layer, x


def _computed(layer, x):
    """The outputs of both modes, after the same random numbers."""
    cnnx.manual_seed(1)
    return [layer.train()(x), layer.eval()(x)]


def _assert_same(layer, other, x):
    assert repr(other) == repr(layer)
    assert other.config() == layer.config()
    assert other.training == layer.training
    state, restored = layer.state_dict(), other.state_dict()
    assert list(state) == list(restored)
    for name, value in state.items():
        assert value.dtype == restored[name].dtype
        np.testing.assert_array_equal(value, restored[name])
    for one, two in zip(_computed(layer.copy(), x), _computed(other, x), strict=True):
        np.testing.assert_array_equal(one, two)


def test_every_layer_is_here():
    assert set(LAYERS) | OTHERS == set(OWN)


@pytest.mark.parametrize("name", LAYERS)
def test_every_setting_differs_from_its_default(name):
    """Or a constructor whose config forgets one would pass the tests below."""
    settings = LAYERS[name][0]
    for parameter in inspect.signature(OWN[name]).parameters.values():
        if parameter.name in ("size", "dim"):  # in the place of scale_factor and axis
            continue
        assert parameter.name in settings, parameter.name
        assert settings[parameter.name] != parameter.default, parameter.name


@each_layer
def test_a_saved_layer_is_restored_with_its_settings(name, settings, shape):
    layer, x = _made(name, settings, shape)
    for mode in (layer.eval(), layer.freeze()):
        file = io.BytesIO()
        mode.save(file)
        file.seek(0)
        before = cnnx.random.get_state()
        twin = cnnx.load(file)
        assert cnnx.random.get_state() == before, "loading draws no random numbers"
        assert [p.requires_grad for p in twin.parameters()] == [
            p.requires_grad for p in mode.parameters()
        ]
        _assert_same(mode, twin, x)


@each_layer
def test_copies_and_pickles_are_equal_and_independent(name, settings, shape):
    layer, x = _made(name, settings, shape)
    kept = layer.state_dict()
    for duplicate in (layer.copy(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        _assert_same(layer, duplicate, x)
        assert all(parameter.grad is None for parameter in duplicate.parameters())
        for parameter in duplicate.parameters():
            parameter.data += 1
        for key, value in layer.state_dict().items():
            np.testing.assert_array_equal(value, kept[key])


@each_layer
def test_a_state_is_loaded_and_the_dtype_changed(name, settings, shape):
    layer, x = _made(name, settings, shape)
    twin = OWN[name](**settings).astype(np.float64)
    twin.load_state_dict(layer.state_dict())
    _assert_same(layer.eval(), twin.eval(), x)
    single = layer.copy().astype(np.float32)
    assert {p.dtype for p in single.parameters()} <= {np.dtype(np.float32)}
    y = single(x.astype(np.float32) if shape else x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, layer(x), rtol=1e-3, atol=1e-4)


@each_layer
def test_a_frozen_layer_keeps_its_parameters(name, settings, shape):
    layer, x = _made(name, settings, shape)
    expected = layer.eval().backward(np.ones_like(layer(x)))
    layer.zero_grad()
    layer.freeze()
    dx = layer.backward(np.ones_like(layer(x)))
    np.testing.assert_array_equal(dx, expected)
    assert all(p.grad is None or not p.grad.any() for p in layer.parameters())
    assert all(p.requires_grad for p in layer.unfreeze().parameters())


@each_layer
def test_a_summary_and_a_graph_know_the_shape(name, settings, shape):
    layer, x = _made(name, settings, shape)
    y = layer.eval()(x)
    (row,) = layer.summary(x.shape[1:]).rows
    assert row.output_shape == layer.output_shape(x.shape[1:]) == y.shape[1:]
    assert row.parameters == sum(p.size for p in layer.parameters())
    symbol = cnnx.Input(x.shape[1:])
    graph = cnnx.Graph(symbol, layer(symbol)).eval()
    np.testing.assert_array_equal(graph(x), y)
    file = io.BytesIO()
    graph.save(file)
    file.seek(0)
    np.testing.assert_array_equal(cnnx.load(file)(x), y)
