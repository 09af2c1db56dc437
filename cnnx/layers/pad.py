"""Padding and cropping images."""

from __future__ import annotations

from typing import Any

from cnnx import checks, ops
from cnnx.layers.base import builtin
from cnnx.layers.views import OverImages, viewed
from cnnx.ops.pad import sides

__all__ = ["ZeroPad2D"]


@builtin
class ZeroPad2D(OverImages):
    """Pad images with zeros. (n, c, h, w) -> (n, c, h + top + bottom, w + left + right)

    padding  a number for all sides, or (left, right, top, bottom); negative numbers crop

    One image (c, h, w) is padded too.

    The `padding` argument of a convolution or pooling layer is faster than a separate layer.
    ValueError if more is cropped than the image has.

    Example: ``ZeroPad2D((0, 1, 0, 1))(np.zeros((8, 6, 7, 7))).shape`` is ``(8, 6, 8, 8)``.
    """

    def __init__(self, padding: int | tuple[int, int, int, int]) -> None:
        left, *others = sides(type(self).__name__, padding)
        self.padding = (left, *others) if checks.is_sequence(padding) else left

    @viewed
    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = ops.zero_pad2d(x, self._sides())
        self._save(x.dtype)
        return y

    @viewed
    def backward(self, dy: Any) -> Any:
        (dtype,) = self._saved()
        back = tuple(-side for side in sides(type(self).__name__, self._sides()))
        return ops.zero_pad2d(self._float(dy, dtype), back)

    def _sides(self) -> Any:
        """padding, as the op takes it."""
        return self.padding

    def extra_repr(self) -> str:
        return f"{self.padding}"
