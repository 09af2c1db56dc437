"""PyTorch's names: every layer and loss of cnnx that PyTorch has too, as the same classes.

To port a Sequential, change its import line, ``from torch import nn`` -> ``from cnnx import nn``;
``model.load_state_dict(torch_model.state_dict())`` copies the weights. The training loop differs:
there is no autograd, so ``model.backward(loss_fn.backward())`` replaces PyTorch's
``loss.backward()``, and your own `Module` has a `backward` in addition to its `forward`.

Arguments have PyTorch's names and defaults. One that cnnx lacks (``padding_mode=``, ``device=``) is
a TypeError; `inplace` is accepted and does not change results (see `ReLU`). A name that PyTorch has
and cnnx lacks is an AttributeError.

>>> from cnnx import nn
>>> model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
"""

from __future__ import annotations

from typing import NoReturn

from .layers import AdaptiveAvgPool1D as AdaptiveAvgPool1d
from .layers import AdaptiveAvgPool2D as AdaptiveAvgPool2d
from .layers import AvgPool1D as AvgPool1d
from .layers import AvgPool2D as AvgPool2d
from .layers import BatchNorm1D as BatchNorm1d
from .layers import BatchNorm2D as BatchNorm2d
from .layers import Conv1D as Conv1d
from .layers import Conv2D as Conv2d
from .layers import ConvTranspose1D as ConvTranspose1d
from .layers import ConvTranspose2D as ConvTranspose2d
from .layers import (
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    Parameter,
    PReLU,
    Sequential,
    Upsample,
)
from .layers import Dropout2D as Dropout2d
from .layers import InstanceNorm2D as InstanceNorm2d
from .layers import Layer as Module
from .layers import MaxPool1D as MaxPool1d
from .layers import MaxPool2D as MaxPool2d
from .layers import ZeroPad1D as ZeroPad1d
from .layers import ZeroPad2D as ZeroPad2d
from .layers import activation as _activation
from .layers import curves as _curves
from .layers.activation import *
from .layers.curves import *
from .losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "InstanceNorm2d",
    "L1Loss",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "Sequential",
    "SmoothL1Loss",
    "Upsample",
    "ZeroPad1d",
    "ZeroPad2d",
]
__all__ += _activation.__all__ + _curves.__all__
__all__.remove("Activation")  # of a user's function: PyTorch has no such layer
__all__.sort()
del Activation  # noqa: F821


def __getattr__(name: str) -> NoReturn:
    """An error that says what there is."""
    from .spelling import unknown

    elsewhere = {
        "functional": "cnnx.ops has conv2d, relu, cross_entropy, ... as functions",
        "init": "cnnx.init has kaiming_uniform, xavier_normal, ..., which return arrays",
        "utils": "cnnx has clip_grad_norm and clip_grad_value",
        "ModuleList": "a list of layers is enough, as an attribute of the module",
        "ModuleDict": "a dict of layers is enough, as an attribute of the module",
    }
    otherwise = elsewhere.get(name, f"of torch.nn it has {', '.join(__all__)}")
    raise unknown(__name__, name, __all__, otherwise)
