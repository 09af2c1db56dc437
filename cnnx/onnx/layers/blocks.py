"""Channels as blocks of pixels, and back."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from cnnx.onnx.layers.operator import Operator, operator

__all__ = ["DepthToSpace", "SpaceToDepth"]


@operator
class DepthToSpace(Operator):
    """(n, c*b*b, h, w) -> (n, c, h*b, w*b): the channels of a pixel as a square of b x b pixels.

    mode  "DCR": the channels vary slowest in the square, "CRD": fastest
    """

    settings: ClassVar[tuple[str, ...]] = ("block", "mode")

    def __init__(self, block: int, mode: str = "DCR") -> None:
        super().__init__()
        self.block, self.mode = block, mode

    def compute(self, x: Any) -> Any:
        n, c, h, w = x.shape
        b = self.block
        return self.view(x).reshape(n, c // (b * b), h * b, w * b)

    def view(self, x: Any) -> np.ndarray:
        n, c, h, w = x.shape
        b = self.block
        if self.mode == "DCR":
            return x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
        return x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        n, c, h, w = x.shape
        b = self.block
        squares = dy.reshape(n, c // (b * b), h, b, w, b)
        order = (0, 3, 5, 1, 2, 4) if self.mode == "DCR" else (0, 1, 3, 5, 2, 4)
        return (squares.transpose(order).reshape(x.shape),)


@operator
class SpaceToDepth(Operator):
    """(n, c, h*b, w*b) -> (n, b*b*c, h, w): the inverse of `DepthToSpace`, mode "DCR"."""

    settings: ClassVar[tuple[str, ...]] = ("block",)

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def compute(self, x: Any) -> Any:
        n, c, h, w = x.shape
        b = self.block
        return self.view(x).reshape(n, b * b * c, h // b, w // b)

    def view(self, x: Any) -> np.ndarray:
        n, c, h, w = x.shape
        b = self.block
        return x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        n, c, h, w = x.shape
        b = self.block
        squares = dy.reshape(n, b, b, c, h // b, w // b)
        return (squares.transpose(0, 3, 4, 1, 5, 2).reshape(x.shape),)
