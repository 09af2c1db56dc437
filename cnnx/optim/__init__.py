"""Optimisers: update rules for parameters.

In a training step: ``optimizer.zero_grad()``, then forward, loss and backward, then
``optimizer.step()``.
"""

from __future__ import annotations

from cnnx.optim import schedules
from cnnx.optim.base import Optimizer
from cnnx.optim.clip import clip_grad_norm, clip_grad_value
from cnnx.optim.methods import SGD, Adagrad, Adam, RMSProp

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "Optimizer",
    "RMSProp",
    "clip_grad_norm",
    "clip_grad_value",
    "schedules",
]
