"""The confusion matrix: which classes a model confuses."""

# Design:
# The work depends on the number of samples and the size of the plot, never on the label numbers. If
# there are few classes, each has a row, whether it occurs or not, and counts are written as text.
# If there are many, only those that occur are drawn; if these exceed the resolution, neighbouring
# classes share a cell.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnnx import metrics

from . import figures
from .arguments import Names, array, class_name, class_names
from .images import Path

__all__ = ["plot_confusion_matrix"]

ALL_DRAWN = 40  # up to this number all classes are drawn; more would leave the plot mostly empty
CELLS = 1000  # per side: 14 inches are 2,100 dots, two thirds of which are the matrix
WITH_COUNTS = 30  # cells per side into which a number fits
WORDS = 100  # names per side, in a small font


class _Matrix(NamedTuple):
    counts: np.ndarray
    classes: np.ndarray  # the first class of each row
    a_cell: int  # number of classes that share a row
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
    """How often each class (row) was predicted as each other (column): counts, shaded by row share.

    pred, target, threshold  scores or predicted classes, and true ones: as in `cnnx.accuracy`
    classes  names of the classes, in the order of their numbers

    Up to 40 classes are all drawn, and up to 30 with their counts. Of more classes, those that
    occur in pred or target are drawn; if these exceed 1,000, neighbours share a row, as the title
    states.

    returns  the matplotlib Figure; ValueError as in `cnnx.metrics.confusion_matrix`, TypeError for
    arguments that are not arrays, and for classes that are not names

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
    from matplotlib.colors import PowerNorm  # after the advice for a missing matplotlib

    # Without counts, the colour must make a rare confusion visible.
    scale = PowerNorm(1 if k <= WITH_COUNTS else 0.5, vmin=0, vmax=100)
    drawn = axes.imshow(100 * share, cmap="Blues", norm=scale)
    if k <= WITH_COUNTS:
        _write_counts(axes, matrix.counts, share)
    _name_rows(axes, matrix, names)
    for spine in axes.spines.values():
        spine.set_color(figures.GRID)
    figures.label_axes(axes, "Predicted", "True")
    if k > WITH_COUNTS:
        # If one name stands for many rows, a tick points to its row.
        axes.tick_params(length=2, labelsize=9 if k <= 50 else 6.5)
    figures.title(axes, _title(matrix, int(np.sum(said == right)), len(right)), 11)
    if ax is None:
        figures.colour_bar(drawn, [axes], "share of the true class (%)")
    return figures.finish(op, axes, path)


def _matrix(said: np.ndarray, right: np.ndarray, known: int) -> _Matrix:
    """Counts of the classes that are drawn."""
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
    """Names of rows and columns; if there are many, of every second, fifth or tenth."""
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
