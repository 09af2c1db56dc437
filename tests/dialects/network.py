"""The dialect `network` in plain NumPy: layers that an optimiser visits.

This file is longer than others because it replaces a whole old package, name by name.
"""

from __future__ import annotations

import numpy as np

from .windows import convolve, convolve_backward


class Layer:
    evaluating = False

    def update_params(self, optimizer):
        pass

    def zero_grad(self):
        pass


class Linear(Layer):
    def __init__(self, input_size, output_size, init_type="xavier", bias=True):
        scales = {"xavier": np.sqrt(6 / (input_size + output_size)), "he": np.sqrt(2 / input_size)}
        b = scales.get(init_type.lower(), 0.01)
        self.weights = np.random.uniform(-b, b, (input_size, output_size))
        self.bias = np.zeros(output_size) if bias else None
        self.zero_grad()

    def zero_grad(self):
        self.weights_grad = np.zeros_like(self.weights)
        self.bias_grad = None if self.bias is None else np.zeros_like(self.bias)

    def update_params(self, optimizer):
        optimizer.update(self.weights, self.weights_grad)
        if self.bias is not None:
            optimizer.update(self.bias, self.bias_grad)

    def forward(self, x):
        self.input = x
        return x @ self.weights + (0 if self.bias is None else self.bias)

    def backward(self, grad):
        self.weights_grad += self.input.T @ grad
        if self.bias is not None:
            self.bias_grad += grad.sum(axis=0)
        return grad @ self.weights.T


class Conv2D(Layer):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        self.stride, self.padding = stride, padding
        kh, kw = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        scale = np.sqrt(2 / (in_channels * kh * kw))
        self.weights = np.random.normal(0, scale, (out_channels, in_channels, kh, kw))
        self.bias = np.zeros(out_channels) if bias else None
        self.zero_grad()

    zero_grad, update_params = Linear.zero_grad, Linear.update_params

    def forward(self, x):
        self.shape = x.shape
        b = 0 if self.bias is None else self.bias
        out, self.columns = convolve(x, self.weights, b, self.stride, self.padding)
        return out

    def backward(self, grad):
        dx, dw, db = convolve_backward(
            grad, self.shape, self.weights, self.columns, self.stride, self.padding
        )
        self.weights_grad += dw
        if self.bias is not None:
            self.bias_grad += db
        return dx


