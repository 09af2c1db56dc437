"""`NeuralNetwork` of the dialect `network`."""

from __future__ import annotations

from typing import Any

from .base import Layer

__all__ = ["CNN", "NeuralNetwork"]


class NeuralNetwork:
    """A sequence of layers. `layers` is the list of them, `training` the mode.

    >>> NeuralNetwork().forward([1.0])
    [1.0]
    """

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.training = True

    def add_layer(self, layer: Any) -> None:
        """Append a layer: one of these, or a user-defined one with `forward`, `backward`,
        `update_params` and `zero_grad`."""
        self.layers.append(layer)

    def forward(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad_output: Any) -> Any:
        """Accumulate the gradients of all layers; returns the input's gradient."""
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output

    def update_params(self, optimizer: Any) -> None:
        """`update_params(optimizer)` of every layer, including user-defined ones."""
        for layer in self.layers:
            layer.update_params(optimizer)

    def zero_grad(self) -> None:
        """Reset gradients to zero."""
        for layer in self.layers:
            layer.zero_grad()

    def train(self) -> None:
        """Dropout is active, batch norm uses the batch's statistics; see `Layer.set_training`."""
        self._set_training(True)

    def eval(self) -> None:
        """Dropout is inactive, batch norm uses its running statistics."""
        self._set_training(False)

    def _set_training(self, training: bool) -> None:
        self.training = training
        for layer in self.layers:
            if isinstance(layer, Layer):
                layer.evaluating = not training


class CNN(NeuralNetwork):
    """An alias of `NeuralNetwork`.

    >>> CNN().training
    True
    """
