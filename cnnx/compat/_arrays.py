"""Helpers shared by the dialects: float64 arrays, gradient descent steps, normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks, ops

FLOAT64 = np.dtype(np.float64)


def floats(where: str, value: Any) -> np.ndarray:
    """The value as a float64 array; nested lists and integers too."""
    checks.unmasked(where, "x", value)
    try:
        return np.asarray(value, FLOAT64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where} expects numbers: {error}") from None


def descend(param: np.ndarray, grad: np.ndarray, learning_rate: float) -> None:
    """param -= learning_rate * grad, in place; in one pass if the array's layout allows it."""
    if checks.plain(param, FLOAT64) and param.shape == grad.shape and learning_rate >= 0:
        ops.sgd_step([param], [grad], None, learning_rate)
    else:
        param -= learning_rate * grad


def saved(where: str, value: Any) -> Any:
    """The value that forward cached for backward."""
    if value is None:
        raise RuntimeError(f"{where}: backward needs a forward before it")
    return value


def images(where: str, value: Any) -> np.ndarray:
    """The value as float64 images (n, c, h, w)."""
    x = floats(where, value)
    if x.ndim != 4:
        raise ValueError(f"{where}: input has shape {x.shape}, expected images (n, c, h, w)")
    return x


def normalized(
    x: np.ndarray, gamma: Any, beta: Any, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Batch norm with the statistics of x: the output, mean, 1 / sqrt(var + eps), and the biased
    variance of the batch, which the dialects store."""
    if x.size != x.shape[1]:
        y, mean, inv_std = ops.batch_norm(x, gamma, beta, eps=eps)
        return y, mean, inv_std, np.maximum(1 / inv_std**2 - eps, 0)
    # One value per channel equals its mean: the op rejects it, the dialects' formula returns beta.
    mean, zeros = x.reshape(-1), np.zeros(x.size, x.dtype)
    y, mean, inv_std = ops.batch_norm(x, gamma, beta, mean, zeros, training=False, eps=eps)
    return y, mean, inv_std, zeros


# Design:
# Three dialects store a matrix as (in, out), cnnx as (out, in). Theirs is stored in column order,
# so that its transpose is the array that the ops expect, and no call copies it.


def in_out(matrix: np.ndarray) -> np.ndarray:
    """A matrix (in, out), stored so that its transpose is C-contiguous."""
    return np.asfortranarray(matrix)


def affine(where: str, x: Any, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x W + b for x (n, in), weights (in, out), bias of `out` numbers or None."""
    if x.ndim != 2 or x.shape[1] != weights.shape[0]:
        raise ValueError(
            f"{where}: input has shape {x.shape}, but weights {weights.shape} expect "
            f"(n, {weights.shape[0]})"
        )
    return ops.linear(x, weights.T, None if bias is None else bias.reshape(-1))


def affine_backward(
    where: str, dy: Any, x: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx, dweights (in, out) and dbias (out,) of `affine`."""
    dy = floats(where, dy)
    if dy.shape != (len(x), weights.shape[1]):
        raise ValueError(
            f"{where}: gradient has shape {dy.shape}, expected {(len(x), weights.shape[1])}"
        )
    dx, dweights, dbias = ops.linear_backward(dy, x, weights.T)
    assert dx is not None
    return dx, dweights.T, dbias
