"""A place: where a layer stands in a container, and what its forward left there for backward."""

# Design:
# The place owns what forward saved, never the layer; so a layer may stand at several places, and
# the gradients of its weights add up. A container calls `forward_here`, keeps what comes back
# beside the layer, and gives it to `backward_here`. Containers save their list of places as any
# layer saves its values, so nesting needs no further rule.
#
# cnnx's own layers put everything into one slot (`_save`), which is taken out here: the layer
# itself holds nothing afterwards, and the container frees all by dropping one list.
#
# A user's layer stores on self under any name. While its forward runs, `Layer.__setattr__` notes
# the names that it (or a layer inside it) assigns; their values are this place's. For backward
# they are put back on the layer, and afterwards the layer is as it was, except for what backward
# itself assigned. So ``self.x = x`` works at two places, a counter raised in forward keeps its
# last value, and a gradient added up in backward is kept. What is changed in place
# (``self.buffer[...] = x``) can not be told apart between places: assign a fresh array instead.

from __future__ import annotations

import inspect
from contextlib import nullcontext
from functools import cache
from typing import Any

from cnnx.layers.base import BUILTIN, Layer
from cnnx.layers.kept import unwatched
from cnnx.layers.run import grad_enabled

__all__ = ["backward_here", "call_backward", "forward_here", "learns"]


def forward_here(layer: Layer, x: Any, between: bool = False, **arguments: Any) -> tuple[Any, Any]:
    """(y, kept): run forward at one place; `kept` is for `backward_here` (None in `no_grad`).

    between    x comes from another layer and y goes to one: no user can write into them (kept.py)
    arguments  of forward besides x, for a layer that does its neighbours' work too (fusion.py)
    """
    if not grad_enabled():
        return _checked(layer, "forward", layer.forward(x, **arguments)), None
    if _is_builtin(layer):
        if between:
            with unwatched():
                y = layer.forward(x, **arguments)
        else:
            y = layer.forward(x, **arguments)
        return y, vars(layer).pop("_kept", None)
    parts = list(layer.modules())
    for part in parts:
        vars(part)["_assigned"] = set()
    try:
        with unwatched() if between else nullcontext():
            y = layer.forward(x)
    finally:
        noted = [(part, vars(part).pop("_assigned", set())) for part in parts]
    kept = [
        (part, {name: vars(part)[name] for name in names if name in vars(part)})
        for part, names in noted
    ]
    return _checked(layer, "forward", y), kept


def backward_here(layer: Layer, kept: Any, dy: Any, need_dx: bool = True) -> Any:
    """The layer's backward with what its forward saved at this place."""
    if _is_builtin(layer):
        vars(layer)["_kept"] = kept
        try:
            return call_backward(layer, dy, need_dx)
        finally:
            vars(layer).pop("_kept", None)
    outside = [dict(vars(part)) for part, _ in kept]
    for part, values in kept:
        vars(part).update(values)
    try:
        return call_backward(layer, dy, need_dx)
    finally:
        for (part, values), before in zip(kept, outside, strict=True):
            _swap_back(vars(part), values, before)


def call_backward(layer: Layer, dy: Any, need_dx: bool = True) -> Any:
    """`layer.backward(dy)`, telling it that no dx is needed if it can be told."""
    if need_dx:
        return _checked(layer, "backward", layer.backward(dy))
    options = {"need_dx": False} if _takes_need_dx(type(layer).backward) else {}
    layer.backward(dy, **options)
    return None


def learns(layer: Layer) -> bool:
    """Whether backward must reach this layer: does anything in it learn?

    A user's own layer may learn in ways that can not be seen from here, so it always counts.
    """
    return _learns(layer) or any(map(_learns, layer.modules()))


def _learns(layer: Layer) -> bool:
    """Whether this layer does, without those inside."""
    if not _is_builtin(layer):
        return True
    own = (getattr(layer, name) for name in layer.parameter_names)
    return any(parameter is not None and parameter.requires_grad for parameter in own)


def _swap_back(attributes: dict[str, Any], values: dict[str, Any], before: dict[str, Any]) -> None:
    for name, value in values.items():
        if attributes.get(name) is not value:
            continue  # backward assigned it: that is the layer's state from here on
        if name in before:
            attributes[name] = before[name]
        else:
            del attributes[name]


def _checked(layer: Layer, call: str, value: Any) -> Any:
    if value is None:
        raise TypeError(f"{type(layer).__name__}.{call} returned None, expected an array")
    return value


def _is_builtin(layer: Layer) -> bool:
    return BUILTIN.get(type(layer).__name__) is type(layer)


@cache
def _takes_need_dx(backward: Any) -> bool:
    parameters = inspect.signature(backward).parameters.values()
    return any(p.name == "need_dx" or p.kind is p.VAR_KEYWORD for p in parameters)
