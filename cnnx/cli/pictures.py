"""The pictures of a run: its curves, what the model learnt, and what it takes for what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx.data import Dataset
from cnnx.history import History
from cnnx.inference import predict_labels
from cnnx.layers import Layer

__all__ = ["CURVES", "PICTURES", "draw"]

CURVES = "loss.png"
PICTURES = (CURVES, "filters.png", "feature_maps.png", "probabilities.png", "confusion.png")


def draw(
    history: History,
    path: Callable[[str], str],
    model: Layer | None = None,
    test: Dataset | None = None,
    classes: tuple[str, ...] = (),
) -> None:
    """Write the curves and, where there is a model with its test set, the other pictures.

    path  the place of a file by its name. ImportError, with advice, without matplotlib.
    """
    from cnnx import viz

    viz.plot_history(history, path(CURVES))
    if model is None or test is None:
        return
    labels = predict_labels(model, test)
    viz.plot_filters(model, path=path("filters.png"))
    viz.plot_feature_maps(model, test.x[0], path=path("feature_maps.png"))
    viz.plot_confusion_matrix(labels, test.y, classes=classes, path=path("confusion.png"))
    if test.x.shape[1] in (1, 3):  # others can not be shown as images
        chosen = test[_worth_a_look(labels, test.y)]
        viz.plot_probabilities(
            model, chosen.x, chosen.y, classes=classes, path=path("probabilities.png")
        )


def _worth_a_look(labels: np.ndarray, right: np.ndarray, count: int = 6) -> Any:
    """Numbers of a few samples: half of them wrong if there are as many, wrong ones first."""
    wrong = np.flatnonzero(labels != right)[: count // 2]
    return np.concatenate([wrong, np.flatnonzero(labels == right)])[:count]
