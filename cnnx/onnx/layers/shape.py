"""Operators that move, join, repeat and pick elements."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from cnnx import ops
from cnnx.onnx.layers.operator import Operator, is_float, operator, summed_to

__all__ = [
    "ConcatAny",
    "Expand",
    "FlattenTo2D",
    "Gather",
    "Pad",
    "Part",
    "ReshapeTo",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
]

Axes = tuple[int, ...]


class View(Operator):
    """Base of those that only change the shape: the gradient is dy in the shape of x."""

    def gradients(self, dy: Any, y: Any, x: Any, *others: Any) -> tuple[Any, ...]:
        return (dy.reshape(x.shape), *[None] * len(others))


@operator
class ReshapeTo(View):
    """y = x in the shape of the second input, in which 0 is the size of x along that axis (unless
    `zeros` are sizes), and -1 is inferred.
    """

    settings: ClassVar[tuple[str, ...]] = ("zeros",)

    def __init__(self, zeros: bool = False) -> None:
        super().__init__()
        self.zeros = bool(zeros)

    def compute(self, x: Any, shape: Any) -> Any:
        sizes = [int(n) for n in shape]
        if not self.zeros:
            sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
        if -1 in sizes and x.size == 0:  # NumPy does not infer a size of an empty array
            rest = math.prod(n for n in sizes if n != -1)
            known = math.prod(n for n in sizes if n > 0)
            inferred = 0 if rest else math.prod(n for n in x.shape if n) // max(known, 1)
            sizes[sizes.index(-1)] = inferred
        return x.reshape(sizes)


@operator
class FlattenTo2D(View):
    """y = x as a matrix: the axes before `axis` are its rows."""

    settings: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = int(axis)

    def compute(self, x: Any) -> Any:
        axis = self.axis + x.ndim if self.axis < 0 else self.axis
        return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator
class Squeeze(View):
    """y = x without the axes, which have size 1; None: without all of size 1."""

    settings: ClassVar[tuple[str, ...]] = ("axes",)

    def __init__(self, axes: Axes | None = None) -> None:
        super().__init__()
        self.axes = axes

    def compute(self, x: Any) -> Any:
        return np.squeeze(x, None if self.axes is None else tuple(self.axes))


@operator
class Unsqueeze(View):
    """y = x with axes of size 1 at these positions of the result."""

    settings: ClassVar[tuple[str, ...]] = ("axes",)

    def __init__(self, axes: Axes) -> None:
        super().__init__()
        self.axes = axes

    def compute(self, x: Any) -> Any:
        return np.expand_dims(x, tuple(self.axes))


class Movement(Operator):
    """Base of those that pick, repeat or reorder elements: y is a copy of a view of x."""

    def compute(self, *inputs: Any) -> Any:
        return np.array(self.view(*inputs), order="C")


@operator
class Transpose(Movement):
    """y[i_0, i_1, ...] with the axes of x in another order; None: reversed."""

    settings: ClassVar[tuple[str, ...]] = ("order",)

    def __init__(self, order: Axes | None = None) -> None:
        super().__init__()
        self.order = order

    def view(self, x: Any) -> np.ndarray:
        return x.transpose(self.order)

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        back = None if self.order is None else np.argsort(self.order)
        return (dy.transpose(back),)


@operator
class ConcatAny(Operator):
    """The inputs joined along an axis, of any dtype."""

    trains: ClassVar[range] = range(2**31)
    settings: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = int(axis)

    def compute(self, *xs: Any) -> Any:
        return np.concatenate(xs, self.axis)

    def gradients(self, dy: Any, y: Any, *xs: Any) -> tuple[Any, ...]:
        ends = np.cumsum([x.shape[self.axis] for x in xs])
        return tuple(np.split(dy, ends[:-1], self.axis))


@operator
class Slice(Movement):
    """y = x[starts:ends:steps] along the axes; None: the first ones, and steps of 1.

    The inputs are x, starts, ends, axes, steps: those after x may be absent.
    """

    def view(self, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
        return x[self._index(x, starts, ends, axes, steps)]

    def gradients(self, dy: Any, y: Any, x: Any, *where: Any) -> tuple[Any, ...]:
        dx = np.zeros(x.shape, dy.dtype)
        dx[self._index(x, *where)] = dy
        return (dx, *[None] * len(where))

    def _index(self, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
        index = [slice(None)] * x.ndim
        axes = range(len(starts)) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            size, step = x.shape[axis], int(step)
            least, most = (0, size) if step > 0 else (-1, size - 1)
            first, last = (
                min(max(int(i) + size if i < 0 else int(i), least), most) for i in (start, end)
            )
            index[int(axis)] = slice(first, None if last < 0 else last, step)
        return tuple(index)


@operator
class Part(Movement):
    """y = one of `count` parts of x along an axis; all have `size`, but the last may be shorter.

    sizes  of all parts, or None: as equal as possible
    """

    settings: ClassVar[tuple[str, ...]] = ("axis", "number", "count", "sizes")

    def __init__(self, axis: int, number: int, count: int, sizes: Axes | None = None) -> None:
        super().__init__()
        self.axis, self.number, self.count, self.sizes = int(axis), int(number), int(count), sizes

    def view(self, x: Any) -> np.ndarray:
        return x[self._index(x)]

    def gradients(self, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
        dx = np.zeros(x.shape, dy.dtype)
        dx[self._index(x)] = dy
        return (dx,)

    def _index(self, x: Any) -> Any:
        total = x.shape[self.axis]
        if self.sizes is None:
            each = -(-total // self.count)
            start, end = self.number * each, min((self.number + 1) * each, total)
        else:
            if sum(self.sizes) != total:
                raise ValueError(f"Split: sizes {tuple(self.sizes)} do not add up to {total}")
            start = sum(self.sizes[: self.number])
            end = start + self.sizes[self.number]
        axis = self.axis + x.ndim if self.axis < 0 else self.axis
        return (*[slice(None)] * axis, slice(start, end))


@operator
class Gather(Operator):
    """y = the entries of x with these numbers along an axis; negative ones count from the end."""

    trains: ClassVar[range] = range(1)
    settings: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = int(axis)

    def compute(self, x: Any, numbers: Any) -> Any:
        return np.take(x, numbers, self.axis)

    def view(self, x: Any, numbers: Any) -> np.ndarray | None:
        if np.ndim(x) == 0 or np.ndim(numbers) > 0:
            return None
        axis = self.axis % x.ndim
        return x[(*[slice(None)] * axis, int(numbers), ...)]

    def gradients(self, dy: Any, y: Any, x: Any, numbers: Any) -> tuple[Any, ...]:
        axis = self.axis % x.ndim
        dx = np.zeros(x.shape, dy.dtype)
        np.add.at(dx, (*[slice(None)] * axis, numbers), dy)
        return dx, None

    def result_size(self, x: Any, numbers: Any) -> int:
        return x.size // max(x.shape[self.axis], 1) * numbers.size


@lru_cache(maxsize=64)
def _positions(size: int, before: int, after: int, mode: str) -> np.ndarray:
    """What an axis with a border reads of the axis without. (np.pad of an array takes 0.1 ms.)"""
    # NumPy declares one overload for each mode, and this one is chosen at run time.
    return np.pad(np.arange(size), (before, after), mode)  # type: ignore[call-overload]


@operator
class Pad(Operator):
    """y = x with a border. The inputs are x, all beginnings followed by all ends, the value, and
    the axes, of which the last two may be absent; negative numbers crop.

    mode  "constant", "reflect" or "edge"
    """

    settings: ClassVar[tuple[str, ...]] = ("mode",)

    def __init__(self, mode: str = "constant") -> None:
        super().__init__()
        self.mode = mode

    def compute(self, x: Any, pads: Any, value: Any = 0, axes: Any = None) -> Any:
        before, after = self._sides(x, pads, axes)
        if self._is_fixed(value, axes) and is_float(x) and x.size:
            number = float(np.asarray(value).item()) if self.mode == "constant" else 0.0
            if abs(number) < 1e38:
                return ops.pad(x, tuple(zip(before, after, strict=True)), self.mode, number)
        x = x[tuple(slice(max(0, -b), n - max(0, -a)) for b, a, n in zip(before, after, x.shape))]
        sides = [(max(0, b), max(0, a)) for b, a in zip(before, after)]
        if self.mode == "constant":
            shape = [b + n + a for n, (b, a) in zip(x.shape, sides)]
            y = np.full(shape, np.asarray(value, x.dtype).item(), x.dtype)
            y[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, sides))] = x
            return y
        for axis, side in enumerate(sides):
            if any(side):
                x = x.take(_positions(x.shape[axis], *side, self.mode), axis)
        return x

    def gradients(self, dy: Any, y: Any, x: Any, pads: Any, *others: Any) -> tuple[Any, ...]:
        if self.mode != "constant":
            return super().gradients(dy, y, x)
        before, after = self._sides(x, pads, others[1] if len(others) > 1 else None)
        inner = tuple(slice(max(0, b), n - max(0, a)) for b, a, n in zip(before, after, y.shape))
        dx = np.zeros(x.shape, dy.dtype)
        rest = tuple(slice(max(0, -b), n - max(0, -a)) for b, a, n in zip(before, after, x.shape))
        dx[rest] = dy[inner]
        return (dx, None, *[None] * len(others))

    def _is_fixed(self, value: Any, axes: Any) -> bool:
        """Whether x alone is computed: a plan keeps the settings of an op."""
        given = [1, *([2] if isinstance(value, np.ndarray) else []), *([] if axes is None else [3])]
        return all(position in self.constants for position in given)

    def _sides(self, x: Any, pads: Any, axes: Any) -> tuple[list[int], list[int]]:
        before, after = [0] * x.ndim, [0] * x.ndim
        axes = range(x.ndim) if axes is None else [int(axis) for axis in axes]
        if len(pads) != 2 * len(axes):
            raise ValueError(f"Pad: {len(pads)} numbers of pads for {len(axes)} axes")
        for i, axis in enumerate(axes):
            before[axis], after[axis] = int(pads[i]), int(pads[len(axes) + i])
        return before, after

    def result_size(self, x: Any, pads: Any, value: Any = 0, axes: Any = None) -> int:
        before, after = self._sides(x, pads, axes)
        return math.prod(max(0, n + b + a) for n, b, a in zip(x.shape, before, after))


@operator
class Expand(Movement):
    """y = x repeated along the axes in which it has size 1, and along new ones before."""

    def view(self, x: Any, shape: Any) -> np.ndarray:
        to = np.broadcast_shapes(x.shape, tuple(int(n) for n in shape))
        return np.broadcast_to(x, to)

    def gradients(self, dy: Any, y: Any, x: Any, shape: Any) -> tuple[Any, ...]:
        return summed_to(dy, x), None

    def result_size(self, x: Any, shape: Any) -> int:
        return math.prod(np.broadcast_shapes(x.shape, tuple(int(n) for n in shape)))


@operator
class Tile(Operator):
    """y = x so many times along each axis."""

    def compute(self, x: Any, repeats: Any) -> Any:
        return np.tile(x, tuple(int(n) for n in repeats))

    def gradients(self, dy: Any, y: Any, x: Any, repeats: Any) -> tuple[Any, ...]:
        pairs = [size for n, count in zip(x.shape, repeats) for size in (int(count), n)]
        return dy.reshape(pairs).sum(tuple(range(0, 2 * x.ndim, 2))), None

    def result_size(self, x: Any, repeats: Any) -> int:
        return x.size * math.prod(int(n) for n in repeats)
