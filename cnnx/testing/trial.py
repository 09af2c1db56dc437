"""`Trial`: a copy of a model that is trained on one batch."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from cnnx.graph.steps import call_backward
from cnnx.inference import call_model
from cnnx.layers import Dropout, Dropout2D, Layer
from cnnx.optim import Adam, Optimizer

__all__ = ["Trial", "size_of"]


class Trial:
    """A copy of a model and of its optimiser, and one batch.

    start      the copy before training: in train mode, dropout off
    model      the copy that `train` trains, by `optimizer`
    losses     the loss before each step, and at the end
    gradients  the largest root mean square of each parameter's gradients; None if it had none
    """

    def __init__(
        self, model: Layer, optimizer: Optimizer | None, loss: Any, x: Any, y: Any
    ) -> None:
        self.loss, self.x, self.y = loss, x, y
        self.start, stepper = copy.deepcopy((model, optimizer))
        if not self.start.training:
            self.start.train()
        for layer in self.start.modules():
            if isinstance(layer, (Dropout, Dropout2D)):
                layer.eval()
        self.model, copied = copy.deepcopy((self.start, stepper))
        self.optimizer = Adam(self.model.parameters()) if copied is None else copied
        self.losses: list[float] = []
        self.gradients: dict[str, float | None] = {
            name: None for name, _ in self.model.named_parameters()
        }

    def outputs(self, model: Layer) -> Any:
        """What a copy of the model makes of x."""
        return call_model(model, self.x)

    def loss_of(self, model: Layer) -> float:
        """The loss of a copy of the model."""
        return float(self.loss(self.outputs(model), self.y))

    def backward(self, model: Layer) -> dict[str, np.ndarray | None]:
        """Backward after `loss_of`: the gradient of each parameter."""
        model.zero_grad()
        call_backward(model, self.loss.backward(), need_dx=False)
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    def train(self, steps: int, goal: float) -> None:
        """At most so many steps, until the loss is at most `goal` or not finite."""
        for step in range(steps + 1):
            self.losses.append(self.loss_of(self.model))
            loss = self.losses[-1]
            if step == steps or loss <= goal or not math.isfinite(loss):
                return
            for name, gradient in self.backward(self.model).items():
                if gradient is not None:
                    self.gradients[name] = max(self.gradients[name] or 0.0, size_of(gradient))
            self.optimizer.step()


def size_of(array: np.ndarray) -> float:
    """The root mean square; 0 without elements."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0
