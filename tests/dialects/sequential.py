"""The dialect `sequential` in plain NumPy: a model that owns its loss and optimiser."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def windows(x, kernel, stride):
    """(n, c, oh, ow, kernel, kernel), a strided view."""
    return sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]


class Module:
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
    def __init__(self, p=0.5):
        self.keep, self.off = 1 - p, False

    def forward(self, x):
        mask = np.random.binomial(1, self.keep, x.shape) / self.keep if not self.off else 1.0
        self.mask = mask
        return x * mask

    def backward(self, dvalues):
        return dvalues * self.mask


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
    def __init__(self, lr=1e-3, decay=0, eps=1e-8, beta_1=0.9, beta_2=0.999):
        self.lr, self.decay, self.eps, self.beta_1, self.beta_2 = lr, decay, eps, beta_1, beta_2
        self.count, self.state = 0, {}

    def update_params(self, layer):
        lr = self.lr / (1 + self.decay * self.count)
        t = self.count + 1
        for name in ("weights", "biases"):
            p, g = getattr(layer, name), getattr(layer, f"d{name}")
            m, v = self.state.get((id(layer), name), (0, 0))
            m = self.beta_1 * m + (1 - self.beta_1) * g
            v = self.beta_2 * v + (1 - self.beta_2) * g**2
            self.state[id(layer), name] = m, v
            m_hat, v_hat = m / (1 - self.beta_1**t), v / (1 - self.beta_2**t)
            p -= lr * m_hat / np.sqrt(v_hat + self.eps)
        self.count += 1


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


def train_val(model, X_train, y_train, X_val, y_val, epochs=100, batch_size=32):
    results = [], [], [], []
    for _ in range(epochs):
        losses, accuracies = [], []
        order = np.random.permutation(len(X_train))
        for start in range(0, len(X_train), batch_size):
            chosen = order[start : start + batch_size]
            y_pred = model.forward(X_train[chosen])
            losses.append(model.calculate_loss(y_pred, y_train[chosen]))
            accuracies.append(np.mean(y_pred.argmax(1) == y_train[chosen]))
            model.backward(y_pred, y_train[chosen])
            model.optimize()
        for layer in model.layers:
            layer.off = True
        y_pred = model.forward(X_val)
        for layer in model.layers:
            layer.off = False
        epoch = (
            np.mean(losses),
            np.mean(accuracies),
            model.calculate_loss(y_pred, y_val),
            np.mean(y_pred.argmax(1) == y_val),
        )
        for values, value in zip(results, epoch):
            values.append(value)
    return results
