"""Transforms of batches of images, for augmentation and for preparing validation data.

    >>> import numpy as np
    >>> from cnnx.data.transforms import Compose, RandomCrop, RandomHorizontalFlip
    >>> augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])
    >>> augment(np.zeros((8, 3, 32, 32), np.float32), seed=0).shape
    (8, 3, 32, 32)

A transform is a function `(x, y, rng) -> (x, y)` of a whole batch, each sample of which draws its
own numbers from `rng`. Names, arguments and defaults are those of torchvision's `transforms.v2`.
"""

from __future__ import annotations

from .affine import RandomAffine, RandomRotation
from .base import Compose, Transform
from .color import ColorJitter
from .crop import CenterCrop, RandomCrop
from .erasing import RandomErasing
from .flip import RandomFlip, RandomHorizontalFlip, RandomVerticalFlip
from .mixing import CutMix, MixUp
from .randaugment import RandAugment
from .resize import Resize
from .standard import Normalize

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "CutMix",
    "MixUp",
    "Normalize",
    "RandAugment",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "Transform",
]
