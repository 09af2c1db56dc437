"""Training loops and splits of the dialect `sequential`; the plots are in `pictures`."""

# Design:
# Random numbers are drawn as in the old programs: a permutation for every pass over data, including
# validation and test, and dropout masks there, which are not applied (dropout.py).

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ....layers import run_mode
from .pictures import (
    generate_spiral_data,
    plot_spiral_data_decision_boundary,
    plot_training_metrics,
)

__all__ = [
    "batch_generator",
    "epoch_loop",
    "generate_spiral_data",
    "plot_spiral_data_decision_boundary",
    "plot_training_metrics",
    "test",
    "train_val",
    "train_val_test_split",
]

Metrics = tuple[list[float], list[float], list[float], list[float]]


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

    returns  train_losses, train_accuracies (means over the epoch's samples), val_losses,
             val_accuracies: lists with one number per epoch

    Example: ``metrics = train_val(model, X_train, y_train, X_val, y_val, epochs=20)``
    """
    metrics: Metrics = ([], [], [], [])
    for epoch in range(epochs):
        trained = epoch_loop(model, X_train, y_train, True, batch_size)
        validated = epoch_loop(model, X_val, y_val, False, batch_size)
        for values, value in zip(metrics, (*trained, *validated)):
            values.append(value)
        if verbose_freq and (epoch + 1) % verbose_freq == 0:
            print(
                f"Epoch {epoch + 1}, Train Loss: {trained[0]:4f}, Train Accuracy: {trained[1]:4f}, "
                f"Val Loss: {validated[0]:4f}, Val Accuracy: {validated[1]:4f}"
            )
    return metrics


def test(model: Any, X_test: Any, y_test: Any) -> tuple[float, float]:
    """Loss and accuracy over all samples, without dropout, also printed; y: class indices or
    one-hot rows.

    Example: ``loss, accuracy = test(model, X_test, y_test)``
    """
    loss, accuracy = epoch_loop(model, X_test, y_test, train=False)
    print(f"Test Loss: {loss:4f}, Test Accuracy: {accuracy:4f}")
    return loss, accuracy


def epoch_loop(
    model: Any, X: Any, y: Any, train: bool = True, batch_size: int = 32
) -> tuple[float, float]:
    """One pass over the samples: mean loss and accuracy. With train=False no weight changes, and
    dropout is inactive.

    y  class indices, (n,) or (n, 1), or one-hot rows

    Example: ``loss, accuracy = epoch_loop(model, X_val, y_val, train=False)``
    """
    X, y = _samples("epoch_loop", X, y)
    loss, right = 0.0, 0
    with run_mode(training=None if train else False):
        for features, target in batch_generator(X, y, batch_size):
            if target.ndim == 2 and target.shape[1] == 1:
                target = target.reshape(-1)
            model.zero_grad()
            output = model.forward(features)
            loss += model.calculate_loss(output, target) * len(features)
            if train:
                model.backward(output, target)
                model.optimize()
            labels = target if target.ndim == 1 else target.argmax(axis=1)
            right += int((output.argmax(axis=1) == labels).sum())
    return loss / len(X), right / len(X)


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
    X: Any, y: Any, train_pct: float = 0.7, val_pct: float = 0.15, test_pct: float = 0.15
) -> tuple[np.ndarray, ...]:
    """X_train, X_val, X_test, y_train, y_val, y_test, in the order of np.random.permutation.

    Training and validation get their fractions, rounded down to whole samples, test gets the rest.
    ValueError for fractions that do not sum to 1.

    >>> [len(part) for part in train_val_test_split(np.zeros(20), np.zeros(20))]
    [14, 3, 3, 14, 3, 3]
    """
    X, y = _samples("train_val_test_split", X, y)
    shares = train_pct, val_pct, test_pct
    if min(shares) < 0 or not np.isclose(sum(shares), 1.0):
        raise ValueError(
            f"train_val_test_split: {train_pct} + {val_pct} + {test_pct} is {sum(shares):g}, not 1"
        )
    order = np.random.permutation(len(X))
    train_end = int(train_pct * len(X))
    ends = [train_end, train_end + int(val_pct * len(X))]
    return tuple(array[part] for array in (X, y) for part in np.split(order, ends))


def _samples(where: str, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    X, y = np.asarray(X), np.asarray(y)
    if len(X) != len(y) or not len(X):
        raise ValueError(
            f"{where}: X has {len(X)} samples and y {len(y)}, expected as many, and one or more"
        )
    return X, y