class MaxPool2D(Layer):
    def __init__(self, pool_size=2, stride=None):
        self.pool_size, self.stride = pool_size, stride or pool_size

    def forward(self, x):
        self.input = x
        p, s = self.pool_size, self.stride
        n, c, h, w = x.shape
        out = np.zeros((n, c, (h - p) // s + 1, (w - p) // s + 1))
        for n, c, i, j in np.ndindex(out.shape):
            out[n, c, i, j] = np.max(x[n, c, i * s : i * s + p, j * s : j * s + p])
        return out

    def backward(self, grad):
        p, s = self.pool_size, self.stride
        dx = np.zeros_like(self.input)
        for n, c, i, j in np.ndindex(grad.shape):
            window = self.input[n, c, i * s : i * s + p, j * s : j * s + p]
            u, v = np.unravel_index(np.argmax(window), window.shape)
            dx[n, c, i * s + u, j * s + v] += grad[n, c, i, j]
        return dx


class Flatten(Layer):
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad):
        return grad.reshape(self.shape)


class Dropout(Layer):
    """The original also drops after eval(); here it only draws the mask."""

    def __init__(self, dropout_rate=0.5):
        self.dropout_rate, self.training = dropout_rate, True

    def forward(self, x):
        self.mask = 1.0
        if self.training and self.dropout_rate > 0:
            mask = (np.random.rand(*x.shape) > self.dropout_rate).astype(np.float32)
            self.mask = 1.0 if self.evaluating else mask / np.float64(1 - self.dropout_rate)
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask


class BatchNorm(Layer):
    def __init__(self, features, axes, momentum, eps):
        self.axes, self.momentum, self.eps, self.training = axes, momentum, eps, True
        self.gamma, self.beta = np.ones(features), np.zeros(features)
        self.running_mean, self.running_var = np.zeros(features), np.ones(features)
        self.zero_grad()

    def zero_grad(self):
        self.gamma_grad, self.beta_grad = np.zeros_like(self.gamma), np.zeros_like(self.beta)

    def update_params(self, optimizer):
        optimizer.update(self.gamma, self.gamma_grad)
        optimizer.update(self.beta, self.beta_grad)

    def along(self, v):
        return v.reshape(1, -1, *(1,) * (len(self.axes) - 1))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training and not self.evaluating:
            mean, var = x.mean(self.axes), x.var(self.axes)
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean
            self.running_var = (1 - m) * self.running_var + m * var
        self.inv = self.along(1 / np.sqrt(var + self.eps))
        self.xhat = (x - self.along(mean)) * self.inv
        return self.along(self.gamma) * self.xhat + self.along(self.beta)

    def backward(self, grad):
        d = grad * self.along(self.gamma)
        if self.training and not self.evaluating:
            self.gamma_grad += (grad * self.xhat).sum(self.axes)
            self.beta_grad += grad.sum(self.axes)
            d = d - d.mean(self.axes, keepdims=True)
            d = d - self.xhat * (
                (grad * self.along(self.gamma) * self.xhat).mean(self.axes, keepdims=True)
            )
        return d * self.inv


class BatchNorm1D(BatchNorm):
    def __init__(self, num_features, momentum=0.1, eps=1e-5):
        super().__init__(num_features, (0,), momentum, eps)


class BatchNorm2D(BatchNorm):
    def __init__(self, num_channels, eps=1e-15, momentum=0.1):
        super().__init__(num_channels, (0, 2, 3), momentum, eps)


def relu(x):
    return np.maximum(0, x)


def relu_derivative(x):
    return (x > 0).astype(float)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def sigmoid_derivative(x):
    return sigmoid(x) * (1 - sigmoid(x))


def tanh(x):
    return np.tanh(x)


def tanh_derivative(x):
    return 1 - np.tanh(x) ** 2


def leaky_relu(x, alpha=0.01):
    return np.where(x > 0, x, alpha * x)


def leaky_relu_derivative(x, alpha=0.01):
    return np.where(x > 0, 1.0, alpha)


def softmax(x):
    e = np.exp(np.clip(x - x.max(axis=-1, keepdims=True), -500, 500))
    return e / e.sum(axis=-1, keepdims=True)


class Activation(Layer):
    def __init__(self, f, df):
        self.f, self.df = f, df

    def forward(self, x):
        self.input = x
        return self.f(x)

    def backward(self, grad):
        return grad * self.df(self.input)


def ReLULayer():
    return Activation(relu, relu_derivative)


def SigmoidLayer():
    return Activation(sigmoid, sigmoid_derivative)


def TanhLayer():
    return Activation(tanh, tanh_derivative)


def LeakyReLULayer(alpha=0.01):
    return Activation(lambda x: leaky_relu(x, alpha), lambda x: leaky_relu_derivative(x, alpha))


class SoftmaxLayer(Layer):
    def forward(self, x):
        self.output = softmax(x)
        return self.output

    def backward(self, grad):
        return np.stack([(np.diag(s) - np.outer(s, s)) @ g for s, g in zip(self.output, grad)])


class NeuralNetwork:
    def __init__(self):
        self.layers = []
        self.training = True

    def add_layer(self, layer):
        self.layers.append(layer)

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad):
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return grad

    def zero_grad(self):
        for layer in self.layers:
            layer.zero_grad()

    def update_params(self, optimizer):
        for layer in self.layers:
            layer.update_params(optimizer)

    def eval(self):
        for layer in self.layers:
            layer.evaluating = True

    def train(self):
        for layer in self.layers:
            layer.evaluating = False


class SoftmaxCrossEntropyLoss:
    def forward(self, logits, targets):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.cache = e / e.sum(axis=1, keepdims=True), targets
        return cross_entropy_loss(*self.cache)

    def backward(self):
        return cross_entropy_loss_derivative(*self.cache)

    def __call__(self, logits, targets):
        return self.forward(logits, targets)


def mse_loss(predictions, targets):
    return ((predictions.flatten() - targets.flatten()) ** 2).mean()


def mse_loss_derivative(predictions, targets):
    return 2 * (predictions - targets) / len(predictions)


def cross_entropy_loss(predictions, targets):
    p = np.clip(predictions, 1e-15, 1 - 1e-15)
    if targets.ndim == 1:
        return -np.log(p[np.arange(len(p)), targets]).mean()
    return -(targets * np.log(p)).sum(axis=1).mean()


def cross_entropy_loss_derivative(predictions, targets):
    if targets.ndim == 1:
        targets = np.eye(predictions.shape[1])[targets]
    return (predictions - targets) / len(predictions)


def clip_gradients(gradients, max_norm):
    excess = np.sqrt(np.sum(gradients**2)) / (max_norm + 1e-15)
    return gradients / excess if excess > 1.0 else gradients


