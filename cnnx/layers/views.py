"""Signals and single images, as views of batches of images."""

# Design:
# The ops compute on batches of images (n, c, h, w). One image (c, h, w), as PyTorch's layers take
# it, is a batch of one, and a batch of signals (n, c, l) is one of images of a single row: views,
# never copies. `viewed` makes these around forward and backward, here and nowhere else. The rank
# of dy tells backward what forward saw, so nothing is stored.

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

import numpy as np

from cnnx import checks
from cnnx.layers.base import Layer

__all__ = ["OverImages", "lacks_batch", "single", "viewed"]


class OverImages(Layer):
    """Base of layers over images, one or a batch; axes = 1: over signals."""

    axes: ClassVar[int] = 2


def lacks_batch(x: Any) -> bool:
    """Whether it is one image (c, h, w). An array without channels is no image."""
    return np.ndim(x) == 3 and np.shape(x)[0] > 0


def viewed(method: Callable[..., Any]) -> Callable[..., Any]:
    """A forward or backward on batches of images, as one of whatever the layer takes."""

    def forward(self: Any, x: Any) -> Any:
        if self.axes == 1 or (getattr(x, "ndim", None) != 4 and lacks_batch(x)):
            return _through_a_view(self, x, lambda images: method(self, images))
        return method(self, x)

    def backward(self: Any, dy: Any, need_dx: bool = True) -> Any:
        options = {} if need_dx else {"need_dx": False}  # not every layer knows it
        if self.axes == 1 or (getattr(dy, "ndim", None) != 4 and lacks_batch(dy)):
            return _through_a_view(self, dy, lambda images: method(self, images, **options))
        return method(self, dy, **options)

    return wraps(method)(forward if method.__name__ == "forward" else backward)


def _through_a_view(layer: Any, x: Any, compute: Callable[[np.ndarray], Any]) -> Any:
    """compute on one image or on signals; its result (None without dx) as x is."""
    x = np.asarray(x)
    batched = x.ndim == 2 + layer.axes
    if layer.axes == 1:
        if x.ndim not in (2, 3):
            raise ValueError(
                f"{type(layer).__name__}: an array of shape {x.shape} is given, but signals "
                "(n, c, l), or one signal (c, l), are expected"
            )
        x = x[..., None, :]
    result = compute(x if batched else x[None])
    if result is None:
        return None
    if not batched:
        result = result[0]
    return result[..., 0, :] if layer.axes == 1 else result


def single(name: str, what: str, value: Any, least: int = 1) -> int:
    """A setting along the one axis of a signal: a number, or a sequence of one."""
    if checks.is_sequence(value) and len(value) == 1:
        value = value[0]
    return checks.integer(name, what, value, least)
