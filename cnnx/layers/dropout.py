"""Dropout: sets random elements, or channels, to zero in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks, ops, random
from cnnx.layers.base import Layer, builtin

__all__ = ["Dropout", "Dropout2D"]


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
        self.p = checks.real(type(self).__name__, "p", p, 0.0, 1.0)
        self.inplace = checks.flag(type(self).__name__, "inplace", inplace)

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        if not self.training or self.p == 0:
            self._save(x.dtype, None)
            return x
        key = random.dropout_key()
        y = self._dropped(x, key)
        self._save(x.dtype, key)
        return y

    def backward(self, dy: Any) -> Any:
        dtype, key = self._saved()
        dy = self._float(dy, dtype)
        return dy if key is None else self._dropped(dy, key)

    def _dropped(self, x: np.ndarray, key: tuple[int, int]) -> np.ndarray:
        """Forward of x, and backward of dy: the same function."""
        return ops.dropout(x, self.p, *key)

    def extra_repr(self) -> str:
        return f"p={self.p}{', inplace=True' if self.inplace else ''}"


@builtin
class Dropout2D(Dropout):
    """Train mode: each channel (a whole plane) of each image becomes 0 with probability p, the
    others are divided by 1 - p. Eval mode: y = x. (n, c, h, w) -> the same

    p        between 0 and 1, else ValueError
    inplace  has no effect, see `ReLU`

    For the first layers of a network, where neighbouring pixels know of each other, so that
    `Dropout` of single ones drops little information. The mask is that of `Dropout` for (n, c)
    elements: a function of a key that `cnnx.random` generates for each call. ValueError for x that
    is not of (n, c, h, w) or (n, c, l).

    J. Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.

    Example: ``Sequential(Conv2D(3, 16, 3), ReLU(), Dropout2D(0.2))``
    """

    def _dropped(self, x: np.ndarray, key: tuple[int, int]) -> np.ndarray:
        if x.ndim not in (3, 4):
            raise ValueError(
                f"Dropout2D: x has shape {x.shape}, expected (n, c, h, w) or (n, c, l)"
                f"{checks.missing_axes('x', x.shape)}"
            )
        planes = np.ones((*x.shape[:2], *[1] * (x.ndim - 2)), x.dtype)
        return ops.multiply(x, ops.dropout(planes, self.p, *key))
