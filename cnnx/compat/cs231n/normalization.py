"""Normalisation over the batch, over a sample, and over channel groups; part of `layers`.

S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015; J. L. Ba et al., "Layer Normalization",
arXiv:1607.06450, 2016; Y. Wu, K. He, "Group Normalization", ECCV 2018.
"""

# Design:
# All of them use one kernel, `ops.batch_norm`, which normalises the channels of (n, c, l): for
# layer norm a sample is a channel of a single batch, for group norm a group of a sample is.

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from .._arrays import normalized
from ._numbers import alike

__all__ = [
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "layernorm_backward",
    "layernorm_forward",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
]

Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]


def batchnorm_forward(
    x: Any, gamma: Any, beta: Any, bn_param: dict[str, Any]
) -> tuple[np.ndarray, Any]:
    """gamma * (x - mean) / sqrt(var + eps) + beta, for each of the D columns of x (N, D).

    bn_param  "mode": "train" uses the batch's mean and (biased) variance, "test" the running ones;
              "eps" 1e-5; "momentum" 0.9; "running_mean" and "running_var" (D,), initially zeros,
              which "train" replaces in the dictionary:
              running = momentum * running + (1 - momentum) * batch

    returns  out (N, D), and the cache. ValueError for another mode.

    >>> bn_param = {"mode": "train"}
    >>> out, cache = batchnorm_forward([[1.0], [3.0]], [1.0], [0.0], bn_param)
    >>> out.round(3).tolist(), bn_param["running_mean"].round(3).tolist()
    ([[-1.0], [1.0]], [0.2])
    """
    x, gamma, beta = alike("batchnorm_forward", x, gamma, beta)
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    features = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(features, x.dtype))
    running_var = bn_param.get("running_var", np.zeros(features, x.dtype))
    training = bn_param["mode"] == "train"
    if training:
        out, mean, inv_std, variance = normalized(x, gamma, beta, eps)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * variance
    elif bn_param["mode"] == "test":
        out, mean, inv_std = ops.batch_norm(
            x,
            gamma,
            beta,
            np.asarray(running_mean, x.dtype),
            np.asarray(running_var, x.dtype),
            training=False,
            eps=eps,
        )
    else:
        raise ValueError(f'batchnorm: mode is {bn_param["mode"]!r}, expected "train" or "test"')
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, (x, gamma, mean, inv_std, training)


def batchnorm_backward(dout: Any, cache: Any) -> Gradients:
    """dx, dgamma, dbeta of `batchnorm_forward`.

    >>> out, cache = batchnorm_forward([[1.0], [3.0]], [1.0], [0.0], {"mode": "train"})
    >>> batchnorm_backward(np.ones((2, 1)), cache)[2].tolist()
    [2.0]
    """
    x, gamma, mean, inv_std, training = cache
    dout, x = alike("batchnorm_backward", dout, x)
    return ops.batch_norm_backward(dout, x, gamma, mean, inv_std, training)


# In the course, the same result in one expression; for (N, C, H, W) per plane instead of column.
batchnorm_backward_alt = spatial_batchnorm_backward = batchnorm_backward
spatial_batchnorm_forward = batchnorm_forward


def layernorm_forward(
    x: Any, gamma: Any, beta: Any, ln_param: dict[str, Any]
) -> tuple[np.ndarray, Any]:
    """gamma * (x - mean) / sqrt(var + eps) + beta, with mean and variance per row of x (N, D).

    ln_param  "eps" 1e-5

    >>> layernorm_forward([[1.0, 3.0]], [1.0, 1.0], [0.0, 0.0], {})[0].round(3).tolist()
    [[-1.0, 1.0]]
    """
    x, gamma, beta = alike("layernorm_forward", x, gamma, beta)
    hat, kept = _by_rows(x, x[None], ln_param.get("eps", 1e-5))
    return gamma * hat + beta, (hat, gamma, kept)


def layernorm_backward(dout: Any, cache: Any) -> Gradients:
    """dx, dgamma, dbeta of `layernorm_forward`.

    >>> out, cache = layernorm_forward([[1.0, 3.0]], [1.0, 1.0], [0.0, 0.0], {})
    >>> layernorm_backward([[1.0, 2.0]], cache)[2].tolist()
    [1.0, 2.0]
    """
    hat, gamma, kept = cache
    dout, hat = alike("layernorm_backward", dout, hat)
    return _by_rows_backward(gamma * dout, kept), (dout * hat).sum(axis=0), dout.sum(axis=0)


def spatial_groupnorm_forward(
    x: Any, gamma: Any, beta: Any, G: int, gn_param: dict[str, Any]
) -> tuple[np.ndarray, Any]:
    """gamma * (x - mean) / sqrt(var + eps) + beta for images x (N, C, H, W), with mean and variance
    of each sample's G groups of C / G neighbouring channels.

    gamma, beta  (1, C, 1, 1)          gn_param  "eps" 1e-5

    ValueError if G does not divide C.

    >>> x, one, zero = np.arange(4.0).reshape(1, 2, 1, 2), np.ones((1, 2, 1, 1)), 0.0
    >>> spatial_groupnorm_forward(x, one, zero, 2, {})[0].round(3).reshape(-1).tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    x, gamma, beta = alike("spatial_groupnorm_forward", x, gamma, beta)
    n, c = x.shape[:2]
    if G < 1 or c % G:
        raise ValueError(f"spatial_groupnorm_forward: G={G} does not divide {c} channels")
    groups = x.reshape(1, n * G, x.size // max(n * G, 1))
    hat, kept = _by_rows(x, groups, gn_param.get("eps", 1e-5))
    return gamma * hat + beta, (hat, gamma, kept)


def spatial_groupnorm_backward(dout: Any, cache: Any) -> Gradients:
    """dx, dgamma (1, C, 1, 1), dbeta (1, C, 1, 1) of `spatial_groupnorm_forward`.

    >>> x, one = np.arange(4.0).reshape(1, 2, 1, 2), np.ones((1, 2, 1, 1))
    >>> out, cache = spatial_groupnorm_forward(x, one, 0.0, 2, {})
    >>> spatial_groupnorm_backward(np.ones_like(x), cache)[2].tolist()
    [[[[2.0]], [[2.0]]]]
    """
    hat, gamma, kept = cache
    dout, hat = alike("spatial_groupnorm_backward", dout, hat)
    axes = 0, 2, 3
    dgamma = (dout * hat).sum(axis=axes, keepdims=True)
    return _by_rows_backward(gamma * dout, kept), dgamma, dout.sum(axis=axes, keepdims=True)


def _by_rows(x: np.ndarray, rows: np.ndarray, eps: float) -> tuple[np.ndarray, Any]:
    """x with each row of `rows`, which are its numbers as (1, rows, length), normalised."""
    hat, mean, inv_std, _ = normalized(rows, None, None, eps)
    return hat.reshape(x.shape), (rows, mean, inv_std)


def _by_rows_backward(dhat: np.ndarray, kept: Any) -> np.ndarray:
    rows, mean, inv_std = kept
    dhat, rows = alike("normalization", dhat, rows)
    dx, _, _ = ops.batch_norm_backward(dhat.reshape(rows.shape), rows, None, mean, inv_std)
    return dx.reshape(dhat.shape)
