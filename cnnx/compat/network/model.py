"""`NeuralNetwork` of the dialect `network`, and what its training loops use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import floats

__all__ = ["CNN", "NeuralNetwork", "batch_iterator", "clip_gradients"]


class NeuralNetwork:
    """Layers in a row. `layers` is the list of them, `training` the mode.

    >>> NeuralNetwork().forward([1.0])
    [1.0]
    """

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.training = True

    def add_layer(self, layer: Any) -> None:
        """Put a layer at the end: anything with `forward` and `backward`."""
        self.layers.append(layer)

    def forward(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad: Any) -> Any:
        """Add up the gradients of all layers; returns the input's."""
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return grad

    def update_params(self, optimizer: Any) -> None:
        """`optimizer.update` of every layer that learns."""
        for layer in self.layers:
            pairs = layer.parameters() if hasattr(layer, "parameters") else []
            if pairs:
                optimizer.update([p for p, _ in pairs], [g for _, g in pairs])

    def zero_grad(self) -> None:
        """Gradients start from zero again."""
        for layer in self.layers:
            if hasattr(layer, "zero_grad"):
                layer.zero_grad()

    def train(self) -> None:
        """Dropout drops, batch norm takes the batch's statistics."""
        self._set_training(True)

    def eval(self) -> None:
        """Dropout passes everything on, batch norm takes its running statistics."""
        self._set_training(False)

    def _set_training(self, training: bool) -> None:
        self.training = training
        for layer in self.layers:
            if hasattr(layer, "set_training"):
                layer.set_training(training)


class CNN(NeuralNetwork):
    """Another name of `NeuralNetwork`.

    >>> CNN().training
    True
    """


def clip_gradients(gradients: Any, max_norm: float) -> np.ndarray:
    """One array, scaled down to the norm max_norm where it is longer.

    >>> clip_gradients([3.0, 4.0], 1.0).round(3).tolist()
    [0.6, 0.8]
    """
    g = floats("clip_gradients", gradients)
    norm = float(np.linalg.norm(g))
    return g * (max_norm / norm) if norm > max_norm else g


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
