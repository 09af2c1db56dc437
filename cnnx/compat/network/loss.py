"""Losses of the dialect `network`; predictions come first, targets second."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import floats, saved

__all__ = [
    "cross_entropy_loss",
    "cross_entropy_loss_derivative",
    "mse_loss",
    "mse_loss_derivative",
    "np",
]

SMALLEST = 1e-15  # probabilities are clipped to SMALLEST and 1 - SMALLEST


class SoftmaxCrossEntropyLoss:
    """Mean over the rows of -log softmax(logits) at the target: class indices or one-hot rows.

    `cache` contains the probabilities and the targets.

    >>> round(SoftmaxCrossEntropyLoss()([[0.0, 0.0]], [1]), 4)
    0.6931
    """

    cache: Any = None

    def forward(self, logits: Any, targets: Any) -> float:
        probs = ops.softmax(floats("SoftmaxCrossEntropyLoss", logits), axis=1)
        self.cache = probs, np.asarray(targets)
        return cross_entropy_loss(probs, targets)

    def backward(self) -> np.ndarray:
        """(softmax(logits) - onehot) / rows."""
        return cross_entropy_loss_derivative(*saved("SoftmaxCrossEntropyLoss", self.cache))

    __call__ = forward


def mse_loss(predictions: Any, targets: Any) -> float:
    """Mean of (predictions - targets)^2 over all numbers; shapes may differ: (n, 1) and (n,) match.

    >>> mse_loss([[1.0], [3.0]], [1.0, 1.0])
    2.0
    """
    p, t = (floats("mse_loss", value).reshape(-1) for value in (predictions, targets))
    if p.shape != t.shape:
        raise ValueError(f"mse_loss: {p.size} predictions, but {t.size} targets")
    return ops.mse(p, t)[0]


def mse_loss_derivative(predictions: Any, targets: Any) -> np.ndarray:
    """2 (predictions - targets) / rows: not divided by the number of columns.

    >>> mse_loss_derivative([[3.0], [1.0]], [[1.0], [1.0]]).tolist()
    [[2.0], [0.0]]
    """
    p = floats("mse_loss_derivative", predictions)
    return 2 * (p - np.asarray(targets)) / len(p)


def cross_entropy_loss(predictions: Any, targets: Any) -> float:
    """-sum of targets * log(predictions) / rows, for probabilities and one-hot rows or class
    indices; predictions are clipped to 1e-15 and 1 - 1e-15.

    >>> round(cross_entropy_loss([[0.5, 0.5]], [1]), 4)
    0.6931
    """
    p, t = _probabilities("cross_entropy_loss", predictions, targets)
    return float(-(t * np.log(np.clip(p, SMALLEST, 1 - SMALLEST))).sum() / len(p))


def cross_entropy_loss_derivative(predictions: Any, targets: Any) -> np.ndarray:
    """(predictions - onehot) / rows: the gradient with respect to the logits before a softmax.

    >>> cross_entropy_loss_derivative([[0.5, 0.5]], [1]).tolist()
    [[0.5, -0.5]]
    """
    p, t = _probabilities("cross_entropy_loss_derivative", predictions, targets)
    return (p - t) / len(p)


def _probabilities(where: str, predictions: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as rows with one column per class."""
    p, t = floats(where, predictions), np.asarray(targets)
    if t.ndim == 1 and p.ndim == 2:
        if t.dtype.kind not in "iu" or (t.size and not (t.min() >= 0 and t.max() < p.shape[1])):
            raise ValueError(
                f"{where}: targets hold {t.dtype} from {t.min()} to {t.max()}, expected integers "
                f"from 0 to {p.shape[1] - 1}"
            )
        t = np.eye(p.shape[1])[t]
    if t.shape != p.shape:
        raise ValueError(f"{where}: predictions have shape {p.shape}, targets {np.shape(targets)}")
    return p, t
