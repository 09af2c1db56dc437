"""What a convolution or a matrix product may do to its result before anybody sees it."""

from __future__ import annotations

from .activation import relu, relu6

ACTIVATIONS = {None: lambda y: y, "relu": relu, "relu6": relu6}


def finish(y, activation, add=None):
    """activation(y + add), without `add` where it is None; activation is a name or None."""
    return ACTIVATIONS[activation](y if add is None else y + add)
