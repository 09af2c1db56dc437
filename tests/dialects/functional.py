"""The dialect `functional` in plain NumPy: functions with caches, and small classes."""

from __future__ import annotations

import numpy as np

from .windows import col2im, convolve, convolve_backward, im2col  # noqa: F401


def conv_forward(X, W, b, stride=1, padding=0):
    out, X_col = convolve(X, W, b, stride, padding)
    return out, (X, W, b, stride, padding, X_col)


def conv_backward(dout, cache):
    X, W, _, stride, padding, X_col = cache
    return convolve_backward(dout, X.shape, W, X_col, stride, padding)


class ReLU:
    def forward(self, X):
        self.cache = X
        return np.maximum(0, X)

    def backward(self, dout):
        return dout * (self.cache > 0)


class Flatten:
    def forward(self, X):
        self.input_shape = X.shape
        return X.reshape(X.shape[0], -1)

    def backward(self, dout):
        return dout.reshape(self.input_shape)


class MaxPool:
    def __init__(self, pool_size=2, stride=2):
        self.pool_size = pool_size
        self.stride = stride

    def forward(self, X):
        self.cache = X
        N, C, H, W = X.shape
        p, s = self.pool_size, self.stride
        out = np.zeros((N, C, (H - p) // s + 1, (W - p) // s + 1))
        for n, c, i, j in np.ndindex(out.shape):
            out[n, c, i, j] = np.max(X[n, c, i * s : i * s + p, j * s : j * s + p])
        return out

    def backward(self, dout):
        X, p, s = self.cache, self.pool_size, self.stride
        dX = np.zeros(X.shape)
        for n, c, i, j in np.ndindex(dout.shape):
            window = X[n, c, i * s : i * s + p, j * s : j * s + p]
            mask = window == np.max(window)
            dX[n, c, i * s : i * s + p, j * s : j * s + p] += mask * dout[n, c, i, j]
        return dX


class Dense:
    def __init__(self, in_dim, out_dim):
        self.W = 0.01 * np.random.randn(in_dim, out_dim)
        self.b = np.zeros(out_dim)

    def forward(self, X):
        self.X = X
        return X @ self.W + self.b

    def backward(self, dout):
        dX = dout @ self.W.T
        self.W -= 0.01 * (self.X.T @ dout)
        self.b -= 0.01 * dout.sum(axis=0)
        return dX


class SoftmaxLoss:
    def forward(self, scores, y):
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.probs = e / e.sum(axis=1, keepdims=True)
        self.y = y
        return -np.mean(np.log(self.probs[np.arange(len(y)), y]))

    def backward(self):
        d = self.probs.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)


class SimpleCNN:
    def __init__(self):
        self.num_filters = 8
        self.filter_size = 3
        self.W = 0.01 * np.random.randn(8, 1, 3, 3)
        self.b = np.zeros(8)
        self.relu = ReLU()
        self.pool = MaxPool()
        self.flatten = Flatten()
        self.fc = Dense(8 * 14 * 14, 10)
        self.loss_fn = SoftmaxLoss()

    def forward(self, X, y=None):
        out, self.conv_cache = conv_forward(X, self.W, self.b, padding=1)
        out = self.flatten.forward(self.pool.forward(self.relu.forward(out)))
        scores = self.fc.forward(out)
        return scores if y is None else self.loss_fn.forward(scores, y)

    def backward(self):
        d = self.flatten.backward(self.fc.backward(self.loss_fn.backward()))
        _, dW, db = conv_backward(self.relu.backward(self.pool.backward(d)), self.conv_cache)
        self.W -= 0.01 * dW
        self.b -= 0.01 * db
