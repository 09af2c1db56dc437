"""Dropout: dropout, dropout_backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..config import backend

_LARGEST = 2**63 - 1


def dropout(x: Any, p: float, seed: int, call: int) -> np.ndarray:
    """Set a fraction p of the elements to zero and scale the others by 1 / (1 - p).

    The mask is a function of (seed, call, position in C order) only: the same numbers give the same
    mask, in both backends and for any number of threads, so backward needs no stored mask.

    x (any shape); p from 0 to 1; seed and call integers from 0 to 2^63 - 1  ->  y as x

    >>> y = ops.dropout(np.ones(1000), 0.5, seed=1, call=0)
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]

    Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting
    (2014).
    """
    return backend().dropout(*_check("dropout", "x", x, p, seed, call))


def dropout_backward(dy: Any, p: float, seed: int, call: int) -> np.ndarray:
    """Gradient of `dropout`, which is dropout with the same numbers: dx = dy * mask / (1 - p).

    >>> x = np.ones(8)
    >>> (ops.dropout_backward(x, 0.5, 1, 0) == ops.dropout(x, 0.5, 1, 0)).all()
    np.True_
    """
    return backend().dropout_backward(*_check("dropout_backward", "dy", dy, p, seed, call))


def _check(
    op: str, name: str, x: Any, p: Any, seed: Any, call: Any
) -> tuple[np.ndarray, float, int, int]:
    return (
        checks.array(op, name, x),
        checks.real(op, "p", p, 0.0, 1.0),
        checks.integer(op, "seed", seed, 0, _LARGEST),
        checks.integer(op, "call", call, 0, _LARGEST),
    )
