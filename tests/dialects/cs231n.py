"""The dialect `cs231n` in plain NumPy: the formulas of the course, with its loops."""

from __future__ import annotations

import numpy as np

from .windows import convolve, convolve_backward


def affine_forward(x, w, b):
    return x.reshape(x.shape[0], -1).dot(w) + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, _ = cache
    return dout.dot(w.T).reshape(x.shape), x.reshape(len(x), -1).T.dot(dout), dout.sum(axis=0)


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    return dout * (cache > 0)


def _normalize(x, axes, eps):
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), mean, var


def _normalize_backward(dhat, hat, var, axes, eps):
    mean = dhat.mean(axis=axes, keepdims=True)
    slope = (dhat * hat).mean(axis=axes, keepdims=True)
    return (dhat - mean - hat * slope) / np.sqrt(var + eps)


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        hat, mean, var = _normalize(x, 0, eps)
        running_mean = momentum * running_mean + (1 - momentum) * mean[0]
        running_var = momentum * running_var + (1 - momentum) * var[0]
        cache = hat, gamma, var, eps
    else:
        hat, cache = (x - running_mean) / np.sqrt(running_var + eps), None
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return gamma * hat + beta, cache


def batchnorm_backward(dout, cache):
    hat, gamma, var, eps = cache
    dx = _normalize_backward(dout * gamma, hat, var, 0, eps)
    return dx, (dout * hat).sum(axis=0), dout.sum(axis=0)


batchnorm_backward_alt = batchnorm_backward


def _columns(x):
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _planes(columns, shape):
    n, c, h, w = shape
    return columns.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    out, cache = batchnorm_forward(_columns(x), gamma, beta, bn_param)
    return _planes(out, x.shape), cache


def spatial_batchnorm_backward(dout, cache):
    dx, dgamma, dbeta = batchnorm_backward(_columns(dout), cache)
    return _planes(dx, dout.shape), dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    hat, _, var = _normalize(x, 1, eps)
    return gamma * hat + beta, (hat, gamma, var, eps)


