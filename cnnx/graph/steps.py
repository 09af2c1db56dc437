"""The step of a single node: forward, saved values, backward."""

# Design:
# `_save` stores its values in one attribute of the layer. A step moves them to the trace, and back
# for backward: the layer holds nothing in between, so any number of nodes may share it. A user's
# layer may also store values in other attributes. That works for a single node; a second one would
# overwrite the values of the first, so it is an error, detected by what forward assigned.

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from operator import itemgetter
from typing import Any

from cnnx.graph.wiring import Node
from cnnx.layers.base import Layer
from cnnx.layers.kept import unwatched

__all__ = ["LayerStep", "Step", "UserStep", "call_backward"]


class Step:
    """A unit of a plan. `inputs` and `output` are numbers of values.

    read    picks the entries of the inputs from a list over the values
    number  of the node in whose position it runs backward
    frees   the values without a later reader
    inner   whether its output is not an output of the run
    """

    def __init__(self, number: int, inputs: tuple[int, ...], output: int) -> None:
        self.number, self.inputs, self.output = number, inputs, output
        # Both forms run in C, as every step of every run calls this.
        single = len(inputs) == 1
        self.read = itemgetter(slice(inputs[0], inputs[0] + 1)) if single else itemgetter(*inputs)
        self.frees: tuple[int, ...] = ()
        self.inner = True

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        """The output; what backward needs goes into the trace, unless that is None.

        inner  whether users have no access to its inputs and output, to overwrite them (kept.py)
        """
        raise NotImplementedError

    def backward(self, kept: Any, dy: Any, need_dx: bool) -> tuple[Any, ...]:
        """The gradients of the inputs, from what forward saved."""
        raise NotImplementedError

    def nodes(self) -> list[LayerStep]:
        """The nodes of the step."""
        raise NotImplementedError


class LayerStep(Step):
    """A single node."""

    def __init__(self, number: int, node: Node) -> None:
        super().__init__(number, node.inputs, node.outputs[0])
        self.name, self.layer = node.name, node.layer

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        layer = self.layer
        if trace is None:
            return layer.forward(*xs)
        if inner:
            with unwatched():
                y = layer.forward(*xs)
        else:
            y = layer.forward(*xs)
        trace[self.number] = self, layer.__dict__.pop("_kept", None)
        return y

    def backward(self, kept: Any, dy: Any, need_dx: bool) -> tuple[Any, ...]:
        attributes = self.layer.__dict__
        attributes["_kept"] = kept
        try:
            dx = call_backward(self.layer, dy, need_dx)
        finally:
            attributes.pop("_kept", None)
        return (dx,) if len(self.inputs) == 1 else self._several(dx, need_dx)

    def learns(self) -> bool:
        """Whether backward is needed although dx is not."""
        return self.layer._learns()

    def nodes(self) -> list[LayerStep]:
        return [self]

    def _several(self, dx: Any, need_dx: bool) -> tuple[Any, ...]:
        count = len(self.inputs)
        if not need_dx:
            return ()
        if not isinstance(dx, (tuple, list)) or len(dx) != count:
            raise TypeError(
                f"{type(self.layer).__name__}.backward returned a {type(dx).__name__}, expected a "
                f"tuple of {count} gradients, one for each input (or None)"
            )
        return tuple(dx)


class UserStep(LayerStep):
    """A node whose layer has a user-defined class, or sub-layers.

    shared  the layers among it and its sub-layers that several nodes use
    """

    def __init__(self, number: int, node: Node, shared: list[Layer]) -> None:
        super().__init__(number, node)
        self.shared = shared

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        before = [dict(vars(layer)) for layer in self.shared]
        with unwatched() if inner else nullcontext():
            y = self.layer.forward(*xs)
        if y is None:
            raise _none_returned(self.layer, "forward")
        if trace is None:
            return y
        for layer, attributes in zip(self.shared, before, strict=True):
            _refuse_stored(layer, attributes)
        kept = [(part, vars(part).pop("_kept", None)) for part in self.layer.modules()]
        trace[self.number] = self, kept
        return y

    def backward(self, kept: Any, dy: Any, need_dx: bool) -> tuple[Any, ...]:
        for part, values in kept:
            vars(part)["_kept"] = values
        try:
            dx = call_backward(self.layer, dy, need_dx)
        finally:
            for part, _ in kept:
                vars(part).pop("_kept", None)
        return (dx,) if len(self.inputs) == 1 else self._several(dx, need_dx)

    def learns(self) -> bool:
        return True  # a user-defined layer may have other trainable state than Parameters


def call_backward(layer: Layer, dy: Any, need_dx: bool = True) -> Any:
    """`layer.backward(dy)`, with need_dx=False if dx is not needed and it has the argument."""
    if need_dx:
        dx = layer.backward(dy)
        if dx is None:
            raise _none_returned(layer, "backward")
        return dx
    options = {"need_dx": False} if _takes_need_dx(type(layer).backward) else {}
    layer.backward(dy, **options)
    return None


def _refuse_stored(layer: Layer, before: dict[str, Any]) -> None:
    """RuntimeError if forward assigned an attribute other than buffers, parameters and what `_save`
    sets.
    """
    own = {"_kept", "_plan", *layer.buffer_names, *layer.parameter_names}
    for name, value in vars(layer).items():
        if name not in own and (name not in before or before[name] is not value):
            kind = type(layer).__name__
            raise RuntimeError(
                f"{kind}: forward stores self.{name}, and the layer is used at several places of "
                "the model, where each forward would overwrite the last: save what backward needs "
                f"with self._save(...) and self._saved(), or use a separate {kind} at each place"
            )


def _none_returned(layer: Layer, call: str) -> TypeError:
    return TypeError(f"{type(layer).__name__}.{call} returned None, expected an array")


@cache
def _takes_need_dx(backward: Any) -> bool:
    parameters = inspect.signature(backward).parameters.values()
    return any(p.name == "need_dx" or p.kind is p.VAR_KEYWORD for p in parameters)
