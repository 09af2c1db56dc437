"""Neighbouring layers that run as one step: the table of patterns, and the plan of a container."""

# Design:
# A pattern is a run of layer types. Its step calls one of these layers, with arguments of its
# forward by which it does the work of the others too. Its backward does so as well where that saves
# something (pooling, batch norm: what they keep tells them). Elsewhere the activation goes back by
# itself, which takes nothing but y: the container has two places then, and the gradient that came
# in is freed before the layer makes the next one.
# Types are exact: a user's subclass, or a layer with a forward or backward of its own, runs as
# itself. The plan follows from the layers alone; weights, strides and modes are read at each call.
# Results are those of the layers one by one, to the bit.
# Patterns are looked for from the end on: a ReLU goes to the pooling behind it, where it costs
# nothing and its result is not kept, rather than to the layer before it.
#
# A layer that `_takes_add` adds what went around it before its activation. The gradient of a sum
# goes to both of its parts: so whoever gives `add` takes the activation's gradient too, for both.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnx.layers.activation import ReLU, ReLU6
from cnnx.layers.base import Layer
from cnnx.layers.conv import Conv2D
from cnnx.layers.linear import Linear
from cnnx.layers.norm import BatchNorm1D, BatchNorm2D
from cnnx.layers.pool import MaxPool2D
from cnnx.layers.residual import Residual

__all__ = ["PATTERNS", "Pattern", "Step", "plan"]


class Pattern(NamedTuple):
    """Types of neighbours, which of them runs, the arguments by which its forward does all, and
    which of them goes back by itself."""

    layers: tuple[type[Layer], ...]
    runs: int
    arguments: dict[str, Any]
    back: int | None = None


class Step(NamedTuple):
    """A layer, the arguments of its forward besides x, and the activation that goes back from y
    before it."""

    layer: Layer
    arguments: dict[str, Any]
    behind: Layer | None = None


PATTERNS = (
    Pattern((ReLU, MaxPool2D), 1, {"after_relu": True}),
    Pattern((Conv2D, ReLU), 0, {"activation": "relu"}, back=1),
    Pattern((Conv2D, ReLU6), 0, {"activation": "relu6"}, back=1),
    Pattern((Linear, ReLU), 0, {"activation": "relu"}, back=1),
    Pattern((Linear, ReLU6), 0, {"activation": "relu6"}, back=1),
    Pattern((BatchNorm1D, ReLU), 0, {"activation": "relu"}),
    Pattern((BatchNorm1D, ReLU6), 0, {"activation": "relu6"}),
    Pattern((BatchNorm2D, ReLU), 0, {"activation": "relu"}),
    Pattern((BatchNorm2D, ReLU6), 0, {"activation": "relu6"}),
    Pattern((Residual, ReLU), 0, {"activation": "relu"}, back=1),
    Pattern((Residual, ReLU6), 0, {"activation": "relu6"}, back=1),
)


def plan(layers: Sequence[Layer]) -> list[Step]:
    """The steps that do what the layers do, one after another."""
    steps = []
    end = len(layers)
    while end:
        pattern = next((p for p in PATTERNS if _ends(layers[:end], p)), None)
        if pattern is None:
            end -= 1
            steps.append(Step(layers[end], {}))
        else:
            end -= len(pattern.layers)
            behind = None if pattern.back is None else layers[end + pattern.back]
            steps.append(Step(layers[end + pattern.runs], pattern.arguments, behind))
    return steps[::-1]


def _ends(layers: Sequence[Layer], pattern: Pattern) -> bool:
    """Whether the pattern fits the last of the layers."""
    last = layers[-len(pattern.layers) :]
    return tuple(map(type, last)) == pattern.layers and not any(map(_is_patched, last))


def _is_patched(layer: Layer) -> bool:
    """Whether somebody gave this one layer another forward or backward."""
    return not vars(layer).keys().isdisjoint(("forward", "backward"))
