"""What a model takes for what: the confusion matrix."""

# Design:
# Work follows the samples and the paper, never the numbers on the labels. Few classes have a row
# each, whether they occur or not, and their counts as text. Of many, those that occur are drawn;
# and where they are more than the paper has dots for, neighbours share a cell.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnnx import metrics

from . import figures
from .arguments import Names, array, class_name, class_names
from .images import Path

__all__ = ["plot_confusion_matrix"]

ALL_DRAWN = 40  # classes, all of which are drawn: the more, the more of an empty picture
CELLS = 1000  # on a side: 14 inches are 2,100 dots, of which the matrix gets two thirds
WITH_COUNTS = 30  # cells on a side, into which a number fits
WORDS = 100  # names on a side, small ones


class _Matrix(NamedTuple):
    counts: np.ndarray
    classes: np.ndarray  # the first class of each row
    a_cell: int  # classes that share a row
    drawn: int
    known: int


def plot_confusion_matrix(
    pred: Any,
    target: Any,
    *,
    classes: Any = None,
    threshold: float | None = None,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """How often a class (row) was taken for another (column): counts, shaded by their row's share.

    pred, target, threshold  scores or predicted classes, and right ones: as in `cnnx.accuracy`
    classes  names of the classes, in the order of their numbers

    Up to 40 classes are all drawn, with their counts up to 30. Of more, those that occur in pred
    or target; beyond 1,000 of these, neighbours share a row. The title says so.

    returns  the matplotlib Figure; ValueError as in `cnnx.metrics.confusion_matrix`, TypeError for
    what is no array, and for classes that are no names

    >>> figure = cnnx.viz.plot_confusion_matrix(cnnx.predict(model, test.x), test.y)
    """
    op = "plot_confusion_matrix"
    names = class_names(op, classes)
    advice = f"expected scores or classes: {op}(cnnx.predict(model, test.x), test.y)"
    for name, given in (("pred", pred), ("target", target)):
        array(op, name, given, advice)
    said, right, known = metrics.class_pairs(op, pred, target, len(names) or None, threshold)
    matrix = _matrix(said, right, known)
    k = len(matrix.counts)
    share = matrix.counts / np.maximum(matrix.counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.6, 0.42 * k + 1.6), 14)
    axes = figures.one_panel(op, ax, side + 0.7, side)
    from matplotlib.colors import PowerNorm  # behind the advice for who has no matplotlib

    # Where no count is written, a rare mistake must be seen by its colour.
    scale = PowerNorm(1 if k <= WITH_COUNTS else 0.5, vmin=0, vmax=100)
    drawn = axes.imshow(100 * share, cmap="Blues", norm=scale)
    if k <= WITH_COUNTS:
        _write_counts(axes, matrix.counts, share)
    _name_rows(axes, matrix, names)
    for spine in axes.spines.values():
        spine.set_color(figures.GRID)
    figures.label_axes(axes, "Predicted", "True")
    if k > WITH_COUNTS:
        # A name of one row among many points at it.
        axes.tick_params(length=2, labelsize=9 if k <= 50 else 6.5)
    figures.title(axes, _title(matrix, int(np.sum(said == right)), len(right)), 11)
    if ax is None:
        figures.colour_bar(drawn, [axes], "share of the true class (%)")
    return figures.finish(op, axes, path)


def _matrix(said: np.ndarray, right: np.ndarray, known: int) -> _Matrix:
    """Counts of the classes to draw."""
    said, right = said.astype(np.int64), right.astype(np.int64)
    few = known <= ALL_DRAWN
    occurring = np.arange(known) if few else np.unique(np.concatenate([said, right]))
    a_cell = -(-len(occurring) // CELLS)
    rows, columns = (np.searchsorted(occurring, labels) // a_cell for labels in (right, said))
    first = occurring[::a_cell]
    counts = metrics.confusion_matrix(columns, rows, classes=len(first))
    return _Matrix(counts, first, a_cell, len(occurring), known)


def _write_counts(axes: Any, counts: np.ndarray, share: np.ndarray) -> None:
    size = 9 if len(counts) <= 12 else 6.5
    for i, j in np.argwhere(counts):
        colour = "white" if share[i, j] > 0.55 else figures.INK
        axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=size, color=colour)


def _name_rows(axes: Any, matrix: _Matrix, names: Names) -> None:
    """The names of rows and columns; of many, every second, fifth or tenth."""
    k = len(matrix.counts)
    places = range(0, k, next(step for step in (1, 2, 5, 10) if k <= WORDS * step))
    words = [figures.plain(class_name(names, int(matrix.classes[i]), 24)) for i in places]
    turn: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(places, words, **(turn if max(map(len, words)) > 3 else {}))
    axes.set_yticks(places, words)


def _title(matrix: _Matrix, right: int, n: int) -> str:
    text = f"{right} of {n} right ({100 * right / n:.1f} %)"
    if matrix.drawn < matrix.known:
        text += f", {matrix.drawn:,} of {matrix.known:,} classes"
    return text + (f", {matrix.a_cell} classes a cell" if matrix.a_cell > 1 else "")
