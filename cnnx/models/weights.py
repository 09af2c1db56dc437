"""`load_weights`: weights from a file, checked against the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cnnx import io, safetensors
from cnnx.layers import Layer

__all__ = ["Weights", "load_weights", "other_classes", "read_weights"]

Weights = str | os.PathLike[str] | Mapping[str, Any]


class OtherClasses(NamedTuple):
    """How weights differ from a model of another number of classes: in the outputs of a layer."""

    layer: str
    here: int
    there: int


def read_weights(weights: Weights) -> tuple[dict[str, Any], str]:
    """The arrays by name, and what an error calls their source.

    weights  a path: `.safetensors`, or the `.npz` of ``model.save``; or a `state_dict`
    """
    if isinstance(weights, Mapping):
        return dict(weights), "weights"
    if str(os.fspath(weights)).endswith(".safetensors"):
        return safetensors.load(weights), io.name_of(weights)
    return io.load_npz(weights)[0], io.name_of(weights)


def load_weights(op: str, model: Layer, arrays: Mapping[str, Any], name: str) -> None:
    """Copy weights into a model; nothing changes if a name or a shape differs.

    arrays, name  as `read_weights` returns them

    ValueError that names the file for missing or unexpected names, other shapes, and another number
    of classes.
    """
    other = other_classes(model, arrays)
    if other is not None:
        raise ValueError(
            f"{op}: {name} is of a model with {other.there} classes, and num_classes is "
            f"{other.here}: leave num_classes out, which gives a model with {other.there}, and "
            f"replace its last layer with weights afterwards, model[{other.layer!r}] = ..."
        )
    try:
        model.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"{op}: {name} does not fit this model: {error}") from None


def other_classes(model: Layer, arrays: Mapping[str, Any]) -> OtherClasses | None:
    """The numbers of classes, if the shapes differ in the number of outputs of one layer only."""
    own = model.state_dict()
    if set(own) != set(arrays):
        return None
    wrong = [key for key in own if own[key].shape != np.shape(arrays[key])]
    layers = {key.rpartition(".")[0] for key in wrong}
    pairs = [(own[key].shape, tuple(np.shape(arrays[key]))) for key in wrong]
    if len(layers) != 1 or not all(a and b and a[1:] == b[1:] for a, b in pairs):
        return None
    return OtherClasses(layers.pop(), pairs[0][0][0], pairs[0][1][0])
