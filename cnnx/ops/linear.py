"""The fully connected layer's matrix product: linear, linear_backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .activation import ending


def linear(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> np.ndarray:
    """Affine map of the last axis.

    y[..., j] = activation(bias[j] + sum over i of x[..., i] * weight[j, i])

    x (..., in), weight (out, in), bias (out,) or None  ->  y (..., out)
    activation  applied last: one of `ops.activation.ENDINGS`, such as "relu"; None: none

    >>> ops.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0])).tolist()
    [[16.0]]
    """
    op = "linear"
    x, weight = _check(op, x, weight)
    bias = checks.vector(
        op, "bias", bias, weight.shape[0], "one value per row of weight {}", weight.shape
    )
    checks.same_dtype(op, x=x, weight=weight, bias=bias)
    activation = ending(op, activation)
    y = backend().linear(_rows(x), weight, bias, activation)
    return y.reshape(*x.shape[:-1], weight.shape[0])


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
    op = "linear_backward"
    x, weight = _check(op, x, weight)
    dy = checks.array(op, "dy", dy)
    checks.same_shape(
        op,
        "dy",
        dy,
        (*x.shape[:-1], weight.shape[0]),
        "the result of linear for x {}, weight {}",
        x.shape,
        weight.shape,
    )
    checks.same_dtype(op, dy=dy, x=x, weight=weight)
    need_dx = checks.flag(op, "need_dx", need_dx)
    dx, dweight, dbias = backend().linear_backward(_rows(dy), _rows(x), weight, need_dx)
    return (None if dx is None else dx.reshape(x.shape)), dweight, dbias


def _check(op: str, x: Any, weight: Any) -> tuple[np.ndarray, np.ndarray]:
    x = checks.array(op, "x", x)
    weight = checks.array(op, "weight", weight, 2)
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"{op}: x has shape {x.shape}, but weight {weight.shape} expects (..., "
            f"{weight.shape[1]}): "
            f"{weight.shape[1]} features{_advice(x.shape, weight.shape[1])}"
        )
    return x, weight


def _advice(shape: tuple[int, ...], features: int) -> str:
    """Advice if the features are spread over several axes."""
    if len(shape) > 2 and math.prod(shape[1:]) == features:
        return ", spread over several axes: put Flatten() before it"
    if math.prod(shape) == features:
        return ", and x holds a single sample: write x[None]"
    return ""


def _rows(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
