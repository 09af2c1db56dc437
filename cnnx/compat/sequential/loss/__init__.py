"""Losses of the dialect `sequential`: predictions first, targets second."""

from __future__ import annotations

from .cross_entropy_loss import CrossEntropyLoss
from .loss_func import Loss
from .mse import MSE

__all__ = ["MSE", "CrossEntropyLoss", "Loss"]
