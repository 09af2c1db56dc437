"""`NeuralNetwork`, and with a star import all layers."""

# ruff: noqa: F403 (the modules behind this door say what they export)

from __future__ import annotations

from . import layers
from .containers import NeuralNetwork
from .layers import *

__all__ = ["NeuralNetwork", *layers.__all__]
