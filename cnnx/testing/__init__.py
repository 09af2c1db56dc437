"""Checks for one's own layers and models: `gradcheck`, `compare_backends`, `overfit_one_batch`."""

from __future__ import annotations

from .backends import Comparison, Difference, compare_backends
from .gradients import GradcheckError, gradcheck
from .overfit import Movement, Overfit, overfit_one_batch

__all__ = [
    "Comparison",
    "Difference",
    "GradcheckError",
    "Movement",
    "Overfit",
    "compare_backends",
    "gradcheck",
    "overfit_one_batch",
]
