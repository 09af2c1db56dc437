"""`Prepared`: what an inference plan asks of a layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

__all__ = ["Prepared"]


class Prepared:
    """Answers for most layers; others override them.

    _batch_first     the first axis of its inputs is the batch
    _takes_integers  its inputs number something, and keep their dtype
    """

    _batch_first: ClassVar[bool] = True
    _takes_integers: ClassVar[bool] = False

    @property
    def _settles(self) -> bool:
        """Whether a plan may know more of it, or of what it returns, for certain shapes."""
        return False

    def _derived(self) -> list[np.ndarray]:
        """Arrays that it made of settings and keeps for its calls: a plan may hold them, too."""
        return []

    def _view(self, *xs: Any) -> np.ndarray | None:
        """What the output is a copy of, a view of the first input, whatever its elements are; None:
        of no view.
        """
        return None
