"""Plots of the dialect `sequential`, in a window if there is a display."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .... import viz
from ....data import synthetic
from ....layers import run_mode

__all__ = [
    "generate_spiral_data",
    "plot_spiral_data_decision_boundary",
    "plot_training_metrics",
]

COLOURS = "brg"


def generate_spiral_data(N: int, D: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """A spiral of K arms with N points each: X (N*K, D) and y, uint8; `cnnx.data.make_spiral` with
    noise 0.2, drawn from np.random. If matplotlib is installed, the points are shown.

    >>> X, y = generate_spiral_data(100, 2, 3)
    >>> X.shape, y.shape, y.dtype
    ((300, 2), (300,), dtype('uint8'))
    """
    if D != 2:
        raise ValueError(f"generate_spiral_data: D={D}, but a spiral has 2 dimensions")
    X, y = synthetic.spiral_points(N, K, 0.2, np.random)
    try:
        figure, (axes,) = _subplots(1)
    except ImportError:  # data without a plot is better than none
        return X, y.astype(np.uint8)
    axes.scatter(X[:, 0], X[:, 1], c=y, cmap=COLOURS)
    axes.set(title="Spiral Data", xlabel="X_1", ylabel="X_2")
    _shown(figure, keep=False)
    return X, y.astype(np.uint8)


def plot_training_metrics(
    train_losses: Sequence[float],
    train_accuracies: Sequence[float],
    val_losses: Sequence[float],
    val_accuracies: Sequence[float],
    title: str = "",
    xticks: Sequence[int] | None = None,
) -> Any:
    """Curves of loss and accuracy; returns the figure.

    title  prefix of "Cross Entropy Loss" and "Classification Accuracy"
    xticks epochs to mark

    Example: ``plot_training_metrics(*train_val(model, X, y, X_val, y_val), title="Spiral")``
    """
    figure, axes = _subplots(2)
    history = {
        "epoch": list(range(1, len(train_losses) + 1)),
        "loss": train_losses,
        "accuracy": train_accuracies,
        "val_loss": val_losses,
        "val_accuracy": val_accuracies,
    }
    viz.plot_history(history, ax=axes)
    for panel, what in zip(axes, ("Cross Entropy Loss", "Classification Accuracy")):
        panel.set_title(f"{title} {what}".strip())
        if xticks is not None:
            panel.set_xticks(list(xticks))
    return _shown(figure)


def plot_spiral_data_decision_boundary(model: Any, title: str = "") -> Any:
    """The predicted class of every point between -1 and 1; returns the figure.

    Example: ``plot_spiral_data_decision_boundary(model, title="after 100 epochs")``
    """
    figure, (axes,) = _subplots(1)
    line = np.arange(-1, 1, 0.01)
    x, y = np.meshgrid(line, line)
    with run_mode(training=False):
        classes = np.argmax(model.forward(np.c_[x.ravel(), y.ravel()]), axis=1)
    axes.contourf(x, y, classes.reshape(x.shape), cmap=COLOURS)
    axes.set(title=title, aspect="equal", xlim=(-1, 1), ylim=(-1, 1), xlabel="X_1", ylabel="X_2")
    return _shown(figure)


def _subplots(count: int) -> tuple[Any, list[Any]]:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("pictures are drawn with matplotlib: pip install 'cnnx[cli]'") from error
    figure, axes = pyplot.subplots(
        1, count, figsize=(4.8 * count, 3.8), layout="constrained", squeeze=False
    )
    return figure, list(axes[0])


def _shown(figure: Any, keep: bool = True) -> Any:
    """The figure, after it was shown in a window; closed afterwards unless `keep`."""
    from matplotlib import pyplot

    with warnings.catch_warnings():  # without a display there is no window, which is fine
        warnings.filterwarnings("ignore", message=".*non-interactive.*")
        pyplot.show()
    if not keep and not pyplot.isinteractive():
        pyplot.close(figure)
    return figure
