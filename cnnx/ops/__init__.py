"""The gate: one function per op. It checks, normalises, and calls the backend that is in use.

For people who bring their own layers, and for cnnx's own. Every function takes float32 or float64
arrays (one dtype a call; any strides, any byte order, read-only ones too) and returns fresh
C-contiguous arrays that belong to the caller. Every error is raised here, before any work.

# Design:
# A package with one file per family, not one file: with their docstrings the functions are about
# 1,000 lines.
# The files have the names of those in backends/reference and csrc: conv.py, pool.py, ... hold the
# same ops.
"""

from .activation import (
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
from .add import add
from .conv import (
    col2im,
    conv2d,
    conv2d_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
    im2col,
)
from .dropout import dropout, dropout_backward
from .linear import linear, linear_backward
from .loss import bce, bce_with_logits, cross_entropy, mse
from .norm import batch_norm, batch_norm_backward
from .optim import adagrad_step, adam_step, rmsprop_step, sgd_step
from .pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    relu_max_pool2d,
    relu_max_pool2d_backward,
)

__all__ = [
    "adagrad_step",
    "adam_step",
    "add",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "bce",
    "bce_with_logits",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "cross_entropy",
    "dropout",
    "dropout_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "im2col",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mse",
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
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]
