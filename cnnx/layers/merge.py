"""Layers of several inputs: where the branches of a model meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import ops
from cnnx.layers.base import Layer, builtin

__all__ = ["Add", "Multiply", "cast", "of_one_dtype"]


@builtin
class Add(Layer):
    """Sum of two inputs or more, element by element. All have one shape, and y has it too.

    y = x_1 + x_2 + ... + x_k, summed in this order; nothing is broadcast.

    y has the dtype of the first input, the others are cast to it. `backward` returns a tuple, one
    gradient for each input in the input's own dtype: dy itself, the same array several times where
    the dtypes are equal. ValueError for fewer than two inputs, and for different shapes.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    Example::

        layer = Add()
        y = layer.forward(np.ones((2, 6, 8, 8)), np.ones((2, 6, 8, 8)))
        da, db = layer.backward(np.ones_like(y))
    """

    def forward(self, *xs: Any) -> Any:
        arrays, dtypes = of_one_dtype(self, xs)
        shapes = [x.shape for x in arrays]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(
                f"Add: the inputs have shapes {_listed(shapes)}: all must be the same to be added"
            )
        self._save(*dtypes)
        y = arrays[0]
        for x in arrays[1:]:
            y = ops.add(y, x)
        return y

    def backward(self, dy: Any) -> tuple[np.ndarray, ...]:
        dtypes = self._saved()
        dy = self._float(dy, dtypes[0])
        return cast(dtypes, [dy] * len(dtypes))


@builtin
class Multiply(Layer):
    """Product of two inputs, element by element, with NumPy's broadcasting: y = a * b.

    Both have as many axes; along each axis they are of one size, or one of them is of size 1 and
    is broadcast. So a gate (n, c, 1, 1) weighs the channels of images (n, c, h, w).

    y has the dtype of the first input, the other is cast to it. `backward` returns a tuple, the
    gradient of each input in its own shape and dtype: dy times the other, summed over the axes
    that were broadcast. ValueError for other than two inputs, and for shapes that do not fit.

    J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.

    Example::

        layer = Multiply()
        y = layer.forward(np.ones((2, 6, 8, 8)), np.full((2, 6, 1, 1), 0.5))
        dx, dgate = layer.backward(np.ones_like(y))
    """

    def forward(self, *xs: Any) -> Any:
        if len(xs) > 2:
            raise ValueError(f"Multiply: {len(xs)} inputs given, expected two")
        arrays, dtypes = of_one_dtype(self, xs)
        y = ops.multiply(*arrays)
        self._save(*arrays, dtypes)
        return y

    def backward(self, dy: Any) -> tuple[np.ndarray, ...]:
        a, b, dtypes = self._saved()
        return cast(dtypes, ops.multiply_backward(self._float(dy, a.dtype), a, b))


def of_one_dtype(layer: Layer, xs: tuple[Any, ...]) -> tuple[list[np.ndarray], list[np.dtype]]:
    """The inputs in the dtype of the first, and the dtypes that they had."""
    name = type(layer).__name__
    if len(xs) < 2:
        given = "one input" if xs else "no input"
        raise ValueError(f"{name}: {given} given, expected two or more: layer.forward(a, b)")
    arrays = [layer._float(x) for x in xs]
    dtypes = [x.dtype for x in arrays]
    return [layer._float(x, dtypes[0]) for x in arrays], dtypes


def cast(dtypes: tuple[np.dtype, ...], gradients: Any) -> tuple[np.ndarray, ...]:
    """Each gradient in the dtype of its input."""
    return tuple(g.astype(t, copy=False) for g, t in zip(gradients, dtypes, strict=True))


def _listed(shapes: list[tuple[int, ...]]) -> str:
    """ "(2, 3), (2, 4) and (2, 5)" """
    return f"{', '.join(map(str, shapes[:-1]))} and {shapes[-1]}"
