"""Models for plans, and how much a plan may differ from a model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tolerance import AMPLIFICATION

import cnnx
from cnnx import BatchNorm2D, Concat, Conv2D, Flatten, Linear, MaxPool2D, ReLU, Sequential, Sigmoid

COMPILED = "compiled" in cnnx.available_backends()
compiled_only = pytest.mark.skipif(not COMPILED, reason="needs the compiled backend")


def trained(model, seed=0):
    """The model in eval mode with drawn statistics of batch norm, and weights that are not 1 and 0
    there."""
    rng = np.random.default_rng(seed)
    for layer in model.modules():
        if isinstance(layer, (cnnx.BatchNorm1D, cnnx.BatchNorm2D)):
            c = layer.num_features
            if layer.running_mean is not None:
                layer.running_mean = rng.normal(0, 0.3, c).astype(np.float32)
                layer.running_var = rng.uniform(0.5, 1.5, c).astype(np.float32)
            if layer.weight is not None:
                layer.weight.data = rng.uniform(0.7, 1.3, c).astype(np.float32)
                layer.bias.data = rng.normal(0, 0.3, c).astype(np.float32)
    return model.eval()


def drawn(shape, dtype=np.float32, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def bound(model, dtype):
    """The largest difference of two correct results, relative to the largest output: what
    tolerance.py allows for the sums of each weighted layer, summed over the layers."""
    terms = [
        math.prod(parameter.shape[1:])
        for name, parameter in model.named_parameters()
        if parameter.data.ndim > 1
    ]
    factor = AMPLIFICATION if dtype == np.float32 else 1.0
    return factor * np.finfo(dtype).eps * sum(8 + math.sqrt(n) for n in terms)


def assert_close(model, found, expected):
    assert found.dtype == expected.dtype and found.shape == expected.shape
    largest = np.abs(expected).max()
    assert largest > 0
    difference = np.abs(found - expected).max() / largest
    assert difference <= bound(model, expected.dtype), difference


def small(seed=0):
    """A model with every kind of step."""
    cnnx.manual_seed(seed)
    body = Sequential(Conv2D(16, 16, 3, padding=1), BatchNorm2D(16), ReLU(), Conv2D(16, 16, 1))
    branches = Concat(Conv2D(16, 8, 1), MaxPool2D(3, 1, padding=1))
    head = [cnnx.Residual(body), ReLU(), branches, Sigmoid(), MaxPool2D(2), Flatten()]
    return trained(Sequential(Conv2D(3, 16, 3), BatchNorm2D(16), *head, Linear(24 * 12, 5)))


SMALL = (3, 9, 10)


def varied(seed=0):
    """A model of the layers that `small` lacks."""
    cnnx.manual_seed(seed)
    x = cnnx.Input(SMALL)
    h = cnnx.PReLU(8)(cnnx.GroupNorm(2, 8)(Conv2D(3, 8, 3, padding=1)(x)))
    gate = Sigmoid()(Conv2D(8, 8, 1)(cnnx.GlobalAvgPool2D()(h)))
    h = cnnx.SiLU()(cnnx.InstanceNorm2D(8)(h * gate)) + cnnx.LocalResponseNorm(3)(h)
    half = cnnx.ZeroPad2D((0, 0, 1, 0))(MaxPool2D(2)(h))  # 5 x 5
    large = cnnx.Upsample((9, 10), mode="bilinear")(cnnx.GELU()(half))
    h = Concat()(h, large, cnnx.Upsample((9, 10))(half), x)
    h = cnnx.LayerNorm((9, 10))(Conv2D(27, 4, 1)(h))
    return trained(cnnx.Graph(x, Linear(360, 5)(Flatten()(h))))


def two_by_two():
    a, b = cnnx.Input((4,)), cnnx.Input((4, 5, 5))
    h = ReLU()(Conv2D(4, 4, 3, padding=1)(b))
    y = Linear(4, 3)(a)
    return cnnx.Graph((a, b), (y, Flatten()(h), h)).eval()


class Halves(cnnx.Layer):
    """The first half of the channels, as a view of the input."""

    def forward(self, x):
        return x[:, : x.shape[1] // 2]

    def backward(self, dy):
        raise NotImplementedError
