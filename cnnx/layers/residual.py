"""`Residual`: a body with a shortcut."""

from __future__ import annotations

from typing import Any

from cnnx.graph.container import Container
from cnnx.graph.wiring import Node, Wiring
from cnnx.layers.base import Layer, builtin
from cnnx.layers.merge import Add

__all__ = ["Residual"]


@builtin
class Residual(Container):
    """y = body(x) + x, or body(x) + shortcut(x) if the body changes the shape.

    body      a layer, usually a `Sequential`
    shortcut  a layer whose output has the shape of the body's; None: the identity

    The gradients of the two paths add up. An activation after the sum is a separate layer. y has
    the dtype of the body's output. TypeError for a body or shortcut that is not a layer;
    ValueError, with both shapes, if the outputs of the paths differ in shape.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    Example::

        body = Sequential(Conv2D(16, 16, 3, padding=1), ReLU(), Conv2D(16, 16, 3, padding=1))
        block = Sequential(Residual(body), ReLU())
        down = Residual(Conv2D(16, 32, 3, stride=2, padding=1), Conv2D(16, 32, 1, stride=2))
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        for name, path in (("body", body), ("shortcut", shortcut)):
            if not isinstance(path, Layer) and not (name == "shortcut" and path is None):
                raise TypeError(f"Residual: {name} is {path!r}, expected a layer")
        self.body = body
        self.shortcut = shortcut

    def wiring(self) -> Wiring:
        nodes, other = [], 0
        if self.shortcut is not None:
            other = 1
            nodes.append(Node("shortcut", self.shortcut, (0,), (other,)))
        nodes.append(Node("body", self.body, (0,), (other + 1,)))
        nodes.append(Node("add", Add(), (other + 1, other), (other + 2,)))
        return Wiring(1, tuple(nodes), (other + 2,))

    def parts(self) -> list[Any]:
        return [self.body, self.shortcut]
