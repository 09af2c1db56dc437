"""`im2col` of the course, and its compiled helper `im2col_cython`: windows as columns.

A column matrix here has a row for each pixel and channel of a window, (C * field_height *
field_width), and a column for each window of each image, with images innermost: (H' * W' * N).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ._numbers import alike

__all__ = [
    "col2im_6d_cython",
    "col2im_cython",
    "col2im_indices",
    "get_im2col_indices",
    "im2col_cython",
    "im2col_indices",
]


def im2col_indices(
    x: Any, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> np.ndarray:
    """Windows of x (N, C, H, W) as columns: (C * field_height * field_width, H' * W' * N).

    >>> im2col_indices(np.arange(4.0).reshape(1, 1, 2, 2), 1, 2, padding=0).tolist()
    [[0.0, 2.0], [1.0, 3.0]]
    """
    (x,) = alike("im2col_indices", x)
    rows = ops.im2col(x, (field_height, field_width), stride, padding)  # images outermost
    by_image = rows.reshape(len(x), -1, rows.shape[1]) if rows.size else rows[None]
    return by_image.transpose(2, 1, 0).reshape(rows.shape[1], len(rows))


def col2im_indices(
    cols: Any,
    x_shape: Any,
    field_height: int = 3,
    field_width: int = 3,
    padding: int = 1,
    stride: int = 1,
) -> np.ndarray:
    """Columns added to their pixels, (N, C, H, W): the adjoint of `im2col_indices`.

    >>> col2im_indices(np.ones((2, 2)), (1, 1, 1, 3), 1, 2, padding=0).tolist()
    [[[[1.0, 2.0, 1.0]]]]
    """
    (cols,) = alike("col2im_indices", cols)
    n = x_shape[0]
    if cols.ndim != 2 or n < 1 or cols.shape[1] % n:
        raise ValueError(
            f"col2im_indices: cols has shape {cols.shape}, expected a column for each window of "
            f"{n} images"
        )
    by_image = cols.reshape(len(cols), -1, n).transpose(2, 1, 0)
    rows = np.ascontiguousarray(by_image).reshape(cols.shape[1], len(cols))
    return ops.col2im(rows, tuple(x_shape), (field_height, field_width), stride, padding)


def get_im2col_indices(
    x_shape: Any, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """k, i, j: channel, row and column of each number that `im2col_indices` takes from the padded
    images; x_padded[:, k, i, j] has shape (N, C * field_height * field_width, H' * W').

    >>> k, i, j = get_im2col_indices((1, 1, 2, 2), 1, 2, padding=0)
    >>> k.shape, i.tolist(), j.tolist()
    ((2, 1), [[0, 1], [0, 1]], [[0, 0], [1, 1]])
    """
    _, c, h, w = x_shape
    rows = (h + 2 * padding - field_height) // stride + 1
    columns = (w + 2 * padding - field_width) // stride + 1
    k, u, v = (index.reshape(-1, 1) for index in np.indices((c, field_height, field_width)))
    top, left = (stride * index.reshape(1, -1) for index in np.indices((rows, columns)))
    return k, u + top, v + left


def im2col_cython(
    x: Any, field_height: int, field_width: int, padding: int, stride: int
) -> np.ndarray:
    """`im2col_indices`.

    >>> im2col_cython(np.arange(4.0).reshape(1, 1, 2, 2), 1, 2, 0, 1).tolist()
    [[0.0, 2.0], [1.0, 3.0]]
    """
    return im2col_indices(x, field_height, field_width, padding, stride)


def col2im_cython(
    cols: Any,
    N: int,
    C: int,
    H: int,
    W: int,
    field_height: int,
    field_width: int,
    padding: int,
    stride: int,
) -> np.ndarray:
    """`col2im_indices`, with the sizes of the images as separate arguments.

    >>> col2im_cython(np.ones((2, 2)), 1, 1, 1, 3, 1, 2, 0, 1).tolist()
    [[[[1.0, 2.0, 1.0]]]]
    """
    return col2im_indices(cols, (N, C, H, W), field_height, field_width, padding, stride)


def col2im_6d_cython(
    cols: Any, N: int, C: int, H: int, W: int, HH: int, WW: int, pad: int, stride: int
) -> np.ndarray:
    """`col2im_cython` for columns as (C, HH, WW, N, H', W'), where images are not innermost.

    >>> col2im_6d_cython(np.ones((1, 1, 2, 1, 1, 2)), 1, 1, 1, 3, 1, 2, 0, 1).tolist()
    [[[[1.0, 2.0, 1.0]]]]
    """
    (cols,) = alike("col2im_6d_cython", cols)
    if cols.ndim != 6 or cols.shape[:4] != (C, HH, WW, N):
        raise ValueError(
            f"col2im_6d_cython: cols has shape {cols.shape}, expected ({C}, {HH}, {WW}, {N}, H', "
            "W')"
        )
    rows = np.ascontiguousarray(cols.transpose(3, 4, 5, 0, 1, 2)).reshape(-1, C * HH * WW)
    return ops.col2im(rows, (N, C, H, W), (HH, WW), stride, pad)
