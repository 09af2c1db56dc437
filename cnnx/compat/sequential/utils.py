"""Training, splits and pictures of the dialect `sequential`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ... import viz
from ...data import synthetic
from ...layers import Layer, run_mode

__all__ = [
    "batch_generator",
    "generate_spiral_data",
    "plot_spiral_data_decision_boundary",
    "plot_training_metrics",
    "test",
    "train_val",
    "train_val_test_split",
]

Metrics = tuple[list[float], list[float], list[float], list[float]]
EVALUATED = 1024  # samples of a forward in evaluation: it draws nothing, so batches change nothing


def train_val(
    model: Any,
    X_train: Any,
    y_train: Any,
    X_val: Any,
    y_val: Any,
    epochs: int = 100,
    batch_size: int = 32,
    verbose_freq: int = 1,
) -> Metrics:
    """Train, validate after each epoch (without dropout), print every verbose_freq epochs.

    returns  train_losses, train_accuracies (means over the epoch's batches), val_losses,
             val_accuracies: lists of one number an epoch

    Example: ``metrics = train_val(model, X_train, y_train, X_val, y_val, epochs=20)``
    """
    metrics: Metrics = ([], [], [], [])
    for epoch in range(epochs):
        losses, accuracies = [], []
        for x, y in batch_generator(X_train, y_train, batch_size):
            y_pred = model.forward(x)
            losses.append(model.calculate_loss(y_pred, y))
            accuracies.append(_accuracy(y_pred, y))
            model.zero_grad()
            model.backward(y_pred, y)
            model.optimize()
        epoch_metrics = (float(np.mean(losses)), float(np.mean(accuracies)))
        for values, value in zip(metrics, (*epoch_metrics, *test(model, X_val, y_val))):
            values.append(value)
        if verbose_freq and (epoch + 1) % verbose_freq == 0:
            last = [values[-1] for values in metrics]
            print(
                f"Epoch {epoch + 1}/{epochs}, train loss: {last[0]:.4f}, train accuracy: "
                f"{last[1]:.4f}, val loss: {last[2]:.4f}, val accuracy: {last[3]:.4f}"
            )
    return metrics


def test(model: Any, X: Any, y: Any) -> tuple[float, float]:
    """Loss and accuracy of all samples, without dropout; y class indices or one-hot rows.

    Example: ``loss, accuracy = test(model, X_test, y_test)``
    """
    X, y = _samples("test", X, y)
    with run_mode(training=False):
        parts = [model.forward(X[i : i + EVALUATED]) for i in range(0, len(X), EVALUATED)]
    y_pred = np.concatenate(parts)
    return float(model.calculate_loss(y_pred, y)), _accuracy(y_pred, y)


def _accuracy(y_pred: np.ndarray, y: np.ndarray) -> float:
    labels = y if y.ndim == 1 else y.argmax(axis=1)
    return float(np.mean(y_pred.argmax(axis=1) == labels))


def _samples(where: str, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    X, y = np.asarray(X), np.asarray(y)
    if len(X) != len(y) or not len(X):
        raise ValueError(
            f"{where}: X has {len(X)} samples and y {len(y)}, expected as many, and one or more"
        )
    return X, y


def batch_generator(
    X: Any, y: Any, batch_size: int = 32
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches (X, y) in the order of np.random.permutation.

    >>> [len(x) for x, _ in batch_generator(np.zeros(5), np.zeros(5), 2)]
    [2, 2, 1]
    """
    X, y = _samples("batch_generator", X, y)
    order = np.random.permutation(len(X))
    for start in range(0, len(X), batch_size):
        chosen = order[start : start + batch_size]
        yield X[chosen], y[chosen]


def train_val_test_split(
    X: Any,
    y: Any,
    train_ratio: float = 0.7,
    val_ratio: float = 0.15,
    test_ratio: float = 0.15,
) -> tuple[np.ndarray, ...]:
    """X_train, y_train, X_val, y_val, X_test, y_test, in the order of np.random.permutation.

    ValueError for ratios that do not add up to 1.

    >>> [len(part) for part in train_val_test_split(np.zeros(20), np.zeros(20))]
    [14, 14, 3, 3, 3, 3]
    """
    X, y = _samples("train_val_test_split", X, y)
    total = train_ratio + val_ratio + test_ratio
    if min(train_ratio, val_ratio, test_ratio) < 0 or abs(total - 1) > 1e-6:
        raise ValueError(
            f"train_val_test_split: {train_ratio} + {val_ratio} + {test_ratio} is {total:g}, not 1"
        )
    order = np.random.permutation(len(X))
    first = round(len(X) * train_ratio)
    second = first + round(len(X) * val_ratio)
    parts = order[:first], order[first:second], order[second:]
    return tuple(array[part] for part in parts for array in (X, y))


def generate_spiral_data(N: int, D: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """A spiral of K arms with N points each: X (N*K, D) and y; `cnnx.data.make_spiral` with noise
    0.2, drawn from np.random.

    >>> X, y = generate_spiral_data(100, 2, 3)
    >>> X.shape, y.shape
    ((300, 2), (300,))
    """
    if D != 2:
        raise ValueError(f"generate_spiral_data: D={D}, but a spiral lies in 2 dimensions")
    return synthetic.spiral_points(N, K, 0.2, np.random)


def plot_training_metrics(
    train_losses: Sequence[float],
    train_accuracies: Sequence[float],
    val_losses: Sequence[float],
    val_accuracies: Sequence[float],
) -> Any:
    """Curves of loss and accuracy, in a window where there is a display; returns the figure.

    Example: ``plot_training_metrics(*train_val(model, X, y, X_val, y_val))``
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
    return _shown(figure)


def plot_spiral_data_decision_boundary(model: Any, title: str = "") -> Any:
    """What class the model gives every point of the plane, over a spiral of as many arms, in a
    window where there is a display; returns the figure. Nothing is drawn from np.random.

    Example: ``plot_spiral_data_decision_boundary(model, title="after 100 epochs")``
    """
    with run_mode(training=False):
        classes = model.forward(np.zeros((1, 2))).shape[1]
        X, y = synthetic.spiral_points(100, classes, 0.2, np.random.RandomState(0))
        figure, (axes,) = _subplots(1)
        viz.plot_decision_boundary(_Scores(model), X, y, ax=axes)
    axes.set(title=title, aspect="equal")
    return _shown(figure)


class _Scores(Layer):
    """A model of the dialect, to be looked at as a layer."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def forward(self, x: Any) -> Any:
        return self.model.forward(x)


def _subplots(count: int) -> tuple[Any, list[Any]]:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("pictures are drawn with matplotlib: pip install 'cnnx[cli]'") from error
    figure, axes = pyplot.subplots(
        1, count, figsize=(4.8 * count, 3.8), layout="constrained", squeeze=False
    )
    return figure, list(axes[0])


def _shown(figure: Any) -> Any:
    from matplotlib import pyplot

    with warnings.catch_warnings():  # without a display there is no window, and no harm
        warnings.filterwarnings("ignore", message=".*non-interactive.*")
        pyplot.show()
    return figure
