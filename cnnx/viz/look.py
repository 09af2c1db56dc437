"""Access to the inside of a model: its chain of layers, a layer by name, and images to display."""

# Design:
# Plots run the model's own layers, never a second implementation of them. A chain is the sequence
# of a model's layers, with nested Sequentials expanded; a Sequential of a part of the chain is
# again a model with the same layers. A block (a Residual, a Graph, a Concat of branches) is one
# layer of the chain; the layers inside it are named as in `state_dict`. Layers inside a layer that
# overrides forward cannot be addressed.

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from cnnx import checks
from cnnx.data import Dataset
from cnnx.graph import Graph
from cnnx.graph.container import Container, count_outputs
from cnnx.layers import (
    BatchNorm2D,
    Conv2D,
    ConvTranspose2D,
    Layer,
    Linear,
    Sequential,
)
from cnnx.layers.activation import Elementwise

from . import arguments

Chain = list[tuple[str, Layer]]
_MIXERS = (Conv2D, ConvTranspose2D, Linear)
_FOLLOWERS = (BatchNorm2D, Elementwise)


class Place(NamedTuple):
    """The position of a layer in a model: ("3.body.1", the layer, 3, ("body", "1"))."""

    name: str
    layer: Layer
    number: int  # in the chain, of the layer itself or of the block that contains it
    inside: tuple[str, ...]  # the path from there to the layer


def check_model(op: str, model: Any) -> None:
    """TypeError if the model is not a layer."""
    if not isinstance(model, Layer):
        a_path = isinstance(model, (str, os.PathLike))
        advice = f": model = cnnx.load({os.fspath(model)!r})" if a_path else ""
        raise TypeError(f"{op}: model is a {type(model).__name__}, expected a Layer{advice}")


def chain(op: str, model: Any) -> Chain:
    """(name, layer) of the layers in sequence; names are dotted, as in `summary`."""
    check_model(op, model)
    layers = [(".".join(way), layer) for way, layer in _opened(model, ())]
    if not layers:
        raise ValueError(f"{op}: the model has no layers")
    return layers


def find(op: str, layers: Chain, layer: Any) -> Place:
    """The place of a layer, given as the layer itself, its name, or its number in the chain."""
    places = _all_places(layers)
    if isinstance(layer, Layer):
        found = [place for place in places if place.layer is layer]
        if found:
            return _of_one_output(op, found[0])
        raise ValueError(
            f"{op}: the layer {type(layer).__name__} is not one of the model's: {_names(places)}"
        )
    if isinstance(layer, str):
        found = [place for place in places if place.name == layer]
        if found:
            return _of_one_output(op, found[0])
        raise ValueError(
            f"{op}: no layer is called {layer!r}, expected one of {_names(places, layer)}"
        )
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        if -len(layers) <= layer < len(layers):
            return _of_one_output(op, _at(layers, int(layer) % len(layers)))
        raise ValueError(f"{op}: layer is {layer}, but the model has {len(layers)} layers")
    raise TypeError(f"{op}: layer is {layer!r}, expected a layer, its name or its number")


def first_filters(op: str, layers: Chain) -> Place:
    """The first Conv2D in the chain; if there is none, the first one in a block."""
    found = [place for place in _all_places(layers) if isinstance(place.layer, Conv2D)]
    if not found:
        raise ValueError(f"{op}: the model has no Conv2D")
    return min(found, key=lambda place: bool(place.inside))


def first_weights(layers: Chain) -> Layer | None:
    """The first layer that mixes channels: its input channels are those of the images."""
    inside = (part for _, layer in layers for part in layer.modules())
    return next((part for part in inside if isinstance(part, _MIXERS)), None)


def convolution(op: str, layers: Chain, last: bool = False) -> Place:
    """The first (or last) Conv2D in the chain, or the norm and activation that follow it. A block
    that has one counts as one; but in a model that is a single Graph it is the first inside.
    """
    if len(layers) == 1 and isinstance(layers[0][1], Graph):
        if last:  # perhaps that of a gate, or of another branch than the longest
            names = _names(_all_places(layers))
            raise ValueError(f"{op}: the model is a Graph: say which layer, one of {names}")
        return first_filters(op, layers)
    found = [number for number, (_, layer) in enumerate(layers) if _convolves(layer)]
    if not found:
        raise ValueError(f"{op}: the model has no Conv2D: say which layer")
    number = found[-1 if last else 0]
    while number + 1 < len(layers) and isinstance(layers[number + 1][1], _FOLLOWERS):
        number += 1
    return _of_one_output(op, _at(layers, number))


def _of_one_output(op: str, place: Place) -> Place:
    outputs = count_outputs(place.layer)
    if outputs > 1:
        raise ValueError(
            f"{op}: {describe(place)} has {outputs} outputs, expected one: say which layer in it"
        )
    return place


def check_one_to_one(op: str, layers: Chain) -> None:
    """ValueError for a model of several inputs or outputs."""
    first = layers[0][1]
    inputs = first.wiring().inputs if isinstance(first, Container) else 1
    outputs = count_outputs(layers[-1][1])
    if inputs > 1 or outputs > 1:
        raise ValueError(
            f"{op}: the number of the model's inputs is {inputs}, of its outputs {outputs}: "
            "expected one of each"
        )


