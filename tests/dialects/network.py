"""The dialect `network` in plain NumPy: layers that an optimiser visits."""

from __future__ import annotations

import numpy as np

from .windows import convolve, convolve_backward


class Linear:
    def __init__(self, input_size, output_size, init_type="xavier", bias=True):
        scales = {"xavier": np.sqrt(6 / (input_size + output_size)), "he": np.sqrt(2 / input_size)}
        b = scales.get(init_type, 0.01)
        self.weights = np.random.uniform(-b, b, (input_size, output_size))
        self.bias = np.zeros(output_size) if bias else None
        self.zero_grad()

    def zero_grad(self):
        self.weights_grad = np.zeros_like(self.weights)
        self.bias_grad = None if self.bias is None else np.zeros_like(self.bias)

    def forward(self, x):
        self.input = x
        return x @ self.weights + (0 if self.bias is None else self.bias)

    def backward(self, grad):
        self.weights_grad += self.input.T @ grad
        if self.bias is not None:
            self.bias_grad += grad.sum(axis=0)
        return grad @ self.weights.T


class Conv2D:
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        self.stride, self.padding = stride, padding
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weights = np.random.normal(0, np.sqrt(2 / (in_channels * kernel_size**2)), shape)
        self.bias = np.zeros(out_channels) if bias else None
        self.zero_grad()

    zero_grad = Linear.zero_grad

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


class MaxPool2D:
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


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad):
        return grad.reshape(self.shape)


class Dropout:
    def __init__(self, dropout_rate=0.5):
        self.dropout_rate, self.training = dropout_rate, True

    def forward(self, x):
        keep = 1 - self.dropout_rate
        self.mask = (np.random.rand(*x.shape) > self.dropout_rate) / keep if self.training else 1
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask


class BatchNorm:
    def __init__(self, features, axes, momentum, eps):
        self.axes, self.momentum, self.eps, self.training = axes, momentum, eps, True
        self.gamma, self.beta = np.ones(features), np.zeros(features)
        self.running_mean, self.running_var = np.zeros(features), np.ones(features)
        self.zero_grad()

    def zero_grad(self):
        self.gamma_grad, self.beta_grad = np.zeros_like(self.gamma), np.zeros_like(self.beta)

    def along(self, v):
        return v.reshape(1, -1, *(1,) * (len(self.axes) - 1))

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(self.axes), x.var(self.axes)
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean
            self.running_var = (1 - m) * self.running_var + m * var
        self.inv = self.along(1 / np.sqrt(var + self.eps))
        self.xhat = (x - self.along(mean)) * self.inv
        return self.along(self.gamma) * self.xhat + self.along(self.beta)

    def backward(self, grad):
        self.gamma_grad += (grad * self.xhat).sum(self.axes)
        self.beta_grad += grad.sum(self.axes)
        d = grad * self.along(self.gamma)
        if self.training:
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
    e = np.exp(np.clip(x, -500, 500))
    return e / e.sum(axis=-1, keepdims=True)


class Activation:
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


class SoftmaxLayer:
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
            if hasattr(layer, "zero_grad"):
                layer.zero_grad()

    def parameters(self):
        for layer in self.layers:
            for name in ("weights", "bias", "gamma", "beta"):
                if getattr(layer, name, None) is not None:
                    yield getattr(layer, name), getattr(layer, f"{name}_grad")

    def update_params(self, optimizer):
        for p, g in self.parameters():
            optimizer.update([p], [g])


class SoftmaxCrossEntropyLoss:
    def forward(self, logits, targets):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.probs = e / e.sum(axis=1, keepdims=True)
        targets = np.asarray(targets)
        self.targets = np.eye(logits.shape[1])[targets] if targets.ndim == 1 else targets
        return -np.sum(self.targets * np.log(self.probs)) / len(logits)

    def backward(self):
        return (self.probs - self.targets) / len(self.probs)


def mse_loss(y_pred, y_true):
    return np.mean((y_pred - y_true) ** 2)


def mse_loss_derivative(y_pred, y_true):
    return 2 * (y_pred - y_true) / len(y_pred)


def cross_entropy_loss(y_pred, y_true):
    return -np.sum(y_true * np.log(np.clip(y_pred, 1e-15, 1 - 1e-15))) / len(y_pred)


def cross_entropy_loss_derivative(y_pred, y_true):
    return -y_true / np.clip(y_pred, 1e-15, 1 - 1e-15) / len(y_pred)


class SGD:
    def __init__(self, learning_rate=0.001, **options):
        self.lr, self.options, self.t, self.state = learning_rate, options, 1, {}

    def update(self, params, gradients):
        for p, g in zip(params, gradients):
            self.step(p, g, self.state.setdefault(id(p), [np.zeros_like(p), np.zeros_like(p)]))

    def step(self, p, g, state):
        p -= self.lr * g

    def zero_step(self):
        self.t += 1


class Momentum(SGD):
    def step(self, p, g, state):
        state[0] = self.options.get("momentum", 0.9) * state[0] - self.lr * g
        p += state[0]


class RMSProp(SGD):
    def step(self, p, g, state):
        decay = self.options.get("decay", 0.9)
        state[0] = decay * state[0] + (1 - decay) * g**2
        p -= self.lr * g / (np.sqrt(state[0]) + self.options.get("eps", 1e-8))


class Adagrad(SGD):
    def step(self, p, g, state):
        state[0] += g**2
        p -= self.lr * g / np.sqrt(state[0] + self.options.get("eps", 1e-8))


class Adam(SGD):
    def step(self, p, g, state):
        b1, b2 = self.options.get("beta1", 0.9), self.options.get("beta2", 0.999)
        state[0] = b1 * state[0] + (1 - b1) * g
        state[1] = b2 * state[1] + (1 - b2) * g**2
        m, v = state[0] / (1 - b1**self.t), state[1] / (1 - b2**self.t)
        p -= self.lr * m / (np.sqrt(v) + self.options.get("eps", 1e-8))


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
        a, r, t = 2 * np.pi * j / k, np.random.randn(n) * 0.5, np.linspace(0, 2 * np.pi, n)
        P[n * j : n * (j + 1)] = np.c_[np.cos(a) + r * np.cos(t), np.sin(a) + r * np.sin(t)]
    return P
