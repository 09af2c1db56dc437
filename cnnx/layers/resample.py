"""Resizing images, as in the decoder of a segmentation network."""

from __future__ import annotations

from typing import Any

from cnnx import checks, ops
from cnnx.layers.base import Layer, builtin
from cnnx.ops.resample import resizing

__all__ = ["Upsample"]


@builtin
class Upsample(Layer):
    """Resize images by interpolation. (n, c, h, w) -> (n, c, oh, ow)

    size           of the output: a number, or a pair (height, width)
    scale_factor   a number or a pair instead of size: oh = floor(h * scale_factor)
    mode           "nearest": each pixel is a copy of the nearest one; "bilinear": a weighted mean
                   of the four around it
    align_corners  for bilinear only: True aligns the centres of the images' corner pixels, False
                   (the default) their corners

    Results are PyTorch's; the formulas are in `ops.interpolate`. ValueError unless exactly one of
    size and scale_factor is given, and for align_corners with "nearest".

    Example: ``Upsample(scale_factor=2)(np.zeros((8, 6, 7, 7))).shape`` is ``(8, 6, 14, 14)``.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        sizes, factors = resizing("Upsample", size, scale_factor, mode, align_corners)
        self.size = None if sizes is None else checks.kept_pair("Upsample", "size", size)
        self.scale_factor: Any = factors
        if factors is not None and not checks.is_sequence(scale_factor):
            self.scale_factor = factors[0]
        self.mode = mode
        self.align_corners = None if align_corners is None else bool(align_corners)

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        y = ops.interpolate(x, *self._arguments())
        self._save(x.shape, x.dtype)
        return y

    def backward(self, dy: Any) -> Any:
        x_shape, dtype = self._saved()
        return ops.interpolate_backward(self._float(dy, dtype), x_shape, *self._arguments())

    def _arguments(self) -> tuple[Any, ...]:
        return self.size, self.scale_factor, self.mode, self.align_corners

    def extra_repr(self) -> str:
        to = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        corners = "" if self.align_corners is None else f", align_corners={self.align_corners}"
        return f"{to}, mode={self.mode!r}{corners}"
