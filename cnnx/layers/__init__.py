"""The layers: state, `forward` and `backward`. The computation is in `cnnx.ops`."""

from __future__ import annotations

from cnnx.layers import activation, curves
from cnnx.layers.activation import *
from cnnx.layers.base import Layer
from cnnx.layers.concat import Concat
from cnnx.layers.containers import Identity, Sequential
from cnnx.layers.conv import Conv2D, ConvTranspose2D
from cnnx.layers.curves import *
from cnnx.layers.dropout import Dropout, Dropout2D
from cnnx.layers.embedding import Embedding
from cnnx.layers.files import load
from cnnx.layers.group_norm import GroupNorm, LayerNorm
from cnnx.layers.instance_norm import InstanceNorm2D
from cnnx.layers.linear import Linear
from cnnx.layers.merge import Add, Multiply
from cnnx.layers.norm import BatchNorm1D, BatchNorm2D
from cnnx.layers.pad import ZeroPad2D
from cnnx.layers.parameter import Parameter
from cnnx.layers.pool import AdaptiveAvgPool2D, AvgPool2D, GlobalAvgPool2D, MaxPool2D
from cnnx.layers.prelu import PReLU
from cnnx.layers.resample import Upsample
from cnnx.layers.reshape import Flatten, Reshape
from cnnx.layers.residual import Residual
from cnnx.layers.response_norm import LocalResponseNorm
from cnnx.layers.run import grad_enabled, no_grad, run_mode
from cnnx.layers.signals import (
    AdaptiveAvgPool1D,
    AvgPool1D,
    Conv1D,
    ConvTranspose1D,
    GlobalAvgPool1D,
    MaxPool1D,
    ZeroPad1D,
)
from cnnx.layers.summary import Summary

__all__ = [
    "AdaptiveAvgPool1D",
    "AdaptiveAvgPool2D",
    "Add",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm1D",
    "BatchNorm2D",
    "Concat",
    "Conv1D",
    "Conv2D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "Dropout",
    "Dropout2D",
    "Embedding",
    "Flatten",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GroupNorm",
    "Identity",
    "InstanceNorm2D",
    "Layer",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "MaxPool1D",
    "MaxPool2D",
    "Multiply",
    "PReLU",
    "Parameter",
    "Reshape",
    "Residual",
    "Sequential",
    "Summary",
    "Upsample",
    "ZeroPad1D",
    "ZeroPad2D",
    "grad_enabled",
    "load",
    "no_grad",
    "run_mode",
]
__all__ += activation.__all__ + curves.__all__
