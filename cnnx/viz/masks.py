"""Segmentation results: images with their true and predicted masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, targets
from cnnx.data import Dataset
from cnnx.metrics import mean_iou

from . import figures, look
from .arguments import Names, array, class_name, class_names
from .boundary import colour_of
from .images import Path

__all__ = ["plot_masks"]

MOST_CLASSES = 1 << 16
IN_LEGEND = 12  # classes: with more there is no legend
_PALE = "#eceef1"  # the background


def plot_masks(
    images: Any,
    masks: Any = None,
    predicted: Any = None,
    *,
    classes: Any = None,
    background: int | None = 0,
    count: int = 8,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """Three rows: images, the true class of every pixel, and the predicted class.

    images      Dataset (its masks and class names are used), or array (n, h, w), (n, 1, h, w) or
                (n, 3, h, w) of any range
    masks       (n, h, w) or (n, 1, h, w) class numbers; None: no such row
    predicted   likewise, or scores (n, classes, h, w), whose largest is the class; None: no such
                row. The title of each is its mean IoU if masks are given: `cnnx.metrics.mean_iou`
    classes     names of the classes    background  the class drawn in a pale colour, or None
    count       how many images are shown, from the first

    returns  the matplotlib Figure; ValueError for arrays that are not images or matching masks,
    and for 0 images

    >>> shapes = cnnx.data.make_shapes(6, seed=0)
    >>> figure = cnnx.viz.plot_masks(shapes, predicted=shapes.y)
    """
    op = "plot_masks"
    if isinstance(images, Dataset):
        masks = images.y if masks is None else masks
        classes = images.classes if classes is None else classes
    names = class_names(op, classes)
    count = checks.integer(op, "count", count, least=1)
    if background is not None:
        background = checks.integer(op, "background", background)
    pictures = look.pictures(op, look.samples(op, images))
    shape = pictures.shape[:3]
    right = _labels(op, "masks", masks, shape)
    said = _labels(op, "predicted", predicted, shape, scores=True)
    count = min(count, len(pictures))
    drawn = {name: row for name, row in (("true", right), ("predicted", said)) if row is not None}
    height = 1.3 * min(max(shape[1] / shape[2], 0.3), 3)
    axes = figures.panels(op, ax, 1 + len(drawn), count, (1.3, height + 0.12))
    for i in range(count):
        look.show(axes[i], pictures[i])
        for row, labels in enumerate(drawn.values(), start=1):
            axis = axes[row * count + i]
            axis.imshow(_colours(labels[i], background), interpolation="nearest")
            if labels is said and right is not None:
                text = f"IoU {mean_iou(said[i], right[i]):.2f}"
                axis.set_title(text, fontsize=8, color=figures.SOFT, pad=2)
    for row, name in enumerate(("image", *drawn)):
        axes[row * count].set_ylabel(name, fontsize=9, color=figures.INK)
        for axis in axes[row * count : (row + 1) * count]:
            figures.quiet(axis)
    found = np.unique([labels[:count] for labels in drawn.values()])
    if ax is None and 0 < len(found) <= IN_LEGEND:
        _legend(axes[0].figure, found, names, background)
    return figures.finish(op, axes[0], path)


def _labels(
    op: str, name: str, given: Any, shape: tuple[int, ...], scores: bool = False
) -> np.ndarray | None:
    """Class numbers (n, h, w), or None."""
    if given is None:
        return None
    labels = array(op, name, given)
    n, h, w = shape
    if scores and labels.ndim == 4 and labels.shape == (n, max(2, labels.shape[1]), h, w):
        targets.refuse_nan(op, labels)
        return labels.argmax(axis=1)
    if labels.shape not in ((n, h, w), (n, 1, h, w)):
        also = f", or scores ({n}, classes, {h}, {w})" if scores else ""
        raise ValueError(
            f"{op}: {name} has shape {labels.shape}, expected class numbers {shape}, one for each "
            f"pixel of the images{also}"
        )
    wrong = ~((labels >= 0) & (labels < MOST_CLASSES) & (labels == np.floor(labels)))
    if wrong.any():
        raise ValueError(
            f"{op}: {name} holds {labels[wrong][0]:g}, expected class numbers from 0 to "
            f"{MOST_CLASSES - 1}"
        )
    return labels.astype(np.int64).reshape(shape)


def _colour(label: int, background: int | None) -> str:
    """The background is pale; the other classes have the usual colours in turn."""
    if background is None:
        return colour_of(label)
    return _PALE if label == background else colour_of(label - (label > background))


def _colours(labels: np.ndarray, background: int | None) -> np.ndarray:
    """A mask (h, w) as an image (h, w, 3)."""
    from matplotlib.colors import to_rgb

    found, place = np.unique(labels, return_inverse=True)
    table = np.array([to_rgb(_colour(int(label), background)) for label in found])
    return table[place.reshape(labels.shape)]


def _legend(figure: Any, labels: np.ndarray, names: Names, background: int | None) -> None:
    """A legend of the classes that are drawn, below the panels."""
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=_colour(int(label), background),
            edgecolor=figures.SOFT,
            linewidth=0.4,
            label=figures.plain(class_name(names, int(label), 16)),
        )
        for label in labels
    ]
    width = figure.get_size_inches()[0]
    columns = min(len(handles), max(1, int(width / 1.2)))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        frameon=False,
        handlelength=1.2,
    )
