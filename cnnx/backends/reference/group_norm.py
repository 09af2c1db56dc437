"""Normalisation of groups of channels of one sample, and of whole samples.

Sources: Wu, He, Group Normalization (2018); Ba, Kiros, Hinton, Layer Normalization (2016).
"""

from __future__ import annotations

import numpy as np


def group_norm(x, num_groups, weight, bias, eps):
    """Normalise the values of each group of c / num_groups channels of each sample.

    y[n, c, l] = weight[c] * (x[n, c, l] - mean[n, g]) * inv_std[n, g] + bias[c],
    inv_std = 1 / sqrt(var + eps), g being the group of c

    x (n, c, l), weight and bias (c,) or None
    returns  y (n, c, l), mean and inv_std (n, num_groups), which `group_norm_backward` needs
    """
    n, c, length = x.shape
    rows = x.reshape(n, num_groups, c // num_groups * length)
    if rows.shape[2]:
        mean, var = rows.mean(axis=2), rows.var(axis=2)
    else:
        mean, var = np.zeros((n, num_groups), x.dtype), np.zeros((n, num_groups), x.dtype)
    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    y = _normal(x, num_groups, mean, inv_std)
    if weight is not None:
        y = y * weight[:, None]
    return (y if bias is None else y + bias[:, None]), mean, inv_std


def _normal(x, num_groups, mean, inv_std):
    rows = x.reshape(len(x), num_groups, x[0].size // num_groups if len(x) else 0)
    return ((rows - mean[:, :, None]) * inv_std[:, :, None]).reshape(x.shape)


def group_norm_backward(dy, x, num_groups, weight, mean, inv_std):
    """Gradients of `group_norm`: dx, dweight, dbias.

    With xhat = (x - mean) * inv_std and g = dy * weight, means over the m values of a group:

    dbias   = sum of dy, dweight = sum of dy * xhat, over samples and positions
    dx      = inv_std * (g - mean of g - xhat * mean of g * xhat)
    """
    xhat = _normal(x, num_groups, mean, inv_std)
    dbias, dweight = dy.sum(axis=(0, 2)), (dy * xhat).sum(axis=(0, 2))
    if not x.size:
        return x.copy(), dweight, dbias
    shape = (len(x), num_groups, -1)
    g = (dy if weight is None else dy * weight[:, None]).reshape(shape)
    xhat = xhat.reshape(shape)
    through = g.mean(axis=2, keepdims=True) + xhat * (g * xhat).mean(axis=2, keepdims=True)
    return (inv_std[:, :, None] * (g - through)).reshape(x.shape), dweight, dbias


def layer_norm(x, normalized_shape, weight, bias, eps):
    """Normalise each row: y[i, j] = weight[j] * (x[i, j] - mean[i]) * inv_std[i] + bias[j].

    x (n, m), normalized_shape m, weight and bias (m,) or None
    returns  y (n, m), mean and inv_std (n,)
    """
    y, mean, inv_std = group_norm(x[:, :, None], 1, weight, bias, eps)
    return y[:, :, 0], mean[:, 0], inv_std[:, 0]


def layer_norm_backward(dy, x, normalized_shape, weight, mean, inv_std):
    """Gradients of `layer_norm`: those of a group of channels of one element."""
    given = dy[:, :, None], x[:, :, None], 1, weight, mean[:, None], inv_std[:, None]
    dx, dweight, dbias = group_norm_backward(*given)
    return dx[:, :, 0], dweight, dbias
