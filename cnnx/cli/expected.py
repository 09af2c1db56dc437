"""The errors that a user can cause, throughout cnnx. Any other exception is a bug."""

from __future__ import annotations

from cnnx.distributed import RankError

__all__ = ["EXPECTED"]

# ArithmeticError: a loss that is not finite. RankError: an error of another process of the run.
EXPECTED = (
    *(ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError),
    RankError,
)
