"""Batch normalisation: batch_norm, batch_norm_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .activation import ending


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
    x = _input(op, "x", x)
    c = x.shape[1]
    why = "one value per channel of x {}", x.shape
    weight = checks.vector(op, "weight", weight, c, *why)
    bias = checks.vector(op, "bias", bias, c, *why)
    if add is not None:
        add = checks.array(op, "add", add)
        checks.same_shape(op, "add", add.shape, x.shape, "the shape of x")
    training = checks.flag(op, "training", training)
    running_mean, running_var = _statistics(op, x, running_mean, running_var, training, why)
    checks.same_dtype(
        op,
        x=x,
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
        add=add,
    )
    activation = ending(op, activation)
    momentum = checks.real(op, "momentum", momentum, 0.0, 1.0)
    eps = checks.real(op, "eps", eps, 0.0)
    statistics = running_mean, running_var, training, momentum, eps
    y, mean, inv_std = backend().batch_norm(
        _flat(x), weight, bias, *statistics, activation, None if add is None else _flat(add)
    )
    return y.reshape(x.shape), mean, inv_std


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
    x = _input(op, "x", x)
    dy = checks.array(op, "dy", dy)
    checks.same_shape(op, "dy", dy.shape, x.shape, "the shape of x")
    c = x.shape[1]
    why = "one value per channel of x {}", x.shape
    weight = checks.vector(op, "weight", weight, c, *why)
    bias = checks.vector(op, "bias", bias, c, *why)
    activation = ending(op, activation)
    training = checks.flag(op, "training", training)
    mean = checks.array(op, "mean", mean)
    inv_std = checks.array(op, "inv_std", inv_std)
    checks.same_shape(op, "mean", mean.shape, (c,), *why)
    checks.same_shape(op, "inv_std", inv_std.shape, (c,), *why)
    checks.same_dtype(op, dy=dy, x=x, weight=weight, mean=mean, inv_std=inv_std, bias=bias)
    dx, dweight, dbias = backend().batch_norm_backward(
        _flat(dy), _flat(x), weight, mean, inv_std, training, bias, activation
    )
    return dx.reshape(x.shape), dweight, dbias


def _input(op: str, name: str, value: Any) -> np.ndarray:
    x = checks.array(op, name, value)
    if x.ndim not in (2, 3, 4):
        raise ValueError(
            f"{op}: {name} has shape {x.shape}, but (n, c), (n, c, l) or (n, c, h, w) is expected"
        )
    return x


def _statistics(
    op: str, x: np.ndarray, mean: Any, var: Any, training: bool, why: tuple[Any, ...]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The running statistics: to be updated in training, to be read otherwise."""
    c = x.shape[1]
    if not training:
        if mean is None or var is None:
            raise ValueError(
                f"{op}: training=False normalises by running_mean and running_var: give both"
            )
        mean = checks.vector(op, "running_mean", mean, c, *why)
        return mean, checks.vector(op, "running_var", var, c, *why)
    mean = _running(op, "running_mean", mean, c, *why)
    var = _running(op, "running_var", var, c, *why)
    if x.size and x.size == c:
        raise ValueError(
            f"{op}: x has shape {x.shape}, "
            "but in training more than one value per channel is needed: drop_last=True in fit and "
            "cnnx.data.batches leaves out a last batch of one sample"
        )
    return mean, var


def _running(op: str, name: str, value: Any, c: int, *why: Any) -> np.ndarray | None:
    if value is None:
        return None
    x = checks.in_place(op, name, value)
    checks.same_shape(op, name, x.shape, (c,), *why)
    return x


def _flat(x: np.ndarray) -> np.ndarray:
    n, c, *positions = x.shape
    return x.reshape(n, c, math.prod(positions))
