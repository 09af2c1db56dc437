"""The pictures of a run: loss curves, what the model learnt, and which classes it confuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnnx.cli.data import Parts
from cnnx.data.sources import take
from cnnx.history import History
from cnnx.inference import predict, predict_labels
from cnnx.layers import Conv2D, Layer

__all__ = ["CURVES", "PICTURES", "plan"]

CURVES, FILTERS, MAPS = "loss.png", "filters.png", "feature_maps.png"
PROBABILITIES, CONFUSION, BOUNDARY, FIT = (
    "probabilities.png",
    "confusion.png",
    "boundary.png",
    "fit.png",
)
PICTURES = (CURVES, FILTERS, MAPS, PROBABILITIES, CONFUSION, BOUNDARY, FIT)
_POINTS = 1000  # maximum number shown: more would hide each other


def plan(
    history: History,
    path: Callable[[str], str],
    model: Layer | None = None,
    parts: Parts | None = None,
) -> Iterator[tuple[str, Callable[[], object]]]:
    """(file name, drawing function) of the curves and of each picture for this model and data.

    path  maps a file name to its path. ImportError, with advice, without matplotlib.
    """
    from cnnx import viz

    yield CURVES, lambda: viz.plot_history(history, path(CURVES))
    if model is None or parts is None:
        return
    if any(isinstance(layer, Conv2D) for layer in model.modules()):
        yield FILTERS, lambda: viz.plot_filters(model, path=path(FILTERS))
        sample, _ = parts.test[0]
        yield MAPS, lambda: viz.plot_feature_maps(model, sample, path=path(MAPS))
    if parts.regression:
        if parts.sample_shape == (1,) and parts.outputs == 1:
            yield FIT, lambda: _plot_fit(model, parts, path(FIT))
    else:
        yield from _plan_classes(model, parts, path)


def _plan_classes(
    model: Layer, parts: Parts, path: Callable[[str], str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Pictures of a classifier: probabilities, confusion matrix, decision boundary."""
    from cnnx import viz

    test, classes = parts.test, parts.classes
    labels = predict_labels(model, test)
    yield (
        CONFUSION,
        lambda: viz.plot_confusion_matrix(labels, test.y, classes=classes, path=path(CONFUSION)),
    )
    if parts.sample_shape == (2,):
        shown = parts.train[:_POINTS]
        yield (
            BOUNDARY,
            lambda: viz.plot_decision_boundary(model, shown, classes=classes, path=path(BOUNDARY)),
        )
    if len(parts.sample_shape) == 3 and parts.sample_shape[0] in (1, 3):  # images can be shown
        x, y = take(test, _worth_a_look(labels, test.y))
        yield (
            PROBABILITIES,
            lambda: viz.plot_probabilities(model, x, y, classes=classes, path=path(PROBABILITIES)),
        )


def _plot_fit(model: Layer, parts: Parts, path: str) -> None:
    """The curve of a model with one input and output, over the training and the test points."""
    from cnnx.viz import figures

    axes = figures.new_figure(5.4, 4.0).subplots()
    sides = (("training", parts.train, figures.BLUE), ("test", parts.test, figures.ORANGE))
    for name, points, colour in sides:
        shown = points[:_POINTS]
        axes.scatter(shown.x[:, 0], shown.y[:, 0], s=12, color=colour, alpha=0.7, label=name)
    x = np.concatenate([part[:].x for part in parts])
    grid = np.linspace(x.min(), x.max(), 400, dtype=np.float32)
    y = predict(model, grid[:, None])[:, 0]
    axes.plot(grid, y, color=figures.INK, linewidth=1.8, label="model")
    figures.label_axes(axes, "x0", "y0")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(figures.GRID)
    axes.legend(fontsize=9, frameon=False)
    figures.finish("plot_fit", axes, path)


def _worth_a_look(labels: np.ndarray, right: np.ndarray, count: int = 6) -> Any:
    """Indices of a few samples: half of them wrong if there are enough, wrong ones first."""
    wrong = np.flatnonzero(labels != right)[: count // 2]
    return np.concatenate([wrong, np.flatnonzero(labels == right)])[:count]
