"""Models with statistics as after training, and how much a plan may differ from them."""

from __future__ import annotations

import math

import numpy as np
from tolerance import AMPLIFICATION

import cnnx


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
