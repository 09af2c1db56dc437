"""`Module`, the base of layers and models in the dialect `sequential`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers.run import Mode
from .._arrays import saved

__all__ = ["Module"]


class Module:
    """`forward` and `backward` are the subclass's; calling a module is `forward`.

    >>> class Double(Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> Double()(3)
    6
    """

    training = Mode()  # dropout asks; False while `train_val` and `test` evaluate
    _kept: Any = None

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)

    def zero_grad(self) -> None:
        """`dweights` and `dbiases`, where a module has them, are zeros again."""
        for name in ("weights", "biases"):
            if hasattr(self, name):
                setattr(self, f"d{name}", np.zeros_like(getattr(self, name)))

    def _saved(self) -> Any:
        return saved(type(self).__name__, self._kept)
