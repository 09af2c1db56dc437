"""Pictures: how a training went, what a network learnt, and what it looks at.

Every function returns the matplotlib Figure. `ax` draws on the user's own Axes instead (a picture
of several panels divides one Axes among them, or takes an array of Axes), `path` writes a file too,
whole or not at all, whose suffix decides the kind: .png, .svg, .pdf. No window is opened.

Needs matplotlib (``pip install 'cnnx[viz]'``), imported when a picture is asked for; ImportError,
with advice, where it is not installed. Interactive pictures need plotly: ``'cnnx[plotly]'``.

>>> figure = cnnx.viz.plot_history(history, "loss.png")
>>> figure = cnnx.viz.plot_filters(model)
"""

from __future__ import annotations

from .attention import grad_cam, grad_cam_map, saliency, saliency_map
from .boundary import plot_decision_boundary
from .diagram import plot_model
from .history import plot_history
from .images import plot_feature_maps, plot_filters, plot_images
from .scores import plot_confusion_matrix, plot_probabilities

__all__ = [
    "grad_cam",
    "grad_cam_map",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_feature_maps",
    "plot_filters",
    "plot_history",
    "plot_images",
    "plot_model",
    "plot_probabilities",
    "saliency",
    "saliency_map",
]
