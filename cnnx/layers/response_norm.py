"""Local response normalisation, of AlexNet."""

from __future__ import annotations

from typing import Any

from cnnx import checks, ops
from cnnx.layers.base import Layer, builtin

__all__ = ["LocalResponseNorm"]


@builtin
class LocalResponseNorm(Layer):
    """y = x / (k + alpha * mean of x^2 over neighbouring channels)^beta. (n, c, ...) -> the same

    size   channels of a window, size // 2 of them before the channel itself; beyond the first and
           the last they count as zeros, and the mean always divides by size
    alpha  1e-4, beta 0.75, k 1.0; AlexNet has size=5, alpha=5e-4 (alpha is not divided by size in
           the paper), beta=0.75, k=2.0

    ValueError for x of less than three axes, size below 1, and a negative alpha or k.

    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural
    Networks", NIPS 2012.

    Example: ``Sequential(Conv2D(3, 64, 11, 4), ReLU(), LocalResponseNorm(5), MaxPool2D(3, 2))``
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        name = "LocalResponseNorm"
        self.size = checks.integer(name, "size", size, least=1)
        self.alpha = checks.real(name, "alpha", alpha, 0.0)
        self.beta = checks.real(name, "beta", beta)
        self.k = checks.real(name, "k", k, 0.0)

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        self._save(x)
        return y

    def backward(self, dy: Any) -> Any:
        (x,) = self._saved()
        dy = self._float(dy, x.dtype)
        return ops.local_response_norm_backward(dy, x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
