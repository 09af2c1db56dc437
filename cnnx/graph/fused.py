"""Nodes that run as one step: a small class for each kind, which rewrite.py names in its table."""

# Design:
# A fused step calls one op with the arguments by which it does the work of several nodes. In
# backward most of these nodes go back one by one, as if they had run one by one: the step puts into
# the trace what each of them would have saved. That is all that an activation needs which goes back
# from its output (`saves = "output"`), and a sum needs nothing. Where a joint backward saves work
# (pooling knows from the positions of the maxima where the ReLU before it let through; batch norm
# computes the output of its activation again), the step goes back itself, in the place of its first
# node.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import ops
from cnnx.graph.steps import LayerStep, Step
from cnnx.layers.kept import Watched, keep

__all__ = ["Epilogue", "Fused", "NormActivation", "ReLUMaxPool"]


class Fused(Step):
    """A chain of nodes, each of which reads what the one before it makes.

    chain   their steps, one by one
    inputs  what the first reads, then what the others read besides
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
    """Nodes that go back as one, too."""

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
        """The result, and the values that `gradient` takes besides dy."""
        raise NotImplementedError

    def gradient(self, dy: Any, *values: Any) -> Any:
        """dx."""
        raise NotImplementedError


class ReLUMaxPool(_Joint):
    """ReLU, max-pooling: a window whose maximum is not above 0 makes 0, and passes nothing back."""

    def compute(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        pool = self.layers[1]
        x = pool._float(x)
        y, argmax = ops.relu_max_pool2d(x, *pool.geometry())
        return y, (argmax, x.shape, x.dtype)

    def gradient(self, dy: Any, *values: Any) -> Any:
        argmax, x_shape, dtype = values
        pool = self.layers[1]
        dy = pool._float(dy, dtype)
        return ops.relu_max_pool2d_backward(dy, argmax, x_shape, *pool.geometry())


class NormActivation(_Joint):
    """Batch norm, activation. Backward computes the activation's output again, from x."""

    def compute(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        norm, activation = self.layers
        return norm.compute(x, activation=activation.op)

    def gradient(self, dy: Any, *values: Any) -> Any:
        norm, activation = self.layers
        return norm.gradient(dy, *values, activation=activation.op)


class Epilogue(Fused):
    """A layer, the sum with another value (or not), an activation (or not), by the epilogue of the
    layer's op: y = activation(layer(x) + add). They go back one by one.
    """

    def __init__(self, chain: list[LayerStep]) -> None:
        super().__init__(chain)
        self.adds = len(self.inputs) > 1
        ends = len(chain) > (2 if self.adds else 1)
        self.arguments = {"activation": self.layers[-1].op} if ends else {}

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        computed = self._compute(xs)
        if computed is None:
            return self._one_by_one(trace, xs, inner)
        y, values = computed
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

    def _compute(self, xs: Sequence[Any]) -> Any:
        """The result, and what the layer saves; None where the nodes must run one by one: what is
        added does not fit, which they say in their own words, or is of another dtype.
        """
        layer = self.layers[0]
        arguments = self.arguments
        try:
            if self.adds:
                arguments = arguments | {"add": layer._float(xs[1])}
            return layer.compute(xs[0], **arguments)
        except (TypeError, ValueError):  # before any work
            return None

    def _one_by_one(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        values = dict(zip(self.inputs, xs, strict=True))
        for step in self.chain:
            values[step.output] = step.run(trace, [values[i] for i in step.inputs], inner)
        return values[self.output]
