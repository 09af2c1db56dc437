"""Pictures: the curves of a training.

Needs matplotlib (``pip install 'cnnx[cli]'``), which is imported when a picture is asked for. No
window is opened: a figure is returned, and written to a file where a path is given.
"""

# Design:
# Figures are made from matplotlib.figure.Figure, not from pyplot: so no display is looked for, no
# backend is chosen for the user's own pictures, and a figure is freed with its last reference.
# Two hues that stay apart for colour-blind readers and in grey print, and another mark for each.

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from cnnx import io
from cnnx.history import History

__all__ = ["plot_history"]

_TRAIN, _VALIDATION = "#2a6fbb", "#d9680f"
_INK, _SOFT, _GRID = "#26282b", "#6b7077", "#e4e6e9"


def plot_history(
    history: History | Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    ax: Any = None,
) -> Any:
    """Curves of loss and accuracy over the epochs, of training and validation.

    history  what `fit` returned, or a mapping with columns epoch, loss and, where they are there,
             accuracy, val_loss and val_accuracy; a history read with `History.from_csv` too
    path     a file to write, whole or not at all: .png, .svg, .pdf (the suffix decides)
    ax       a matplotlib Axes for the loss, or a pair of them for loss and accuracy, to draw on;
             None makes a figure

    returns  the matplotlib Figure

    ValueError for a history without epochs or without a loss, and for a suffix that matplotlib does
    not write; ImportError, with advice, where matplotlib is not installed.

    Example: ``cnnx.viz.plot_history(history, "loss.png")``
    """
    columns = {name: [float(v) for v in history[name]] for name in history.keys()}  # noqa: SIM118
    if not columns.get("loss"):
        raise ValueError(
            f"plot_history: history has {len(columns)} columns and no loss in them to draw"
            if columns
            else "plot_history: history has 0 epochs, expected at least one"
        )
    figure_class = _figure_class()
    with_accuracy = "accuracy" in columns or "val_accuracy" in columns
    if ax is None:
        figure = figure_class(
            figsize=(9.6 if with_accuracy else 5.2, 3.8), dpi=150, layout="constrained"
        )
        axes = list(figure.subplots(1, 2 if with_accuracy else 1, squeeze=False)[0])
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    else:
        axes = list(ax) if isinstance(ax, Sequence) or hasattr(ax, "__len__") else [ax]
        figure = axes[0].figure
    _draw(axes[0], columns, "loss", "Loss")
    if with_accuracy and len(axes) > 1:
        _draw(axes[1], columns, "accuracy", "Accuracy")
    if path is not None:
        _save(figure, path)
    return figure


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures are drawn with matplotlib: pip install 'cnnx[cli]'") from error
    return Figure


def _draw(axes: Any, columns: dict[str, list[float]], name: str, title: str) -> None:
    """One quantity: a curve for training, one for validation, the last value beside each."""
    from matplotlib.ticker import MaxNLocator

    percent = name == "accuracy"
    lines = [(name, "training", _TRAIN, "o"), (f"val_{name}", "validation", _VALIDATION, "s")]
    for column, label, colour, mark in lines:
        if column not in columns:
            continue
        y = [100 * value if percent else value for value in columns[column]]
        x = columns.get("epoch", [float(i + 1) for i in range(len(y))])
        # Marks show the epochs while there is room between them.
        style = {"marker": mark, "markersize": 4.5} if len(y) <= 30 else {}
        last = f"{y[-1]:.1f} %" if percent else f"{y[-1]:.3g}"
        axes.plot(x, y, color=colour, linewidth=1.8, label=f"{label} {last}", **style)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=_INK)
    axes.set_xlabel("Epoch", fontsize=10, color=_SOFT)
    axes.set_ylabel("Accuracy (%)" if percent else "Loss", fontsize=10, color=_SOFT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.tick_params(colors=_SOFT, labelsize=9, length=0)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    if not percent:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    legend = axes.legend(loc="lower right" if percent else "upper right", fontsize=9)
    legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.85)
    for text in legend.get_texts():
        text.set_color(_INK)


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    suffix = os.path.splitext(os.fspath(path))[1].removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ValueError(
            f"plot_history: {os.fspath(path)!r} ends in none of the suffixes that can be written: "
            f"{', '.join(sorted(known))}"
        )
    with io.atomic_write(path) as file:
        figure.savefig(file, format=suffix)
