"""`Monitor`: which of two epochs is better, by a column of the history."""

from __future__ import annotations

import math

from cnnx import checks
from cnnx.history import Row

__all__ = ["Monitor"]


class Monitor:
    """Watches a column of the history for its best value.

    column     such as "val_loss"
    mode       "min", "max", or "auto": "min" for a name with "loss" or "error", else "max"
    min_delta  a smaller change is no improvement

    NaN never is an improvement.
    """

    def __init__(self, op: str, column: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(column, str):
            raise TypeError(f"{op}: monitor is {column!r}, expected a column such as 'val_loss'")
        mode = checks.choice(op, "mode", mode, ("auto", "min", "max"))
        if mode == "auto":
            mode = "min" if "loss" in column or "error" in column else "max"
        self.op, self.column, self.mode = op, column, mode
        self.min_delta = checks.real(op, "min_delta", min_delta, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget the best value."""
        self.best = math.inf if self.mode == "min" else -math.inf

    def read(self, logs: Row) -> float:
        """The value of an epoch; ValueError if it has no such column."""
        if self.column not in logs:
            advice = ": give fit a validation set" if self.column.startswith("val_") else ""
            raise ValueError(
                f"{self.op}: monitor is {self.column!r}, but an epoch has {', '.join(logs)}{advice}"
            )
        return float(logs[self.column])

    def improves(self, value: float) -> bool:
        """Whether a value is better than the best so far, which it replaces then."""
        gain = self.best - value if self.mode == "min" else value - self.best
        if not gain > self.min_delta:
            return False
        self.best = value
        return True