def _is_block(layer: Layer) -> TypeGuard[Container]:
    return isinstance(layer, Container) and layer.opens()


def _opened(
    layer: Layer, way: tuple[str, ...], blocks: bool = False
) -> Iterator[tuple[tuple[str, ...], Layer]]:
    """(path, layer) of the layers inside Sequentials; with blocks=True also of those inside blocks,
    but for the sum of a Residual and the join of a Concat: what these make the block makes.
    """
    if type(layer) is not Sequential:
        yield way, layer
    if type(layer) is Sequential or (blocks and _is_block(layer)):
        nodes = {node.name for node in layer.wiring().nodes}
        for name, child in layer.children():
            if name in nodes:  # a subclass of Graph may have others
                yield from _opened(child, (*way, name), blocks)


def _all_places(layers: Chain) -> list[Place]:
    return [place for number in range(len(layers)) for place in _places(layers, number)]


def _places(layers: Chain, number: int) -> list[Place]:
    """A layer of the chain and, if it is a block, the layers inside it."""
    name, layer = layers[number]
    before = (name,) if name else ()
    return [
        Place(".".join(before + inside), part, number, inside)
        for inside, part in _opened(layer, (), blocks=True)
    ]


def _at(layers: Chain, number: int) -> Place:
    return _places(layers, number)[0]


def _names(places: list[Place], wrong: str = "") -> str:
    """The chain's names; or those in a block, if a wrong name begins like them, or the model is a
    block.
    """
    while wrong:
        near = [place.name for place in places if place.name.startswith(f"{wrong}.")]
        if near:
            return ", ".join(near)
        wrong = wrong.rpartition(".")[0]
    inside = [place.name for place in places if place.inside]
    if inside and not places[0].name:
        return ", ".join(inside)
    hint = f", or inside a block, as {inside[0]}" if inside else ""
    return ", ".join(place.name for place in places if not place.inside) + hint


def part(layers: Chain) -> Sequential:
    """A chain, or a part of one, as a model of the same layers."""
    return Sequential(*(layer for _, layer in layers))


def describe(place: Place) -> str:
    """A layer as text: ``layer 0 (Conv2D)``."""
    kind = type(place.layer).__name__
    return f"layer {place.name} ({kind})" if place.name else kind


def heading(place: Place, shown: int, of: int, what: str) -> str:
    """A title: ``Layer 0 (Conv2D): 6 of 32 filters``."""
    where = describe(place)
    return f"{where[0].upper()}{where[1:]}: {shown}{f' of {of}' if of > shown else ''} {what}"


def samples(op: str, x: Any, name: str = "images") -> np.ndarray:
    """The inputs of a Dataset or an array with at least one sample."""
    given = x.x if isinstance(x, Dataset) else x
    found = arguments.array(op, name, given, "expected a Dataset, or an array (n, ...)")
    if found.ndim < 2:
        raise ValueError(f"{op}: {name} has shape {found.shape}, expected numbers (n, ...)")
    if len(found) == 0:
        raise ValueError(f"{op}: {name} holds 0 samples, expected at least one")
    return found


def pictures(op: str, images: np.ndarray) -> np.ndarray:
    """Images (n, h, w), (n, 1, h, w) or (n, 3, h, w) as (n, h, w) or (n, h, w, 3) to show."""
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    elif images.ndim == 4 and images.shape[1] == 3:
        images = images.transpose(0, 2, 3, 1)
    elif images.ndim != 3:
        hint = ": for a single image write images[None]" if images.ndim == 2 else ""
        hint = hint or checks.channels_last("images", images.shape, 1, 3)
        raise ValueError(
            f"{op}: images have shape {images.shape}, expected (n, h, w), (n, 1, h, w) or "
            f"(n, 3, h, w){hint}"
        )
    if 0 in images.shape:
        raise ValueError(f"{op}: images have shape {images.shape}: there is nothing to see")
    return images


def limits(numbers: np.ndarray) -> tuple[float, float]:
    """The minimum and maximum of the finite numbers, for a colour scale."""
    seen = numbers[np.isfinite(numbers)]
    return (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)


def show(axes: Any, picture: np.ndarray) -> Any:
    """One image on its Axes: grey from its minimum to its maximum, or RGB.

    Integers are colours from 0 to 255; NaN and inf are left white.
    """
    if picture.ndim == 2:
        return axes.imshow(picture, cmap="gray", interpolation="nearest")
    if picture.dtype.kind == "f":
        low, high = limits(picture)
        if low < 0 or high > 1:  # normalised colours: rescaled, since they would be clipped
            picture = (picture - low) / ((high - low) or 1)
        picture = np.where(np.isfinite(picture), picture, 1)
    elif picture.dtype.kind == "b":
        picture = picture.astype(np.float32)
    return axes.imshow(picture, interpolation="nearest")


def _convolves(layer: Layer) -> bool:
    return any(isinstance(inside, Conv2D) for inside in layer.modules())
