"""The last step of a convolution, a matrix product or a normalisation: addition and activation."""

from __future__ import annotations

from .activation import ENDINGS


def finish(y, activation, add=None):
    """activation(y + add), without `add` if it is None; activation is a name or None."""
    y = y if add is None else y + add
    return y if activation is None else ENDINGS[activation].function(y)


def unfinish(dy, before, activation):
    """Gradient of finish(before, activation): dy, gone back through the activation."""
    if activation is None:
        return dy
    function, gradient, saves = ENDINGS[activation]
    return gradient(dy, before if saves == "input" else function(before))
