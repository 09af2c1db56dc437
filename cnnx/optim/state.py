"""`FlatState`: the optimiser state of some parameters, in flat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from cnnx.layers.parameter import Parameter

__all__ = ["Arrays", "FlatState", "Grads", "Group", "State"]

Arrays = list[np.ndarray]  # of parameters
Grads = list[np.ndarray | None]  # of the same parameters
State = dict[str, np.ndarray]  # flat arrays by name
Group = dict[str, Any]  # "params", and their shared settings


class FlatState:
    """State of parameters of one dtype: one array per name, with one slice per parameter.

    parameters  in the order of their slices
    steps       number of updates of each parameter
    arrays      name -> flat array
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        self.steps = [0] * len(parameters)
        self.arrays: State = {}
        ends = list(accumulate((p.size for p in parameters), initial=0))
        self._pieces = [slice(start, end) for start, end in pairwise(ends)]

    def demand(self, starts: Mapping[str, float]) -> None:
        """Create the arrays that do not exist yet: name -> initial value."""
        for name, start in starts.items():
            if name not in self.arrays:
                size, dtype = self._pieces[-1].stop, self.parameters[0].dtype
                self.arrays[name] = np.full(size, start, dtype)

    def due(self) -> Iterator[tuple[int, Grads]]:
        """(step number, gradients) of the parameters to update now: those with a gradient.

        One pair, unless some parameters have been updated more often than others.
        """
        grads = [p.grad if p.requires_grad else None for p in self.parameters]
        self.steps = [step + (grad is not None) for step, grad in zip(self.steps, grads)]
        steps = {step for step, grad in zip(self.steps, grads) if grad is not None}
        for step in sorted(steps):
            if len(steps) > 1:
                yield step, [g if s == step else None for s, g in zip(self.steps, grads)]
            else:
                yield step, grads

    def read(self) -> Iterator[tuple[Parameter, dict[str, Any]]]:
        """(parameter, {"step": ..., name: view of its slice}) of those that have been updated."""
        for parameter, step, piece in zip(self.parameters, self.steps, self._pieces):
            if step:
                views = {k: a[piece].reshape(parameter.shape) for k, a in self.arrays.items()}
                yield parameter, {"step": step, **views}

    def write(self, index: int, values: Mapping[str, Any]) -> None:
        """Set the state of one parameter, in the form of `read`."""
        for name, value in values.items():
            if name == "step":
                self.steps[index] = value
            else:
                self.demand({name: 0.0})
                self.arrays[name][self._pieces[index]] = value.ravel()
