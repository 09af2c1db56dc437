"""Batches, gradient clipping and checkpoints; a star import includes layers and optimisers."""

# ruff: noqa: F403 (the imported modules define what they export)

from __future__ import annotations

from . import network, optimizers
from .batches import batch_iterator, clip_gradients
from .checkpoint import load_checkpoint, save_checkpoint
from .network import *
from .optimizers import *

__all__ = ["batch_iterator", "clip_gradients", "load_checkpoint", "save_checkpoint"]
__all__ += [*network.__all__, *(name for name in optimizers.__all__ if name != "np")]
