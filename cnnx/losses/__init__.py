"""Losses: the error of a prediction (a float), and its gradient.

In a training step: ``loss = loss_fn(model(x), y)``, then ``model.backward(loss_fn.backward())``.
"""

from __future__ import annotations

from cnnx.losses.base import Loss
from cnnx.losses.binary import BCELoss, BCEWithLogitsLoss
from cnnx.losses.classification import CrossEntropyLoss, NLLLoss
from cnnx.losses.focal import FocalLoss
from cnnx.losses.regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from cnnx.losses.segmentation import DiceLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]
