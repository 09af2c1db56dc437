"""Rows of a matrix by their numbers: embedding, embedding_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend


def embedding(indices: Any, weight: Any) -> np.ndarray:
    """Rows of a matrix: y[...] = weight[indices[...]].

    indices (any shape) of any integer type, 0 <= each < rows; weight (rows, d)  ->  y (..., d)

    >>> ops.embedding([2, 0, 2], np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).tolist()
    [[5.0, 6.0], [1.0, 2.0], [5.0, 6.0]]
    """
    op = "embedding"
    weight = checks.array(op, "weight", weight, 2)
    rows, width = weight.shape
    numbers, shape = _indices(op, indices, rows)
    checks.array_size(op, (*shape, width))
    return backend().embedding(numbers, weight).reshape(*shape, width)


def embedding_backward(
    dy: Any, indices: Any, num_embeddings: int, padding_idx: int | None = None
) -> np.ndarray:
    """Gradient of `embedding` with respect to the matrix: row r is the sum of the dy whose index is
    r, in the order of the indices.

    dy (..., d), indices as in `embedding`  ->  dweight (num_embeddings, d)
    padding_idx  a row that gets no gradient, 0 <= padding_idx < num_embeddings; None: none

    >>> ops.embedding_backward(np.array([[1.0], [2.0], [3.0]]), [2, 0, 2], 3).tolist()
    [[2.0], [0.0], [4.0]]
    """
    op = "embedding_backward"
    dy = checks.array(op, "dy", dy)
    rows = checks.integer(op, "num_embeddings", num_embeddings, least=0)
    numbers, shape = _indices(op, indices, rows)
    if dy.ndim == 0 or dy.shape[:-1] != shape:
        expected = ", ".join(map(str, (*shape, "d")))
        raise ValueError(
            f"{op}: dy has shape {dy.shape}, but ({expected}) is expected for indices {shape}"
        )
    if padding_idx is not None:
        padding_idx = checks.integer(op, "padding_idx", padding_idx, most=rows - 1)
    width = dy.shape[-1]
    checks.array_size(op, (rows, width), "dweight")
    flat = dy.reshape(math.prod(shape), width)
    return backend().embedding_backward(flat, numbers, rows, padding_idx)


def _indices(op: str, value: Any, rows: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The indices as a vector of int64, and their shape. An empty array may have any dtype."""
    given = checks.from_anything(op, "indices", value)
    if given.dtype.kind not in "iu" and given.size:
        raise TypeError(
            f"{op}: indices has dtype {given.dtype}, but integers are expected: use "
            "indices.astype(np.int64)"
        )
    wrong = (given < 0) | (given >= rows) if given.size else np.zeros(0, bool)
    if wrong.any():
        where = tuple(map(int, np.argwhere(wrong)[0]))
        raise ValueError(
            f"{op}: indices[{', '.join(map(str, where))}] is {given[where]}, but with {rows} rows "
            f"numbers from 0 to {rows - 1} are expected"
        )
    flat = given.reshape(-1).astype(np.int64)
    return np.require(flat, requirements=["C", "ALIGNED"]), given.shape
