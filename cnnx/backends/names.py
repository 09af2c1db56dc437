"""The names of all ops, by family: the file of `cnnx.ops` that has them."""

from __future__ import annotations

__all__ = ["FAMILIES", "OP_NAMES"]

FAMILIES: dict[str, tuple[str, ...]] = {
    "activation": (
        *("hardsigmoid", "hardsigmoid_backward", "hardswish", "hardswish_backward"),
        *("leaky_relu", "leaky_relu_backward", "log_softmax", "log_softmax_backward"),
        *("relu", "relu_backward", "relu6", "relu6_backward", "sigmoid", "sigmoid_backward"),
        *("softmax", "softmax_backward", "tanh", "tanh_backward"),
    ),
    "adaptive_pool": (
        *("adaptive_avg_pool2d", "adaptive_avg_pool2d_backward"),
        *("global_avg_pool2d", "global_avg_pool2d_backward"),
    ),
    "add": ("add",),
    "binary": ("binary",),
    "concat": ("concat", "split"),
    "conv": (
        *("col2im", "conv2d", "conv2d_backward", "conv_transpose2d", "conv_transpose2d_backward"),
        "im2col",
    ),
    "curves": (
        *("elu", "elu_backward", "gelu", "gelu_backward", "mish", "mish_backward"),
        *("silu", "silu_backward", "softplus", "softplus_backward"),
    ),
    "dropout": ("dropout", "dropout_backward"),
    "embedding": ("embedding", "embedding_backward"),
    "group_norm": ("group_norm", "group_norm_backward", "layer_norm", "layer_norm_backward"),
    "linear": ("linear", "linear_backward"),
    "loss": (
        *("bce", "bce_with_logits", "binary_focal", "cross_entropy", "focal", "huber", "l1"),
        *("mse", "nll", "smooth_l1"),
    ),
    "lstm": ("lstm",),
    "multiply": ("multiply", "multiply_backward"),
    "norm": ("batch_norm", "batch_norm_backward"),
    "optim": (
        *("adagrad_step", "adam_step", "ema_step", "nadam_step", "rmsprop_step", "sgd_step"),
    ),
    "pad": ("pad", "zero_pad2d"),
    "pool": (
        *("avg_pool2d", "avg_pool2d_backward", "max_pool2d", "max_pool2d_backward"),
        *("relu_max_pool2d", "relu_max_pool2d_backward"),
    ),
    "prelu": ("prelu", "prelu_backward"),
    "reduce": ("reduce",),
    "resample": ("interpolate", "interpolate_backward"),
    "response_norm": ("local_response_norm", "local_response_norm_backward"),
    "unary": ("unary",),
}
OP_NAMES: tuple[str, ...] = tuple(sorted(op for ops in FAMILIES.values() for op in ops))
