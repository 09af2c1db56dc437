"""`Module`, the base of layers and models in the dialect `sequential`."""

from __future__ import annotations

from typing import Any

from ...layers.run import Mode
from .._arrays import saved

__all__ = ["Module"]


class Module:
    """`forward` and `backward` return their argument unless overridden; calling a module calls
    `forward`.

    >>> class Double(Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> Double()(3), Module()(3)
    (6, 3)
    """

    training = Mode()  # read by dropout; False while `train_val` and `test` evaluate
    _kept: Any = None

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, dvalues: Any) -> Any:
        return dvalues

    def zero_grad(self) -> None:
        """Does nothing for a module without weights."""

    def __call__(self, x: Any) -> Any:
        return self.forward(x)

    def _saved(self) -> Any:
        return saved(type(self).__name__, self._kept)
