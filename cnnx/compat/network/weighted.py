"""`Linear` and `Conv2D` of the dialect `network`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from .._arrays import affine, affine_backward, floats, images, in_out
from .base import Layer

__all__ = ["Conv2D", "Linear"]


class _Weighted(Layer):
    """`weights` and, with `bias_flag`, `bias`; `input_cache` is the last input."""

    PARAMETERS = ("weights", "bias")
    weights: np.ndarray
    bias: np.ndarray | None
    weights_grad: np.ndarray
    bias_grad: np.ndarray
    input_cache: Any = None

    @property
    def bias_flag(self) -> bool:
        """Whether there is a bias."""
        return self.bias is not None

    def _add(self, dweights: np.ndarray, dbias: np.ndarray) -> None:
        self.weights_grad += dweights
        if self.bias is not None:
            self.bias_grad += dbias


class Linear(_Weighted):
    """y = x W + b, x (n, input_size).

    `weights` (input_size, output_size): np.random.uniform(-b, b), b = sqrt(6 / (in + out)) for
    init_type "xavier", sqrt(2 / in) for "he" (case-insensitive), 0.01 for any other. `bias`
    zeros, or None.

    >>> Linear(3, 2).forward(np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(
        self, input_size: int, output_size: int, init_type: str = "xavier", bias: bool = True
    ) -> None:
        scales = {
            "xavier": math.sqrt(6 / (input_size + output_size)),
            "he": math.sqrt(2 / input_size),
        }
        b = scales.get(init_type.lower(), 0.01)
        self.input_size, self.output_size, self.init_type = input_size, output_size, init_type
        self.weights = in_out(np.random.uniform(-b, b, (input_size, output_size)))
        self.bias = np.zeros(output_size) if bias else None
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.input_cache = floats("Linear", x)
        return affine("Linear", self.input_cache, self.weights, self.bias)

    def backward(self, grad_output: Any) -> np.ndarray:
        dx, *gradients = affine_backward("Linear", grad_output, self._saved(), self.weights)
        self._add(*gradients)
        return dx

    def options(self) -> dict[str, Any]:
        names = ("input_size", "output_size", "init_type")
        return {name: getattr(self, name) for name in names} | {"bias": self.bias_flag}


class Conv2D(_Weighted):
    """Convolution of (n, in_channels, h, w).

    kernel_size  an integer, or a pair

    `weights` (out, in, kh, kw): np.random.normal(0, sqrt(2 / (in*kh*kw))); `bias` zeros, or None.

    >>> Conv2D(1, 2, 3, padding=1).forward(np.ones((1, 1, 5, 5))).shape
    (1, 2, 5, 5)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        pair = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size,) * 2
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = pair, stride, padding
        scale = math.sqrt(2 / (in_channels * pair[0] * pair[1]))
        self.weights = np.random.normal(0, scale, (out_channels, in_channels, *pair))
        self.bias = np.zeros(out_channels) if bias else None
        self.zero_grad()

    def forward(self, x: Any) -> np.ndarray:
        self._kept = self.input_cache = images("Conv2D", x)
        return ops.conv2d(self.input_cache, self.weights, self.bias, self.stride, self.padding)

    def backward(self, grad_output: Any) -> np.ndarray:
        dx, *gradients = ops.conv2d_backward(
            floats("Conv2D", grad_output), self._saved(), self.weights, self.stride, self.padding
        )
        self._add(*gradients)
        assert dx is not None
        return dx

    @property
    def col_cache(self) -> np.ndarray:
        """The windows of the last input as rows; computed on access."""
        height, width = self.kernel_size
        return self.im2col(self._saved(), height, width, self.stride, self.padding)[0]

    def im2col(
        self, x: Any, kernel_h: int, kernel_w: int, stride: int, padding: int
    ) -> tuple[np.ndarray, int, int]:
        """Windows of x as rows (n*out_h*out_w, c*kernel_h*kernel_w), out_h and out_w.

        >>> col, out_h, out_w = Conv2D(1, 1, 1).im2col(np.ones((1, 1, 3, 4)), 2, 2, 1, 0)
        >>> col.shape, out_h, out_w
        ((6, 4), 2, 3)
        """
        x = images("im2col", x)
        col = ops.im2col(x, (kernel_h, kernel_w), stride, padding)
        out_h, out_w = (
            (size + 2 * padding - kernel) // stride + 1
            for size, kernel in zip(x.shape[2:], (kernel_h, kernel_w))
        )
        return col, out_h, out_w

    def col2im(
        self, col: Any, input_shape: Any, kernel_h: int, kernel_w: int, stride: int, padding: int
    ) -> np.ndarray:
        """Rows added to their pixels: the adjoint of `im2col`.

        >>> Conv2D(1, 1, 1).col2im(np.ones((2, 2)), (1, 1, 1, 3), 1, 2, 1, 0).tolist()
        [[[[1.0, 2.0, 1.0]]]]
        """
        kernel = kernel_h, kernel_w
        return ops.col2im(floats("col2im", col), tuple(input_shape), kernel, stride, padding)

    def options(self) -> dict[str, Any]:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
        return {name: getattr(self, name) for name in names} | {"bias": self.bias_flag}
