"""Checkpoints of the dialect `network` in cnnx's own `.npz` format: nothing is ever unpickled."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ... import io
from . import activation_layers, normalization, optimizers, shaping, weighted
from .containers import CNN, NeuralNetwork

__all__ = ["load_checkpoint", "save_checkpoint"]

MODELS = {"NeuralNetwork": NeuralNetwork, "CNN": CNN}
FORMAT = "cnnx.compat.network checkpoint"
CONVERT = (
    "to convert a pickle of the old program, load it in that program, write the arrays of its "
    "layers with np.savez, and assign them here to a model of the same layers"
)
Path = str | os.PathLike[str]


def save_checkpoint(model: NeuralNetwork, optimizer: Any, file_path: Path) -> None:
    """Write the model and the optimiser to exactly `file_path`, completely or not at all.

    TypeError for a user-defined layer or optimiser, and for an `Activation`: a file contains no
    functions.

    Example: ``save_checkpoint(model, optimizer, "model.npz")``
    """
    arrays: dict[str, np.ndarray] = {}
    places: dict[int, str] = {}
    described = []
    for i, layer in enumerate(model.layers):
        kind = _type(layer, _layers())
        described.append({"type": kind, "options": layer.options(), "training": layer.training})
        for name in (*layer.PARAMETERS, *layer.BUFFERS):
            value = getattr(layer, name)
            if value is not None:
                arrays[f"{i}.{name}"] = value
                places[id(value)] = f"{i}.{name}"
    stepper = None
    if optimizer is not None:
        stepper = {"type": _type(optimizer, _of(optimizers)), "options": optimizer.options()}
        for state in optimizer.STATES:
            for key, array in getattr(optimizer, state).items():
                if key in places:
                    arrays[f"{places[key]}.{state}"] = array
    meta = {"format": FORMAT, "layers": described, "optimizer": stepper}
    io.save_npz(file_path, arrays, {**meta, "training": model.training})


def load_checkpoint(filepath: Path, model_type: str = "NeuralNetwork") -> tuple[NeuralNetwork, Any]:
    """model, optimizer as written by `save_checkpoint`; model_type is "NeuralNetwork" or "CNN".

    ValueError for another model_type and for any other file; for a pickle, the message explains
    how to convert it.

    Example: ``model, optimizer = load_checkpoint("model.npz", model_type="CNN")``
    """
    if model_type not in MODELS:
        raise ValueError(
            f"load_checkpoint: model_type is {model_type!r}, expected one of {', '.join(MODELS)}"
        )
    try:
        arrays, meta = io.load_npz(filepath)
    except ValueError as error:
        if "pickle" in str(error):
            raise ValueError(f"load_checkpoint: {error}; {CONVERT}") from None
        raise
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise ValueError(f"load_checkpoint: {os.fspath(filepath)!r} is no {FORMAT}")
    state = np.random.get_state()
    try:
        return _rebuilt(MODELS[model_type](), arrays, meta)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        where = os.fspath(filepath)
        raise ValueError(f"load_checkpoint: {where!r} is damaged: {error!r}") from None
    finally:
        np.random.set_state(state)  # layers draw weights on construction


def _rebuilt(
    model: NeuralNetwork, arrays: dict[str, np.ndarray], meta: dict[str, Any]
) -> tuple[NeuralNetwork, Any]:
    optimizer = None
    if meta["optimizer"] is not None:
        options = dict(meta["optimizer"]["options"])
        steps = {"t": options.pop("t")} if "t" in options else {}
        optimizer = _of(optimizers)[meta["optimizer"]["type"]](**options)
        vars(optimizer).update(steps)
    for i, described in enumerate(meta["layers"]):
        layer = _layers()[described["type"]](**described["options"])
        for name in (*layer.PARAMETERS, *layer.BUFFERS):
            value = getattr(layer, name)
            if value is None:
                continue
            value[...] = arrays[f"{i}.{name}"]
            if optimizer is None:
                continue
            for state in optimizer.STATES:
                if f"{i}.{name}.{state}" in arrays:
                    optimizer.of(value)  # creates the state
                    getattr(optimizer, state)[id(value)][...] = arrays[f"{i}.{name}.{state}"]
        layer.set_training(described["training"])
        model.add_layer(layer)
    if not meta["training"]:
        model.eval()
    return model, optimizer


def _of(module: Any) -> dict[str, Any]:
    return {name: getattr(module, name) for name in module.__all__ if name != "np"}


def _layers() -> dict[str, Any]:
    modules = activation_layers, normalization, shaping, weighted
    known = {name: kind for module in modules for name, kind in _of(module).items()}
    return {name: known[name] for name in known if name != "Activation"}


def _type(thing: Any, known: dict[str, Any]) -> str:
    name = type(thing).__name__
    if known.get(name) is not type(thing):
        raise TypeError(
            f"save_checkpoint: {name} is not one of {', '.join(sorted(k for k in known))}, "
            f"and a file contains no code"
        )
    return name
