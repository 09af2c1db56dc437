"""The state of a model as a flat dict of arrays, with PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnx import checks
from cnnx.layers.base import Layer
from cnnx.layers.parameter import Parameter
from cnnx.tuples import NamedTuple

__all__ = ["Entry", "LoadResult", "entries", "load_state_dict", "match", "state_dict"]


class LoadResult(NamedTuple):
    """The keys that `load_state_dict(strict=False)` skipped."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Entry(NamedTuple):
    """One array of a model: the data of a Parameter, or a buffer of a Layer."""

    owner: Parameter | Layer
    attribute: str

    @property
    def array(self) -> np.ndarray:
        return getattr(self.owner, self.attribute)

    def replace(self, array: np.ndarray) -> None:
        """Put another array of the same shape in its place, without a copy."""
        setattr(self.owner, self.attribute, array)


def entries(layer: Layer) -> Iterator[tuple[str, Entry]]:
    """(key, entry) of all arrays: for each layer its parameters, buffers, then sub-layers."""
    seen = set()
    for path, place in layer.places():
        arrays = [(name, Entry(parameter, "data")) for name, parameter in place.own_parameters()]
        buffers = (name for name in place.buffer_names if getattr(place, name) is not None)
        arrays += [(name, Entry(place, name)) for name in buffers]
        for name, entry in arrays:
            key = path + name
            if key in seen:
                raise ValueError(
                    f"state_dict: two arrays are called {key!r}: give the layers (attributes, "
                    "entries of dicts, names in a Sequential) different names, without dots"
                )
            seen.add(key)
            yield key, entry


def state_dict(layer: Layer) -> dict[str, np.ndarray]:
    """Copies of all arrays; see `Layer.state_dict`."""
    return {key: entry.array.copy() for key, entry in entries(layer)}


def load_state_dict(layer: Layer, arrays: Any, strict: bool) -> LoadResult:
    """Check everything, then copy; see `Layer.load_state_dict`."""
    matched, result = match(layer, arrays, strict)
    for entry, value in matched:
        np.copyto(entry.array, value, casting="unsafe")
    return result


def match(
    layer: Layer, arrays: Any, strict: bool
) -> tuple[list[tuple[Entry, np.ndarray]], LoadResult]:
    """The (entry, value) pairs to copy, and the keys without a counterpart. Changes nothing."""
    table = dict(entries(layer))
    for key, value in dict(arrays).items():
        checks.unmasked("load_state_dict", repr(key), value)
    given = {str(key): np.asarray(value) for key, value in dict(arrays).items()}
    missing = [key for key in table if key not in given]
    unexpected = [key for key in given if key not in table]
    problems = []
    if strict and missing:
        problems.append(f"missing: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected: {', '.join(unexpected)}")
    for key in (key for key in table if key in given):
        expected, shape = table[key].array.shape, given[key].shape
        if shape != expected:
            problems.append(f"{key} has shape {shape}, expected {expected}")
        elif given[key].dtype.kind not in "biuf":
            problems.append(f"{key} has dtype {given[key].dtype}, expected real numbers")
    if problems:
        raise ValueError(
            f"load_state_dict: {len(missing)} keys are missing and {len(unexpected)} unexpected of "
            f"{len(table)}; " + "; ".join(problems)
        )
    pairs = [(entry, given[key]) for key, entry in table.items() if key in given]
    return pairs, LoadResult(missing, unexpected)
