"""Helpers for tests of training and inference: a small problem and a small network."""

from __future__ import annotations

import numpy as np

import cnnx
from cnnx import random
from cnnx.layers import Dropout, Linear, ReLU, Sequential


def blobs(n=90, seed=0):
    """Three well separated clouds of points in the plane."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = np.array([[0, 4], [4, -2], [-4, -2]])
    return (centres[y] + rng.normal(size=(n, 2))).astype(np.float32), y


def mlp(seed=0, dropout=0.0):
    random.manual_seed(seed)
    return Sequential(Linear(2, 16), ReLU(), Dropout(dropout), Linear(16, 3))


class Tensor:
    """An array of another library."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, "float"

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __len__(self):
        return len(self.values)


def quiet_fit(model, train, **options):
    """`fit` without lines of its own, unless they are asked for."""
    return cnnx.fit(model, train, **{"verbose": False, **options})


def same(one, other):
    """Whether two state dicts have the same values."""
    return all(np.array_equal(a, other[name]) for name, a in one.items())
