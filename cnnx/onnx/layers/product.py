"""The product of two computed matrices; with a constant one, it is a `Linear`."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from cnnx.onnx.layers.operator import Operator, operator, summed_to

__all__ = ["MatMul"]


@operator
class MatMul(Operator):
    """y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j], as `numpy.matmul`."""

    trains: ClassVar[range] = range(2)

    def compute(self, a: Any, b: Any) -> Any:
        return np.asarray(np.matmul(a, b))

    def gradients(self, dy: Any, y: Any, a: Any, b: Any) -> tuple[Any, ...]:
        rows = a[None] if a.ndim == 1 else a
        columns = b[:, None] if b.ndim == 1 else b
        if a.ndim == 1:
            dy = dy[..., None, :] if b.ndim > 1 else dy[..., None]
        if b.ndim == 1:
            dy = dy[..., None]
        da = summed_to(np.matmul(dy, np.swapaxes(columns, -1, -2)), rows)
        db = summed_to(np.matmul(np.swapaxes(rows, -1, -2), dy), columns)
        return da.reshape(a.shape), db.reshape(b.shape)

    def result_size(self, a: Any, b: Any) -> int:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        rows = a.shape[-2] if a.ndim > 1 else 1
        return math.prod(lead) * rows * (b.shape[-1] if b.ndim > 1 else 1)
