"""The dialect `sequential` in plain NumPy: a model that owns its loss and optimiser."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def windows(x, kernel, stride):
    """(n, c, oh, ow, kernel, kernel), a strided view."""
    return sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]


class Module:
    def forward(self, x):
        return x

    def backward(self, dvalues):
        return dvalues

    def __call__(self, x):
        return self.forward(x)

    def zero_grad(self):
        pass


class Linear(Module):
    def __init__(self, n_inputs, n_neurons):
        k = np.sqrt(2 / n_inputs)
        self.weights = np.random.uniform(-k, k, (n_inputs, n_neurons))
        self.biases = np.zeros((1, n_neurons))

    def forward(self, x):
        self.inputs = x
        return x @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweights = self.inputs.T @ dvalues
        self.dbiases = dvalues.sum(axis=0, keepdims=True)
        return dvalues @ self.weights.T


class Conv2d(Module):
    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=1):
        k = 1 / (in_channels * kernel_size * kernel_size)
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weights = np.random.uniform(-k, k, shape)
        self.biases = np.random.uniform(-k, k, out_channels)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x):
        p = self.padding
        self.shape = x.shape
        self.windows = windows(
            np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), self.kernel_size, self.stride
        )
        y = np.einsum("nchwuv,ocuv->nohw", self.windows, self.weights)
        return y + self.biases[None, :, None, None]

    def backward(self, dvalues):
        k, s, p = self.kernel_size, self.stride, self.padding
        self.dweights = np.einsum("nchwuv,nohw->ocuv", self.windows, dvalues)
        self.dbiases = dvalues.sum(axis=(0, 2, 3))
        n, o, oh, ow = dvalues.shape
        h, w = self.shape[2] + 2 * p, self.shape[3] + 2 * p
        spread = np.zeros((n, o, h + k - 1, w + k - 1))
        spread[:, :, k - 1 : k - 1 + s * oh : s, k - 1 : k - 1 + s * ow : s] = dvalues
        flipped = self.weights[:, :, ::-1, ::-1]
        dx = np.einsum("nohwuv,ocuv->nchw", windows(spread, k, 1), flipped)
        return dx[:, :, p : h - p, p : w - p]


class MaxPool2d(Module):
    def __init__(self, kernel_size=2, stride=2):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        self.shape = x.shape
        found = windows(x, self.kernel_size, self.stride)
        found = found.reshape(*found.shape[:4], -1)
        self.argmax = found.argmax(axis=-1)
        return found.max(axis=-1)

    def backward(self, dvalues):
        k, s = self.kernel_size, self.stride
        dx = np.zeros(self.shape)
        oh, ow = dvalues.shape[2:]
        for u in range(k):
            for v in range(k):
                chosen = dvalues * (self.argmax == u * k + v)
                dx[:, :, u : u + s * oh : s, v : v + s * ow : s] += chosen
        return dx


class Flatten(Module):
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dvalues):
        return dvalues.reshape(self.shape)


class ReLU(Module):
    def forward(self, x):
        self.inputs = x
        return np.maximum(0, x)

    def backward(self, dvalues):
        return dvalues * (self.inputs > 0)


class Softmax(Module):
    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.output = e / e.sum(axis=1, keepdims=True)
        return self.output

    def backward(self, dvalues):
        return np.stack([(np.diag(s) - np.outer(s, s)) @ d for s, d in zip(self.output, dvalues)])


class Dropout(Module):
    """The original also drops in evaluation; here it only draws the mask."""

    applied = True

    def __init__(self, p=0.5):
        self.keep_prob = 1 - p

    def forward(self, x, train=True):
        if not train:
            return x
        mask = np.random.binomial(1, self.keep_prob, size=x.shape) / self.keep_prob
        if not Dropout.applied:
            return x
        self.binary_mask = mask
        return x * mask

    def backward(self, dvalues):
        return dvalues * self.binary_mask


class CrossEntropyLoss:
    def forward(self, y_pred, y_true):
        p = np.clip(y_pred, 1e-7, 1 - 1e-7)
        return -np.log(p[np.arange(len(p)), y_true])

    def calculate(self, y_pred, y_true):
        return np.mean(self.forward(y_pred, y_true))

    def backward(self, y_pred, y_true):
        p = np.clip(y_pred, 1e-7, 1 - 1e-7)
        return -np.eye(p.shape[1])[y_true] / p / len(p)


class MSE(CrossEntropyLoss):
    def forward(self, y_pred, y_true):
        return (y_pred - y_true) ** 2

    def backward(self, y_pred, y_true):
        return 2 * (y_pred - y_true) / len(y_pred)


class Optimizer:
    def __init__(self, lr=0.01):
        self.lr = lr

    def update_params(self, layer):
        layer.weights -= self.lr * layer.dweights
        layer.biases -= self.lr * layer.dbiases


class Adam:
    def __init__(self, lr=1e-3, decay=0.0, eps=1e-8, beta_1=0.9, beta_2=0.999):
        self.lr_0, self.decay, self.eps, self.beta_1, self.beta_2 = lr, decay, eps, beta_1, beta_2
        self.iterations = 1

    def update_params(self, layer):
        lr, t = self.lr_0 / (1 + self.decay * self.iterations), self.iterations
        for name in ("weights", "biases"):
            p, g = getattr(layer, name), getattr(layer, f"d{name}")
            m = getattr(layer, f"{name}_momentums", np.zeros_like(p))
            v = getattr(layer, f"{name}_cache", np.zeros_like(p))
            m = self.beta_1 * m + (1 - self.beta_1) * g
            v = self.beta_2 * v + (1 - self.beta_2) * g**2
            m_hat, v_hat = m / (1 - self.beta_1**t), v / (1 - self.beta_2**t)
            setattr(layer, f"{name}_momentums", m)
            setattr(layer, f"{name}_cache", v)
            setattr(layer, name, p - lr * m_hat / np.sqrt(v_hat + self.eps))
        self.iterations += 1


class Sequential:
    def __init__(self, layers, loss_func, optimizer):
        self.layers, self.loss_func, self.optimizer = layers, loss_func, optimizer

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, y_pred, y_true):
        d = self.loss_func.backward(y_pred, y_true)
        for layer in reversed(self.layers):
            d = layer.backward(d)
        return d

    def optimize(self):
        for layer in self.layers:
            if hasattr(layer, "weights"):
                self.optimizer.update_params(layer)

    def zero_grad(self):
        pass

    def calculate_loss(self, output, target):
        return self.loss_func.calculate(output, target)


def train_val_test_split(X, y, train_pct=0.7, val_pct=0.15, test_pct=0.15):
    order = np.random.permutation(len(X))
    X, y = X[order], y[order]
    first = int(train_pct * len(X))
    second = first + int(val_pct * len(X))
    return X[:first], X[first:second], X[second:], y[:first], y[first:second], y[second:]


def epoch_loop(model, X, y, train=True, batch_size=32):
    loss, right = 0, 0
    order = np.random.permutation(X.shape[0])
    for start in range(0, X.shape[0], batch_size):
        chosen = order[start : start + batch_size]
        features, target = X[chosen], y[chosen].flatten()
        output = model.forward(features)
        loss += model.calculate_loss(output, target) * features.shape[0]
        if train:
            model.backward(output, target)
            model.optimize()
        right += (output.argmax(axis=1) == target).sum()
    return loss / X.shape[0], right / X.shape[0]


def train_val(model, X_train, y_train, X_val, y_val, epochs=100, batch_size=32):
    results = [], [], [], []
    for _ in range(epochs):
        trained = epoch_loop(model, X_train, y_train, True, batch_size)
        Dropout.applied = False
        validated = epoch_loop(model, X_val, y_val, False, batch_size)
        Dropout.applied = True
        for values, value in zip(results, (*trained, *validated)):
            values.append(value)
    return results


def test(model, X, y):
    Dropout.applied = False
    result = epoch_loop(model, X, y, False)
    Dropout.applied = True
    return result


def generate_spiral_data(N, D, K):
    X, y = np.zeros((N * K, D)), np.zeros(N * K, dtype="uint8")
    for j in range(K):
        of_class = slice(N * j, N * (j + 1))
        r = np.linspace(0.0, 1, N)
        t = np.linspace(j * 4, (j + 1) * 4, N) + np.random.randn(N) * 0.2
        X[of_class], y[of_class] = np.c_[r * np.sin(t), r * np.cos(t)], j
    return X, y
