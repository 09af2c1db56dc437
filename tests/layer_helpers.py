"""Helpers for tests of layers: layers as users write them, and a gradient check."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import layers
from cnnx.layers import Layer, Parameter
from cnnx.layers.base import BUILTIN

for _name in layers.__all__:  # a class is in BUILTIN once its name was asked for
    getattr(layers, _name)
# Without the operators of ONNX files, which are there once `cnnx.onnx` has been imported.
OWN = {name: cls for name, cls in BUILTIN.items() if not cls.__module__.startswith("cnnx.onnx.")}


def images(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape or (3, 4, 7, 6)).astype(dtype)


class Scale(Layer):
    """A user-defined layer: two methods, its own attributes, and a weight."""

    def __init__(self, factor=3.0):
        self.factor = factor
        self.weight = Parameter(np.full(1, factor, np.float64))

    def forward(self, x):
        self._save(x)
        return self.weight.data * x

    def backward(self, dy):
        (x,) = self._saved()
        self.weight.accumulate(np.sum(dy * x).reshape(1))
        return self.weight.data * dy


class Plain(Layer):
    """A user-defined layer without Parameters: raw arrays, its own gradient, its own update."""

    def __init__(self, size):
        self.w = np.ones(size)
        self.dw = np.zeros(size)

    def forward(self, x):
        self.x = x
        return x * self.w

    def backward(self, dy):
        self.dw = self.dw + (dy * self.x).sum(axis=0)
        return dy * self.w


class Product(Layer):
    """A user-defined layer of two inputs."""

    def forward(self, a, b):
        self._save(a, b)
        return a * b

    def backward(self, dy):
        a, b = self._saved()
        return dy * b, dy * a


def check_gradients(layer, x, tolerance=1e-6):
    """dx and all parameter gradients against the slope of <y, dy> along a random direction."""
    rng = np.random.default_rng(5)
    layer.zero_grad()
    dy = rng.normal(size=layer(x).shape)
    dx = layer.backward(dy)
    step = 1e-6

    def slope(change):
        change(step)
        plus = np.sum(layer(x) * dy)
        change(-2 * step)
        minus = np.sum(layer(x) * dy)
        change(step)
        return (plus - minus) / (2 * step)

    direction = rng.normal(size=x.shape)

    def move_x(amount):
        nonlocal x
        x = x + amount * direction

    assert slope(move_x) == pytest.approx(np.sum(dx * direction), rel=tolerance, abs=1e-8)
    for parameter in layer.parameters():
        expected = np.sum(parameter.grad * (way := rng.normal(size=parameter.shape)))

        def move(amount, parameter=parameter, way=way):
            parameter.data = parameter.data + amount * way

        assert slope(move) == pytest.approx(expected, rel=tolerance, abs=1e-8)


class Double64(Layer):
    """A user-defined layer that computes in float64, whatever its input."""

    def forward(self, x):
        return np.float64(2) * x

    def backward(self, dy):
        return np.float64(2) * dy


def check_against_torch(layer, twin, shape):
    """Outputs, gradients, names and buffers of two steps, against those of a module of torch.nn."""
    torch = pytest.importorskip("torch")
    theirs = eval(twin, vars(torch.nn)).double()
    ours = layer.copy().astype(np.float64)
    assert ours.training == theirs.training
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(0.5, 1.5)
    ours.load_state_dict(theirs.state_dict())
    for step in range(2):
        x, dy = images(*shape, seed=step), None
        tensor = torch.tensor(x, requires_grad=True)
        expected = theirs(tensor)
        dy = images(*expected.shape, seed=10 + step)
        expected.backward(torch.tensor(dy))
        y = ours(x)
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
        dx = ours.backward(dy)
        np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-9, atol=1e-11)
    for (name, one), (other_name, other) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other_name
        np.testing.assert_allclose(one.grad, other.grad.numpy(), rtol=1e-9, atol=1e-11)
    state, expected_state = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected_state)
    for name, array in state.items():
        assert array.shape == tuple(expected_state[name].shape)
        np.testing.assert_allclose(array, expected_state[name].numpy(), rtol=1e-10, atol=1e-12)
