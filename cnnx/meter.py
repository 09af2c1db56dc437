"""`Meter`: loss and metrics of a pass over data, from those of its batches."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np

from cnnx.history import Row
from cnnx.objective import is_sum, main, share_of
from cnnx.scoring import Measures

__all__ = ["Measured", "Meter"]


class Measured(NamedTuple):
    """What one batch adds to a `Meter`: its loss, its share of a mean, and its metrics, with the
    number of samples that each of them counts.
    """

    loss: float
    share: float
    samples: int
    values: Row
    counts: Row


class Meter:
    """Adds up batches. The loss is the mean over all of them, weighted by their shares; a metric
    that is a function is the mean of its values, weighted by the numbers of samples that it counts
    (NaN if there is none: all labels are ignored); a streaming metric is exact. `measures` must be
    settled before the first batch.
    """

    def __init__(self, loss: Any, measures: Measures) -> None:
        self.loss, self.measures, self._sum = loss, measures, is_sum(loss)
        self.sums: Row = {}
        self.samples, self.shares = 0, 0.0
        self.counts: Row = {}  # samples, by metric
        self.streaming = copy.deepcopy(measures.streaming)  # the user's objects are not changed
        for metric in self.streaming.values():
            metric.reset()

    def add(self, loss: float, outputs: Any, target: Any, weight: Any = None) -> tuple[float, Row]:
        """Include a batch; returns its share and the values of its metrics."""
        measured = self.measure(loss, outputs, target, weight)
        self.include(measured)
        self.stream(outputs, target, weight)
        return measured.share, measured.values

    def measure(self, loss: float, outputs: Any, target: Any, weight: Any = None) -> Measured:
        """What a batch adds, except to the streaming metrics; it is not added yet."""
        outputs, wanted = main(outputs), main(target)
        share = share_of(self.loss, target, outputs.shape, weight)
        measured = self.measures(outputs, wanted)
        values = {name: value for name, (value, _) in measured.items()}
        counts = {name: counted for name, (_, counted) in measured.items()}
        return Measured(loss, share, len(wanted), values, counts)

    def include(self, batch: Measured) -> None:
        """Add what `measure` returned."""
        loss, share, samples, values, counts = batch
        self.samples, self.shares = self.samples + samples, self.shares + share
        sums = self.sums
        # A sum over samples for either reduction.
        sums["loss"] = sums.get("loss", 0.0) + (loss if self._sum else loss * share)
        for name, value in values.items():
            counted = counts[name]
            self.counts[name] = self.counts.get(name, 0.0) + counted
            sums[name] = sums.get(name, 0.0) + (value * counted if counted else 0.0)

    def stream(self, outputs: Any, target: Any, weight: Any = None) -> None:
        """Include a batch in the streaming metrics."""
        for metric in self.streaming.values():
            self.measures.include(metric, main(outputs), main(target), weight)

    def result(self) -> Row:
        """The means so far, and the streaming metrics."""
        row = self.means()
        for name, metric in self.streaming.items():
            row[name] = self.measures.value(name, metric.compute())
        return row

    def means(self) -> Row:
        """The means so far."""
        by = {**self.counts, "loss": self.samples if self._sum else self.shares}
        return {name: value / (by[name] or math.nan) for name, value in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` continues from."""
        return {
            "sums": dict(self.sums),
            "samples": self.samples,
            "counts": dict(self.counts),
            "shares": self.shares,
            "streaming": {name: _state(metric) for name, metric in self.streaming.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a `state_dict`."""
        self.sums, self.samples, self.shares = state["sums"], state["samples"], state["shares"]
        self.counts = state["counts"]
        for name, saved in state["streaming"].items():
            metric = self.streaming[name]
            if hasattr(metric, "load_state_dict"):
                metric.load_state_dict(saved)
            else:
                vars(metric).update(saved)


def _state(metric: Any) -> dict[str, Any]:
    """The state of a streaming metric: its own `state_dict`, or its attributes."""
    if hasattr(metric, "state_dict"):
        return metric.state_dict()
    kinds = (bool, int, float, str, list, tuple, dict, np.ndarray, np.generic, type(None))
    return {k: copy.deepcopy(v) for k, v in vars(metric).items() if isinstance(v, kinds)}
