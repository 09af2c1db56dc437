"""`Residual`: a body with a shortcut around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnx import ops
from cnnx.layers.base import Layer, builtin
from cnnx.layers.place import backward_here, forward_here, learns

__all__ = ["Residual"]


@builtin
class Residual(Layer):
    """y = body(x) + x, or body(x) + shortcut(x) where the body changes the shape.

    body      a layer, a `Sequential` mostly
    shortcut  a layer whose output has the shape of the body's; None: x itself

    Both paths are given the same x, and their gradients add up. The activation behind the sum, if
    there is one, is the next layer. y has the dtype of the body's output. TypeError for a body or
    shortcut that is no layer; ValueError, with both shapes, when the paths end in different ones.

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

    def forward(self, x: Any, activation: str | None = None) -> Any:
        self._forget()
        x = self._float(x)
        other, kept_shortcut = self._around(x)
        if self.body._takes_add():
            y, kept_body = self._body_and(x, add=other, activation=activation)
        else:
            y, kept_body = forward_here(self.body, x)
            y = self._float(y)
            self._check_shapes(x, y.shape, other.shape)
            y = ops.add(y, self._float(other, y.dtype))
            y = y if activation is None else getattr(ops, activation)(y)
        places = (self.body, kept_body), (self.shortcut, kept_shortcut)
        self._save(*places, y.dtype)
        return y

    def backward(self, dy: Any, need_dx: bool = True) -> Any:
        body, shortcut, dtype = self._saved()
        self._keep(None)  # as in Sequential: backward goes once
        dy = self._float(dy, dtype)
        other = _backward(shortcut, dy, need_dx)
        dx = _backward(body, dy, need_dx)
        return ops.add(self._float(dx), self._float(other, dx.dtype)) if need_dx else None

    def _body_and(self, x: Any, add: Any, activation: str | None) -> tuple[Any, Any]:
        """What the body makes of x with the sum at its end, and what it keeps for backward."""
        try:
            return forward_here(self.body, x, add=add, activation=activation)
        except ValueError:
            self._check_shapes(x, (len(x), *self.body.output_shape(x.shape[1:])), add.shape)
            raise

    def _check_shapes(self, x: Any, body: tuple[int, ...], other: tuple[int, ...]) -> None:
        if body != other:
            path = "x itself" if self.shortcut is None else "the shortcut's output"
            raise ValueError(
                f"Residual: the body makes shape {body} of x with shape {x.shape}, but {path} "
                f"has shape {other}: both must be the same to be added"
            )

    def flow(self, input_shape: Any) -> Iterator[tuple[str, Layer, tuple[int, ...]]]:
        for name, path in self.children():
            yield name, path, tuple(input_shape)

    def _around(self, x: Any) -> tuple[Any, Any]:
        """What the shortcut makes of x, and what it keeps for backward."""
        if self.shortcut is None:
            return x, None
        y, kept = forward_here(self.shortcut, x)
        return self._float(y), kept


def _backward(place: tuple[Layer | None, Any], dy: Any, need_dx: bool) -> Any:
    """The gradient through one path; a path that learns nothing is not gone when no dx is asked."""
    path, kept = place
    if path is None or not (need_dx or learns(path)):
        return dy
    return backward_here(path, kept, dy, need_dx)
