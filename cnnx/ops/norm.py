"""Batch normalisation: batch_norm, batch_norm_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .activation import ending
from .gate import gate


def batch_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    add: Any = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise every channel, then scale and shift it.

    y = activation(weight * (x - mean) * inv_std + bias + add),  inv_std = 1 / sqrt(var + eps)

    x (n, c), (n, c, l) or (n, c, h, w); weight, bias, running_mean, running_var (c,) or None
    training      mean and var are those of the batch (var divided by the number m of values per
                  channel). The running statistics are updated in place, with the unbiased variance:
                  running = (1 - momentum) * running + momentum * batch. A batch of one value per
                  channel is an error.
    not training  mean and var are the running statistics, which must be given.
    activation    applied last: one of `ops.activation.ENDINGS`, such as "relu"; None: none
    add           same shape as x: added before the activation; None: nothing

    returns  y as x, mean (c,), inv_std (c,), which `batch_norm_backward` needs

    >>> y, mean, inv_std = ops.batch_norm(np.array([[1.0], [3.0]]), eps=0.0)
    >>> y.tolist(), mean.tolist(), inv_std.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])

    Source: Ioffe, Szegedy, Batch Normalization (2015).
    """
    op = "batch_norm"
    changed = ("running_mean", running_mean), ("running_var", running_var)
    (x, weight, bias, running_mean, running_var, add), checked = _forward(
        op, (x, weight, bias, running_mean, running_var, add), training, activation
    )
    flat, training, activation = checked
    if training:
        for name, value in changed:
            if value is not None:
                checks.in_place(op, name, value)
    momentum = checks.real(op, "momentum", momentum, 0.0, 1.0)
    eps = checks.real(op, "eps", eps, 0.0)
    add = None if add is None else add.reshape(flat)
    statistics = running_mean, running_var, training, momentum, eps
    y, mean, inv_std = backend().batch_norm(
        x.reshape(flat), weight, bias, *statistics, activation, add
    )
    return y.reshape(x.shape), mean, inv_std


@gate(
    *("x", "weight", "bias", "running_mean", "running_var", "add"),
    optional=("weight", "bias", "running_mean", "running_var", "add"),
)
def _forward(op: str, shapes: Any, training: Any, activation: Any) -> tuple[Any, ...]:
    """The shape (n, c, positions) of x, training and activation."""
    x, weight, bias, mean, var, add = shapes
    flat = _flat(op, x)
    _per_channel(op, x, weight=weight, bias=bias)
    if add is not None:
        checks.same_shape(op, "add", add, x, "the shape of x")
    training = checks.flag(op, "training", training)
    if not training and (mean is None or var is None):
        raise ValueError(
            f"{op}: training=False normalises by running_mean and running_var: give both"
        )
    _per_channel(op, x, running_mean=mean, running_var=var)
    if training and 0 != math.prod(x) == x[1]:
        raise ValueError(
            f"{op}: x has shape {x}, "
            "but in training more than one value per channel is needed: drop_last=True in fit and "
            "cnnx.data.batches leaves out a last batch of one sample"
        )
    return flat, training, ending(op, activation)


def batch_norm_backward(
    dy: Any,
    x: Any,
    weight: Any,
    mean: Any,
    inv_std: Any,
    training: bool = True,
    bias: Any = None,
    activation: str | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `batch_norm` with respect to x, weight and bias.

    If the forward had an activation, its backward comes first; its input is recomputed from x and
    bias, so neither that nor y need be stored. The gradient of `add` equals that of the sum,
    which cannot be recomputed from x: with both, compute the activation's gradient first
    (`relu_backward`).

    With xhat = (x - mean) * inv_std, and sums over the m values of a channel:
    dbias = sum dy;  dweight = sum dy * xhat
    dx = weight * inv_std * (dy - dbias/m - xhat * dweight/m)     training
    dx = weight * inv_std * dy                                    not training

    dy and x as x in `batch_norm`; weight and bias (c,) or None; mean and inv_std (c,) as it
    returned them; bias is read only for an activation
    returns  dx as x, dweight (c,), dbias (c,)

    >>> dy, x = np.array([[1.0], [1.0]]), np.array([[1.0], [3.0]])
    >>> dx, dweight, dbias = ops.batch_norm_backward(dy, x, None, mean=[2.0], inv_std=[1.0])
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[0.0], [0.0]], [0.0], [2.0])
    """
    op = "batch_norm_backward"
    (dy, x, weight, mean, inv_std, bias), checked = _backward(
        op, (dy, x, weight, mean, inv_std, bias), training, activation
    )
    flat, training, activation = checked
    dx, dweight, dbias = backend().batch_norm_backward(
        dy.reshape(flat), x.reshape(flat), weight, mean, inv_std, training, bias, activation
    )
    return dx.reshape(x.shape), dweight, dbias


@gate("dy", "x", "weight", "mean", "inv_std", "bias", optional=("weight", "bias"))
def _backward(op: str, shapes: Any, training: Any, activation: Any) -> tuple[Any, ...]:
    """The shape (n, c, positions) of x, training and activation."""
    dy, x, weight, mean, inv_std, bias = shapes
    flat = _flat(op, x)
    checks.same_shape(op, "dy", dy, x, "the shape of x")
    _per_channel(op, x, weight=weight, bias=bias, mean=mean, inv_std=inv_std)
    return flat, checks.flag(op, "training", training), ending(op, activation)


def _flat(op: str, x: tuple[int, ...]) -> tuple[int, int, int]:
    """x as (n, c, positions)."""
    if len(x) not in (2, 3, 4):
        raise ValueError(
            f"{op}: x has shape {x}, but (n, c), (n, c, l) or (n, c, h, w) is expected"
        )
    return x[0], x[1], math.prod(x[2:])


def _per_channel(op: str, x: tuple[int, ...], **shapes: tuple[int, ...] | None) -> None:
    for name, shape in shapes.items():
        if shape is not None:
            checks.same_shape(op, name, shape, x[1:2], "one value per channel of x {}", x)
