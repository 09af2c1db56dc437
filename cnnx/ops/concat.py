"""Concatenation along an axis, and its backward: `concat`, `split`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend


def concat(arrays: Any, axis: Any = 1) -> np.ndarray:
    """Concatenate arrays along an axis.

    y[..., o_k + j, ...] = arrays[k][..., j, ...],  o_k = the sum of the sizes of those before

    arrays   a list or tuple of at least one, with the same sizes along all other axes
    axis     the axis to join along; 1, the channels, by default; -1 is the last one

    returns  y. Its backward is `split`. ValueError, with all shapes, for sizes that do not match.

    >>> ops.concat([np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0], [6.0]])]).tolist()
    [[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]]

    Source: Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks (2017).
    """
    op = "concat"
    if not isinstance(arrays, (list, tuple)):
        checks.given(op, "arrays", arrays)
        raise TypeError(
            f"{op}: arrays is a {type(arrays).__name__}, but a list or tuple of arrays is expected"
        )
    if not arrays:
        raise ValueError(f"{op}: arrays is empty, but at least one array is expected")
    joined = [checks.array(op, f"arrays[{i}]", x) for i, x in enumerate(arrays)]
    checks.same_dtype(op, **{f"arrays[{i}]": x for i, x in enumerate(joined)})
    axis = checks.axis(op, axis, "arrays[0]", joined[0].ndim)
    others = [(*x.shape[:axis], *x.shape[axis + 1 :]) for x in joined]
    if any(x.ndim != joined[0].ndim for x in joined) or any(o != others[0] for o in others):
        shapes = ", ".join(str(x.shape) for x in joined)
        raise ValueError(
            f"{op}: the arrays have shapes {shapes}: expected equal sizes along all axes but axis "
            f"{axis}"
        )
    total = sum(x.shape[axis] for x in joined)
    shape = (*joined[0].shape[:axis], total, *joined[0].shape[axis + 1 :])
    checks.array_size(op, shape)
    return backend().concat(joined, axis)


def split(x: Any, sizes: Any, axis: Any = 1) -> tuple[np.ndarray, ...]:
    """Split an array along an axis: the inverse of `concat`, and its backward.

    ys[k][..., j, ...] = x[..., o_k + j, ...],  o_k = sizes[0] + ... + sizes[k - 1]

    x        at least one axis
    sizes    a list or tuple of at least one size; their sum is the size of x along the axis
    axis     1, the channels, by default; -1 is the last one

    returns  a tuple with an array for each size; none shares memory with x

    >>> [y.tolist() for y in ops.split(np.array([[1.0, 2.0, 3.0]]), [2, 1])]
    [[[1.0, 2.0]], [[3.0]]]
    """
    op = "split"
    x = checks.array(op, "x", x)
    axis = checks.axis(op, axis, "x", x.ndim)
    if not isinstance(sizes, (list, tuple)):
        raise TypeError(f"{op}: sizes={sizes!r}, but a list or tuple of integers is expected")
    lengths = [checks.integer(op, "sizes", size, least=0) for size in sizes]
    if not lengths or sum(lengths) != x.shape[axis]:
        raise ValueError(
            f"{op}: sizes={lengths} have the sum {sum(lengths)}, but x with shape {x.shape} has "
            f"{x.shape[axis]} along axis {axis}"
        )
    return backend().split(x, lengths, axis)
