"""Optimisers: update rules for parameters.

In a training step: ``optimizer.zero_grad()``, then forward, loss and backward, then
``optimizer.step()``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from cnnx.optim.base import Optimizer
from cnnx.optim.clip import clip_grad_norm, clip_grad_value
from cnnx.optim.ema import EMA
from cnnx.optim.methods import SGD, Adagrad, Adam, AdamW, NAdam, RMSProp

__all__ = [
    "EMA",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "NAdam",
    "Optimizer",
    "RMSProp",
    "clip_grad_norm",
    "clip_grad_value",
]


def __getattr__(name: str) -> ModuleType:
    """`schedules`, imported when it is asked for: many programs need none."""
    if name == "schedules":
        return importlib.import_module("cnnx.optim.schedules")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
