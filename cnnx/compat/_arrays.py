"""What the dialects share: arrays in float64, and a step of plain gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks, ops

FLOAT64 = np.dtype(np.float64)


def floats(where: str, value: Any) -> np.ndarray:
    """The value as a float64 array; nested lists and integers too."""
    try:
        return np.asarray(value, FLOAT64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where} expects numbers: {error}") from None


def descend(param: np.ndarray, grad: np.ndarray, learning_rate: float) -> None:
    """param -= learning_rate * grad, in place; in one pass where the array allows."""
    if checks.plain(param, FLOAT64) and param.shape == grad.shape and learning_rate >= 0:
        ops.sgd_step([param], [grad], None, learning_rate)
    else:
        param -= learning_rate * grad


def saved(where: str, value: Any) -> Any:
    """What forward left for backward."""
    if value is None:
        raise RuntimeError(f"{where}: backward needs a forward before it")
    return value
