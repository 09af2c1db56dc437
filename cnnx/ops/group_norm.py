"""Normalisation within a sample: group_norm, layer_norm, each with its backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

Result = tuple[np.ndarray, np.ndarray, np.ndarray]


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Result:
    """Normalise each group of channels of each sample, then scale and shift each channel.

    y = weight * (x - mean) * inv_std + bias,  inv_std = 1 / sqrt(var + eps)

    x (n, c, ...), num_groups a divisor of c, weight and bias (c,) or None
    returns  y as x, mean and inv_std (n, num_groups), which `group_norm_backward` needs

    >>> y, mean, inv_std = ops.group_norm(np.array([[1.0, 3.0, 5.0, 5.0]]), 2, eps=1.0)
    >>> mean.tolist(), y.round(4).tolist()
    ([[2.0, 5.0]], [[-0.7071, 0.7071, 0.0, 0.0]])

    Source: Wu, He, Group Normalization (2018).
    """
    op = "group_norm"
    (x, weight, bias), (flat, groups) = _forward(op, (x, weight, bias), num_groups)
    eps = checks.real(op, "eps", eps, 0.0)
    y, mean, inv_std = backend().group_norm(x.reshape(flat), groups, weight, bias, eps)
    return y.reshape(x.shape), mean, inv_std


def group_norm_backward(
    dy: Any, x: Any, num_groups: int, weight: Any, mean: Any, inv_std: Any
) -> Result:
    """Gradients of `group_norm` with respect to x, weight and bias.

    With xhat = (x - mean) * inv_std, g = dy * weight, and means over the values of a group:
    dbias = sum dy;  dweight = sum dy * xhat;  dx = inv_std * (g - mean(g) - xhat * mean(g * xhat))

    dy as x; weight (c,) or None; mean and inv_std (n, num_groups) as `group_norm` returned them
    returns  dx as x, dweight (c,), dbias (c,)

    >>> x = np.array([[1.0, 3.0]])
    >>> given = {"weight": None, "mean": np.array([[2.0]]), "inv_std": np.array([[1.0]])}
    >>> dx, dweight, dbias = ops.group_norm_backward(np.array([[1.0, 0.0]]), x, 1, **given)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[0.0, 0.0]], [-1.0, 0.0], [1.0, 0.0])
    """
    op = "group_norm_backward"
    arrays, (flat, groups) = _backward(op, (dy, x, weight, mean, inv_std), num_groups)
    dy, x, weight, mean, inv_std = arrays
    dx, dweight, dbias = backend().group_norm_backward(
        dy.reshape(flat), x.reshape(flat), groups, weight, mean, inv_std
    )
    return dx.reshape(x.shape), dweight, dbias


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Result:
    """Normalise over the last axes, then scale and shift each of their elements.

    y = weight * (x - mean) * inv_std + bias,  inv_std = 1 / sqrt(var + eps)

    x (..., *normalized_shape), an integer for one axis; weight and bias normalized_shape or None
    returns  y as x, mean and inv_std of the shape of the other axes

    >>> y, mean, inv_std = ops.layer_norm(np.array([[1.0, 3.0]]), 2, eps=0.0)
    >>> y.tolist(), mean.tolist(), inv_std.tolist()
    ([[-1.0, 1.0]], [2.0], [1.0])

    Source: Ba, Kiros, Hinton, Layer Normalization (2016).
    """
    op = "layer_norm"
    shape = normalized(op, normalized_shape)
    (x, weight, bias), lead = _layer_forward(op, (x, weight, bias), shapes=(shape,))
    eps = checks.real(op, "eps", eps, 0.0)
    size = math.prod(shape)
    vectors = [None if v is None else v.reshape(size) for v in (weight, bias)]
    rows = x.reshape(math.prod(lead), size)
    y, mean, inv_std = backend().layer_norm(rows, size, *vectors, eps)
    return y.reshape(x.shape), mean.reshape(lead), inv_std.reshape(lead)


def layer_norm_backward(
    dy: Any, x: Any, normalized_shape: Any, weight: Any, mean: Any, inv_std: Any
) -> Result:
    """Gradients of `layer_norm` with respect to x, weight and bias: the formulas of
    `group_norm_backward`, with means over the last axes.

    >>> given = {"weight": None, "mean": np.array([2.0]), "inv_std": np.array([1.0])}
    >>> dy, x = np.array([[1.0, 0.0]]), np.array([[1.0, 3.0]])
    >>> dx, dweight, dbias = ops.layer_norm_backward(dy, x, 2, **given)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[0.0, 0.0]], [-1.0, 0.0], [1.0, 0.0])
    """
    op = "layer_norm_backward"
    shape = normalized(op, normalized_shape)
    (dy, x, weight, mean, inv_std), lead = _layer_backward(
        op, (dy, x, weight, mean, inv_std), shapes=(shape,)
    )
    n, size = math.prod(lead), math.prod(shape)
    dx, dweight, dbias = backend().layer_norm_backward(
        dy.reshape(n, size),
        x.reshape(n, size),
        size,
        None if weight is None else weight.reshape(size),
        mean.reshape(n),
        inv_std.reshape(n),
    )
    return dx.reshape(x.shape), dweight.reshape(shape), dbias.reshape(shape)


def normalized(op: str, value: Any) -> tuple[int, ...]:
    """normalized_shape as a tuple of sizes."""
    sizes = tuple(value) if checks.is_sequence(value) else (value,)
    if not sizes:
        raise ValueError(f"{op}: normalized_shape is empty, but one size or more are expected")
    return tuple(checks.integer(op, "normalized_shape", size, least=1) for size in sizes)


@gate("x", "weight", "bias", optional=("weight", "bias"))
def _forward(op: str, shapes: Any, num_groups: Any) -> tuple[tuple[int, int, int], int]:
    x, weight, bias = shapes
    return _flat(op, x, num_groups, weight=weight, bias=bias)


@gate("dy", "x", "weight", "mean", "inv_std", optional=("weight",))
def _backward(op: str, shapes: Any, num_groups: Any) -> tuple[tuple[int, int, int], int]:
    dy, x, weight, mean, inv_std = shapes
    checks.same_shape(op, "dy", dy, x, "the shape of x")
    flat, groups = _flat(op, x, num_groups, weight=weight)
    for name, shape in (("mean", mean), ("inv_std", inv_std)):
        checks.same_shape(op, name, shape, (x[0], groups), "one value per group")
    return flat, groups


def _flat(
    op: str, x: tuple[int, ...], num_groups: Any, **vectors: tuple[int, ...] | None
) -> tuple[tuple[int, int, int], int]:
    """x as (n, c, positions), and the number of groups."""
    groups = checks.integer(op, "num_groups", num_groups, least=1)
    if len(x) < 2 or x[1] % groups:
        raise ValueError(
            f"{op}: x has shape {x}, but (n, c, ...) is expected, c a multiple of "
            f"num_groups={groups}"
        )
    for name, shape in vectors.items():
        if shape is not None:
            checks.same_shape(op, name, shape, x[1:2], "one value per channel of x {}", x)
    return (x[0], x[1], math.prod(x[2:])), groups


@gate("x", "weight", "bias", optional=("weight", "bias"))
def _layer_forward(op: str, shapes: Any) -> tuple[int, ...]:
    x, weight, bias, last = shapes
    return _lead(op, x, last, weight=weight, bias=bias)


@gate("dy", "x", "weight", "mean", "inv_std", optional=("weight",))
def _layer_backward(op: str, shapes: Any) -> tuple[int, ...]:
    dy, x, weight, mean, inv_std, last = shapes
    checks.same_shape(op, "dy", dy, x, "the shape of x")
    lead = _lead(op, x, last, weight=weight)
    for name, shape in (("mean", mean), ("inv_std", inv_std)):
        checks.same_shape(op, name, shape, lead, "the axes of x before the last ones")
    return lead


def _lead(
    op: str, x: tuple[int, ...], last: tuple[int, ...], **arrays: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The sizes of the axes before the last ones, which must be those to normalise."""
    if x[len(x) - len(last) :] != last or len(x) < len(last):
        raise ValueError(
            f"{op}: x has shape {x}, but (..., {', '.join(map(str, last))}) is expected"
        )
    for name, shape in arrays.items():
        if shape is not None:
            checks.same_shape(op, name, shape, last, "normalized_shape")
    return x[: len(x) - len(last)]
