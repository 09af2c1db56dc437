"""A weighted layer with a scale and a shift of its results in its weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from cnnx.layers.conv import Conv2D, ConvTranspose2D
from cnnx.layers.linear import Linear
from cnnx.layers.parameter import Parameter
from cnnx.layers.signals import Conv1D, ConvTranspose1D

__all__ = ["WEIGHTED", "of_scaled", "scaled"]

_TRANSPOSED = (ConvTranspose1D, ConvTranspose2D)
WEIGHTED = (Conv1D, Conv2D, Linear, *_TRANSPOSED)


def scaled(layer: Any, scale: np.ndarray | float, shift: np.ndarray | float) -> Any:
    """A copy of a layer of `WEIGHTED` that computes scale * layer(x) + shift.

        (weight * x + bias) * scale + shift = (weight * scale) * x + (bias * scale + shift)

    scale, shift  a number for each filter, or one for all

    The products are computed in float64 and rounded once.

    Example: ``scaled(Linear(3, 2), 2.0, np.zeros(2))`` doubles the results.
    """
    weight, made = layer.weight.data, copy.copy(layer)
    filters = layer.out_features if type(layer) is Linear else layer.out_channels
    scale = np.broadcast_to(np.asarray(scale, np.float64), filters)
    bias = np.broadcast_to(np.asarray(shift, np.float64), filters)
    if layer.bias is not None:
        bias = bias + layer.bias.data * scale
    if (scale != 1).any():  # or it may stay shared with other layers
        weight = (weight * _along_filters(layer, scale)).astype(weight.dtype)
        made.weight = Parameter(weight, "weight")
    made.bias = Parameter(bias.astype(weight.dtype), "bias")
    return made


def of_scaled(layer: Any, scale: np.ndarray, shift: np.ndarray) -> Any:
    """A copy of a Conv1D or Conv2D without padding that computes layer(scale * x + shift).

        weight * (x * scale + shift) + bias = (weight * scale) * x + (weight * shift + bias)

    scale, shift  a number for each channel of x, or one for all: of shape (channels,) or (1,)

    The products are computed in float64 and rounded once.

    Example: ``of_scaled(Conv2D(3, 8, 1), np.full(1, 2.0), np.zeros(1))`` takes half of x.
    """
    weight, made = layer.weight.data, copy.copy(layer)
    filters, channels = weight.shape[:2]  # of a group
    first = np.arange(filters) // (filters // layer.groups) * channels
    read = first[:, None] + np.arange(channels)  # the channels of x that each filter reads
    scale, shift = (
        np.broadcast_to(np.asarray(array, np.float64), layer.in_channels)[read].reshape(
            *read.shape, *[1] * (weight.ndim - 2)
        )
        for array in (scale, shift)
    )
    bias = (weight * shift).sum(tuple(range(1, weight.ndim)))
    if layer.bias is not None:
        bias = bias + layer.bias.data
    made.weight = Parameter((weight * scale).astype(weight.dtype), "weight")
    made.bias = Parameter(bias.astype(weight.dtype), "bias")
    return made


def _along_filters(layer: Any, scale: np.ndarray) -> np.ndarray:
    """One number per filter, shaped for a product with the weight.

    The weight is (filters, ...); of a transposed convolution (channels, filters/groups, ...), with
    the channels of one group after those of another.
    """
    weight = layer.weight.data
    if type(layer) not in _TRANSPOSED:
        return scale.reshape(-1, *[1] * (weight.ndim - 1))
    by_group = scale.reshape(layer.groups, weight.shape[1])
    by_channel = np.repeat(by_group, weight.shape[0] // layer.groups, axis=0)
    return by_channel.reshape(*weight.shape[:2], *[1] * (weight.ndim - 2))
