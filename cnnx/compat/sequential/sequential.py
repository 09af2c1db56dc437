"""`Sequential`, the model of the dialect `sequential`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    """A sequence of layers with the loss and the optimiser that train them: `layers`, `loss_func`,
    `optimizer`.

    A training step: y_pred = model(x); model.zero_grad(); model.backward(y_pred, y);
    model.optimize()

    >>> from cnnx.compat.sequential import MSE, Linear, Optimizer
    >>> Sequential([Linear(2, 1)], MSE(), Optimizer(lr=0.1))([[1.0, 2.0]]).shape
    (1, 1)
    """

    def __init__(self, layers: Iterable[Any], loss_func: Any, optimizer: Any) -> None:
        self.layers = list(layers)
        self.loss_func = loss_func
        self.optimizer = optimizer

    def forward(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, y_pred: Any, y_true: Any) -> Any:  # type: ignore[override]  # as in the dialect
        """The loss's gradient through all layers; returns the input's gradient."""
        gradient = self.loss_func.backward(y_pred, y_true)
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient

    def optimize(self) -> None:
        """`optimizer.update_params` for every layer with weights, from the first to the last."""
        for layer in self.layers:
            if hasattr(layer, "weights"):
                self.optimizer.update_params(layer)

    def zero_grad(self) -> None:
        """Reset the gradients of all layers with weights to zeros."""
        for layer in self.layers:
            if hasattr(layer, "weights"):
                layer.zero_grad()

    def calculate_loss(self, output: Any, target: Any) -> float:
        """The mean loss."""
        return self.loss_func.calculate(output, target)
