"""The last step of a convolution, a matrix product or a normalisation: addition and activation."""

from __future__ import annotations

from .activation import relu, relu6

ACTIVATIONS = {None: lambda y: y, "relu": relu, "relu6": relu6}


def finish(y, activation, add=None):
    """activation(y + add), without `add` if it is None; activation is a name or None."""
    return ACTIVATIONS[activation](y if add is None else y + add)
