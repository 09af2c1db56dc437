"""The dialect `listnet`: a network is a list of layers, samples are processed one at a time, and
`backward` updates the weights immediately. Vectors are columns (n, 1), images (depth, h, w).
This file is longer than others because it combines the eight small modules of the old programs, so
that everything such a program imports is in one place.

>>> import numpy as np
>>> from cnnx.compat.listnet import Dense, Tanh, mse, mse_prime, predict, train
>>> np.random.seed(0)
>>> network = [Dense(2, 3), Tanh(), Dense(3, 1), Tanh()]
>>> x, y = [[[0], [0]], [[0], [1]], [[1], [0]], [[1], [1]]], [[[0]], [[1]], [[1]], [[0]]]
>>> train(network, mse, mse_prime, x, y, epochs=2000, learning_rate=0.1, verbose=False)
>>> [round(predict(network, column).item()) for column in x]
[0, 1, 1, 0]
"""

# Design:
# One sample at a time means little work per call, so the goal is to save calls.
# - A Dense layer's step is a rank-1 update, which reads and writes all weights for one sample. If
#   they do not fit into the cache, updates are delayed: W = W0 - sum d_i x_i^T of up to PENDING
#   samples. Products with W account for pending updates by a few dot products, and one matrix
#   product later adds them to W0. (Delayed updates: McDaniel et al., J. Chem. Phys. 147, 174107,
#   2017.) It does so a few rows at a time, whose product is still in the cache when it is added.
#   So little work at once also stays on one thread, which does not wait for another on a busy
#   machine. Reading `weights` applies all pending updates; since the caller may keep the array, no
#   update is delayed from then on.
# - A product of a matrix and one column uses NumPy: calling a cnnx op costs 6 us, a Dense of six
#   weights takes 1 us, and for large ones both are limited by memory.
# - The derivatives of Tanh and Sigmoid are computed from the output cached by forward.
# - `train` does not compute the input gradient of the first layer, which is never used.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ._arrays import FLOAT64, descend, floats, saved

__all__ = [
    "Activation",
    "Convolutional",
    "Dense",
    "Layer",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "binary_cross_entropy",
    "binary_cross_entropy_prime",
    "mse",
    "mse_prime",
    "predict",
    "train",
]

PENDING = 16  # pending rank-1 updates: 16 inputs of 3,380 numbers are 430 KB, half an L2 cache
WAIT_FROM = 32_768  # number of weights of a Dense layer from which updates are delayed: 256 KB
SETTLED = 16_384  # number of weights updated together, about as many as the update: 128 KB
SMALL = 64  # up to this many numbers, NumPy's expressions take less time than an op's checks


class Layer:
    """Base of all layers: a subclass defines `forward(input)` and `backward(output_gradient,
    learning_rate)`, which updates the parameters and returns the input's gradient.

    >>> class Double(Layer):
    ...     def forward(self, input):
    ...         return 2 * input
    ...
    ...     def backward(self, output_gradient, learning_rate):
    ...         return 2 * output_gradient
    >>> Double().forward(3)
    6
    """

    input: Any = None
    output: Any = None

    def __init__(self) -> None:
        self.input = None
        self.output = None

    def forward(self, input: Any) -> Any:
        """The layer's output for one sample; None unless overridden."""

    def backward(self, output_gradient: Any, learning_rate: float) -> Any:
        """Update, and return the input's gradient; None unless overridden."""


