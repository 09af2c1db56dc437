"""Layers of the dialect `network`: `weights bias` with `weights_grad bias_grad`, which add up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from .._arrays import affine, affine_backward, floats, images, in_out, saved

__all__ = [
    "BatchNorm1D",
    "BatchNorm2D",
    "Conv2D",
    "Dropout",
    "Flatten",
    "Layer",
    "Linear",
    "MaxPool2D",
]


class Layer:
    """Base of all layers. `PARAMETERS` names the arrays that learn; the gradient of each is the
    attribute `<name>_grad`, and adds up until `zero_grad`.

    >>> Linear(2, 3).parameters()[0][1].shape
    (2, 3)
    """

    PARAMETERS: tuple[str, ...] = ()
    BUFFERS: tuple[str, ...] = ()
    training = True
    _kept: Any = None

    def forward(self, x: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def backward(self, grad: Any) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no backward(grad)")

    def set_training(self, training: bool) -> None:
        """Whether dropout drops and batch norm takes the batch's statistics."""
        self.training = bool(training)

    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The arrays that learn, each with its gradient."""
        names = [name for name in self.PARAMETERS if getattr(self, name) is not None]
        return [(getattr(self, name), getattr(self, f"{name}_grad")) for name in names]

    def zero_grad(self) -> None:
        """Gradients start from zero again."""
        for name in self.PARAMETERS:
            value = getattr(self, name)
            setattr(self, f"{name}_grad", None if value is None else np.zeros_like(value))

    def options(self) -> dict[str, Any]:
        """The constructor's arguments, for a checkpoint."""
        return {}

    def _saved(self) -> Any:
        return saved(type(self).__name__, self._kept)


class Linear(Layer):
    """y = x W + b, x (n, input_size).

    `weights` (input_size, output_size): np.random.uniform(-b, b), b = sqrt(6 / (in + out)) for
    init_type "xavier", sqrt(2 / in) for "he", 0.01 for any other. `bias` zeros, or None.

    >>> Linear(3, 2).forward(np.ones((4, 3))).shape
    (4, 2)
    """

    PARAMETERS = ("weights", "bias")

    def __init__(
        self, input_size: int, output_size: int, init_type: str = "xavier", bias: bool = True
    ) -> None:
        scales = {
            "xavier": math.sqrt(6 / (input_size + output_size)),
            "he": math.sqrt(2 / input_size),
        }
        b = scales.get(init_type, 0.01)
        self.init_type = init_type
        self.weights = in_out(np.random.uniform(-b, b, (input_size, output_size)))
        self.bias = np.zeros(output_size) if bias else None
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.input = floats("Linear", x)
        return affine("Linear", self.input, self.weights, self.bias)

    def backward(self, grad: Any) -> np.ndarray:
        dx, dweights, dbias = affine_backward("Linear", grad, self._saved(), self.weights)
        self.weights_grad += dweights
        if self.bias is not None:
            self.bias_grad += dbias
        return dx

    weights_grad: Any
    bias_grad: Any

    def options(self) -> dict[str, Any]:
        inputs, outputs = self.weights.shape
        bias = self.bias is not None
        return {
            "input_size": inputs,
            "output_size": outputs,
            "init_type": self.init_type,
            "bias": bias,
        }


class Conv2D(Layer):
    """Convolution of (n, in_channels, h, w).

    `weights` (out, in, k, k): np.random.normal(0, sqrt(2 / (in*k*k))); `bias` zeros, or None.

    >>> Conv2D(1, 2, 3, padding=1).forward(np.ones((1, 1, 5, 5))).shape
    (1, 2, 5, 5)
    """

    PARAMETERS = ("weights", "bias")
    weights_grad: Any
    bias_grad: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        scale = math.sqrt(2 / (in_channels * kernel_size * kernel_size))
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weights = np.random.normal(0, scale, shape)
        self.bias = np.zeros(out_channels) if bias else None
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.input = images("Conv2D", x)
        return ops.conv2d(self.input, self.weights, self.bias, self.stride, self.padding)

    def backward(self, grad: Any) -> np.ndarray:
        dx, dweights, dbias = ops.conv2d_backward(
            floats("Conv2D", grad), self._saved(), self.weights, self.stride, self.padding
        )
        self.weights_grad += dweights
        if self.bias is not None:
            self.bias_grad += dbias
        assert dx is not None
        return dx

    def options(self) -> dict[str, Any]:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
        return {name: getattr(self, name) for name in names} | {"bias": self.bias is not None}


