"""Optimisers of the dialect `sequential`: `update_params(layer)` updates its weights and biases."""

from __future__ import annotations

from .adam import Adam
from .optimzer import Optimizer

__all__ = ["Adam", "Optimizer"]