class Dense(Layer):
    """Fully connected layer of one column: y = W x + b.

    forward   x (input_size, 1)  ->  y (output_size, 1)
    backward  dx = W^T dy;  then W -= learning_rate * dy x^T, b -= learning_rate * dy

    `weights` (output_size, input_size) and `bias` (output_size, 1): np.random.randn, in this order.
    forward accepts what NumPy's product accepts: also k columns (input_size, k), and a vector
    (input_size,), for which adding the bias column gives a square array. backward requires that the
    last input was one column. ValueError for other shapes.

    >>> Dense(2, 3).forward([[1], [2]]).shape
    (3, 1)
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.weights = np.random.randn(output_size, input_size)
        self.bias = np.random.randn(output_size, 1)
        self._waits = self._weights.size >= WAIT_FROM
        if self._waits:
            self._inputs = np.empty((PENDING, input_size))
            self._steps = np.empty((PENDING, output_size))

    @property
    def weights(self) -> np.ndarray:
        """(output_size, input_size), with all pending updates applied."""
        if self._waits:
            self._settle()
            self._waits = False
        return self._weights

    @weights.setter
    def weights(self, value: Any) -> None:
        self._weights = floats("Dense: weights", value)
        if self._weights.ndim != 2:
            raise ValueError(f"Dense: weights has shape {self._weights.shape}, expected (out, in)")
        self._column = self._weights.shape[1], 1
        self._waits, self._count = False, 0

    def forward(self, input: Any) -> np.ndarray:
        self.input = x = np.asarray(input, FLOAT64)
        if x.shape != self._column and (x.ndim not in (1, 2) or len(x) != self._column[0]):
            raise ValueError(
                f"Dense: input has shape {x.shape}, but weights {self._weights.shape} expect "
                f"{self._column}"
            )
        y = self._weights.dot(x)
        if self._count:
            y -= self._steps[: self._count].T.dot(self._inputs[: self._count].dot(x))
        if x.ndim == 1:
            return y + self.bias
        y += self.bias
        return y

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        dx = self._backward(output_gradient, learning_rate, True)
        assert dx is not None
        return dx

    def _backward(self, dy: Any, learning_rate: float, need_dx: bool) -> np.ndarray | None:
        x, weights, count = saved("Dense", self.input), self._weights, self._count
        dy = np.asarray(dy, FLOAT64)
        if dy.shape != self.bias.shape:
            raise ValueError(
                f"Dense: output_gradient has shape {dy.shape}, expected {self.bias.shape}"
            )
        if x.shape != self._column and x.size * weights.size > 1:
            raise ValueError(
                f"Dense: backward requires one column {self._column}, but the last input has "
                f"shape {x.shape}"
            )
        dx = weights.T.dot(dy) if need_dx else None
        step = learning_rate * dy
        if self._waits:
            if dx is not None and count:
                dx -= self._inputs[:count].T.dot(self._steps[:count].dot(dy))
            self._inputs[count], self._steps[count] = x[:, 0], step[:, 0]
            self._count = count + 1
            if self._count == PENDING:
                self._settle()
        elif weights.size < WAIT_FROM:
            weights -= step * x.T
        else:
            descend(weights, ops.linear_backward(dy.T, x.T, weights, False)[1], learning_rate)
        self.bias -= step
        return dx

    def _settle(self) -> None:
        """Apply the pending updates, a few rows of weights at a time."""
        if self._count:
            steps, inputs = self._steps[: self._count], self._inputs[: self._count]
            height = max(1, SETTLED // inputs.shape[1])
            for first in range(0, len(self._weights), height):
                rows = slice(first, first + height)
                block = self._weights[rows]
                dblock = ops.linear_backward(steps[:, rows], inputs, block, False)[1]
                descend(block, dblock, 1.0)
            self._count = 0


class Convolutional(Layer):
    """Valid cross-correlation of one image with `depth` kernels, with a bias for every output.

    forward   y[k] = biases[k] + sum over c of x[c] (*) kernels[k, c];  x (d, h, w)  ->
              y (depth, h - kernel_size + 1, w - kernel_size + 1)
    backward  dK[k, c] = x[c] (*) dy[k], dx[c] = sum over k of the full convolution of dy[k] with
              kernels[k, c]; then kernels -= learning_rate * dK, biases -= learning_rate * dy

    input_shape (d, h, w). `kernels` (depth, d, kernel_size, kernel_size) and `biases` of the
    output's shape: np.random.randn, in this order. `kernals`, as some programs spell it, is an
    alias of `kernels`.

    >>> Convolutional((1, 5, 5), 3, 2).forward(np.ones((1, 5, 5))).shape
    (2, 3, 3)
    """

    def __init__(self, input_shape: Sequence[int], kernel_size: int, depth: int) -> None:
        super().__init__()
        input_depth, height, width = input_shape
        if not 1 <= kernel_size <= min(height, width):
            raise ValueError(
                f"Convolutional: kernel_size={kernel_size} does not fit input_shape={input_shape}"
            )
        self.depth = depth
        self.input_shape = input_shape
        self.input_depth = input_depth
        self.output_shape = (depth, height - kernel_size + 1, width - kernel_size + 1)
        self.kernels_shape = (depth, input_depth, kernel_size, kernel_size)
        self.kernels = np.random.randn(*self.kernels_shape)
        self.biases = np.random.randn(*self.output_shape)

    @property
    def kernals(self) -> np.ndarray:
        """`kernels`."""
        return self.kernels

    @kernals.setter
    def kernals(self, value: np.ndarray) -> None:
        self.kernels = value

    def forward(self, input: Any) -> np.ndarray:
        self.input = x = floats("Convolutional", input)
        if x.shape != tuple(self.input_shape):
            raise ValueError(
                f"Convolutional: input has shape {x.shape}, expected {tuple(self.input_shape)}"
            )
        self.output = ops.conv2d(x[None], self.kernels, add=self.biases[None])[0]
        return self.output

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        dx = self._backward(output_gradient, learning_rate, True)
        assert dx is not None
        return dx

    def _backward(self, dy: Any, learning_rate: float, need_dx: bool) -> np.ndarray | None:
        x, dy = saved("Convolutional", self.input), floats("Convolutional", dy)
        dx, dkernels, _ = ops.conv2d_backward(dy[None], x[None], self.kernels, need_dx=need_dx)
        descend(self.kernels, dkernels, learning_rate)
        descend(self.biases, dy, learning_rate)
        return None if dx is None else dx[0]


class Reshape(Layer):
    """input_shape to output_shape, and the gradient back.

    >>> Reshape((1, 2, 2), (4, 1)).forward([[[1, 2], [3, 4]]]).shape
    (4, 1)
    """

    def __init__(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> None:
        super().__init__()
        self.input_shape = input_shape
        self.output_shape = output_shape

    def forward(self, input: Any) -> np.ndarray:
        return np.reshape(input, self.output_shape)

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        return np.reshape(output_gradient, self.input_shape)


class Activation(Layer):
    """An elementwise function and its derivative: dx = dy * activation_prime(input).

    >>> Activation(np.sin, np.cos).forward([[0.0]]).tolist()
    [[0.0]]
    """

    def __init__(
        self,
        activation: Callable[[np.ndarray], np.ndarray],
        activation_prime: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        super().__init__()
        self.activation = activation
        self.activation_prime = activation_prime

    def forward(self, input: Any) -> np.ndarray:
        self.input = floats(type(self).__name__, input)
        return self.activation(self.input)

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        return output_gradient * self.activation_prime(saved(type(self).__name__, self.input))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return ops.sigmoid(x)


def _sigmoid_prime(x: np.ndarray) -> np.ndarray:
    y = ops.sigmoid(x)
    return y * (1 - y)


def _tanh_prime(x: np.ndarray) -> np.ndarray:
    return 1 - np.tanh(x) ** 2


class Tanh(Activation):
    """y = tanh(x); dx = dy * (1 - y^2).

    >>> Tanh().forward([[0.0]]).tolist()
    [[0.0]]
    """

    def __init__(self) -> None:
        super().__init__(np.tanh, _tanh_prime)

    def forward(self, input: Any) -> np.ndarray:
        self.input = x = np.asarray(input, FLOAT64)
        self.output = y = np.tanh(x) if x.size <= SMALL else ops.tanh(x)
        return y

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        y = saved("Tanh", self.output)
        if y.size <= SMALL:
            return output_gradient * (1 - y * y)
        return ops.tanh_backward(floats("Tanh", output_gradient), y)


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)), without overflow; dx = dy * y * (1 - y).

    >>> Sigmoid().forward([[0.0]]).tolist()
    [[0.5]]
    """

    def __init__(self) -> None:
        super().__init__(_sigmoid, _sigmoid_prime)

    def forward(self, input: Any) -> np.ndarray:
        self.input = floats("Sigmoid", input)
        self.output = ops.sigmoid(self.input)
        return self.output

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        y = saved("Sigmoid", self.output)
        return ops.sigmoid_backward(floats("Sigmoid", output_gradient), y)