class MaxPool2D(Layer):
    """Maxima of windows; the first maximum of a window takes its gradient.

    >>> MaxPool2D().forward(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """

    def __init__(self, pool_size: int = 2, stride: int | None = None) -> None:
        self.pool_size = pool_size
        self.stride = stride or pool_size

    def forward(self, x: Any) -> np.ndarray:
        self.input = images("MaxPool2D", x)
        y, argmax = ops.max_pool2d(self.input, self.pool_size, self.stride)
        self._kept = argmax, self.input.shape
        return y

    def backward(self, grad: Any) -> np.ndarray:
        argmax, x_shape = self._saved()
        grad = floats("MaxPool2D", grad)
        return ops.max_pool2d_backward(grad, argmax, x_shape, self.pool_size, self.stride)

    def options(self) -> dict[str, Any]:
        return {"pool_size": self.pool_size, "stride": self.stride}


class Flatten(Layer):
    """(n, ...) -> (n, the rest).

    >>> Flatten().forward(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def forward(self, x: Any) -> np.ndarray:
        x = floats("Flatten", x)
        self._kept = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad: Any) -> np.ndarray:
        return np.reshape(grad, self._saved())


class Dropout(Layer):
    """In training x * mask / (1 - dropout_rate), mask = np.random.rand(*x.shape) > dropout_rate;
    else x.

    >>> layer = Dropout()
    >>> layer.set_training(False)
    >>> layer.forward([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, dropout_rate: float = 0.5) -> None:
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"Dropout: dropout_rate={dropout_rate}, expected from 0 to below 1")
        self.dropout_rate = dropout_rate
        self.mask: Any = None

    def forward(self, x: Any) -> np.ndarray:
        x = floats("Dropout", x)
        self.mask = np.random.rand(*x.shape) > self.dropout_rate if self.training else None
        return self._masked(x)

    def backward(self, grad: Any) -> np.ndarray:
        return self._masked(floats("Dropout", grad))

    def _masked(self, x: np.ndarray) -> np.ndarray:
        return x if self.mask is None else x * self.mask / (1 - self.dropout_rate)

    def options(self) -> dict[str, Any]:
        return {"dropout_rate": self.dropout_rate}


class _BatchNorm(Layer):
    PARAMETERS = ("gamma", "beta")
    BUFFERS = ("running_mean", "running_var")
    gamma_grad: Any
    beta_grad: Any

    def __init__(
        self, features: int, momentum: float, eps: float, gamma: float | None, beta: float | None
    ) -> None:
        self.momentum, self.eps = momentum, eps
        self.gamma = None if gamma is None else np.full(features, float(gamma))
        self.beta = None if beta is None else np.full(features, float(beta))
        self.running_mean = np.zeros(features)
        self.running_var = np.ones(features)
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        x = floats(type(self).__name__, x)
        given = not self.training  # the op would keep the unbiased variance
        y, mean, inv_std = ops.batch_norm(
            x,
            self.gamma,
            self.beta,
            self.running_mean if given else None,
            self.running_var if given else None,
            training=self.training,
            eps=self.eps,
        )
        if self.training:
            variance = np.maximum(1 / inv_std**2 - self.eps, 0)
            for kept, batch in ((self.running_mean, mean), (self.running_var, variance)):
                kept *= 1 - self.momentum
                kept += self.momentum * batch
        self._kept = x, mean, inv_std, self.training
        return y

    def backward(self, grad: Any) -> np.ndarray:
        x, mean, inv_std, training = self._saved()
        dx, dgamma, dbeta = ops.batch_norm_backward(
            floats(type(self).__name__, grad), x, self.gamma, mean, inv_std, training
        )
        if self.gamma is not None:
            self.gamma_grad += dgamma
            self.beta_grad += dbeta
        return dx


class BatchNorm1D(_BatchNorm):
    """Batch normalisation of (n, num_features); gamma and beta None without `affine`.

    `gamma beta gamma_grad beta_grad running_mean running_var`, each (num_features,); the running
    variance is the biased one: running = (1 - momentum) * running + momentum * batch.

    >>> BatchNorm1D(1).forward([[1.0], [3.0]]).round(3).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        gamma: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        scale, shift = (gamma, beta) if affine else (None, None)
        super().__init__(num_features, momentum, eps, scale, shift)

    def options(self) -> dict[str, Any]:
        return {
            "num_features": len(self.running_mean),
            "momentum": self.momentum,
            "eps": self.eps,
            "affine": self.gamma is not None,
        }


class BatchNorm2D(_BatchNorm):
    """Batch normalisation of images (n, num_channels, h, w), per channel; as `BatchNorm1D`.

    >>> BatchNorm2D(1).forward([[[[1.0, 3.0]]]]).round(3).tolist()
    [[[[-1.0, 1.0]]]]
    """

    def __init__(self, num_channels: int, eps: float = 1e-15, momentum: float = 0.1) -> None:
        super().__init__(num_channels, momentum, eps, 1.0, 0.0)

    def options(self) -> dict[str, Any]:
        features = len(self.running_mean)
        return {"num_channels": features, "eps": self.eps, "momentum": self.momentum}
