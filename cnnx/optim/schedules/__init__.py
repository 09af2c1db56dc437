"""Schedules: learning rates, and momentum, that change during training.

Constructing a schedule sets the first learning rate; each `step` sets the next one. Curves,
arguments and defaults are those of ``torch.optim.lr_scheduler``.

>>> optimizer = cnnx.SGD(model.parameters(), lr=0.1)
>>> schedule = cnnx.optim.schedules.CosineAnnealingLR(optimizer, T_max=20)
>>> history = cnnx.fit(model, train, epochs=20, optimizer=optimizer, schedule=schedule)
"""

from __future__ import annotations

from cnnx.optim.schedules.base import Schedule
from cnnx.optim.schedules.chained import ChainedScheduler, SequentialLR
from cnnx.optim.schedules.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from cnnx.optim.schedules.decay import ExponentialLR, LinearWarmup, MultiStepLR, StepLR
from cnnx.optim.schedules.one_cycle import OneCycleLR
from cnnx.optim.schedules.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LinearWarmup",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
]
