"""The fully connected layer's matrix product: linear, linear_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .activation import ending
from .gate import gate


def linear(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> np.ndarray:
    """Affine map of the last axis.

    y[..., j] = activation(bias[j] + sum over i of x[..., i] * weight[j, i])

    x (..., in), weight (out, in), bias (out,) or None  ->  y (..., out)
    activation  applied last: one of `ops.activation.ENDINGS`, such as "relu"; None: none

    >>> ops.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0])).tolist()
    [[16.0]]
    """
    (x, weight, bias), checked = _forward("linear", (x, weight, bias), activation)
    rows, y_shape, activation = checked
    if x.ndim == 2:
        return backend().linear(x, weight, bias, activation)
    return backend().linear(x.reshape(rows), weight, bias, activation).reshape(y_shape)


@gate("x", "weight", "bias", optional=("bias",))
def _forward(op: str, shapes: Any, activation: Any) -> tuple[Any, ...]:
    """The shapes of x as a matrix and of y, and the activation."""
    x, weight, bias = shapes
    rows, y = _matrix(op, x, weight)
    if bias is not None:
        checks.same_shape(op, "bias", bias, weight[:1], "one value per row of weight {}", weight)
    return rows, y, ending(op, activation)


def linear_backward(
    dy: Any, x: Any, weight: Any, need_dx: bool = True
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Gradients of `linear` with respect to x, weight and bias.

    dx[..., i]    = sum over j of dy[..., j] * weight[j, i]
    dweight[j, i] = sum over all rows of dy[..., j] * x[..., i]
    dbias[j]      = sum over all rows of dy[..., j]

    dy (..., out), x (..., in), weight (out, in)
    returns  dx as x, or None if need_dx is False; dweight as weight; dbias (out,)

    >>> x, weight = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])
    >>> dx, dweight, dbias = ops.linear_backward(np.ones((1, 1)), x, weight)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[3.0, 4.0]], [[1.0, 2.0]], [1.0])
    """
    (dy, x, weight), checked = _backward("linear_backward", (dy, x, weight), need_dx)
    rows, dy_rows, need_dx = checked
    if x.ndim == 2:
        return backend().linear_backward(dy, x, weight, need_dx)
    dx, dweight, dbias = backend().linear_backward(
        dy.reshape(dy_rows), x.reshape(rows), weight, need_dx
    )
    return (None if dx is None else dx.reshape(x.shape)), dweight, dbias


@gate("dy", "x", "weight")
def _backward(op: str, shapes: Any, need_dx: Any) -> tuple[Any, ...]:
    """The shapes of x and of dy as matrices, and need_dx."""
    dy, x, weight = shapes
    rows, y = _matrix(op, x, weight)
    checks.same_shape(op, "dy", dy, y, "the result of linear for x {}, weight {}", x, weight)
    return rows, (rows[0], weight[0]), checks.flag(op, "need_dx", need_dx)


def _matrix(op: str, x: Any, weight: Any) -> tuple[tuple[int, int], tuple[int, ...]]:
    """The shape of x as a matrix, and that of y."""
    checks.dimensions(op, "weight", weight, 2)
    outputs, inputs = weight
    if not x or x[-1] != inputs:
        raise ValueError(
            f"{op}: x has shape {x}, but weight {weight} expects (..., {inputs}): "
            f"{inputs} features{_advice(x, inputs)}"
        )
    return (math.prod(x[:-1]), inputs), (*x[:-1], outputs)


def _advice(shape: tuple[int, ...], features: int) -> str:
    """Advice if the features are spread over several axes."""
    if len(shape) > 2 and math.prod(shape[1:]) == features:
        return ", spread over several axes: put Flatten() before it"
    if math.prod(shape) == features:
        return ", and x holds a single sample: write x[None]"
    return ""
