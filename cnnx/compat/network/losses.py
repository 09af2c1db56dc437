"""Losses of the dialect `network`; predictions come first, targets second."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats, saved

__all__ = [
    "SoftmaxCrossEntropyLoss",
    "cross_entropy_loss",
    "cross_entropy_loss_derivative",
    "mse_loss",
    "mse_loss_derivative",
]

SMALLEST = 1e-15  # probabilities are clipped to SMALLEST and 1 - SMALLEST


class SoftmaxCrossEntropyLoss:
    """Mean over the rows of -log softmax(logits) at the target: class indices or one-hot rows.

    >>> round(SoftmaxCrossEntropyLoss()([[0.0, 0.0]], [1]), 4)
    0.6931
    """

    _gradient: Any = None

    def forward(self, logits: Any, targets: Any) -> float:
        logits, targets = floats("SoftmaxCrossEntropyLoss", logits), np.asarray(targets)
        if targets.ndim == 2:
            targets = targets.astype(float)
        loss, self._gradient = ops.cross_entropy(logits, targets)
        return loss

    def backward(self) -> np.ndarray:
        """(softmax(logits) - onehot) / rows."""
        return saved("SoftmaxCrossEntropyLoss", self._gradient)

    __call__ = forward


def mse_loss(y_pred: Any, y_true: Any) -> float:
    """Mean of (y_pred - y_true)^2 over all numbers.

    >>> mse_loss([[1.0], [3.0]], [[1.0], [1.0]])
    2.0
    """
    return ops.mse(floats("mse_loss", y_pred), floats("mse_loss", y_true))[0]


def mse_loss_derivative(y_pred: Any, y_true: Any) -> np.ndarray:
    """2 (y_pred - y_true) / rows: not divided by the number of columns.

    >>> mse_loss_derivative([[3.0], [1.0]], [[1.0], [1.0]]).tolist()
    [[2.0], [0.0]]
    """
    y_pred = floats("mse_loss_derivative", y_pred)
    return 2 * (y_pred - y_true) / len(y_pred)


def cross_entropy_loss(y_pred: Any, y_true: Any) -> float:
    """-sum of y_true * log(y_pred) / rows, for probabilities and one-hot rows or class indices.

    >>> round(cross_entropy_loss([[0.5, 0.5]], [1]), 4)
    0.6931
    """
    p, t = _probabilities("cross_entropy_loss", y_pred, y_true)
    return float(-(t * np.log(p)).sum() / len(p))


def cross_entropy_loss_derivative(y_pred: Any, y_true: Any) -> np.ndarray:
    """-y_true / y_pred / rows.

    >>> cross_entropy_loss_derivative([[0.5, 0.5]], [1]).tolist()
    [[-0.0, -2.0]]
    """
    p, t = _probabilities("cross_entropy_loss_derivative", y_pred, y_true)
    return -t / p / len(p)


def _probabilities(where: str, y_pred: Any, y_true: Any) -> tuple[np.ndarray, np.ndarray]:
    p, t = np.clip(floats(where, y_pred), SMALLEST, 1 - SMALLEST), np.asarray(y_true)
    if t.ndim == 1 and p.ndim == 2:
        t = np.eye(p.shape[1])[t]
    if t.shape != p.shape:
        raise ValueError(f"{where}: y_pred has shape {p.shape}, y_true {np.shape(y_true)}")
    return p, t
