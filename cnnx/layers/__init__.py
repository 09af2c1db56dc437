"""The layers: state, `forward` and `backward`. The computation is in `cnnx.ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx.later import find, places

if TYPE_CHECKING:
    from cnnx.layers.activation import (
        Activation,
        Hardsigmoid,
        Hardswish,
        LeakyReLU,
        LogSoftmax,
        ReLU,
        ReLU6,
        Sigmoid,
        Softmax,
        Tanh,
    )
    from cnnx.layers.base import Layer
    from cnnx.layers.concat import Concat
    from cnnx.layers.containers import Identity, Sequential
    from cnnx.layers.conv import Conv2D, ConvTranspose2D
    from cnnx.layers.curves import (
        ELU,
        GELU,
        Mish,
        SiLU,
        Softplus,
    )
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
    "ELU",
    "GELU",
    "Activation",
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
    "Hardsigmoid",
    "Hardswish",
    "Identity",
    "InstanceNorm2D",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MaxPool1D",
    "MaxPool2D",
    "Mish",
    "Multiply",
    "PReLU",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "Upsample",
    "ZeroPad1D",
    "ZeroPad2D",
    "grad_enabled",
    "load",
    "no_grad",
    "run_mode",
]

_WHERE = places(
    {
        "activation": (
            "Activation Hardsigmoid Hardswish LeakyReLU LogSoftmax ReLU ReLU6 Sigmoid Softmax Tanh"
        ),
        "base": "Layer",
        "concat": "Concat",
        "containers": "Identity Sequential",
        "conv": "Conv2D ConvTranspose2D",
        "curves": "ELU GELU Mish SiLU Softplus",
        "dropout": "Dropout Dropout2D",
        "embedding": "Embedding",
        "files": "load",
        "group_norm": "GroupNorm LayerNorm",
        "instance_norm": "InstanceNorm2D",
        "linear": "Linear",
        "merge": "Add Multiply",
        "norm": "BatchNorm1D BatchNorm2D",
        "pad": "ZeroPad2D",
        "parameter": "Parameter",
        "pool": "AdaptiveAvgPool2D AvgPool2D GlobalAvgPool2D MaxPool2D",
        "prelu": "PReLU",
        "resample": "Upsample",
        "reshape": "Flatten Reshape",
        "residual": "Residual",
        "response_norm": "LocalResponseNorm",
        "run": "grad_enabled no_grad run_mode",
        "signals": (
            "AdaptiveAvgPool1D AvgPool1D Conv1D ConvTranspose1D GlobalAvgPool1D MaxPool1D ZeroPad1D"
        ),
        "summary": "Summary",
    }
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The layers are imported when they are first asked for."""
        return find(__name__, _WHERE, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
