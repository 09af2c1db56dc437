"""The validated API: one function per op, which checks its arguments and calls the current backend.

Used by cnnx's layers, and available for layers of your own. Every function accepts float32 or
float64 arrays (the same dtype for all arrays of a call; any strides, any byte order, read-only ones
too) and returns new C-contiguous arrays that belong to the caller. All errors are raised here,
before any work.

# Design:
# A package with one file per family, not one file: with their docstrings the functions are about
# 1,000 lines. The files are named as those in backends/reference and csrc: conv.py, pool.py, ...
# contain the same ops.
# A family is imported with the first of its ops (later.py). Where an op has the name of its file,
# the attribute of this package is the op, whoever imports the file: `_Package` sees to it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..backends.names import FAMILIES
from ..later import find

if TYPE_CHECKING:
    from .activation import (
        hardsigmoid,
        hardsigmoid_backward,
        hardswish,
        hardswish_backward,
        leaky_relu,
        leaky_relu_backward,
        log_softmax,
        log_softmax_backward,
        relu,
        relu6,
        relu6_backward,
        relu_backward,
        sigmoid,
        sigmoid_backward,
        softmax,
        softmax_backward,
        tanh,
        tanh_backward,
    )
    from .adaptive_pool import (
        adaptive_avg_pool2d,
        adaptive_avg_pool2d_backward,
        global_avg_pool2d,
        global_avg_pool2d_backward,
    )
    from .add import add
    from .binary import binary
    from .concat import concat, split
    from .conv import (
        col2im,
        conv2d,
        conv2d_backward,
        conv_transpose2d,
        conv_transpose2d_backward,
        im2col,
    )
    from .curves import (
        elu,
        elu_backward,
        gelu,
        gelu_backward,
        mish,
        mish_backward,
        silu,
        silu_backward,
        softplus,
        softplus_backward,
    )
    from .dropout import dropout, dropout_backward
    from .embedding import embedding, embedding_backward
    from .group_norm import group_norm, group_norm_backward, layer_norm, layer_norm_backward
    from .linear import linear, linear_backward
    from .loss import (
        bce,
        bce_with_logits,
        binary_focal,
        cross_entropy,
        focal,
        huber,
        l1,
        mse,
        nll,
        smooth_l1,
    )
    from .lstm import lstm
    from .multiply import multiply, multiply_backward
    from .norm import batch_norm, batch_norm_backward
    from .optim import (
        adagrad_step,
        adam_step,
        ema_step,
        nadam_step,
        rmsprop_step,
        sgd_step,
    )
    from .pad import pad, zero_pad2d
    from .pool import (
        avg_pool2d,
        avg_pool2d_backward,
        max_pool2d,
        max_pool2d_backward,
        relu_max_pool2d,
        relu_max_pool2d_backward,
    )
    from .prelu import prelu, prelu_backward
    from .reduce import reduce
    from .resample import interpolate, interpolate_backward
    from .response_norm import local_response_norm, local_response_norm_backward
    from .unary import unary

__all__ = [
    "adagrad_step",
    "adam_step",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "bce",
    "bce_with_logits",
    "binary",
    "binary_focal",
    "col2im",
    "concat",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "cross_entropy",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "ema_step",
    "embedding",
    "embedding_backward",
    "focal",
    "gelu",
    "gelu_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "huber",
    "im2col",
    "interpolate",
    "interpolate_backward",
    "l1",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "lstm",
    "max_pool2d",
    "max_pool2d_backward",
    "mish",
    "mish_backward",
    "mse",
    "multiply",
    "multiply_backward",
    "nadam_step",
    "nll",
    "pad",
    "prelu",
    "prelu_backward",
    "reduce",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "relu_max_pool2d",
    "relu_max_pool2d_backward",
    "rmsprop_step",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "smooth_l1",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "split",
    "tanh",
    "tanh_backward",
    "unary",
    "zero_pad2d",
]

_WHERE = {op: family for family, ops in FAMILIES.items() for op in ops}


class _Package(ModuleType):
    """This package: an imported file does not become an attribute if an op has its name."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return find(__name__, _WHERE, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WHERE and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