def layernorm_backward(dout, cache):
    hat, gamma, var, eps = cache
    dx = _normalize_backward(dout * gamma, hat, var, 1, eps)
    return dx, (dout * hat).sum(axis=0), dout.sum(axis=0)


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps, (n, c, h, w) = gn_param.get("eps", 1e-5), x.shape
    hat, _, var = _normalize(x.reshape(n, G, c // G, h, w), (2, 3, 4), eps)
    return gamma * hat.reshape(x.shape) + beta, (hat, gamma, var, eps)


def spatial_groupnorm_backward(dout, cache):
    hat, gamma, var, eps = cache
    dhat = (dout * gamma).reshape(hat.shape)
    dx = _normalize_backward(dhat, hat, var, (2, 3, 4), eps).reshape(dout.shape)
    dgamma = (dout * hat.reshape(dout.shape)).sum(axis=(0, 2, 3), keepdims=True)
    return dx, dgamma, dout.sum(axis=(0, 2, 3), keepdims=True)


def dropout_forward(x, dropout_param):
    p, mask = dropout_param["p"], None
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        x = x * mask
    return x, (dropout_param, mask)


def dropout_backward(dout, cache):
    return dout if cache[1] is None else dout * cache[1]


def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    n, _, h, width = x.shape
    f, _, hh, ww = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((n, f, 1 + (h + 2 * pad - hh) // stride, 1 + (width + 2 * pad - ww) // stride))
    for image, k, i, j in np.ndindex(out.shape):
        top, left = i * stride, j * stride
        window = padded[image, :, top : top + hh, left : left + ww]
        out[image, k, i, j] = np.sum(window * w[k]) + b[k]
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    hh, ww = w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded, dw, db = np.zeros(padded.shape), np.zeros(w.shape), np.zeros(b.shape)
    for image, k, i, j in np.ndindex(dout.shape):
        top, left = i * stride, j * stride
        window = (image, slice(None), slice(top, top + hh), slice(left, left + ww))
        dw[k] += dout[image, k, i, j] * padded[window]
        dpadded[window] += dout[image, k, i, j] * w[k]
        db[k] += dout[image, k, i, j]
    rows, columns = x.shape[2:]
    return dpadded[:, :, pad : pad + rows, pad : pad + columns], dw, db


def conv_forward_im2col(x, w, b, conv_param):
    out, columns = convolve(x, w, b, conv_param["stride"], conv_param["pad"])
    return out, (x.shape, w, columns, conv_param)


def conv_backward_im2col(dout, cache):
    x_shape, w, columns, conv_param = cache
    return convolve_backward(dout, x_shape, w, columns, conv_param["stride"], conv_param["pad"])


def max_pool_forward_naive(x, pool_param):
    hh, ww, stride = (pool_param[name] for name in ("pool_height", "pool_width", "stride"))
    n, c, h, w = x.shape
    out = np.zeros((n, c, 1 + (h - hh) // stride, 1 + (w - ww) // stride))
    for image, k, i, j in np.ndindex(out.shape):
        top, left = i * stride, j * stride
        out[image, k, i, j] = x[image, k, top : top + hh, left : left + ww].max()
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    hh, ww, stride = (pool_param[name] for name in ("pool_height", "pool_width", "stride"))
    dx = np.zeros(x.shape)
    for image, k, i, j in np.ndindex(dout.shape):
        top, left = i * stride, j * stride
        window = x[image, k, top : top + hh, left : left + ww]
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[image, k, top + u, left + v] += dout[image, k, i, j]
    return dx


def max_pool_forward_reshape(x, pool_param):
    n, c, h, w = x.shape
    p = pool_param["stride"]
    windows = x.reshape(n, c, h // p, p, w // p, p)
    out = windows.max(axis=3).max(axis=4)
    return out, (x, windows, out)


def max_pool_backward_reshape(dout, cache):
    x, windows, out = cache
    mask = windows == out[:, :, :, None, :, None]
    shared = mask * dout[:, :, :, None, :, None] / mask.sum(axis=(3, 5), keepdims=True)
    return shared.reshape(x.shape)


def max_pool_forward_fast(x, pool_param):
    hh, ww, stride = (pool_param[name] for name in ("pool_height", "pool_width", "stride"))
    if hh == ww == stride and x.shape[2] % hh == 0 and x.shape[3] % ww == 0:
        out, cache = max_pool_forward_reshape(x, pool_param)
        return out, (max_pool_backward_reshape, cache)
    out, cache = max_pool_forward_naive(x, pool_param)
    return out, (max_pool_backward_naive, cache)


def max_pool_backward_fast(dout, cache):
    return cache[0](dout, cache[1])


def svm_loss(x, y):
    n = x.shape[0]
    margins = np.maximum(0, x - x[np.arange(n), y][:, None] + 1.0)
    margins[np.arange(n), y] = 0
    dx = np.zeros(x.shape)
    dx[margins > 0] = 1
    dx[np.arange(n), y] -= np.sum(margins > 0, axis=1)
    return np.sum(margins) / n, dx / n


def softmax_loss(x, y):
    n = x.shape[0]
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    dx = np.exp(log_probs)
    dx[np.arange(n), y] -= 1
    return -np.sum(log_probs[np.arange(n), y]) / n, dx / n


def sgd(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    config.setdefault("momentum", 0.9)
    v = config.get("velocity", np.zeros(w.shape))
    v = config["momentum"] * v - config["learning_rate"] * dw
    config["velocity"] = v
    return w + v, config


def rmsprop(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    config.setdefault("decay_rate", 0.99)
    config.setdefault("epsilon", 1e-8)
    cache = config.get("cache", np.zeros(w.shape))
    cache = config["decay_rate"] * cache + (1 - config["decay_rate"]) * dw**2
    config["cache"] = cache
    return w - config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"]), config


def adam(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-3)
    config.setdefault("beta1", 0.9)
    config.setdefault("beta2", 0.999)
    config.setdefault("epsilon", 1e-8)
    beta1, beta2, t = config["beta1"], config["beta2"], config.get("t", 0) + 1
    m = beta1 * config.get("m", np.zeros(w.shape)) + (1 - beta1) * dw
    v = beta2 * config.get("v", np.zeros(w.shape)) + (1 - beta2) * dw**2
    config["m"], config["v"], config["t"] = m, v, t
    step = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + config["epsilon"])
    return w - config["learning_rate"] * step, config


def im2col_indices(x, field_height, field_width, padding=1, stride=1):
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows = (h + 2 * padding - field_height) // stride + 1
    columns = (w + 2 * padding - field_width) // stride + 1
    cols = np.zeros((c * field_height * field_width, rows * columns * n))
    for k, u, v, i, j, image in np.ndindex(c, field_height, field_width, rows, columns, n):
        row, column = (k * field_height + u) * field_width + v, (i * columns + j) * n + image
        cols[row, column] = padded[image, k, i * stride + u, j * stride + v]
    return cols


class Solver:
    def __init__(self, model, data, **kwargs):
        self.model, self.data = model, data
        self.rule = globals()[kwargs.get("update_rule", "sgd")]
        self.batch_size, self.epochs = kwargs.get("batch_size", 100), kwargs.get("num_epochs", 10)
        self.lr_decay = kwargs.get("lr_decay", 1.0)
        self.train_samples = kwargs.get("num_train_samples", 1000)
        self.configs = {name: dict(kwargs.get("optim_config", {})) for name in model.params}
        self.loss_history, self.train_acc_history, self.val_acc_history = [], [], []

    def accuracy(self, X, y, samples=None):
        if samples is not None and X.shape[0] > samples:
            chosen = np.random.choice(X.shape[0], samples)
            X, y = X[chosen], y[chosen]
        return np.mean(np.argmax(self.model.loss(X), axis=1) == y)

    def train(self):
        X, y = self.data["X_train"], self.data["y_train"]
        best, best_params = 0, {}
        steps = max(X.shape[0] // self.batch_size, 1)
        for t in range(self.epochs * steps):
            chosen = np.random.choice(X.shape[0], self.batch_size)
            loss, grads = self.model.loss(X[chosen], y[chosen])
            self.loss_history.append(loss)
            for name, w in self.model.params.items():
                self.model.params[name], _ = self.rule(w, grads[name], self.configs[name])
            if (t + 1) % steps == 0:
                for config in self.configs.values():
                    config["learning_rate"] *= self.lr_decay
            if t == 0 or (t + 1) % steps == 0:
                self.train_acc_history.append(self.accuracy(X, y, self.train_samples))
                self.val_acc_history.append(self.accuracy(self.data["X_val"], self.data["y_val"]))
                if self.val_acc_history[-1] > best:
                    best = self.val_acc_history[-1]
                    best_params = {name: w.copy() for name, w in self.model.params.items()}
        self.model.params = best_params
