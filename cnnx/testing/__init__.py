"""Checks for one's own layers and functions: `gradcheck`, `compare_backends`."""

from __future__ import annotations

from .backends import Comparison, Difference, compare_backends
from .gradients import GradcheckError, gradcheck

__all__ = ["Comparison", "Difference", "GradcheckError", "compare_backends", "gradcheck"]
