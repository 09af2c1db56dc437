"""`Layer`, the base of layers in the dialect `network`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import saved

__all__ = ["Layer"]


class Layer:
    """A subclass defines `forward(x)` and `backward(grad_output)`, and with parameters also
    `update_params(optimizer)` and `zero_grad()`.

    In the layers here, `PARAMETERS` lists the names of the parameter arrays; the gradient of each
    is the attribute `<name>_grad`, and accumulates until `zero_grad`.

    >>> from cnnx.compat.network import Linear
    >>> Linear(2, 3).weights_grad.shape
    (2, 3)
    """

    PARAMETERS: tuple[str, ...] = ()
    BUFFERS: tuple[str, ...] = ()
    training = True  # set_training: dropout is active, batch norm uses the batch's statistics
    evaluating = False  # NeuralNetwork.eval: neither holds, but dropout still draws its mask
    _kept: Any = None

    def forward(self, x: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def backward(self, grad_output: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no backward(grad_output)")

    def update_params(self, optimizer: Any) -> None:
        """`optimizer.update` for every parameter array, in place."""
        for name in self._learning():
            optimizer.update(getattr(self, name), getattr(self, f"{name}_grad"))

    def zero_grad(self) -> None:
        """Reset gradients to zero."""
        for name in self._learning():
            setattr(self, f"{name}_grad", np.zeros_like(getattr(self, name)))

    def set_training(self, training: bool = True) -> None:
        """Set whether dropout is active and batch norm uses the batch's statistics."""
        self.training = bool(training)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments, for a checkpoint."""
        return {}

    def _learning(self) -> list[str]:
        return [name for name in self.PARAMETERS if getattr(self, name) is not None]

    def _saved(self) -> Any:
        return saved(type(self).__name__, self._kept)
