"""`load_weights`: weights from a file, checked against the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnx import io, safetensors
from cnnx.layers import Layer

__all__ = ["Weights", "load_weights"]

Weights = str | os.PathLike[str] | Mapping[str, Any]


def load_weights(op: str, model: Layer, weights: Weights) -> None:
    """Copy weights into a model; nothing changes if a name or a shape differs.

    weights  a path: `.safetensors`, or the `.npz` of ``model.save``; or a `state_dict`

    ValueError that names the file for missing or unexpected names, other shapes, another number of
    classes, and files that cannot be read.
    """
    if isinstance(weights, Mapping):
        arrays, name = dict(weights), "weights"
    else:
        name = io.name_of(weights)
        if str(os.fspath(weights)).endswith(".safetensors"):
            arrays = safetensors.load(weights)
        else:
            arrays, _ = io.load_npz(weights)
    _check_classes(op, name, model.state_dict(), arrays)
    try:
        model.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"{op}: {name} does not fit this model: {error}") from None


def _check_classes(
    op: str, name: str, own: Mapping[str, np.ndarray], given: Mapping[str, Any]
) -> None:
    """ValueError if the shapes differ in the number of outputs of one layer only."""
    if set(own) != set(given):
        return
    wrong = [key for key in own if own[key].shape != np.shape(given[key])]
    layers = {key.rpartition(".")[0] for key in wrong}
    pairs = [(own[key].shape, tuple(np.shape(given[key]))) for key in wrong]
    if len(layers) == 1 and all(a and b and a[1:] == b[1:] for a, b in pairs):
        here, there = pairs[0][0][0], pairs[0][1][0]
        raise ValueError(
            f"{op}: {name} is of a model with {there} classes, and num_classes is {here}: create "
            f"the model with num_classes={there}, and replace its last layer afterwards, "
            "model[-1] = Linear(...)"
        )
