"""Layers that change the shape of a sample: `Flatten`, `Reshape`."""

from __future__ import annotations

import math
from typing import Any

from cnnx import checks
from cnnx.layers.base import Layer, builtin

__all__ = ["Flatten", "Reshape"]


@builtin
class Flatten(Layer):
    """Flatten all axes from `start_dim` on into one. (n, c, h, w) -> (n, c*h*w)

    start_dim  first axis to flatten; 1 by default, which preserves the batch axis

    ValueError if x has fewer axes. The result may share memory with x.

    Example: ``Flatten()(np.zeros((8, 16, 4, 4))).shape`` is ``(8, 256)``.
    """

    def __init__(self, start_dim: int = 1) -> None:
        self.start_dim = checks.integer("Flatten", "start_dim", start_dim)

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        shape, first = x.shape, self.start_dim
        if not 0 <= first < len(shape):
            raise ValueError(f"Flatten: x has shape {shape}, expected more than {first} axes")
        self._save(shape)
        # The size is explicit: -1 cannot be inferred for an empty batch.
        return x.reshape(*shape[:first], math.prod(shape[first:]))

    def backward(self, dy: Any) -> Any:
        (x_shape,) = self._saved()
        return self._float(dy).reshape(x_shape)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}"


@builtin
class Reshape(Layer):
    """Reshape each sample. (n, ...) -> (n, *shape)

    shape  of one sample, without the batch axis; one entry may be -1 and is inferred

    ValueError if a sample has another number of elements. The result may share memory with x.

    Example: ``Reshape((1, 28, 28))(np.zeros((8, 784))).shape`` is ``(8, 1, 28, 28)``.
    """

    def __init__(self, shape: Any) -> None:
        sizes = shape if checks.is_sequence(shape) else (shape,)
        self.shape = tuple(checks.integer("Reshape", "shape", size, least=-1) for size in sizes)
        if self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: shape is {self.shape}, expected sizes and at most one -1")

    def forward(self, x: Any) -> Any:
        x = self._float(x)
        shape = self._fill_in(x.shape)
        self._save(x.shape)
        return x.reshape(x.shape[0], *shape)

    def backward(self, dy: Any) -> Any:
        (x_shape,) = self._saved()
        return self._float(dy).reshape(x_shape)

    def _fill_in(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        size = math.prod(x_shape[1:])
        known = math.prod(n for n in self.shape if n != -1)
        missing = size // known if known else 0
        shape = tuple(missing if n == -1 else n for n in self.shape)
        if not x_shape or math.prod(shape) != size:
            raise ValueError(
                f"Reshape: x has shape {x_shape}, so samples of {size} elements, which do not fill "
                f"{self.shape}"
            )
        return shape

    def extra_repr(self) -> str:
        return f"{self.shape}"
