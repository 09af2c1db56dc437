"""`Resize`: interpolation with ONNX's rules for coordinates."""

# Design:
# Along each axis the result is a product with a matrix of a few numbers per row: the interpolation
# is a gather and a weighted sum along one axis after the other. Its transpose is the backward.
# Images enlarged by whole numbers, as in most files, have an op of their own.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnx import ops
from cnnx.onnx.layers.operator import Operator, operator

__all__ = ["Resize"]

_ROUNDING: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda u: np.ceil(u - 0.5),
    "round_prefer_ceil": lambda u: np.floor(u + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@operator
class Resize(Operator):
    """y = x at other coordinates. The inputs are x, and scales or sizes for each of the axes.

    to           "scales": y has floor(size * scale) elements along an axis; "sizes": these
    mode         "nearest", "linear" or "cubic"
    coordinates  where the i-th element of y is in x: "half_pixel", "pytorch_half_pixel",
                 "align_corners", "asymmetric" or "half_pixel_symmetric"
    nearest      how a coordinate is rounded
    cubic        the coefficient a of the cubic kernel
    exclude      whether elements of the cubic kernel outside of x have no weight
    axes         None: all
    policy       of sizes: "stretch", or "not_larger" or "not_smaller", which keep the aspect ratio
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("to", "mode", "coordinates", "nearest", "cubic", "exclude", "axes", "policy"),
    )

    def __init__(
        self,
        to: str,
        mode: str = "nearest",
        coordinates: str = "half_pixel",
        nearest: str = "round_prefer_floor",
        cubic: float = -0.75,
        exclude: bool = False,
        axes: tuple[int, ...] | None = None,
        policy: str = "stretch",
    ) -> None:
        super().__init__()
        self.to, self.mode, self.coordinates, self.nearest = to, mode, coordinates, nearest
        self.cubic, self.exclude, self.axes, self.policy = cubic, bool(exclude), axes, policy

    def compute(self, x: Any, target: Any) -> Any:
        size = self._size_of_op(x, target)
        if size is not None:
            return ops.interpolate(x, size)
        y = x
        for axis, (count, scale) in self._sizes(x.shape, target).items():
            if count == x.shape[axis] and scale == 1:
                continue
            index, weight = self._taps(x.shape[axis], count, scale)
            shape = [1] * x.ndim
            shape[axis] = count
            parts = [
                y.take(i, axis) * w.astype(x.dtype).reshape(shape) for i, w in zip(index, weight)
            ]
            y = sum(parts[1:], parts[0]) if self.mode != "nearest" else y.take(index[0], axis)
        return y

    def gradients(self, dy: Any, y: Any, x: Any, target: Any) -> tuple[Any, ...]:
        for axis, (count, scale) in reversed(self._sizes(x.shape, target).items()):
            if count == x.shape[axis] and scale == 1:
                continue
            index, weight = self._taps(x.shape[axis], count, scale)
            moved = np.moveaxis(dy, axis, 0)
            dx = np.zeros((x.shape[axis], *moved.shape[1:]), dy.dtype)
            for i, w in zip(index, weight):
                np.add.at(dx, i, moved * w.astype(dy.dtype).reshape(-1, *[1] * (x.ndim - 1)))
            dy = np.moveaxis(dx, 0, axis)
        return dy, None

    def result_size(self, x: Any, target: Any) -> int:
        sizes = self._sizes(x.shape, target)
        return math.prod(sizes[i][0] if i in sizes else n for i, n in enumerate(x.shape))

    def _size_of_op(self, x: Any, target: Any) -> tuple[int, ...] | None:
        """The size of images that are enlarged by whole numbers, each pixel repeated; else None."""
        if self.mode != "nearest" or x.ndim != 4 or x.dtype.kind != "f" or not x.size:
            return None
        sizes = self._sizes(x.shape, target)
        if any(sizes.get(axis, (x.shape[axis],))[0] != x.shape[axis] for axis in (0, 1)):
            return None
        found = []
        for axis in (2, 3):
            size = x.shape[axis]
            count, scale = sizes.get(axis, (size, 1.0))
            repeated = np.arange(count) // max(count // size, 1)
            if count % size or not np.array_equal(self._taps(size, count, scale)[0][0], repeated):
                return None
            found.append(count)
        return tuple(found)

    def _sizes(self, shape: Any, target: Any) -> dict[int, tuple[int, float]]:
        """The new size and the scale of each axis."""
        axes = range(len(shape)) if self.axes is None else [a % len(shape) for a in self.axes]
        numbers = [float(n) for n in target]
        if len(numbers) != len(axes):
            raise ValueError(f"Resize: {len(numbers)} {self.to} for {len(axes)} axes")
        if self.to == "scales":
            return {a: (math.floor(shape[a] * s), s) for a, s in zip(axes, numbers)}
        scales = [n / shape[a] for a, n in zip(axes, numbers)]
        if self.policy != "stretch":
            scale = (min if self.policy == "not_larger" else max)(scales)
            return {a: (math.floor(shape[a] * scale + 0.5), scale) for a in axes}
        return {a: (int(n), s) for a, n, s in zip(axes, numbers, scales)}

    def _taps(self, size: int, count: int, scale: float) -> tuple[Any, Any]:
        """The elements of x for each of y, (taps, count), and their weights."""
        i = np.arange(count, dtype=np.float64)
        if self.coordinates == "half_pixel":
            u = (i + 0.5) / scale - 0.5
        elif self.coordinates == "pytorch_half_pixel":
            u = (i + 0.5) / scale - 0.5 if count > 1 else np.zeros(1)
        elif self.coordinates == "align_corners":
            u = i * (size - 1) / (count - 1) if count > 1 else np.zeros(1)
        elif self.coordinates == "half_pixel_symmetric":
            offset = size / 2 * (1 - count / (scale * size))
            u = offset + (i + 0.5) / scale - 0.5
        else:
            u = i / scale
        if self.mode == "nearest":
            index = _ROUNDING[self.nearest](u)[None]
            return np.clip(index, 0, size - 1).astype(np.int64), np.ones((1, count))
        first = np.floor(u)
        if self.mode == "linear":
            index = np.stack([first, first + 1])
            weight = np.stack([1 - (u - first), u - first])
        else:
            index = np.stack([first - 1, first, first + 1, first + 2])
            weight = self._cubic(np.abs(u - index))
            if self.exclude:
                weight *= (index >= 0) & (index < size)
                weight /= weight.sum(0)
        return np.clip(index, 0, size - 1).astype(np.int64), weight

    def _cubic(self, d: Any) -> Any:
        """Keys' kernel of a distance."""
        a = self.cubic
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, far)
