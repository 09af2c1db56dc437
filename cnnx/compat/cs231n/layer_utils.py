"""`layer_utils` of the course: frequent combinations of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fast_layers import (
    conv_backward_fast,
    conv_forward_fast,
    max_pool_backward_fast,
    max_pool_forward_fast,
)
from .layers import affine_backward, affine_forward, relu_backward, relu_forward
from .normalization import (
    batchnorm_backward,
    batchnorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
)

__all__ = [
    "affine_bn_relu_backward",
    "affine_bn_relu_forward",
    "affine_relu_backward",
    "affine_relu_forward",
    "conv_bn_relu_backward",
    "conv_bn_relu_forward",
    "conv_relu_backward",
    "conv_relu_forward",
    "conv_relu_pool_backward",
    "conv_relu_pool_forward",
]

Three = tuple[np.ndarray, np.ndarray, np.ndarray]
Five = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def affine_relu_forward(x: Any, w: Any, b: Any) -> tuple[np.ndarray, Any]:
    """`affine_forward`, then `relu_forward`.

    >>> affine_relu_forward([[1.0]], [[-1.0]], [0.5])[0].tolist()
    [[0.0]]
    """
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (fc_cache, relu_cache)


def affine_relu_backward(dout: Any, cache: Any) -> Three:
    """dx, dw, db of `affine_relu_forward`."""
    fc_cache, relu_cache = cache
    return affine_backward(relu_backward(dout, relu_cache), fc_cache)


def affine_bn_relu_forward(
    x: Any, w: Any, b: Any, gamma: Any, beta: Any, bn_param: dict[str, Any]
) -> tuple[np.ndarray, Any]:
    """`affine_forward`, `batchnorm_forward`, then `relu_forward`.

    >>> x, w, b, gamma, beta = [[1.0], [3.0]], [[1.0]], [0.0], [1.0], [0.0]
    >>> affine_bn_relu_forward(x, w, b, gamma, beta, {"mode": "train"})[0].round(3).tolist()
    [[0.0], [1.0]]
    """
    a, fc_cache = affine_forward(x, w, b)
    normalized, bn_cache = batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(normalized)
    return out, (fc_cache, bn_cache, relu_cache)


def affine_bn_relu_backward(dout: Any, cache: Any) -> Five:
    """dx, dw, db, dgamma, dbeta of `affine_bn_relu_forward`."""
    fc_cache, bn_cache, relu_cache = cache
    da, dgamma, dbeta = batchnorm_backward(relu_backward(dout, relu_cache), bn_cache)
    return *affine_backward(da, fc_cache), dgamma, dbeta


def conv_relu_forward(x: Any, w: Any, b: Any, conv_param: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """`conv_forward_fast`, then `relu_forward`.

    >>> x, w, b = np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), [-1.0]
    >>> conv_relu_forward(x, w, b, {"stride": 1, "pad": 0})[0].tolist()
    [[[[0.0, 0.0], [0.0, 0.0]]]]
    """
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, relu_cache)


def conv_relu_backward(dout: Any, cache: Any) -> Three:
    """dx, dw, db of `conv_relu_forward`."""
    conv_cache, relu_cache = cache
    return conv_backward_fast(relu_backward(dout, relu_cache), conv_cache)


def conv_bn_relu_forward(
    x: Any,
    w: Any,
    b: Any,
    gamma: Any,
    beta: Any,
    conv_param: dict[str, Any],
    bn_param: dict[str, Any],
) -> tuple[np.ndarray, Any]:
    """`conv_forward_fast`, `spatial_batchnorm_forward`, then `relu_forward`.

    >>> x, w, b, conv_param = np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), [0.0], {}
    >>> conv_param, bn_param = {"stride": 1, "pad": 0}, {"mode": "train"}
    >>> conv_bn_relu_forward(x, w, b, [1.0], [2.0], conv_param, bn_param)[0].tolist()
    [[[[2.0, 2.0], [2.0, 2.0]]]]
    """
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    normalized, bn_cache = spatial_batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(normalized)
    return out, (conv_cache, bn_cache, relu_cache)


def conv_bn_relu_backward(dout: Any, cache: Any) -> Five:
    """dx, dw, db, dgamma, dbeta of `conv_bn_relu_forward`."""
    conv_cache, bn_cache, relu_cache = cache
    da, dgamma, dbeta = spatial_batchnorm_backward(relu_backward(dout, relu_cache), bn_cache)
    return *conv_backward_fast(da, conv_cache), dgamma, dbeta


def conv_relu_pool_forward(
    x: Any, w: Any, b: Any, conv_param: dict[str, Any], pool_param: dict[str, Any]
) -> tuple[np.ndarray, Any]:
    """`conv_forward_fast`, `relu_forward`, then `max_pool_forward_fast`.

    >>> x, w, b = np.arange(4.0).reshape(1, 1, 2, 2), np.ones((1, 1, 1, 1)), [0.0]
    >>> conv_param = {"stride": 1, "pad": 0}
    >>> pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    >>> conv_relu_pool_forward(x, w, b, conv_param, pool_param)[0].tolist()
    [[[[3.0]]]]
    """
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    rectified, relu_cache = relu_forward(a)
    out, pool_cache = max_pool_forward_fast(rectified, pool_param)
    return out, (conv_cache, relu_cache, pool_cache)


def conv_relu_pool_backward(dout: Any, cache: Any) -> Three:
    """dx, dw, db of `conv_relu_pool_forward`."""
    conv_cache, relu_cache, pool_cache = cache
    drectified = max_pool_backward_fast(dout, pool_cache)
    return conv_backward_fast(relu_backward(drectified, relu_cache), conv_cache)
