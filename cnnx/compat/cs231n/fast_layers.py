"""`fast_layers` of the course: its fast, im2col and strides variants are one and the same here."""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import (
    conv_backward,
    conv_forward,
    max_pool_backward,
    max_pool_backward_reshape,
    max_pool_forward,
    max_pool_forward_reshape,
    tiles,
)

__all__ = [
    "conv_backward_fast",
    "conv_backward_im2col",
    "conv_backward_strides",
    "conv_forward_fast",
    "conv_forward_im2col",
    "conv_forward_strides",
    "max_pool_backward_fast",
    "max_pool_backward_im2col",
    "max_pool_backward_reshape",
    "max_pool_forward_fast",
    "max_pool_forward_im2col",
    "max_pool_forward_reshape",
]

conv_forward_fast = conv_forward_im2col = conv_forward_strides = conv_forward
conv_backward_fast = conv_backward_im2col = conv_backward_strides = conv_backward
max_pool_forward_im2col, max_pool_backward_im2col = max_pool_forward, max_pool_backward


def max_pool_forward_fast(x: Any, pool_param: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """`max_pool_forward_reshape` if the windows tile the image, else `max_pool_forward`: as in the
    course, so that ties are handled in the same way.

    >>> pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    >>> max_pool_forward_fast(np.ones((1, 1, 2, 4)), pool_param)[1][0]
    'reshape'
    """
    if tiles(np.shape(x), pool_param):
        out, cache = max_pool_forward_reshape(x, pool_param)
        return out, ("reshape", cache)
    out, cache = max_pool_forward(x, pool_param)
    return out, ("im2col", cache)


def max_pool_backward_fast(dout: Any, cache: Any) -> np.ndarray:
    """dx of `max_pool_forward_fast`.

    >>> pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    >>> out, cache = max_pool_forward_fast(np.ones((1, 1, 2, 2)), pool_param)
    >>> max_pool_backward_fast(out, cache).tolist()
    [[[[0.25, 0.25], [0.25, 0.25]]]]
    """
    method, inner = cache
    backward = max_pool_backward_reshape if method == "reshape" else max_pool_backward
    return backward(dout, inner)
