"""The Job of an op on images that are (n, pixels, channels) in memory, if it has one."""

# Design:
# The operands are those of the usual Job (lower.py), whose images are (n, channels, pixels). TABLE
# has what is faster, and what lies between: sums and products, also with a number for each channel,
# as of a gate. Weights of convolutions are packed by either Job.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["SAME_JOB", "TABLE", "moved", "same_in_both"]


def same_in_both(shape: tuple[int, ...]) -> bool:
    """Whether an array has the same order in memory, wherever its channels are."""
    return len(shape) < 3 or shape[1] == 1 or math.prod(shape[2:]) == 1


def moved(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(n, channels, pixels...) as (n, pixels..., channels)."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) > 2 else shape


def _conv2d(jobs: Any, results: Any, x: Any, weight: Any, bias: Any, *settings: Any) -> Any:
    stride, padding, dilation, _, activation, _ = settings
    shapes, first = (x.shape, weight.shape, results[0].shape), (padding[0][0], padding[1][0])
    windows = (stride, first, dilation)
    return jobs.prepare_convolution(
        "forward", *shapes, *windows, x.dtype, activation, packed=True, channels_last=True
    )


def _binary(jobs: Any, results: Any, x: Any, y: Any, function: str) -> Any:
    rank = results[0].ndim
    shapes = [(1,) * (rank - a.ndim) + a.shape for a in (x, y)]
    return jobs.prepare_binary(function, *map(moved, shapes), x.dtype)


def _add(jobs: Any, results: Any, x: Any, y: Any) -> Any:
    return _binary(jobs, results, x, y, "add")


def _multiply(jobs: Any, results: Any, x: Any, y: Any) -> Any:
    return _binary(jobs, results, x, y, "multiply")


def _mean(jobs: Any, results: Any, x: Any, size: Any = (1, 1)) -> Any:
    """Over all pixels."""
    if tuple(size) != (1, 1):
        return None
    return jobs.prepare_global_average_channels_last(x.shape, x.dtype)


# Elementwise ops of one operand: their usual Job does not ask for the layout.
SAME_JOB = {
    *("relu", "relu6", "hardsigmoid", "hardswish", "leaky_relu", "sigmoid", "tanh", "unary"),
    *("elu", "gelu", "silu", "softplus", "mish"),
}

TABLE: dict[str, Callable[..., Any]] = {
    "conv2d": _conv2d,
    "add": _add,
    "multiply": _multiply,
    "binary": _binary,
    "adaptive_avg_pool2d": _mean,
    "global_avg_pool2d": _mean,
}
