"""`layers` of the course: affine, relu, normalisation, dropout, convolution, pooling, losses.

Images are (N, C, H, W); weights of an affine layer are (in, out). A forward returns its output and
a cache, a backward takes the gradient of the output and that cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ._numbers import alike
from .normalization import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)
from .windows import conv_backward, conv_forward, max_pool_backward, max_pool_forward

__all__ = [
    "affine_backward",
    "affine_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "conv_backward_naive",
    "conv_forward_naive",
    "dropout_backward",
    "dropout_forward",
    "layernorm_backward",
    "layernorm_forward",
    "max_pool_backward_naive",
    "max_pool_forward_naive",
    "relu_backward",
    "relu_forward",
    "softmax_loss",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "svm_loss",
]

conv_forward_naive, conv_backward_naive = conv_forward, conv_backward
max_pool_forward_naive, max_pool_backward_naive = max_pool_forward, max_pool_backward


def affine_forward(x: Any, w: Any, b: Any) -> tuple[np.ndarray, Any]:
    """x w + b, with x (N, d1, ..., dk) as rows of D = d1 * ... * dk numbers, w (D, M), b (M,).

    returns  out (N, M), and the cache. ValueError for shapes that do not match.

    >>> affine_forward([[1.0, 2.0]], [[1.0], [1.0]], [0.5])[0].tolist()
    [[3.5]]
    """
    x, w, b = alike("affine_forward", x, w, b)
    if w.ndim != 2 or not x.ndim or math.prod(x.shape[1:]) != len(w):
        raise ValueError(
            f"affine_forward: x {x.shape} has rows of {math.prod(x.shape[1:])} numbers, but "
            f"w {w.shape} expects {len(w) if w.ndim else 0}"
        )
    return ops.linear(x.reshape(len(x), len(w)), w.T, b.reshape(-1)), (x, w, b)


def affine_backward(dout: Any, cache: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx in the shape of x, dw (D, M) and db (M,) of `affine_forward`.

    >>> out, cache = affine_forward([[1.0, 2.0]], [[1.0], [1.0]], [0.5])
    >>> [g.tolist() for g in affine_backward([[1.0]], cache)]
    [[[1.0, 1.0]], [[1.0], [2.0]], [1.0]]
    """
    x, w, b = cache
    dout, x = alike("affine_backward", dout, x)
    w = w.astype(x.dtype, copy=False)
    dx, dw, db = ops.linear_backward(dout, x.reshape(len(x), len(w)), w.T)
    assert dx is not None
    return dx.reshape(x.shape), dw.T, db.reshape(b.shape)


def relu_forward(x: Any) -> tuple[np.ndarray, Any]:
    """max(x, 0), and x as the cache.

    >>> relu_forward([-1.0, 2.0])[0].tolist()
    [0.0, 2.0]
    """
    (x,) = alike("relu_forward", x)
    return ops.relu(x), x


def relu_backward(dout: Any, cache: Any) -> np.ndarray:
    """dout where x > 0, else 0.

    >>> relu_backward([5.0, 5.0], np.array([-1.0, 2.0])).tolist()
    [0.0, 5.0]
    """
    dout, x = alike("relu_backward", dout, cache)
    return ops.relu_backward(dout, x)


def dropout_forward(x: Any, dropout_param: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """Inverted dropout: x * mask with mask = (np.random.rand(*x.shape) < p) / p.

    dropout_param  "p": the probability to KEEP a number; "mode": "train", or "test", which returns
                   x; "seed": passed to np.random.seed before the mask is drawn, for checks

    ValueError for another mode, or p outside (0, 1] in training.

    N. Srivastava et al., "Dropout", JMLR 2014.

    >>> dropout_forward([1.0, 2.0], {"p": 1.0, "mode": "train"})[0].tolist()
    [1.0, 2.0]
    """
    (x,) = alike("dropout_forward", x)
    p, mode, mask = dropout_param["p"], dropout_param["mode"], None
    if dropout_param.get("seed") is not None:
        np.random.seed(dropout_param["seed"])
    if mode == "train":
        if not 0 < p <= 1:
            raise ValueError(f"dropout_forward: p={p}, expected above 0 and at most 1")
        mask = (np.random.rand(*x.shape) < p) / p
        x = (x * mask).astype(x.dtype, copy=False)
    elif mode != "test":
        raise ValueError(f'dropout_forward: mode is {mode!r}, expected "train" or "test"')
    return x, (dropout_param, mask)


def dropout_backward(dout: Any, cache: Any) -> np.ndarray:
    """dout * mask in mode "train", dout in mode "test".

    >>> out, cache = dropout_forward([1.0, 2.0], {"p": 1.0, "mode": "train"})
    >>> dropout_backward([3.0, 4.0], cache).tolist()
    [3.0, 4.0]
    """
    _, mask = cache
    (dout,) = alike("dropout_backward", dout)
    return dout if mask is None else (dout * mask).astype(dout.dtype, copy=False)


def softmax_loss(x: Any, y: Any) -> tuple[float, np.ndarray]:
    """Mean of -log softmax(x)[i, y[i]] over the rows, and its gradient with respect to x.

    x  scores (N, C)          y  class numbers (N,)

    >>> loss, dx = softmax_loss([[0.0, 0.0]], [1])
    >>> round(loss, 4), dx.tolist()
    (0.6931, [[0.5, -0.5]])
    """
    (x,) = alike("softmax_loss", x)
    return ops.cross_entropy(x, np.asarray(y))


def svm_loss(x: Any, y: Any) -> tuple[float, np.ndarray]:
    """Multiclass hinge loss: the mean over the rows of the sum over j != y[i] of
    max(0, x[i, j] - x[i, y[i]] + 1), and its gradient with respect to x.

    x  scores (N, C)          y  class numbers (N,)

    J. Weston, C. Watkins, "Support Vector Machines for Multi-Class Pattern Recognition", ESANN
    1999.

    >>> loss, dx = svm_loss([[0.0, 0.0]], [1])
    >>> loss, dx.tolist()
    (1.0, [[1.0, -1.0]])
    """
    (x,) = alike("svm_loss", x)
    rows, y = np.arange(len(x)), np.asarray(y)
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    dx = (margins > 0).astype(x.dtype)
    dx[rows, y] -= dx.sum(axis=1)
    return float(margins.sum() / len(x)), dx / len(x)
