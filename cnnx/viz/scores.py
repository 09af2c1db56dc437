"""The confidence of a model: the probabilities of its most probable classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks
from cnnx.data import Dataset
from cnnx.inference import predict_proba

from . import figures, look
from .arguments import Names, class_name, class_names, class_numbers, finite
from .images import Path

__all__ = ["plot_probabilities"]

_GREY = "#b4b9c0"


def plot_probabilities(
    model: Any,
    images: Any,
    labels: Any = None,
    *,
    classes: Any = None,
    count: int = 6,
    top: int = 5,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """Each image next to the probabilities of its most probable classes; the true class is blue.

    images   Dataset (its labels and class names are used), or images as the model expects them
    labels   (n,) true classes; classes  names of the classes
    count    images shown, from the first     top  bars per image

    returns  the matplotlib Figure; ValueError for 0 images, a wrong number of labels, and a model
    with fewer than two outputs

    >>> figure = cnnx.viz.plot_probabilities(model, test[:6])
    """
    op = "plot_probabilities"
    look.check_model(op, model)
    if isinstance(images, Dataset):
        labels = images.y if labels is None else labels
        classes = images.classes if classes is None else classes
    names = class_names(op, classes)
    count = checks.integer(op, "count", count, least=1)
    top = checks.integer(op, "top", top, least=1)
    array = look.samples(op, images)
    right = class_numbers(op, "labels", labels, len(array))
    array = array[:count]
    figures.fits(op, 2 * len(array))
    shown = look.pictures(op, array)
    chances = predict_proba(model, array)
    if chances.ndim != 2 or chances.shape[1] < 2:
        raise ValueError(
            f"{op}: the outputs have shape {chances.shape}, expected (n, classes), two or more"
        )
    finite(op, "the outputs", chances)
    pairs = 2 if len(array) > 1 else 1
    rows = -(-len(array) // pairs)
    axes = figures.panels(op, ax, rows, 2 * pairs, (1.9, 1.75))
    for axis in axes[2 * len(array) :]:
        axis.set_visible(False)
    for i in range(len(array)):
        look.show(axes[2 * i], shown[i])
        figures.quiet(axes[2 * i])
        _bars(axes[2 * i + 1], chances[i], None if right is None else int(right[i]), names, top)
    return figures.finish(op, axes[0], path)


def _bars(axes: Any, chances: np.ndarray, right: int | None, names: Names, top: int) -> None:
    order = np.argsort(-chances, kind="stable")[:top]
    colours = [figures.BLUE if k == right else _GREY for k in order]
    if right is not None and order[0] != right:
        colours[0] = figures.ORANGE
    axes.barh(range(len(order)), 100 * chances[order], color=colours, height=0.72)
    for place, k in enumerate(order):
        inside = chances[k] > 0.62
        axes.text(
            100 * chances[k] + (-3 if inside else 3),
            place,
            f"{100 * chances[k]:.1f} %",
            va="center",
            ha="right" if inside else "left",
            fontsize=8,
            color="white" if inside and colours[place] != _GREY else figures.INK,
        )
    labels = [figures.plain(class_name(names, int(k), 20)) for k in order]
    axes.set_yticks(range(len(order)), labels)
    axes.set_ylim(max(len(order), 3) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xticks([])
    axes.tick_params(colors=figures.INK, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
