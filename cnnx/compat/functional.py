"""The dialect `functional`: `conv_forward` and `conv_backward` with a cache between them, and a few
classes for a `SimpleCNN` that updates itself. Images are (N, C, H, W), matrices (in, out).

>>> import numpy as np
>>> from cnnx.compat.functional import SimpleCNN
>>> np.random.seed(0)
>>> model = SimpleCNN()
>>> X, y = np.random.rand(4, 1, 28, 28), np.array([3, 1, 4, 1])
>>> first = model.forward(X, y)
>>> model.backward()
>>> model.forward(X, y) < first
True
"""

# Design:
# `conv_forward` computes the column matrix only for the cache, which scripts unpack; the
# convolution itself does not use it.

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ._arrays import affine, affine_backward, descend, floats, images, in_out, saved

__all__ = [
    "Dense",
    "Flatten",
    "MaxPool",
    "ReLU",
    "SimpleCNN",
    "SoftmaxLoss",
    "col2im",
    "conv_backward",
    "conv_forward",
    "im2col",
]

LEARNING_RATE = 0.01  # fixed in this dialect

Cache = tuple[np.ndarray, np.ndarray, np.ndarray, int, int, np.ndarray]


def im2col(X: Any, FH: int, FW: int, stride: int = 1, padding: int = 0) -> np.ndarray:
    """Windows of FH x FW pixels as rows: (N, C, H, W) -> (N*oh*ow, C*FH*FW).

    >>> im2col(np.arange(4.0).reshape(1, 1, 2, 2), 1, 2).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    return ops.im2col(images("im2col", X), (FH, FW), stride, padding)


def col2im(
    col: Any, X_shape: Any, FH: int, FW: int, stride: int = 1, padding: int = 0
) -> np.ndarray:
    """Rows added to their pixels: the adjoint of `im2col`.

    >>> col2im(np.ones((2, 2)), (1, 1, 1, 3), 1, 2).tolist()
    [[[[1.0, 2.0, 1.0]]]]
    """
    return ops.col2im(floats("col2im", col), X_shape, (FH, FW), stride, padding)


def conv_forward(
    X: Any, W: Any, b: Any, stride: int = 1, padding: int = 0
) -> tuple[np.ndarray, Cache]:
    """Convolution of X (N, C, H, W) with W (F, C, FH, FW); b has F numbers, or one for all filters.

    returns  out (N, F, oh, ow), and cache = (X, W, b, stride, padding, X_col) for `conv_backward`

    >>> out, cache = conv_forward(np.ones((1, 1, 3, 3)), np.ones((2, 1, 2, 2)), np.zeros(2))
    >>> out.shape, cache[-1].shape
    ((1, 2, 2, 2), (4, 4))
    """
    x, weight, bias = images("conv_forward", X), floats("conv_forward", W), np.asarray(b, float)
    if bias.size not in (1, len(weight)):
        raise ValueError(
            f"conv_forward: b has {bias.size} numbers, expected 1 or as many as W {weight.shape} "
            f"has filters, {len(weight)}"
        )
    vector = np.resize(bias, len(weight))
    out = ops.conv2d(x, weight, vector, stride, padding)
    return out, (x, weight, bias, stride, padding, ops.im2col(x, weight.shape[2:], stride, padding))


def conv_backward(dout: Any, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients dX, dW, db of `conv_forward`, from the gradient of its output. db has F numbers,
    even if b was one number for all filters.

    >>> out, cache = conv_forward(np.ones((1, 1, 3, 3)), np.ones((2, 1, 2, 2)), np.zeros(2))
    >>> dX, dW, db = conv_backward(np.ones_like(out), cache)
    >>> dX.shape, dW.shape, db.tolist()
    ((1, 1, 3, 3), (2, 1, 2, 2), [4.0, 4.0])
    """
    X, W, b, stride, padding, _ = cache
    dX, dW, db = ops.conv2d_backward(floats("conv_backward", dout), X, W, stride, padding)
    assert dX is not None
    return dX, dW, db.reshape(b.shape) if db.size == b.size else db


class ReLU:
    """max(X, 0); `cache` is the input. The gradient passes where the input is above 0.

    >>> ReLU().forward([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    cache: Any = None

    def forward(self, X: Any) -> np.ndarray:
        self.cache = floats("ReLU", X)
        return ops.relu(self.cache)

    def backward(self, dout: Any) -> np.ndarray:
        return ops.relu_backward(floats("ReLU", dout), saved("ReLU", self.cache))


class Flatten:
    """(N, ...) -> (N, product of the rest); `input_shape` is the input's shape.

    >>> Flatten().forward(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    input_shape: Any = None

    def forward(self, X: Any) -> np.ndarray:
        x = floats("Flatten", X)
        self.input_shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout: Any) -> np.ndarray:
        return np.reshape(dout, saved("Flatten", self.input_shape))


