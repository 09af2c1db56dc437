"""The predictions of a model for every point of the plane."""

# Design:
# One grid of predictions is the basis of all three plots: class regions, the surface of a single
# output, and both as a web page (surface.py draws the surface).

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnx import checks
from cnnx.data import Dataset
from cnnx.inference import predict
from cnnx.layers import Layer, Sigmoid, Softmax

from . import arguments, figures, look
from .arguments import Names, class_name, class_names
from .images import Path

__all__ = ["Plane", "boundaries", "colour_of", "groups", "has_legend", "plot_decision_boundary"]

IN_LEGEND = 20  # maximum number of names: more would be higher than the plot


class Plane(NamedTuple):
    """The grid (x horizontal, y vertical), the outputs and labels on it, and the known points."""

    across: np.ndarray
    up: np.ndarray
    outputs: np.ndarray
    labels: np.ndarray
    threshold: float
    points: np.ndarray
    right: np.ndarray | None
    names: Names


def plot_decision_boundary(
    model: Layer,
    x: Any,
    y: Any = None,
    *,
    kind: str | None = None,
    threshold: float | None = None,
    classes: Any = None,
    steps: int = 200,
    interactive: str | os.PathLike[str] | None = None,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """The plane, coloured by the class that a model predicts for each point, with known points.

    x          Dataset, or points (n, 2); the plot shows the square around them, plus a margin
    y          (n,) classes of the points, or (n, 1) of 0 and 1
    kind       "regions", or "surface": the single output as height over the plane, in 3-D.
               None: a surface for a model with one output, if `ax` is None or 3-D; else regions
    threshold  the output above which a single-output model predicts class 1; None: 0.5 if the
               model ends in a Sigmoid, else 0
    classes    names of the classes, listed next to the plane if there are at most 20
    steps      grid points per side
    interactive  an .html file to write, which can be rotated and zoomed in a browser, offline;
               requires plotly (``pip install 'cnnx[plotly]'``), and no `ax` or `path`

    returns  the matplotlib Figure, or plotly's with `interactive`; ValueError for points that are
    not two-dimensional, a wrong number of labels, and a surface of several outputs

    >>> model = cnnx.Sequential(cnnx.Linear(2, 16), cnnx.Tanh(), cnnx.Linear(16, 3))
    >>> figure = cnnx.viz.plot_decision_boundary(model, cnnx.data.make_spiral(seed=0))
    """
    op = "plot_decision_boundary"
    steps = checks.integer(op, "steps", steps, least=2, most=5000)
    if kind is not None:
        checks.choice(op, "kind", kind, ("regions", "surface"))
    if interactive is not None and (ax is not None or path is not None):
        raise ValueError(f"{op}: interactive writes a page of its own: give no ax and no path")
    plane = _plane(op, model, x, y, classes, steps, threshold)
    single = plane.outputs.shape[2] == 1
    flat_axes = ax is not None and figures.an_axes(op, ax).name != "3d"
    if kind is None:
        kind = "surface" if single and not flat_axes else "regions"
    if kind == "surface" and not single:
        raise ValueError(
            f"{op}: the model has {plane.outputs.shape[2]} outputs, expected a single one for a "
            "surface: kind='regions' shows them"
        )
    if kind == "surface" and flat_axes:
        raise ValueError(f"{op}: a surface needs 3-D axes: add_subplot(projection='3d')")
    if interactive is not None:
        from .interactive import page

        return page(plane, kind, interactive)
    if kind == "surface":
        from .surface import surface

        axes = surface(plane, ax)
    else:
        axes = _regions(op, plane, ax)
    return figures.finish(op, axes, path)


def _plane(
    op: str, model: Any, x: Any, y: Any, classes: Any, steps: int, threshold: float | None
) -> Plane:
    layers = look.chain(op, model)
    look.check_one_to_one(op, layers)
    if isinstance(x, Dataset):
        y = x.y if y is None else y
        classes = x.classes if classes is None else classes
    names = class_names(op, classes)
    points = look.samples(op, x, "x").astype(np.float32, copy=False)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{op}: x has shape {points.shape}, expected points in a plane (n, 2)")
    if not np.isfinite(points).all():
        raise ValueError(f"{op}: x holds inf or NaN")
    right = None if y is None else arguments.array(op, "y", y)
    if right is not None and right.shape == (len(points), 1):
        right = right[:, 0]
    if right is not None and right.shape != (len(points),):
        raise ValueError(f"{op}: y has shape {right.shape}, expected {len(points)} classes")
    if right is not None and right.dtype.kind == "f":
        wrong = right[~np.isfinite(right) | (right != np.floor(right))]
        if len(wrong):
            raise ValueError(f"{op}: y holds {wrong[0]:g}, expected class numbers")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * np.where(high > low, high - low, 1)
    across, up = (
        np.linspace(low[i] - margin[i], high[i] + margin[i], steps, dtype=np.float32)
        for i in (0, 1)
    )
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    outputs = predict(model, grid, batch_size=4096)
    if outputs.ndim != 2 or outputs.shape[1] == 0:
        raise ValueError(f"{op}: the outputs have shape {outputs.shape}, expected (n, classes)")
    arguments.finite(op, "the outputs", outputs)
    if threshold is None:
        threshold = 0.5 if isinstance(layers[-1][1], (Sigmoid, Softmax)) else 0.0
    if outputs.shape[1] == 1:
        labels = (outputs[:, 0] >= threshold).astype(np.int64)
    else:
        labels = outputs.argmax(axis=1)
    square = (steps, steps)
    outputs, labels = outputs.reshape(*square, -1), labels.reshape(square)
    return Plane(across, up, outputs, labels, threshold, points, right, names)


def colour_of(label: int) -> str:
    """A class's colour: eight hues, repeated."""
    return figures.CLASSES[label % len(figures.CLASSES)]


def has_legend(plane: Plane) -> bool:
    """Whether the points' classes are known, and few enough to list their names."""
    return plane.right is not None and len(np.unique(plane.right)) <= IN_LEGEND


def groups(plane: Plane) -> list[tuple[str, str, np.ndarray]]:
    """(name, colour, mask of the points) for every class; per colour if there are many classes."""
    if plane.right is None:
        return [("points", figures.INK, np.ones(len(plane.points), bool))]
    if not has_legend(plane):
        hue = plane.right.astype(np.int64) % len(figures.CLASSES)
        return [("", colour_of(int(k)), hue == k) for k in np.unique(hue)]
    return [
        (class_name(plane.names, int(k)), colour_of(int(k)), plane.right == k)
        for k in np.unique(plane.right)
    ]


def _regions(op: str, plane: Plane, ax: Any) -> Any:
    from matplotlib.colors import ListedColormap

    axes = figures.one_panel(op, ax, 5.4, 4.6)
    count = int(plane.labels.max()) + 1
    palette = ListedColormap([colour_of(k) for k in range(count)])
    axes.pcolormesh(
        *(plane.across, plane.up, plane.labels),
        cmap=palette,
        vmin=-0.5,
        vmax=count - 0.5,
        alpha=0.28,
        shading="nearest",
        rasterized=True,
        linewidth=0,
    )
    for lead in boundaries(plane):
        axes.contour(*(plane.across, plane.up, lead), [0.0], colors=[figures.SOFT], linewidths=0.8)
    size = 18 if len(plane.points) > 50 else 48
    for name, colour, mask in groups(plane):
        axes.scatter(
            *plane.points[mask].T,
            s=size,
            color=colour,
            edgecolor="white",
            linewidth=0.5,
            label=figures.plain(name),
        )
    figures.label_axes(axes, "x", "y")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if has_legend(plane):
        # Next to the plane: inside it, the legend would hide points.
        axes.legend(
            title="class",
            fontsize=8,
            title_fontsize=8,
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
        )
    return axes


def boundaries(plane: Plane) -> Iterator[np.ndarray]:
    """For each class except the first, the margin by which it leads; its boundary is at 0. The
    boundary of the first class is covered by those of the others.
    """
    single = plane.outputs.shape[2] == 1
    if not single:
        # The best of the others is the overall best, or the second best where this class leads.
        second, first = np.moveaxis(np.partition(plane.outputs, -2, axis=2)[..., -2:], 2, 0)
    for k in np.unique(plane.labels)[1:]:
        if single:
            lead = plane.outputs[..., 0] - np.float32(plane.threshold)
        else:
            lead = plane.outputs[..., k] - np.where(plane.labels == k, second, first)
        if lead.min() < 0 < lead.max():
            yield lead
