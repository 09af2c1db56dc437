"""`NeuralNetwork`; a star import includes all layers."""

# ruff: noqa: F403 (the imported modules define what they export)

from __future__ import annotations

from . import layers
from .containers import NeuralNetwork
from .layers import *

__all__ = ["NeuralNetwork", *layers.__all__]
