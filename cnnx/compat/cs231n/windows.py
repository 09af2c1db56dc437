"""Convolution and pooling under one name; `layers` and `fast_layers` export the course's names.

In the course, `naive`, `im2col`, `strides` and `fast` compute the same results in four ways. Here
they all call cnnx's kernels. Pooling has two variants: if several pixels of a window equal its
maximum, `reshape` divides the gradient among them, the others pass it to the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ._numbers import alike

__all__ = [
    "conv_backward",
    "conv_forward",
    "max_pool_backward",
    "max_pool_backward_reshape",
    "max_pool_forward",
    "max_pool_forward_reshape",
]


def conv_forward(x: Any, w: Any, b: Any, conv_param: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """Convolution of x (N, C, H, W) with the filters w (F, C, HH, WW), plus b (F,).

    conv_param  "stride", and "pad": zeros on all four sides

    returns  out (N, F, H', W') with H' = 1 + (H + 2*pad - HH) // stride, and the cache

    >>> x, w, b = np.ones((1, 1, 3, 3)), np.ones((2, 1, 3, 3)), np.zeros(2)
    >>> out, cache = conv_forward(x, w, b, {"stride": 1, "pad": 1})
    >>> out[0, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    x, w, b = alike("conv_forward", x, w, b)
    out = ops.conv2d(x, w, b.reshape(-1), conv_param["stride"], conv_param["pad"])
    return out, (x, w, b, conv_param)


def conv_backward(dout: Any, cache: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx, dw, db of `conv_forward`, from the gradient of its output.

    >>> x, w, b = np.ones((1, 1, 3, 3)), np.ones((2, 1, 3, 3)), np.zeros(2)
    >>> out, cache = conv_forward(x, w, b, {"stride": 1, "pad": 1})
    >>> conv_backward(np.ones_like(out), cache)[2].tolist()
    [9.0, 9.0]
    """
    x, w, b, conv_param = cache
    dout, x = alike("conv_backward", dout, x)
    dx, dw, db = ops.conv2d_backward(
        dout, x, w.astype(x.dtype, copy=False), conv_param["stride"], conv_param["pad"]
    )
    assert dx is not None
    return dx, dw, db.reshape(b.shape)


def max_pool_forward(x: Any, pool_param: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """Maximum over windows of x (N, C, H, W).

    pool_param  "pool_height", "pool_width", "stride"

    returns  out (N, C, H', W') with H' = 1 + (H - pool_height) // stride, and the cache

    >>> pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    >>> max_pool_forward(np.arange(4.0).reshape(1, 1, 2, 2), pool_param)[0].tolist()
    [[[[3.0]]]]
    """
    (x,) = alike("max_pool_forward", x)
    window = pool_param["pool_height"], pool_param["pool_width"]
    out, argmax = ops.max_pool2d(x, window, pool_param["stride"])
    return out, (argmax, x.shape, window, pool_param["stride"])


def max_pool_backward(dout: Any, cache: Any) -> np.ndarray:
    """dx of `max_pool_forward`: the gradient of a window goes to its first maximum.

    >>> pool_param = {"pool_height": 1, "pool_width": 2, "stride": 2}
    >>> out, cache = max_pool_forward(np.ones((1, 1, 1, 2)), pool_param)
    >>> max_pool_backward(out, cache).tolist()
    [[[[1.0, 0.0]]]]
    """
    argmax, x_shape, window, stride = cache
    (dout,) = alike("max_pool_backward", dout)
    return ops.max_pool2d_backward(dout, argmax, x_shape, window, stride)


def max_pool_forward_reshape(x: Any, pool_param: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """`max_pool_forward` for windows that tile the image; ValueError for others.

    >>> pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    >>> max_pool_forward_reshape(np.ones((1, 1, 2, 4)), pool_param)[0].shape
    (1, 1, 1, 2)
    """
    (x,) = alike("max_pool_forward_reshape", x)
    if not tiles(x.shape, pool_param):
        raise ValueError(
            f"max_pool_forward_reshape: windows {pool_param} do not tile an image of "
            f"{x.shape[2:]}: use max_pool_forward_fast"
        )
    out, (argmax, *_) = max_pool_forward(x, pool_param)
    return out, (x, out, argmax)


def max_pool_backward_reshape(dout: Any, cache: Any) -> np.ndarray:
    """dx of `max_pool_forward_reshape`: the maxima of a window share its gradient equally.

    >>> pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    >>> out, cache = max_pool_forward_reshape(np.ones((1, 1, 2, 2)), pool_param)
    >>> max_pool_backward_reshape(out, cache).tolist()
    [[[[0.25, 0.25], [0.25, 0.25]]]]
    """
    x, out, argmax = cache
    dout, x = alike("max_pool_backward_reshape", dout, x)
    size = x.shape[2] // out.shape[2]

    def to_maxima(gradient: np.ndarray) -> np.ndarray:
        """Distribute the gradient of each window to all its maxima."""
        return ops.max_pool2d_backward(gradient, argmax, x.shape, size, size, ties="all", x=x)

    maxima = to_maxima(np.ones_like(out))
    return to_maxima(dout / np.rint(ops.avg_pool2d(maxima, size) * size**2))


def tiles(x_shape: tuple[int, ...], pool_param: dict[str, Any]) -> bool:
    """Whether the windows are non-overlapping squares that cover the image."""
    height, width = pool_param["pool_height"], pool_param["pool_width"]
    square = height == width == pool_param["stride"]
    return bool(square and x_shape[2] % height == 0 and x_shape[3] % width == 0)
