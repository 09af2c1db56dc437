"""The curves of a training run."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnx.history import History

from . import figures

__all__ = ["plot_history"]

DRAWN = ("epoch", "loss", "val_loss", "accuracy", "val_accuracy")


def plot_history(
    history: History | Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    ax: Any = None,
) -> Any:
    """Curves of loss and accuracy over the epochs, for training and validation.

    history  the return value of `fit`, or a mapping with columns epoch, loss and, optionally,
             accuracy, val_loss and val_accuracy; also a history read by `History.from_csv`
    path     a file to write, completely or not at all: .png, .svg, .pdf (selected by the suffix)
    ax       a matplotlib Axes for the loss, or a pair of them for loss and accuracy, to draw on;
             None creates a figure

    returns  the matplotlib Figure

    ValueError for a history without epochs or without a loss, and for a suffix that matplotlib
    cannot write; ImportError, with advice, if matplotlib is not installed.

    >>> figure = cnnx.viz.plot_history(history, "loss.png")
    """
    op = "plot_history"
    columns = _columns(history)
    with_accuracy = "accuracy" in columns or "val_accuracy" in columns
    if ax is None:
        figure = figures.new_figure(9.6 if with_accuracy else 5.2, 3.8)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = list(figure.subplots(1, 2 if with_accuracy else 1, squeeze=False)[0])
    else:
        several = isinstance(ax, (Sequence, np.ndarray)) and not isinstance(ax, str)
        axes = [figures.an_axes(op, one) for one in (ax if several else [ax])]
        if not axes:
            raise ValueError(f"{op}: ax holds 0 Axes, expected one or two")
    _draw(axes[0], columns, "loss", "Loss")
    if with_accuracy and len(axes) > 1:
        _draw(axes[1], columns, "accuracy", "Accuracy")
    return figures.finish(op, axes[0], path)


def _columns(history: Any) -> dict[str, list[float]]:
    """The columns to draw, as floats, all of the same length; they include a loss."""
    if isinstance(history, (str, os.PathLike)):
        raise TypeError(
            f"plot_history: history is a path, {os.fspath(history)!r}: read it first, with "
            "cnnx.History.from_csv(path)"
        )
    if not hasattr(history, "keys"):
        what = "None" if history is None else f"a {type(history).__name__}"
        raise TypeError(
            f"plot_history: history is {what}, expected what fit returned, History(rows), or a "
            "mapping of columns such as {'loss': [1.5, 0.7]}"
        )
    columns: dict[str, list[float]] = {}
    for name in (name for name in history.keys() if name in DRAWN):  # noqa: SIM118
        values = history[name]
        try:
            columns[name] = [float(value) for value in values]
        except (TypeError, ValueError):
            raise ValueError(
                f"plot_history: column {name!r} is {reprlib.repr(values)}, expected a number for "
                "each epoch"
            ) from None
        first = next(iter(columns))
        if len(columns[name]) != len(columns[first]):
            raise ValueError(
                f"plot_history: column {name!r} has {len(columns[name])} numbers, but column "
                f"{first!r} has {len(columns[first])}"
            )
    if not columns.get("loss"):
        known = ", ".join(map(repr, history.keys()))
        raise ValueError(
            f"plot_history: history has no loss to draw, expected a column 'loss': it has {known}"
            if known
            else "plot_history: history has 0 epochs, expected at least one"
        )
    return columns


def _draw(axes: Any, columns: dict[str, list[float]], name: str, title: str) -> None:
    """One quantity: a curve for training, one for validation, each labelled with its last value."""
    from matplotlib.ticker import MaxNLocator

    percent = name == "accuracy"
    lines = [
        (name, "training", figures.BLUE, "o"),
        (f"val_{name}", "validation", figures.ORANGE, "s"),
    ]
    for column, label, colour, mark in lines:
        if column not in columns:
            continue
        y = [100 * value if percent else value for value in columns[column]]
        x = columns.get("epoch", [float(i + 1) for i in range(len(y))])
        # Markers show the epochs as long as there is room between them.
        style = {"marker": mark, "markersize": 4.5} if len(y) <= 30 else {}
        last = f"{y[-1]:.1f} %" if percent else f"{y[-1]:.3g}"
        axes.plot(x, y, color=colour, linewidth=1.8, label=f"{label} {last}", **style)
    figures.title(axes, title)
    figures.label_axes(axes, "Epoch", "Accuracy (%)" if percent else "Loss")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.grid(color=figures.GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(figures.GRID)
    if not percent:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    legend = axes.legend(loc="lower right" if percent else "upper right", fontsize=9)
    legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.85)
    for text in legend.get_texts():
        text.set_color(figures.INK)
