"""The ops of PyTorch's database that cnnx has: a function for each, with PyTorch's arguments.

It returns the result, and a function from its gradient to those of the arguments, by name. An op
that `cnnx.ops` gains is one more row of `OPS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx import ops

Backward = Callable[[np.ndarray], dict[str, Any]]
Op = Callable[..., tuple[Any, Backward]]


def _named(grads: Any, *names: str) -> dict[str, Any]:
    return dict(zip(names, grads, strict=False))


def _curve(name: str) -> Op:
    """An activation: its backward takes x or y, and the options of forward."""
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    keeps = list(inspect.signature(backward).parameters)[1]

    def op(x: Any, *args: Any, **options: Any) -> tuple[Any, Backward]:
        y = forward(x, *args, **options)
        kept = x if keeps == "x" else y
        return y, lambda dy: {"x": backward(dy, kept, *args, **options)}

    op.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return op


def _softmax(name: str) -> Op:
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")

    def op(x: Any, dim: int) -> tuple[Any, Backward]:
        y = forward(x, dim)
        return y, lambda dy: {"x": backward(dy, y, dim)}

    return op


def _loss(name: str) -> Op:
    """A loss: the op returns the gradient of its sum with it."""
    forward = getattr(ops, name)

    def op(x: Any, target: Any, **options: Any) -> tuple[Any, Backward]:
        value, gradient = forward(x, target, **options)
        return value, lambda dy: {"x": gradient}

    first, *others = inspect.signature(forward).parameters.values()
    op.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [first.replace(name="x"), *others]
    )
    return op


def _conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    settings = (stride, padding, dilation, groups)
    y = ops.conv2d(x, weight, bias, *settings)
    return y, lambda dy: _named(
        ops.conv2d_backward(dy, x, weight, *settings), "x", "weight", "bias"
    )


def _conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    settings = (stride, padding, output_padding, groups, dilation)
    y = ops.conv_transpose2d(x, weight, bias, *settings)
    return y, lambda dy: _named(
        ops.conv_transpose2d_backward(dy, x, weight, *settings), "x", "weight", "bias"
    )


def _linear(x, weight, bias=None):
    y = ops.linear(x, weight, bias)
    return y, lambda dy: _named(ops.linear_backward(dy, x, weight), "x", "weight", "bias")


def _avg_pool2d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    settings = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    y = ops.avg_pool2d(x, *settings)
    return y, lambda dy: {"x": ops.avg_pool2d_backward(dy, x.shape, *settings)}


def _max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    y, argmax = ops.max_pool2d(x, kernel_size, stride, padding, ceil_mode, dilation)
    return y, lambda dy: {
        "x": ops.max_pool2d_backward(
            dy, argmax, x.shape, kernel_size, stride, padding, ceil_mode, dilation=dilation
        )
    }


def _adaptive_avg_pool2d(x, output_size):
    y = ops.adaptive_avg_pool2d(x, output_size)
    return y, lambda dy: {"x": ops.adaptive_avg_pool2d_backward(dy, x.shape)}


def _batch_norm(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    y, mean, inv_std = ops.batch_norm(
        x, weight, bias, running_mean, running_var, training, momentum, eps
    )
    return y, lambda dy: _named(
        ops.batch_norm_backward(dy, x, weight, mean, inv_std, training), "x", "weight", "bias"
    )


def _group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    y, mean, inv_std = ops.group_norm(x, num_groups, weight, bias, eps)
    return y, lambda dy: _named(
        ops.group_norm_backward(dy, x, num_groups, weight, mean, inv_std), "x", "weight", "bias"
    )


def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y, mean, inv_std = ops.layer_norm(x, normalized_shape, weight, bias, eps)
    return y, lambda dy: _named(
        ops.layer_norm_backward(dy, x, normalized_shape, weight, mean, inv_std),
        "x", "weight", "bias",
    )  # fmt: skip


def _local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    y = ops.local_response_norm(x, size, alpha, beta, k)
    return y, lambda dy: {"x": ops.local_response_norm_backward(dy, x, size, alpha, beta, k)}


def _prelu(x, weight):
    y = ops.prelu(x, weight)
    return y, lambda dy: _named(ops.prelu_backward(dy, x, weight), "x", "weight")


def _embedding(x, indices, padding_idx=None):
    y = ops.embedding(indices, x)
    return y, lambda dy: {"x": ops.embedding_backward(dy, indices, len(x), padding_idx)}


def _interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    settings = (size, scale_factor, mode, align_corners)
    y = ops.interpolate(x, *settings)
    return y, lambda dy: {"x": ops.interpolate_backward(dy, x.shape, *settings)}


def _pad(x, pad, mode="constant", value=0.0):
    left, right, top, bottom = (*pad, 0, 0)[:4]
    value = value or 0.0  # cnnx pads with zeros: what is padded is the difference from the value
    y = ops.zero_pad2d(x - value, (left, right, top, bottom)) + value
    return y, lambda dy: {"x": ops.zero_pad2d(dy, (-left, -right, -top, -bottom))}


OPS: dict[str, Op] = {
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "avg_pool2d": _avg_pool2d,
    "batch_norm": _batch_norm,
    "binary_cross_entropy": _loss("bce"),
    "binary_cross_entropy_with_logits": _loss("bce_with_logits"),
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "cross_entropy": _loss("cross_entropy"),
    "elu": _curve("elu"),
    "embedding": _embedding,
    "gelu": _curve("gelu"),
    "group_norm": _group_norm,
    "hardsigmoid": _curve("hardsigmoid"),
    "hardswish": _curve("hardswish"),
    "huber_loss": _loss("huber"),
    "interpolate": _interpolate,
    "l1_loss": _loss("l1"),
    "layer_norm": _layer_norm,
    "leaky_relu": _curve("leaky_relu"),
    "linear": _linear,
    "local_response_norm": _local_response_norm,
    "log_softmax": _softmax("log_softmax"),
    "max_pool2d": _max_pool2d,
    "mish": _curve("mish"),
    "mse_loss": _loss("mse"),
    "nll_loss": _loss("nll"),
    "pad": _pad,
    "prelu": _prelu,
    "relu": _curve("relu"),
    "relu6": _curve("relu6"),
    "sigmoid": _curve("sigmoid"),
    "silu": _curve("silu"),
    "smooth_l1_loss": _loss("smooth_l1"),
    "softmax": _softmax("softmax"),
    "softplus": _curve("softplus"),
    "tanh": _curve("tanh"),
}

# Ops that cnnx calls otherwise.
RENAMED = {
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_with_logits",
    "huber_loss": "huber",
    "l1_loss": "l1",
    "mse_loss": "mse",
    "nll_loss": "nll",
    "pad": "zero_pad2d",
    "smooth_l1_loss": "smooth_l1",
}
# Ops of cnnx without a row: steps of optimisers, run through these; random; combinations that
# PyTorch does not have; plain arithmetic and copies, which its database tests by broadcasting; and
# what has no gradient here: reductions, an LSTM, borders of any axes (its "pad" is that of images).
WITHOUT_ROW = (
    "adagrad_step", "adam_step", "add", "binary", "binary_focal", "col2im", "concat", "dropout",
    "ema_step", "focal", "global_avg_pool2d", "im2col", "lstm", "multiply", "nadam_step", "pad",
    "reduce", "relu_max_pool2d", "rmsprop_step", "sgd_step", "split", "unary",
)  # fmt: skip