class Softmax(Layer):
    """y = exp(x) / sum of exp(x), over the whole column, without overflow.

    backward  dx = y * (dy - sum of dy * y): the full Jacobian

    >>> Softmax().forward([[0.0], [0.0]]).tolist()
    [[0.5], [0.5]]
    """

    def forward(self, input: Any) -> np.ndarray:
        self.input = x = floats("Softmax", input)
        self.output = ops.softmax(x.reshape(1, -1)).reshape(x.shape)
        return self.output

    def backward(self, output_gradient: Any, learning_rate: float) -> np.ndarray:
        y = saved("Softmax", self.output)
        dy = floats("Softmax", output_gradient)
        return ops.softmax_backward(dy.reshape(1, -1), y.reshape(1, -1)).reshape(y.shape)


def mse(y_true: Any, y_pred: Any) -> float:
    """Mean of (y_true - y_pred)^2.

    >>> mse([1.0, 3.0], [1.0, 1.0])
    2.0
    """
    d = np.subtract(y_true, y_pred, dtype=FLOAT64).ravel()
    return float(d.dot(d)) / d.size


def mse_prime(y_true: Any, y_pred: Any) -> np.ndarray:
    """Gradient of `mse` with respect to y_pred: 2 (y_pred - y_true) / size.

    >>> mse_prime([1.0, 3.0], [1.0, 1.0]).tolist()
    [0.0, -2.0]
    """
    d = np.subtract(y_pred, y_true, dtype=FLOAT64)
    d *= 2 / d.size
    return d


