"""Images, filters and feature maps: what goes in, what a network detects, and where it finds it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cnnx import checks
from cnnx.data import Dataset
from cnnx.inference import predict
from cnnx.layers import Conv2D

from . import figures, look
from .arguments import Names, array, class_name, class_names, class_numbers
from .tap import tapped

__all__ = ["plot_feature_maps", "plot_filters", "plot_images"]

Path = str | os.PathLike[str] | None


def plot_images(
    images: Any,
    labels: Any = None,
    predicted: Any = None,
    *,
    classes: Any = None,
    count: int = 24,
    columns: int | None = None,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """Images in a grid, with their classes above them; wrong predictions are orange.

    images     Dataset (its labels and class names are used), or array (n, h, w), (n, 1, h, w) or
               (n, 3, h, w) of any range
    labels     (n,) class numbers, as is predicted; classes  names of the classes
    count      images shown, from the first          columns  of the grid; None: about square

    returns  the matplotlib Figure; ValueError for shapes that are not images, for a wrong number of
    labels, and for 0 images

    >>> figure = cnnx.viz.plot_images(test, predicted=cnnx.predict_labels(model, test))
    """
    op = "plot_images"
    if isinstance(images, Dataset):
        labels = images.y if labels is None else labels
        classes = images.classes if classes is None else classes
    names = class_names(op, classes)
    count = checks.integer(op, "count", count, least=1)
    columns = None if columns is None else checks.integer(op, "columns", columns, least=1)
    array = look.pictures(op, look.samples(op, images))
    right = class_numbers(op, "labels", labels, len(array))
    said = class_numbers(op, "predicted", predicted, len(array))
    count = min(count, len(array))
    rows, columns = figures.grid_shape(count, columns)
    axes = figures.panels(op, ax, rows, columns, (1.15, 1.35))
    for i, axis in enumerate(axes):
        figures.quiet(axis)
        if i >= count:
            axis.set_visible(False)
            continue
        look.show(axis, array[i])
        wrong = right is not None and said is not None and right[i] != said[i]
        text = figures.plain(_caption(right, said, i, names))
        axis.set_title(text, fontsize=9, color=figures.ORANGE if wrong else figures.INK, pad=3)
    return figures.finish(op, axes[0], path)


def _caption(right: np.ndarray | None, said: np.ndarray | None, i: int, names: Names) -> str:
    """The prediction, and the label if it differs; cut to the panel's width."""
    found = [int(labels[i]) for labels in (said, right) if labels is not None]
    if len(found) < 2 or found[0] == found[1]:
        return class_name(names, found[0], 14) if found else ""
    first, second = (class_name(names, label, 14) for label in found)
    gap = " " if len(first) + len(second) <= 9 else "\n"
    return f"{first},{gap}not {second}"


