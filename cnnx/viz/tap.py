"""A tap: records the output of a layer inside a model, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.layers import Layer, Residual, Sequential

from .look import Chain, Place

__all__ = ["Tap", "tapped"]


class Tap(Layer):
    """y = x; keeps the last x, and the gradient passed back to it."""

    seen: Any = None
    gradient: np.ndarray

    def forward(self, x: Any) -> Any:
        self.seen = x
        return x

    def backward(self, dy: Any) -> Any:
        self.gradient = np.asarray(dy)
        return dy


def tapped(layers: Chain, place: Place) -> tuple[Sequential, Tap]:
    """A model of the same layers, with a tap after the one at the given place."""
    tap = Tap()
    parts = [layer for _, layer in layers]
    parts[place.number] = _behind(parts[place.number], place.inside, tap)
    return Sequential(*parts), tap


def _behind(layer: Layer, inside: tuple[str, ...], tap: Tap) -> Layer:
    """The layer followed by the tap, or with it after a layer inside. Containers are copied,
    since another place may use the same ones.
    """
    if not inside:
        return Sequential(layer, tap)
    paths = dict(layer.children())
    paths[inside[0]] = _behind(paths[inside[0]], inside[1:], tap)
    return Residual(**paths) if isinstance(layer, Residual) else Sequential(paths)
