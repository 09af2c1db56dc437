"""One node as a step of a run: forward, what it saves, backward."""

# Design:
# cnnx's own layers, and users' layers that keep values by `_save`, put everything into one slot,
# which is taken out here and put back for backward: the layer holds nothing in between, so it may
# stand at any number of nodes. A user's layer may also store on self under names of its own. That
# is right as long as it stands at one node; at a second one the values of the first would be lost,
# so it is an error, which is found by looking at what forward assigned.

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
    """What a plan is made of. `inputs` and `output` are numbers of values.

    read    gives of a list by value the entries of the inputs
    number  of the node in whose place it goes back
    frees   the values that nobody reads after it
    inner   whether no user gets what it makes
    """

    def __init__(self, number: int, inputs: tuple[int, ...], output: int) -> None:
        self.number, self.inputs, self.output = number, inputs, output
        # Two forms of one thing, both in C: this is done for every step of every run.
        single = len(inputs) == 1
        self.read = itemgetter(slice(inputs[0], inputs[0] + 1)) if single else itemgetter(*inputs)
        self.frees: tuple[int, ...] = ()
        self.inner = True

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        """The result; what backward needs goes into the trace, unless that is None.

        inner  whether no user has what it reads and makes in hand, to write into it (kept.py)
        """
        raise NotImplementedError

    def backward(self, kept: Any, dy: Any, need_dx: bool) -> tuple[Any, ...]:
        """The gradients of the inputs, from what forward saved."""
        raise NotImplementedError

    def nodes(self) -> list[LayerStep]:
        """The nodes that it runs."""
        raise NotImplementedError


class LayerStep(Step):
    """A layer by itself."""

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
        trace[self.number] = self, vars(layer).pop("_kept", None)
        return y

    def backward(self, kept: Any, dy: Any, need_dx: bool) -> tuple[Any, ...]:
        attributes = vars(self.layer)
        attributes["_kept"] = kept
        try:
            dx = call_backward(self.layer, dy, need_dx)
        finally:
            attributes.pop("_kept", None)
        return (dx,) if len(self.inputs) == 1 else self._several(dx, need_dx)

    def learns(self) -> bool:
        """Whether backward has something to do here where no dx is needed."""
        layer = self.layer
        for name in layer.parameter_names:
            parameter = getattr(layer, name)
            if parameter is not None and parameter.requires_grad:
                return True
        return False

    def nodes(self) -> list[LayerStep]:
        return [self]

    def _several(self, dx: Any, need_dx: bool) -> tuple[Any, ...]:
        count = len(self.inputs)
        if not need_dx:
            return ()
        if not isinstance(dx, (tuple, list)) or len(dx) != count:
            raise TypeError(
                f"{type(self.layer).__name__}.backward returned a {type(dx).__name__}, expected a "
                f"tuple of {count} gradients, one for each input (None: it has none)"
            )
        return tuple(dx)


class UserStep(LayerStep):
    """A layer of a user's class, or one that holds others.

    shared  those of them, and of itself, that stand at several nodes
    """

    def __init__(self, number: int, node: Node, shared: list[Layer]) -> None:
        super().__init__(number, node)
        self.shared = shared

    def run(self, trace: list[Any] | None, xs: Sequence[Any], inner: bool) -> Any:
        before = [dict(vars(layer)) for layer in self.shared]
        with unwatched() if inner else nullcontext():
            y = _checked(self.layer, "forward", self.layer.forward(*xs))
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
        return True  # perhaps in ways that can not be seen from here


def call_backward(layer: Layer, dy: Any, need_dx: bool = True) -> Any:
    """`layer.backward(dy)`, telling it that no dx is needed if it can be told."""
    if need_dx:
        return _checked(layer, "backward", layer.backward(dy))
    options = {"need_dx": False} if _takes_need_dx(type(layer).backward) else {}
    layer.backward(dy, **options)
    return None


def _refuse_stored(layer: Layer, before: dict[str, Any]) -> None:
    """RuntimeError if forward assigned an attribute that is neither saved with a model nor kept by
    `_save`.
    """
    own = {"_kept", "_plan", *layer.buffer_names, *layer.parameter_names}
    for name, value in vars(layer).items():
        if name not in own and (name not in before or before[name] is not value):
            kind = type(layer).__name__
            raise RuntimeError(
                f"{kind}: forward stores self.{name}, and the layer stands at several places of "
                "the model, where each forward would overwrite the last: keep what backward needs "
                f"by self._save(...) and self._saved(), or give each place a {kind} of its own"
            )


def _checked(layer: Layer, call: str, value: Any) -> Any:
    if value is None:
        raise TypeError(f"{type(layer).__name__}.{call} returned None, expected an array")
    return value


@cache
def _takes_need_dx(backward: Any) -> bool:
    parameters = inspect.signature(backward).parameters.values()
    return any(p.name == "need_dx" or p.kind is p.VAR_KEYWORD for p in parameters)