def binary_cross_entropy(y_true: Any, y_pred: Any) -> float:
    """Mean of -y log(p) - (1 - y) log(1 - p), for y_pred between 0 and 1.

    >>> round(binary_cross_entropy([1.0], [0.5]), 4)
    0.6931
    """
    y, p = floats("binary_cross_entropy", y_true), floats("binary_cross_entropy", y_pred)
    return float((-y * np.log(p) - (1 - y) * np.log(1 - p)).sum()) / p.size


def binary_cross_entropy_prime(y_true: Any, y_pred: Any) -> np.ndarray:
    """Gradient of `binary_cross_entropy` with respect to y_pred: ((1 - y)/(1 - p) - y/p) / size.

    >>> binary_cross_entropy_prime([1.0], [0.5]).tolist()
    [-2.0]
    """
    where = "binary_cross_entropy_prime"
    y, p = floats(where, y_true), floats(where, y_pred)
    return ((1 - y) / (1 - p) - y / p) / y.size


def predict(network: Iterable[Any], input: Any) -> Any:
    """The network's output for one sample: `forward` of each layer in turn.

    >>> predict([Tanh(), Reshape((2, 1), (2,))], [[0.0], [0.0]]).tolist()
    [0.0, 0.0]
    """
    output = input
    for layer in network:
        output = layer.forward(output)
    return output


def train(
    network: Sequence[Any],
    loss: Callable[[Any, Any], float],
    loss_prime: Callable[[Any, Any], Any],
    x_train: Any,
    y_train: Any,
    epochs: int = 1000,
    learning_rate: float = 0.01,
    verbose: bool = True,
) -> None:
    """Train sample by sample, in order, and print ``1/20, error=0.123`` after each epoch, the mean
    of its losses.

    loss, loss_prime  functions (y_true, y_pred), as `mse` and `mse_prime`

    Example: ``train(network, mse, mse_prime, X, Y, epochs=10000, learning_rate=0.1)``
    """
    if len(x_train) != len(y_train) or not len(x_train):
        raise ValueError(
            f"train: x_train has {len(x_train)} samples and y_train {len(y_train)}, expected as "
            f"many, and one or more"
        )
    first = network[0] if len(network) and type(network[0]) in (Dense, Convolutional) else None
    rest = network if first is None else network[1:]
    backward = [layer.backward for layer in reversed(rest)]
    # convert samples that are nested lists once, not once per epoch
    samples = [(np.asarray(x), np.asarray(y)) for x, y in zip(x_train, y_train)]
    for epoch in range(epochs):
        error = 0.0
        for x, y in samples:
            output = predict(network, x)
            error += loss(y, output)
            gradient = loss_prime(y, output)
            for step in backward:
                gradient = step(gradient, learning_rate)
            if first is not None:
                first._backward(gradient, learning_rate, False)
        if verbose:
            print(f"{epoch + 1}/{epochs}, error={error / len(samples)}")
