"""`FlatState`: what an optimiser remembers of some parameters, in flat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from cnnx.layers.parameter import Parameter

__all__ = ["Arrays", "FlatState", "Grads", "Group", "State"]

Arrays = list[np.ndarray]  # of parameters
Grads = list[np.ndarray | None]  # theirs
State = dict[str, np.ndarray]  # flat arrays by name
Group = dict[str, Any]  # "params", and the settings they share


class FlatState:
    """State of parameters of one dtype: an array per name, one parameter's piece after the other.

    parameters  in the order of their pieces
    steps       how often each of them has moved
    arrays      name -> flat array
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        self.steps = [0] * len(parameters)
        self.arrays: State = {}
        ends = list(accumulate((p.size for p in parameters), initial=0))
        self._pieces = [slice(start, end) for start, end in pairwise(ends)]

    def demand(self, starts: Mapping[str, float]) -> None:
        """Make the arrays that are not there yet: name -> the value each starts from."""
        for name, start in starts.items():
            if name not in self.arrays:
                size, dtype = self._pieces[-1].stop, self.parameters[0].dtype
                self.arrays[name] = np.full(size, start, dtype)

    def due(self) -> Iterator[tuple[int, Grads]]:
        """(which step it is, gradients) of the parameters that move now: those with a gradient.

        One pair, unless some parameters have moved more often than others.
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
        """(parameter, {"step": ..., name: view of its piece}) of those that have moved."""
        for parameter, step, piece in zip(self.parameters, self.steps, self._pieces):
            if step:
                views = {k: a[piece].reshape(parameter.shape) for k, a in self.arrays.items()}
                yield parameter, {"step": step, **views}

    def write(self, index: int, values: Mapping[str, Any]) -> None:
        """Take over what is known of one parameter, in the form of `read`."""
        for name, value in values.items():
            if name == "step":
                self.steps[index] = value
            else:
                self.demand({name: 0.0})
                self.arrays[name][self._pieces[index]] = value.ravel()
