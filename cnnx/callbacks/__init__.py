"""Callbacks of `fit`: what happens at the begin and end of training, epochs and batches."""

from __future__ import annotations

from cnnx.callbacks.base import Callback, Hooks
from cnnx.callbacks.checkpoint import Checkpoint
from cnnx.callbacks.early_stopping import EarlyStopping
from cnnx.callbacks.logs import CSVLogger, ProgressBar, TensorBoard
from cnnx.callbacks.schedule import LRScheduler

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Hooks",
    "LRScheduler",
    "ProgressBar",
    "TensorBoard",
]