class MaxPool:
    """Maximum over windows; `cache` is the input. Every maximum of a window receives its gradient.

    >>> MaxPool().forward(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """

    cache: Any = None

    def __init__(self, pool_size: int = 2, stride: int = 2) -> None:
        self.pool_size = pool_size
        self.stride = stride

    def forward(self, X: Any) -> np.ndarray:
        self.cache = images("MaxPool", X)
        y, self._argmax = ops.max_pool2d(self.cache, self.pool_size, self.stride)
        return y

    def backward(self, dout: Any) -> np.ndarray:
        x, argmax, dy = saved("MaxPool", self.cache), self._argmax, floats("MaxPool", dout)
        if dy.shape != argmax.shape:
            raise ValueError(f"MaxPool: gradient has shape {dy.shape}, expected {argmax.shape}")
        window = self.pool_size, self.stride
        return ops.max_pool2d_backward(dy, argmax, x.shape, *window, ties="all", x=x)


class Dense:
    """X W + b; `backward` updates W and b with rate 0.01 after computing the input's gradient.

    `W` (in_dim, out_dim): 0.01 * np.random.randn; `b` (out_dim,): zeros; `X` is the input.

    >>> Dense(3, 2).forward(np.ones((4, 3))).shape
    (4, 2)
    """

    X: Any = None

    def __init__(self, in_dim: int, out_dim: int) -> None:
        self.W = in_out(0.01 * np.random.randn(in_dim, out_dim))
        self.b = np.zeros(out_dim)

    def forward(self, X: Any) -> np.ndarray:
        self.X = floats("Dense", X)
        return affine("Dense", self.X, self.W, self.b)

    def backward(self, dout: Any) -> np.ndarray:
        dX, dW, db = affine_backward("Dense", dout, saved("Dense", self.X), self.W)
        descend(self.W.T, dW.T, LEARNING_RATE)
        descend(self.b, db.reshape(self.b.shape), LEARNING_RATE)
        return dX


class SoftmaxLoss:
    """Mean of -log softmax(scores)[y], computed stably; caches `probs` and `y`.

    forward   scores (N, classes), y (N,) integers  ->  float
    backward  (probs - onehot(y)) / N

    >>> round(SoftmaxLoss().forward([[0.0, 0.0]], [1]), 4)
    0.6931
    """

    probs: Any = None
    y: Any = None

    def forward(self, scores: Any, y: Any) -> float:
        scores = floats("SoftmaxLoss", scores)
        self.y = np.asarray(y)
        loss, self._gradient = ops.cross_entropy(scores, self.y)
        self.probs = ops.softmax(scores)
        return loss

    def backward(self) -> np.ndarray:
        saved("SoftmaxLoss", self.probs)
        return self._gradient


class SimpleCNN:
    """8 filters 3x3 (padding 1), ReLU, max pooling 2x2, Dense(1568, 10), softmax loss: for images
    (N, 1, 28, 28).

    forward   X, y=None  ->  the scores (N, 10), or with y the loss
    backward  updates all weights with rate 0.01

    `W` (8, 1, 3, 3) 0.01 * np.random.randn, drawn before `fc`; `b` zeros; `conv_cache` of the last
    forward; feature maps in `relu.cache`.

    >>> SimpleCNN().forward(np.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """

    conv_cache: Any = None

    def __init__(self) -> None:
        self.num_filters = 8
        self.filter_size = 3
        self.W = 0.01 * np.random.randn(self.num_filters, 1, self.filter_size, self.filter_size)
        self.b = np.zeros(self.num_filters)
        self.relu = ReLU()
        self.pool = MaxPool(pool_size=2, stride=2)
        self.flatten = Flatten()
        self.fc = Dense(self.num_filters * 14 * 14, 10)
        self.loss_fn = SoftmaxLoss()

    def forward(self, X: Any, y: Any = None) -> Any:
        out, self.conv_cache = conv_forward(X, self.W, self.b, stride=1, padding=1)
        out = self.flatten.forward(self.pool.forward(self.relu.forward(out)))
        scores = self.fc.forward(out)
        return scores if y is None else self.loss_fn.forward(scores, y)

    def backward(self) -> None:
        X, W, _, stride, padding, _ = saved("SimpleCNN", self.conv_cache)
        dout = self.flatten.backward(self.fc.backward(self.loss_fn.backward()))
        dout = self.relu.backward(self.pool.backward(dout))
        _, dW, db = ops.conv2d_backward(dout, X, W, stride, padding, need_dx=False)
        descend(self.W, dW, LEARNING_RATE)
        descend(self.b, db, LEARNING_RATE)
