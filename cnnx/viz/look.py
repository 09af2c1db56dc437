"""A model looked into: its chain of layers, one of them by name, and images made ready to show."""

# Design:
# Pictures run the model's own layers and never a second implementation of them. A chain is the
# layers of a model one after another, nested Sequentials opened; a Sequential of a part of the
# chain is again a model of the same layers, so what comes out of a layer in the middle is what
# the part before it returns. Layers inside a Residual or a user's layer are not in the chain.

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnx.data import Dataset
from cnnx.layers import BatchNorm2D, Conv2D, Layer, ReLU, ReLU6, Sequential
from cnnx.layers.activation import LeakyReLU, Sigmoid, Tanh

Chain = list[tuple[str, Layer]]
_FOLLOWERS = (BatchNorm2D, ReLU, ReLU6, LeakyReLU, Sigmoid, Tanh)


def chain(op: str, model: Any) -> Chain:
    """(name, layer) of the layers one after another; names are dotted, as in `summary`."""
    if not isinstance(model, Layer):
        raise TypeError(f"{op}: model is a {type(model).__name__}, expected a Layer")
    layers = list(_opened(model, ""))
    if not layers:
        raise ValueError(f"{op}: the model has no layers")
    return layers


def _opened(layer: Layer, name: str) -> Iterator[tuple[str, Layer]]:
    if type(layer) is Sequential:
        for child_name, child in layer.children():
            yield from _opened(child, f"{name}.{child_name}" if name else child_name)
    else:
        yield name, layer


def position(op: str, layers: Chain, layer: Any) -> int:
    """Where a layer stands in the chain: given itself, by its name, or by its number."""
    names = [name for name, _ in layers]
    if isinstance(layer, Layer):
        found = [i for i, (_, other) in enumerate(layers) if other is layer]
        if found:
            return found[0]
        raise ValueError(
            f"{op}: the layer {type(layer).__name__} is not one of the model's layers one after "
            f"another: {', '.join(names)}"
        )
    if isinstance(layer, str):
        if layer in names:
            return names.index(layer)
        raise ValueError(f"{op}: no layer is called {layer!r}, expected one of {', '.join(names)}")
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        if -len(layers) <= layer < len(layers):
            return int(layer) % len(layers)
        raise ValueError(f"{op}: layer is {layer}, but the model has {len(layers)} layers")
    raise TypeError(f"{op}: layer is {layer!r}, expected a layer, its name or its number")


def convolution(op: str, layers: Chain, last: bool = False) -> int:
    """The first (or last) place with a convolution in it."""
    found = [i for i, (_, layer) in enumerate(layers) if _convolves(layer)]
    if not found:
        raise ValueError(f"{op}: the model has no Conv2D: say which layer")
    return found[-1 if last else 0]


def activated(layers: Chain, place: int) -> int:
    """The place of the norm or activation right behind a layer, or of the layer itself."""
    while place + 1 < len(layers) and isinstance(layers[place + 1][1], _FOLLOWERS):
        place += 1
    return place


def part(layers: Chain, start: int, end: int) -> Sequential:
    """Some of the chain as a model of the same layers."""
    return Sequential(*(layer for _, layer in layers[start:end]))


def describe(layers: Chain, place: int) -> str:
    """A layer in words: ``layer 0 (Conv2D)``."""
    name, layer = layers[place]
    return f"layer {name} ({type(layer).__name__})" if name else type(layer).__name__


def heading(layers: Chain, place: int, shown: int, of: int, what: str) -> str:
    """A title: ``Layer 0 (Conv2D): 6 of 32 filters``."""
    where = describe(layers, place)
    return f"{where[0].upper()}{where[1:]}: {shown}{f' of {of}' if of > shown else ''} {what}"


def samples(op: str, x: Any) -> np.ndarray:
    """The inputs of a Dataset or an array with at least one sample."""
    array = x.x if isinstance(x, Dataset) else np.asarray(x)
    if array.ndim < 2 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{op}: images have shape {array.shape} and dtype {array.dtype}, expected numbers "
            "(n, ...)"
        )
    if len(array) == 0:
        raise ValueError(f"{op}: there are 0 images, expected at least one")
    return array


def pictures(op: str, images: np.ndarray) -> np.ndarray:
    """Images (n, h, w), (n, 1, h, w) or (n, 3, h, w) as (n, h, w) or (n, h, w, 3) to show."""
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    elif images.ndim == 4 and images.shape[1] == 3:
        images = images.transpose(0, 2, 3, 1)
    elif images.ndim != 3:
        raise ValueError(
            f"{op}: images have shape {images.shape}, expected (n, h, w), (n, 1, h, w) or "
            "(n, 3, h, w)"
        )
    if 0 in images.shape:
        raise ValueError(f"{op}: images have shape {images.shape}: there is nothing to see")
    return images


def show(axes: Any, picture: np.ndarray) -> Any:
    """One image on its Axes: grey from its least to its largest value, colours as they are."""
    if picture.ndim == 2:
        return axes.imshow(picture, cmap="gray", interpolation="nearest")
    if picture.dtype.kind == "f":
        low, high = float(picture.min()), float(picture.max())
        if low < 0 or high > 1:  # normalised colours: stretched, or they would be cut off
            picture = (picture - low) / ((high - low) or 1)
    return axes.imshow(picture, interpolation="nearest")


def _convolves(layer: Layer) -> bool:
    return any(isinstance(inside, Conv2D) for inside in layer.modules())
