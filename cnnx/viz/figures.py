"""Colours, figures and panels shared by all plots."""

# Design:
# Figures are created from matplotlib.figure.Figure, not with pyplot: no display is needed, the
# user's matplotlib backend does not change, and a figure is freed with its last reference.
# Notebooks register figure display when pyplot is imported, so our figures provide it themselves.
# The two main hues are distinguishable for colour-blind readers and in grey print, and each has its
# own marker.
# A plot asks for n panels and draws on them; this is the only module that decides whether they
# belong to a new figure, to a part of the user's Axes, or to Axes that the user created.

from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from cnnx import io

from .fonts import make_legible

MOST_PANELS = 2000
BLUE, ORANGE = "#2a6fbb", "#d9680f"
INK, SOFT, GRID = "#26282b", "#6b7077", "#e4e6e9"
# Okabe and Ito, "Color Universal Design", 2008: distinguishable for nearly all readers.
CLASSES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e6b800", "#56b4e9", "#7f3f00", "#5b5f66")


def new_figure(width: float, height: float) -> Any:
    """An empty figure, with its size in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures are drawn with matplotlib: pip install 'cnnx[viz]'") from error
    figure: Any = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    figure._repr_png_ = partial(_png, figure)  # IPython calls this on any object
    return figure


def _png(figure: Any) -> bytes:
    """The figure for a screen, where the 150 dots per inch used in files would be too many."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def one_panel(op: str, ax: Any, width: float, height: float) -> Any:
    """The given Axes, or the only one of a new figure."""
    return new_figure(width, height).subplots() if ax is None else an_axes(op, ax)


def an_axes(op: str, ax: Any) -> Any:
    """The given Axes. TypeError for anything else, such as a Figure."""
    if not hasattr(ax, "set_xticks"):
        raise TypeError(
            f"{op}: ax is a {type(ax).__name__}, expected a matplotlib Axes: ax=figure.subplots()"
        )
    return ax


def fits(op: str, count: int) -> None:
    """ValueError for too many panels, each of which takes 20 ms or more."""
    if count > MOST_PANELS:
        raise ValueError(
            f"{op}: the picture would have {count:,} panels, expected at most {MOST_PANELS:,}: "
            "draw fewer, such as test[:24]"
        )


def panels(op: str, ax: Any, rows: int, columns: int, size: tuple[float, float]) -> list[Any]:
    """rows * columns Axes, row by row; `size` is the width and height of each in a new figure."""
    fits(op, rows * columns)
    if ax is None:
        figure = new_figure(size[0] * columns + 0.3, size[1] * rows + 0.3)
        return list(figure.subplots(rows, columns, squeeze=False).ravel())
    if isinstance(ax, (Sequence, np.ndarray)):
        axes = [an_axes(op, one) for one in _flat(ax)]
        if len(axes) < rows * columns:
            raise ValueError(f"{op}: ax holds {len(axes)} Axes, expected {rows * columns}")
        return axes
    an_axes(op, ax).set_axis_off()
    gap = 0.12
    width, height = 1 / (columns + gap * (columns - 1)), 1 / (rows + gap * (rows - 1))
    return [
        ax.inset_axes(
            (
                column * width * (1 + gap),
                1 - height - row * height * (1 + gap),
                width,
                height,
            )
        )
        for row in range(rows)
        for column in range(columns)
    ]


def _flat(ax: Any) -> list[Any]:
    """The elements of lists or arrays of any depth."""
    if isinstance(ax, (list, tuple, np.ndarray)) and np.ndim(ax):
        return [one for part in ax for one in _flat(part)]
    return [ax]


def grid_shape(count: int, columns: int | None) -> tuple[int, int]:
    """(rows, columns) for this many panels: a little wider than high, with a full last row if
    possible.
    """
    if columns is None:
        wide = np.sqrt(count * 1.3)
        near = range(int(np.ceil(np.sqrt(count))), int(2 * wide) + 1)
        columns = min(near, key=lambda c: (-count % c > 0, abs(c - wide)))
    columns = min(columns, count)
    return -(-count // columns), columns


def title(axes: Any, text: str, size: float = 12) -> None:
    """Title above the panel, at the left."""
    axes.set_title(text, loc="left", fontsize=size, fontweight="bold", color=INK)


def plain(text: str) -> str:
    """Text that matplotlib draws literally: a dollar sign starts no formula."""
    return text.replace("$", r"\$")


def quiet(axes: Any) -> None:
    """Remove frame and ticks, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def label_axes(axes: Any, x: str, y: str) -> None:
    """Label the axes, with small grey tick labels."""
    axes.set_xlabel(x, fontsize=10, color=SOFT)
    axes.set_ylabel(y, fontsize=10, color=SOFT)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)


def colour_bar(drawn: Any, axes: list[Any], label: str) -> None:
    """A colour scale to the right of the panels of one figure."""
    figure = axes[0].figure
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85, aspect=30, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=SOFT, labelsize=8, length=0)
    bar.set_label(label, fontsize=9, color=SOFT)


def finish(op: str, axes: Any, path: str | os.PathLike[str] | None) -> Any:
    """The figure that the Axes belong to; writes it to `path` if given."""
    figure = axes.get_figure(root=True)
    from matplotlib.text import Text

    boxes = make_legible(figure.findobj(Text))
    if boxes:
        warnings.warn(
            f"{op}: no font of this machine has the letters {reprlib.repr(boxes)}, which are drawn "
            "as boxes: install one, such as Noto Sans CJK",
            stacklevel=3,
        )
    if path is not None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                f"{op}: path is a {type(path).__name__}, expected the name of a file: 'a.png'"
            )
        suffix = os.path.splitext(os.fspath(path))[1].removeprefix(".").lower()
        known = figure.canvas.get_supported_filetypes()
        if suffix not in known:
            raise ValueError(
                f"{op}: {os.fspath(path)!r} ends in none of the suffixes that can be written: "
                f"{', '.join(sorted(known))}"
            )
        with io.atomic_write(path) as file, warnings.catch_warnings():
            if boxes:
                warnings.filterwarnings("ignore", "Glyph .* missing from")  # reported above
            figure.savefig(file, format=suffix)
    return figure
