"""`Dropout`: sets random elements to zero in training."""

from __future__ import annotations

from typing import Any

from cnnx import checks, ops, random
from cnnx.layers.base import Layer, builtin

__all__ = ["Dropout"]


@builtin
class Dropout(Layer):
    """Train mode: each element becomes 0 with probability p, the others are divided by 1 - p.
    Eval mode: y = x.

    p        between 0 and 1, else ValueError
    inplace  has no effect, see `ReLU`

    The mask is a function of a key that `cnnx.random` generates for each call; backward recomputes
    the mask from the key. So a seed fixes all masks, for any backend and number of threads.

    N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
    JMLR 2014.

    Example: ``Dropout(0.5).eval()(x)`` is ``x``.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = checks.real("Dropout", "p", p, 0.0, 1.0)
        self.inplace = checks.flag("Dropout", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        if not self.training or self.p == 0:
            self._save(x.dtype, None)
            return x
        key = random.dropout_key()
        y = ops.dropout(x, self.p, *key)
        self._save(x.dtype, key)
        return y

    def backward(self, dy: Any) -> Any:
        dtype, key = self._saved()
        dy = self._float(dy, dtype)
        return dy if key is None else ops.dropout_backward(dy, self.p, *key)

    def extra_repr(self) -> str:
        return f"p={self.p}{', inplace=True' if self.inplace else ''}"