def batch_iterator(X, y, batch_size=32, shuffle=True):
    order = np.arange(len(X))
    if shuffle:
        np.random.shuffle(order)
    for start in range(0, len(X), batch_size):
        yield X[order[start : start + batch_size]], y[order[start : start + batch_size]]


class SGD:
    def __init__(self, learning_rate=0.001):
        self.learning_rate = learning_rate

    def update(self, params, gradients):
        params -= self.learning_rate * gradients

    def zero_step(self):
        pass


class Momentum(SGD):
    def __init__(self, learning_rate=0.001, momentum=0.9):
        self.learning_rate, self.momentum, self.velocities = learning_rate, momentum, {}

    def update(self, params, gradients):
        v = self.velocities.get(id(params), 0)
        self.velocities[id(params)] = self.momentum * v - self.learning_rate * gradients
        params += self.velocities[id(params)]


class RMSProp(SGD):
    def __init__(self, learning_rate=0.001, decay=0.9, eps=1e-8):
        self.learning_rate, self.decay, self.eps, self.cache = learning_rate, decay, eps, {}

    def update(self, params, gradients):
        old = self.cache.get(id(params), 0)
        self.cache[id(params)] = self.decay * old + (1 - self.decay) * gradients**2
        root = np.sqrt(self.cache[id(params)])
        params -= self.learning_rate * gradients / (root + self.eps)


class Adagrad(SGD):
    def __init__(self, learning_rate=0.001, eps=1e-8):
        self.learning_rate, self.eps, self.G = learning_rate, eps, {}

    def update(self, params, gradients):
        self.G[id(params)] = self.G.get(id(params), 0) + gradients**2
        params -= self.learning_rate * gradients / np.sqrt(self.G[id(params)] + self.eps)


class Adam(SGD):
    def __init__(self, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
        self.learning_rate, self.beta1, self.beta2, self.eps = learning_rate, beta1, beta2, eps
        self.t, self.m, self.v, self.counted = 0, {}, {}, False

    def zero_step(self):
        self.counted = False

    def update(self, params, gradients):
        if not self.counted:
            self.t, self.counted = self.t + 1, True
        key = id(params)
        self.m[key] = self.beta1 * self.m.get(key, 0) + (1 - self.beta1) * gradients
        self.v[key] = self.beta2 * self.v.get(key, 0) + (1 - self.beta2) * gradients**2
        m, v = self.m[key] / (1 - self.beta1**self.t), self.v[key] / (1 - self.beta2**self.t)
        params -= self.learning_rate * m / (np.sqrt(v) + self.eps)


def spiral(n, k):
    P = np.zeros((n * k, 2))
    for j in range(k):
        r = np.linspace(0, 1, n)
        t = np.linspace(j * 4, (j + 1) * 4, n) + np.random.randn(n) * 0.2
        P[n * j : n * (j + 1)] = np.c_[r * np.sin(t), r * np.cos(t)]
    return P


def circle(n, k):
    P = np.zeros((n * k, 2))
    for j in range(k):
        r = 2 * (j + 1) + np.random.randn(n) * 0.5
        t = np.linspace(0, 2 * np.pi, n) + np.random.randn(n) * 0.2
        P[n * j : n * (j + 1)] = np.c_[r * np.sin(t), r * np.cos(t)]
    return P


def line(n, k):
    P = np.zeros((n * k, 2))
    for j in range(k):
        t = np.linspace(-10, 10, n)
        P[n * j : n * (j + 1)] = np.c_[t, (2 * j - 2) * t + np.random.randn(n) * 2]
    return P


def zone(n, k):
    P = np.zeros((n * k, 2))
    for j in range(k):
        a, r = 2 * np.pi * j / k, np.random.randn(n) * 0.5
        t = np.linspace(0, 2 * np.pi, n) + np.random.randn(n) * 0.2
        P[n * j : n * (j + 1)] = np.c_[np.cos(a) + r * np.sin(t), np.sin(a) + r * np.cos(t)]
    return P


def zone_3d(n, centers):
    P = np.zeros((n * len(centers), 3))
    for j, center in enumerate(centers):
        r = np.random.randn(n) * 2
        gamma, theta = np.random.uniform(0, np.pi, n), np.random.uniform(0, 2 * np.pi, n)
        flat = r * np.sin(gamma)
        cloud = np.c_[flat * np.cos(theta), flat * np.sin(theta), r * np.cos(gamma)]
        P[n * j : n * (j + 1)] = center + cloud
    return P
