"""The fused steps: a class for each kind of chain in the table of rewrite.py."""

# Design:
# A fused step calls one op that does the work of several nodes. Most of these nodes run backward
# one by one, as if they had not been fused: the step puts into the trace what each of them would
# have saved. For an activation that is its output (`saves = "output"`); a sum needs no values.
# Where a fused backward is cheaper (the positions of the maxima tell max-pooling where ReLU was
# above 0; batch norm recomputes the input of its activation), the step runs backward itself, in
# the position of its first node.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx import ops
from cnnx.graph.steps import LayerStep, Step
from cnnx.layers.kept import Watched, keep
from cnnx.layers.views import lacks_batch

__all__ = ["Epilogue", "Fused", "NormActivation", "ReLUMaxPool"]


class Fused(Step):
    """A chain of nodes, each of which reads the output of the previous one.

    chain   the steps of the single nodes
    inputs  the inputs of the first node, then the further inputs of the others
    """

    def __init__(self, chain: list[LayerStep]) -> None:
        made = {step.output for step in chain}
        inputs = tuple([i for step in chain for i in step.inputs if i not in made])
        super().__init__(chain[0].number, inputs, chain[-1].output)
        self.chain = chain
        self.layers: list[Any] = [step.layer for step in chain]

    def nodes(self) -> list[LayerStep]:
        return self.chain


class _Joint(Fused):
    """A chain whose backward is fused, too."""

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        y, values = self.compute(*xs)
        if trace is not None:
            trace[self.number] = self, values if inner else keep(values)
        return y

    def backward(self, kept: Any, dy: Any, need_dx: bool) -> tuple[Any, ...]:
        if type(kept) is Watched:
            kept.check(type(self.layers[0]).__name__)
        return (self.gradient(dy, *kept),)

    def compute(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        """The output, and the values to save for `gradient`."""
        raise NotImplementedError

    def gradient(self, dy: Any, *values: Any) -> Any:
        """dx."""
        raise NotImplementedError


class ReLUMaxPool(_Joint):
    """ReLU, max-pooling: a window whose maximum is not above 0 gives 0, and gets no gradient."""

    def compute(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        pool = self.layers[1]
        if lacks_batch(x):
            y, values = self.compute(np.asarray(x)[None])
            return y[0], values
        x = pool._float(x)
        y, argmax = ops.relu_max_pool2d(x, **pool._geometry())
        return y, (argmax, x.shape, x.dtype)

    def gradient(self, dy: Any, *values: Any) -> Any:
        argmax, x_shape, dtype = values
        pool = self.layers[1]
        if lacks_batch(dy):
            return self.gradient(np.asarray(dy)[None], *values)[0]
        dy = pool._float(dy, dtype)
        return ops.relu_max_pool2d_backward(dy, argmax, x_shape, **pool._geometry())


class NormActivation(_Joint):
    """Batch norm, activation. Backward recomputes the activation's input from x."""

    def compute(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        norm, activation = self.layers
        return norm._compute(x, activation=activation.op)

    def gradient(self, dy: Any, *values: Any) -> Any:
        norm, activation = self.layers
        return norm._gradient(dy, *values, activation=activation.op)


class Epilogue(Fused):
    """A layer, an optional sum with another value and an optional activation, which the layer's op
    computes as its epilogue: y = activation(layer(x) + add). Backward runs one by one.
    """

    def __init__(self, chain: list[LayerStep]) -> None:
        super().__init__(chain)
        self.adds = len(self.inputs) > 1
        ends = len(chain) > (2 if self.adds else 1)
        self.arguments = {"activation": self.layers[-1].op} if ends else {}

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        layer, arguments, y = self.layers[0], self.arguments, None
        try:
            if self.adds:
                arguments = arguments | {"add": layer._float(xs[1])}
            y, values = layer._compute(xs[0], **arguments)
        except (TypeError, ValueError):  # before any work
            pass
        if y is None:  # what is added has another dtype, or a shape about which the nodes complain
            return self._one_by_one(trace, xs, inner)
        if trace is None:
            return y
        first, last = self.chain[0], self.chain[-1]
        trace[first.number] = first, values if inner else keep(values)
        if self.adds:
            middle = self.chain[1]
            trace[middle.number] = middle, (y.dtype, 2)
        if self.arguments:
            trace[last.number] = last, (y,) if self.inner else keep((y,))
        return y

    def _one_by_one(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        values = dict(zip(self.inputs, xs, strict=True))
        for step in self.chain:
            values[step.output] = step.run(trace, [values[i] for i in step.inputs], inner)
        return values[self.output]