def plot_filters(
    model: Any,
    layer: Any = None,
    *,
    count: int = 32,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """The filters of a convolution: the patterns that it detects.

    model  a model, or a single Conv2D
    layer  the Conv2D, its name or its number in the model; None: the first one, of those outside
           blocks if there are any; inside a block (Residual, Concat, Graph), a name as in
           `state_dict`: "3.body.0"
    count  filters shown, from the first

    Filters with one input channel share one scale centred at 0: blue is negative, red is positive.
    Filters with several channels have one row each, which shows their first 16 channels. Filters
    applied to RGB images, the first weights of a model, are drawn in colour, with grey for 0; so is
    a single Conv2D(3, ...).

    returns  the matplotlib Figure; ValueError for a layer that is not a Conv2D, or does not exist

    >>> figure = cnnx.viz.plot_filters(model, "0")
    """
    op = "plot_filters"
    count = checks.integer(op, "count", count, least=1)
    layers = look.chain(op, model)
    place = look.first_filters(op, layers) if layer is None else look.find(op, layers, layer)
    conv = place.layer
    if not isinstance(conv, Conv2D):
        raise ValueError(f"{op}: {look.describe(place)} has no filters, expected a Conv2D")
    weight = conv.weight.data
    shown = weight[: min(count, len(weight))]
    limit = max(map(abs, look.limits(shown))) or 1.0
    channels = weight.shape[1]
    coloured = conv.in_channels == channels == 3 and look.first_weights(layers) is conv
    if coloured or channels == 1:
        tiles = [shown[i] for i in range(len(shown))]
        rows, columns = figures.grid_shape(len(tiles), None)
    else:
        rows, columns = len(shown), min(channels, 16)
        tiles = [shown[i, j : j + 1] for i in range(rows) for j in range(columns)]
    axes = figures.panels(op, ax, rows, columns, (0.8, 0.8))
    drawn = None
    for i, axis in enumerate(axes):
        figures.quiet(axis)
        if i >= len(tiles):
            axis.set_visible(False)
        elif coloured:
            axis.imshow(0.5 + tiles[i].transpose(1, 2, 0) / (2 * limit), interpolation="nearest")
        else:
            drawn = axis.imshow(
                tiles[i][0], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
            )
    if drawn is not None and ax is None:
        figures.colour_bar(drawn, axes, "weight")
    _heading(axes, ax, look.heading(place, len(shown), len(weight), "filters"))
    return figures.finish(op, axes[0], path)


def _heading(axes: list[Any], ax: Any, text: str) -> None:
    """The title of a plot with several panels: above a new figure, or above the user's Axes."""
    if ax is None:
        axes[0].figure.suptitle(text, fontsize=11, fontweight="bold", color=figures.INK)
    elif hasattr(ax, "set_title"):
        figures.title(ax, text, 11)


def plot_feature_maps(
    model: Any,
    image: Any,
    layer: Any = None,
    *,
    count: int = 32,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """The output of a layer for one image: its channels, all on one scale.

    image  (c, h, w), as the model expects it, or a batch (1, c, h, w) of one
    layer  a layer of the model, its name or its number; None: the first convolution, together with
           the norm and activation that follow it, or the block that it is in; inside a block
           (Residual, Concat, Graph), a name as in `state_dict`: "3.body.1"
    count  channels shown, from the first

    The model runs in eval mode, and is not changed. Returns the matplotlib Figure; ValueError for
    more than one image, an unknown layer, a layer whose output is not an image, and a model of
    several inputs or outputs

    >>> figure = cnnx.viz.plot_feature_maps(model, test.x[0])
    """
    op = "plot_feature_maps"
    count = checks.integer(op, "count", count, least=1)
    layers = look.chain(op, model)
    look.check_one_to_one(op, layers)
    place = look.convolution(op, layers) if layer is None else look.find(op, layers, layer)
    batch = array(op, "image", image, "expected one image (channels, height, width): test.x[0]")
    batch = batch[None] if batch.ndim == 3 else batch
    if batch.ndim != 4 or len(batch) != 1:
        raise ValueError(
            f"{op}: image has shape {np.shape(image)}, expected one image (channels, height, width)"
        )
    mixer = look.first_weights(layers)
    if isinstance(mixer, Conv2D) and batch.shape[1] != mixer.in_channels == batch.shape[3]:
        raise ValueError(
            f"{op}: image has {batch.shape[1]} channels, expected {mixer.in_channels}"
            f"{checks.channels_last('image', batch.shape[1:], mixer.in_channels)}"
        )
    model, tap = tapped(layers[: place.number + 1], place)
    predict(model, batch)
    maps = np.asarray(tap.seen)
    if maps.ndim != 4 or 0 in maps.shape:
        raise ValueError(
            f"{op}: the output of {look.describe(place)} has shape "
            f"{maps.shape}, expected maps (1, channels, height, width)"
        )
    shown = maps[0, : min(count, maps.shape[1])]
    rows, columns = figures.grid_shape(len(shown), None)
    axes = figures.panels(op, ax, rows, columns, (1.05, 1.05))
    low, high = look.limits(shown)
    for i, axis in enumerate(axes):
        figures.quiet(axis)
        if i >= len(shown):
            axis.set_visible(False)
            continue
        drawn = axis.imshow(shown[i], cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
    if ax is None:
        figures.colour_bar(drawn, axes, "activation")
    _heading(axes, ax, look.heading(place, len(shown), maps.shape[1], "maps"))
    return figures.finish(op, axes[0], path)
