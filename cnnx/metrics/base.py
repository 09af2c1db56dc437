"""`Metric`: a metric that adds up batch by batch."""

# Design:
# A metric's state is a dict of arrays in float64 (of counts, sums, or scores held). Counts up to
# 2**53 are exact in it, so any split into batches gives the same bits as long as no sample has a
# fractional weight. `reset` forgets the dict, and the first `update` makes it: only the data tell
# how many classes there are.

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import checks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Metric", "read_weight"]

Value = float | np.ndarray


class Metric:
    """Base of all metrics that add up batch by batch.

    ``update(pred, target, sample_weight=None)`` adds a batch, ``compute()`` is the value over all
    of them, ``reset()`` forgets them. Calling the object, ``metric(pred, target)``, computes the
    value of one set alone and leaves the state as it is, so it also serves as a function.

    name  under which `fit` and `evaluate` report it; None: the metric's own

    sample_weight, (n,), multiplies what each sample counts; ValueError for another shape and for
    weights that are negative or not finite. `compute` without a sample is a ValueError. An error in
    `update` leaves the state as it was.

    A subclass has ``_add(pred, target, weight)``, which returns what to add to `_state` by name
    (arrays; they may grow along axis 0), and ``_value(state)``.
    """

    default_name = "metric"

    def __init__(self, name: str | None = None) -> None:
        self.name = self.default_name if name is None else name
        self._state: dict[str, np.ndarray] = {}

    def update(
        self, pred: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch; arguments as in `accuracy`."""
        added = self._add(pred, target, sample_weight)
        state = {name: self._joined(self._state.get(name), part) for name, part in added.items()}
        self._state.update(state)

    def compute(self) -> Value:
        """The value over all samples so far. ValueError if there are none."""
        if not self._state:
            raise ValueError(
                f"{self.name}: there is no sample to count: call update(pred, target) first"
            )
        return self._value(self._state)

    def reset(self) -> None:
        """Forget all samples."""
        self._state = {}

    def settle(self, threshold: float | None, several: bool) -> None:
        """Take over what only a run knows, unless the user chose it; `fit` and `evaluate` call it.

        threshold  the score from which an output means yes; None if the outputs are of classes
        several    whether there is more than one output per sample
        """

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of what has been added up, by name; empty before the first update."""
        return {name: part.copy() for name, part in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self._state = {str(name): np.array(part) for name, part in state.items()}

    def __call__(
        self, pred: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Value:
        alone = copy.copy(self)
        alone.reset()
        alone.update(pred, target, sample_weight)
        return alone.compute()

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} has no _add(pred, target, weight)")

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        raise NotImplementedError(f"{type(self).__name__} has no _value(state)")

    def _joined(self, sum_so_far: np.ndarray | None, part: np.ndarray) -> np.ndarray:
        """The sum of two parts, of which one may know more classes (axes are longer)."""
        if sum_so_far is None:
            return part
        if sum_so_far.shape == part.shape:
            return sum_so_far + part
        joined = np.zeros(np.maximum(sum_so_far.shape, part.shape))
        for each in (sum_so_far, part):
            joined[tuple(map(slice, each.shape))] += each
        return joined

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def read_weight(
    op: str, sample_weight: ArrayLike | None, shape: tuple[int, ...]
) -> np.ndarray | None:
    """The weights of samples as float64, repeated for every answer of `shape` (n, ...)."""
    if sample_weight is None:
        return None
    weight = checks.from_anything(op, "sample_weight", sample_weight)
    if weight.dtype.kind not in "biuf":
        raise TypeError(f"{op}: sample_weight has dtype {weight.dtype}, expected real numbers")
    if weight.shape != shape[:1]:
        raise ValueError(
            f"{op}: sample_weight has shape {weight.shape}, but {shape[:1]} is expected: a number "
            "for each sample"
        )
    weight = weight.astype(np.float64)
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        wrong = int(np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))[0])
        raise ValueError(
            f"{op}: sample_weight[{wrong}] is {weight[wrong]:g}, expected a finite number from 0 on"
        )
    return np.broadcast_to(weight.reshape(-1, *[1] * (len(shape) - 1)), shape)
