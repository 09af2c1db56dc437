"""Plots: the course of training, what a network learnt, and which inputs it responds to.

Every function returns the matplotlib Figure. `ax` draws on existing Axes instead (a plot of several
panels divides one Axes among them, or takes an array of Axes). `path` also writes a file, whose
suffix selects the format: .png, .svg, .pdf; it is written completely or not at all. No window is
opened.

Requires matplotlib (``pip install 'cnnx[viz]'``), which is imported on first use; ImportError, with
advice, if it is not installed. Interactive plots require plotly: ``'cnnx[plotly]'``.
A notebook shows the figure if it is the last value of a cell.

In the examples, `model` was trained on the digits, with `history`, and `test` is a Dataset:

>>> train, test = cnnx.data.load_digits()
>>> model = cnnx.models.digits_cnn()
>>> history = cnnx.fit(model, train, epochs=1, verbose=False)
>>> figure = cnnx.viz.plot_history(history, "loss.png")
"""

from __future__ import annotations

from .attention import grad_cam, grad_cam_map, saliency, saliency_map
from .boundary import plot_decision_boundary
from .confusion import plot_confusion_matrix
from .diagram import plot_model
from .history import plot_history
from .images import plot_feature_maps, plot_filters, plot_images
from .masks import plot_masks
from .rates import plot_lr_find
from .scores import plot_probabilities

__all__ = [
    "grad_cam",
    "grad_cam_map",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_feature_maps",
    "plot_filters",
    "plot_history",
    "plot_images",
    "plot_lr_find",
    "plot_masks",
    "plot_model",
    "plot_probabilities",
    "saliency",
    "saliency_map",
]
