"""`Layer`, the base of layers in the dialect `network`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import saved

__all__ = ["Layer"]


class Layer:
    """A subclass has `forward(x)` and `backward(grad_output)`; one that learns also its own
    `update_params(optimizer)` and `zero_grad()`.

    Of the layers here `PARAMETERS` names the arrays that learn; the gradient of each is the
    attribute `<name>_grad`, and adds up until `zero_grad`.

    >>> from cnnx.compat.network import Linear
    >>> Linear(2, 3).weights_grad.shape
    (2, 3)
    """

    PARAMETERS: tuple[str, ...] = ()
    BUFFERS: tuple[str, ...] = ()
    training = True  # set_training: dropout drops, batch norm takes the batch's statistics
    evaluating = False  # NeuralNetwork.eval: they do not, and dropout draws all the same
    _kept: Any = None

    def forward(self, x: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def backward(self, grad_output: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no backward(grad_output)")

    def update_params(self, optimizer: Any) -> None:
        """`optimizer.update` of every array that learns, in place."""
        for name in self._learning():
            optimizer.update(getattr(self, name), getattr(self, f"{name}_grad"))

    def zero_grad(self) -> None:
        """Gradients start from zero again."""
        for name in self._learning():
            setattr(self, f"{name}_grad", np.zeros_like(getattr(self, name)))

    def set_training(self, training: bool = True) -> None:
        """Whether dropout drops and batch norm takes the batch's statistics."""
        self.training = bool(training)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments, for a checkpoint."""
        return {}

    def _learning(self) -> list[str]:
        return [name for name in self.PARAMETERS if getattr(self, name) is not None]

    def _saved(self) -> Any:
        return saved(type(self).__name__, self._kept)
