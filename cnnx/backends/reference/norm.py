"""Batch normalisation.

x is (n, c, l): n samples, c channels, l positions (l = h*w for images, 1 for plain features). A
statistic has one value per channel and is taken over the m = n*l values of that channel.

Source: Ioffe, Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift (2015).
"""

from __future__ import annotations

import numpy as np

from .epilogue import finish, unfinish


def batch_norm(
    x, weight, bias, running_mean, running_var, training, momentum, eps, activation, add
):
    """Normalise every channel, then scale and shift it.

    y[n, c, l] = activation(weight[c] * (x[n, c, l] - mean[c]) * inv_std[c] + bias[c]
                            + add[n, c, l]),  inv_std = 1 / sqrt(var + eps)

    training      mean and var are those of the batch (var with divisor m). The running statistics,
                  if given, are updated in place:
                      running_mean = (1 - momentum) * running_mean + momentum * mean
                      running_var  = (1 - momentum) * running_var  + momentum * var * m / (m - 1)
                  An empty batch does not change them.
    not training  mean and var are the running statistics.

    x (n, c, l), weight and bias (c,) or None, running_mean and running_var (c,) or None, activation
    a name or None, add as x or None
    returns  y (n, c, l), mean (c,), inv_std (c,), which `batch_norm_backward` needs
    """
    n, c, length = x.shape
    m = n * length
    if not training:
        mean, var = running_mean.copy(), running_var
    elif m == 0:
        mean, var = np.zeros(c, x.dtype), np.zeros(c, x.dtype)
    else:
        mean, var = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
        if running_mean is not None:
            running_mean += momentum * (mean - running_mean)
        if running_var is not None:
            running_var += momentum * (var * (m / max(m - 1, 1)) - running_var)

    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    return finish(_affine(x, weight, bias, mean, inv_std), activation, add), mean, inv_std


def _affine(x, weight, bias, mean, inv_std):
    y = (x - mean[:, None]) * inv_std[:, None]
    if weight is not None:
        y *= weight[:, None]
    if bias is not None:
        y += bias[:, None]
    return y


def batch_norm_backward(dy, x, weight, mean, inv_std, training, bias, activation):
    """Gradients of `batch_norm`, if `add` was None.

    First dy passes through the backward of the activation, whose input is recomputed from x. With
    xhat = (x - mean) * inv_std, and sums over all n and l of a channel:

    dbias   = sum of dy
    dweight = sum of dy * xhat
    dx      = weight * inv_std * (dy - dbias/m - xhat * dweight/m)    training
    dx      = weight * inv_std * dy                                   not training

    In training, mean and var depend on x; otherwise they are constants.
    """
    if activation is not None:
        dy = unfinish(dy, _affine(x, weight, bias, mean, inv_std), activation)
    m = max(x.shape[0] * x.shape[2], 1)
    xhat = (x - mean[:, None]) * inv_std[:, None]
    dbias = dy.sum(axis=(0, 2))
    dweight = (dy * xhat).sum(axis=(0, 2))
    scale = inv_std if weight is None else weight * inv_std
    if training:
        dy = dy - (dbias / m)[:, None] - xhat * (dweight / m)[:, None]
    return scale[:, None] * dy, dweight, dbias
