"""Pictures: how a training went, what a network learnt, and what it looks at.

Every function returns the matplotlib Figure. `ax` draws on the user's own Axes instead (a picture
of several panels divides one Axes among them, or takes an array of Axes), `path` writes a file too,
whole or not at all, whose suffix decides the kind: .png, .svg, .pdf. No window is opened.

Needs matplotlib (``pip install 'cnnx[viz]'``), imported when a picture is asked for; ImportError,
with advice, where it is not installed. Interactive pictures need plotly: ``'cnnx[plotly]'``.
A notebook shows the figure that a cell ends with.

In the examples, `model` was trained on the digits, `history` tells how, and `test` is a Dataset:

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
    "plot_masks",
    "plot_model",
    "plot_probabilities",
    "saliency",
    "saliency_map",
]
