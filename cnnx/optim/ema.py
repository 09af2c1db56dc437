"""`EMA`: the exponential moving average of a model's weights."""

# Design:
# An average is an array of its own, for each parameter or buffer of the model once: so tied weights
# have one average, with the first of their names. To swap, `Parameter.data` and the averages change
# places; nothing is copied. Averages follow a model whose dtype changed. Where the arrays are is
# found by a walk through the model, which is repeated if the model has changed (`Structure`).

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnnx import checks, ops
from cnnx.layers.base import Layer
from cnnx.layers.parameter import Parameter
from cnnx.layers.state import Entry, entries
from cnnx.layers.structure import Structure

__all__ = ["EMA"]


class EMA:
    """Averages of a model's weights over the steps of the optimiser, often better than the last
    ones: average = d * average + (1 - d) * weight.

    model    its weights at construction are the first averages
    decay    d, from 0 to 1: about 1 / (1 - decay) steps are averaged
    buffers  average the statistics of batch norm, too; integers, such as counts of batches, are
             copied. False: buffers are left as they are
    warmup   d = min(decay, (1 + n) / (10 + n)) in update n = 0, 1, ..., so that the first weights
             are forgotten sooner (as in TensorFlow's ExponentialMovingAverage, `num_updates`)

    The model may change between updates: an array with a new name in its `state_dict`, or with
    another shape, starts with its present value, and the average of one that is gone is dropped.

    B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control
    Optim. 30 (4), 1992.

    Example::

        ema = cnnx.EMA(model, decay=0.999)
        ...
        optimizer.step()
        ema.update()
        ...
        with ema.averaged():
            scores = cnnx.evaluate(model, test)
    """

    def __init__(
        self, model: Layer, decay: float = 0.999, buffers: bool = True, warmup: bool = False
    ) -> None:
        if not isinstance(model, Layer):
            raise TypeError(f"EMA: model is a {type(model).__name__}, expected a Layer")
        self.model = model
        self.decay = checks.real("EMA", "decay", decay, 0.0, 1.0)
        self.buffers = checks.flag("EMA", "buffers", buffers)
        self.warmup = checks.flag("EMA", "warmup", warmup)
        self.updates = 0
        self._swapped = False
        self._averages: dict[str, np.ndarray] = {}
        self._structure: Structure | None = None
        self._entries: dict[str, Entry] = {}
        self._follow()

    def update(self) -> None:
        """Include the present weights; after a step of the optimiser."""
        if self._swapped:
            raise RuntimeError("EMA.update: the model has the averaged weights: leave averaged()")
        decay = self.decay
        if self.warmup:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        by_dtype: dict[Any, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        self._follow()
        for name, entry in self._entries.items():
            value, average = np.asarray(entry.array), self._averages[name]
            if value.dtype.kind != "f":
                self._averages[name] = value.copy()
                continue
            if average.dtype != value.dtype:
                average = self._averages[name] = average.astype(value.dtype)
            averages, values = by_dtype.setdefault(value.dtype, ([], []))
            averages.append(average)
            values.append(value)
        for averages, values in by_dtype.values():
            ops.ema_step(averages, values, decay)
        self.updates += 1

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it, the model has the averaged weights; afterwards its own again, after an error
        too. Do not train within it: RuntimeError from `update`, and if it is entered twice."""
        if self._swapped:
            raise RuntimeError("EMA.averaged: the model has the averaged weights already")
        self._swap()
        self._swapped = True
        try:
            yield
        finally:
            self._swap()
            self._swapped = False

    def _swap(self) -> None:
        """Model and averages exchange their arrays."""
        self._follow()
        for name, entry in self._entries.items():
            own, average = entry.array, self._averages[name]
            entry.replace(average.astype(own.dtype, copy=False))
            self._averages[name] = own

    def copy_to_model(self) -> None:
        """Give the model copies of the averages, for good."""
        if self._swapped:
            raise RuntimeError("EMA.copy_to_model: the model has the averages: leave averaged()")
        self._follow()
        for name, entry in self._entries.items():
            entry.replace(self._averages[name].astype(entry.array.dtype))

    def state_dict(self) -> dict[str, Any]:
        """The number of updates, and copies of the averages by name."""
        if self._swapped:
            raise RuntimeError("EMA.state_dict: the averages are in the model: leave averaged()")
        averages = {name: average.copy() for name, average in self._averages.items()}
        return {"updates": self.updates, "averages": averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`. ValueError if names or shapes differ; nothing is changed then."""
        if not isinstance(state, Mapping) or not {"updates", "averages"} <= set(state):
            raise ValueError("EMA.load_state_dict: expected a dict with 'updates' and 'averages'")
        given = {name: np.asarray(average) for name, average in state["averages"].items()}
        differ = sorted(set(given) ^ set(self._averages))
        if differ:
            raise ValueError(
                f"EMA.load_state_dict: {differ[0]} is in one of state and model, not in both"
            )
        for name, average in self._averages.items():
            shape = given[name].shape
            checks.same_shape("EMA.load_state_dict", name, shape, average.shape, "the model's")
        self.updates = checks.integer("EMA.load_state_dict", "updates", state["updates"])
        self._averages = {
            name: given[name].astype(average.dtype) for name, average in self._averages.items()
        }

    def _follow(self) -> None:
        """Find the arrays of the model, if it has changed, and give each an average."""
        if self._structure is not None and self._structure.holds():
            return
        found: dict[str, Entry] = {}
        known: set[tuple[int, str]] = set()
        for name, entry in entries(self.model):
            owner = id(entry.owner), entry.attribute
            if owner not in known and (self.buffers or isinstance(entry.owner, Parameter)):
                known.add(owner)
                found[name] = entry
        self._averages = {name: self._average_of(name, entry) for name, entry in found.items()}
        self._structure, self._entries = Structure(self.model), found

    def _average_of(self, name: str, entry: Entry) -> np.ndarray:
        average = self._averages.get(name)
        if average is None or average.shape != entry.array.shape:
            return np.array(entry.array)
        return average

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_structure": None, "_entries": {}}  # of the model, not of its copy

    def __repr__(self) -> str:
        return (
            f"EMA(decay={self.decay!r}, buffers={self.buffers!r}, warmup={self.warmup!r}, "
            f"updates={self.updates})"
        )
