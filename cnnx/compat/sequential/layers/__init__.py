"""Layers of the dialect `sequential`: `weights biases`, and `dweights dbiases` from backward."""

from __future__ import annotations

from .conv2d import Conv2d
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .maxpool2d import MaxPool2d
from .relu import ReLU
from .softmax import Softmax

__all__ = ["Conv2d", "Dropout", "Flatten", "Linear", "MaxPool2d", "ReLU", "Softmax"]
