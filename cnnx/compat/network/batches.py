"""Batches and gradient clipping for training loops of the dialect `network`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import floats

__all__ = ["batch_iterator", "clip_gradients"]


def clip_gradients(gradients: Any, max_norm: float) -> np.ndarray:
    """One array, divided by norm / (max_norm + 1e-15) where that is above 1.

    >>> clip_gradients([3.0, 4.0], 1.0).round(3).tolist()
    [0.6, 0.8]
    """
    g = floats("clip_gradients", gradients)
    excess = np.sqrt(np.sum(g**2)) / (max_norm + 1e-15)
    return g / excess if excess > 1 else g


def batch_iterator(
    X: Any, y: Any, batch_size: int = 32, shuffle: bool = True
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches (X, y), shuffled by np.random.shuffle.

    >>> [len(x) for x, _ in batch_iterator(np.zeros(5), np.zeros(5), 2)]
    [2, 2, 1]
    """
    X, y = np.asarray(X), np.asarray(y)
    if len(X) != len(y) or batch_size < 1:
        raise ValueError(
            f"batch_iterator: X has {len(X)} samples, y {len(y)}, batch_size is {batch_size}"
        )
    order = np.arange(len(X))
    if shuffle:
        np.random.shuffle(order)
    for start in range(0, len(X), batch_size):
        chosen = order[start : start + batch_size]
        yield X[chosen], y[chosen]
