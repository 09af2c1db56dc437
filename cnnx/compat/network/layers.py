"""All layers of the dialect `network`; a star import includes activations and losses, as in the old
programs."""

# ruff: noqa: F403 (the imported modules define what they export)

from __future__ import annotations

from . import activation_layers, activations, loss, normalization, shaping, weighted
from .activation_layers import *
from .activations import *
from .base import Layer
from .containers import CNN
from .loss import *
from .loss import SoftmaxCrossEntropyLoss
from .normalization import *
from .shaping import *
from .weighted import *

__all__ = ["CNN", "Layer", "SoftmaxCrossEntropyLoss"]
for _module in (activation_layers, activations, loss, normalization, shaping, weighted):
    __all__ += [name for name in _module.__all__ if name not in __all__]
