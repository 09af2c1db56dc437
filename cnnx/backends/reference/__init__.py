"""The reference backend: every op in plain NumPy, written to be read. It is the specification.

`cnnx.ops` has checked and normalised all arguments: pairs are tuples of two, padding is ((top,
bottom), (left, right)), arrays are C-contiguous and of one float dtype. Called directly, a function
works in any float dtype.
"""

from . import activation, curves
from .activation import *
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
from .curves import *
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
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
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
    "ema_step",
    "embedding",
    "embedding_backward",
    "focal",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "huber",
    "im2col",
    "interpolate",
    "interpolate_backward",
    "l1",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "linear_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "lstm",
    "max_pool2d",
    "max_pool2d_backward",
    "mse",
    "multiply",
    "multiply_backward",
    "nadam_step",
    "nll",
    "pad",
    "prelu",
    "prelu_backward",
    "reduce",
    "relu_max_pool2d",
    "relu_max_pool2d_backward",
    "rmsprop_step",
    "sgd_step",
    "smooth_l1",
    "split",
    "unary",
    "zero_pad2d",
]
__all__ += activation.__all__ + curves.__all__
