"""State trees in one file: nested dicts, lists, tuples, numbers, strings, None and arrays."""

# Design:
# The arrays of a tree are entries of an `.npz`, named by their path ("model/0.weight"), and the
# rest is JSON, in which a container is {kind: contents} and an array is {"array": its name}. So
# keys need not be strings (an optimiser's state is numbered), tuples stay tuples, and integers
# of any size stay exact (a random generator's state has 128 bits). Nothing is ever unpickled.
# io.atomic_write gives the guarantees of the disk: a file is complete, or it is not there.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnx import io

__all__ = ["load_checkpoint", "save_checkpoint"]

_FORMAT, _VERSION = "cnnx-state", 1
# What decoding a damaged tree raises.
_DAMAGE = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


def save_checkpoint(path: Any, tree: Any) -> None:
    """Write a state tree to exactly `path`, completely or not at all.

    path  or a binary file object
    tree  dicts (keys: strings and numbers), lists, tuples, numbers, strings, None, and arrays of
          booleans, integers, floats or complex numbers, at any depth: what `state_dict` of models,
          optimisers, schedules and callbacks returns

    TypeError, with the place in the tree, for anything else. OSError if the disk fails: a file
    that was at `path` is unchanged then.

    Example::

        cnnx.save_checkpoint("a.npz", {"model": model.state_dict(), "epoch": 3})
    """
    arrays: dict[str, np.ndarray] = {}
    described = _encode(tree, "", arrays)
    io.save_npz(path, arrays, {"format": _FORMAT, "version": _VERSION, "tree": described})


def load_checkpoint(path: Any) -> Any:
    """The tree in a file of `save_checkpoint`: equal, with the same types and bits.

    ValueError, with the name of the file, if it is damaged or something else.

    Example: ``model.load_state_dict(cnnx.load_checkpoint("a.npz")["model"])``
    """
    arrays, meta = io.load_npz(path)
    name = io.name_of(path)
    if not isinstance(meta, dict) or meta.get("format") != _FORMAT:
        raise ValueError(f"{name} is not a checkpoint: it is no file of `save_checkpoint`")
    if meta.get("version") != _VERSION:
        raise ValueError(
            f"{name} has checkpoint format {meta.get('version')}, this cnnx reads {_VERSION}"
        )
    try:
        return _decode(meta["tree"], arrays)
    except _DAMAGE as error:
        raise ValueError(f"{name} cannot be read: damaged ({error!r})") from error


def _encode(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """The JSON form of a value; its arrays are added to `arrays`."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc" or isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"save_checkpoint: {_named(place)} is an array of {value.dtype}")
        name = place or "array"
        while name in arrays:  # two places have one path if a key contains a slash
            name += "'"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        return {"dict": [_item(key, inner, place, arrays) for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, _path(place, i), arrays) for i, v in enumerate(value)]}
    raise TypeError(
        f"save_checkpoint: {_named(place)} is a {type(value).__name__}, expected dicts, lists, "
        "numbers, strings, None or arrays"
    )


def _item(key: Any, value: Any, place: str, arrays: dict[str, np.ndarray]) -> list[Any]:
    key = key.item() if isinstance(key, np.generic) else key
    if not (key is None or isinstance(key, (bool, int, float, str))):
        raise TypeError(f"save_checkpoint: {_named(place)} has the key {key!r}")
    return [key, _encode(value, _path(place, key), arrays)]


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ValueError("a list without its kind")
        return value
    [(kind, content)] = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {key: _decode(inner, arrays) for key, inner in content}
    items = [_decode(inner, arrays) for inner in content]
    return {"list": items, "tuple": tuple(items)}[kind]


def _path(place: str, key: Any) -> str:
    return f"{place}/{key}" if place else str(key)


def _named(place: str) -> str:
    return f"tree[{place}]" if place else "the tree"
