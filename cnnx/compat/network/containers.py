"""`NeuralNetwork` of the dialect `network`."""

from __future__ import annotations

from typing import Any

from .base import Layer

__all__ = ["CNN", "NeuralNetwork"]


class NeuralNetwork:
    """Layers in a row. `layers` is the list of them, `training` the mode.

    >>> NeuralNetwork().forward([1.0])
    [1.0]
    """

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.training = True

    def add_layer(self, layer: Any) -> None:
        """Put a layer at the end: one of these, or one's own with `forward`, `backward`,
        `update_params` and `zero_grad`."""
        self.layers.append(layer)

    def forward(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad_output: Any) -> Any:
        """Add up the gradients of all layers; returns the input's."""
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output

    def update_params(self, optimizer: Any) -> None:
        """`update_params(optimizer)` of every layer, one's own too."""
        for layer in self.layers:
            layer.update_params(optimizer)

    def zero_grad(self) -> None:
        """Gradients start from zero again."""
        for layer in self.layers:
            layer.zero_grad()

    def train(self) -> None:
        """Dropout drops, batch norm takes the batch's statistics; see `Layer.set_training`."""
        self._set_training(True)

    def eval(self) -> None:
        """Dropout passes everything on, batch norm takes its running statistics."""
        self._set_training(False)

    def _set_training(self, training: bool) -> None:
        self.training = training
        for layer in self.layers:
            if isinstance(layer, Layer):
                layer.evaluating = not training


class CNN(NeuralNetwork):
    """Another name of `NeuralNetwork`.

    >>> CNN().training
    True
    """
