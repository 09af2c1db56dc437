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

    @wraps(method)
    def call(self: Any, x: Any, **options: Any) -> Any:
        if self.axes == 1:
            return _of_signals(method, self, x, options)
        if getattr(x, "ndim", None) != 4 and lacks_batch(x):
            result = method(self, np.asarray(x)[None], **options)
            return None if result is None else result[0]
        return method(self, x, **options)

    return call


def _of_signals(method: Callable[..., Any], layer: Any, x: Any, options: dict[str, Any]) -> Any:
    shape = np.shape(x)
    if len(shape) not in (2, 3):
        raise ValueError(
            f"{type(layer).__name__}: an array of shape {shape} is given, but signals (n, c, l), "
            "or one signal (c, l), are expected"
        )
    images = np.asarray(x)[..., None, :]
    result = method(layer, images if len(shape) == 3 else images[None], **options)
    if result is None:  # need_dx=False
        return None
    return (result if len(shape) == 3 else result[0])[..., 0, :]


def single(name: str, what: str, value: Any, least: int = 1) -> int:
    """A setting along the one axis of a signal: a number, or a sequence of one."""
    if checks.is_sequence(value) and len(value) == 1:
        value = value[0]
    return checks.integer(name, what, value, least)
