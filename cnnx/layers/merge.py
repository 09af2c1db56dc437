"""Layers of several inputs, which merge the branches of a model: `Add`, `Multiply`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import ops
from cnnx.layers.base import Layer, builtin

__all__ = ["Add", "Multiply", "of_one_dtype"]


@builtin
class Add(Layer):
    """Elementwise sum of two or more inputs of the same shape.

    y = x_1 + x_2 + ... + x_k, summed in this order, without broadcasting.

    y and all gradients have the dtype of the first input; the others are cast to it. `backward`
    returns a tuple with dy for each input: the same array several times. ValueError for fewer than
    two inputs, and for different shapes.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    Example::

        layer = Add()
        y = layer.forward(np.ones((2, 6, 8, 8)), np.ones((2, 6, 8, 8)))
        da, db = layer.backward(np.ones_like(y))
    """

    def forward(self, *xs: Any) -> Any:
        arrays = of_one_dtype(self, xs)
        shapes = [x.shape for x in arrays]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(
                f"Add: the inputs have shapes {_listed(shapes)}, expected equal shapes"
            )
        self._save(arrays[0].dtype, len(arrays))
        y = arrays[0]
        for x in arrays[1:]:
            y = ops.add(y, x)
        return y

    def backward(self, dy: Any) -> tuple[np.ndarray, ...]:
        dtype, count = self._saved()
        return (self._float(dy, dtype),) * count


@builtin
class Multiply(Layer):
    """Elementwise product of two inputs, with NumPy's broadcasting: y = a * b.

    Both have the same number of axes. Their sizes along each axis are equal, or one is 1 and is
    broadcast: a gate (n, c, 1, 1) scales the channels of images (n, c, h, w).

    y and both gradients have the dtype of the first input; the other is cast to it. `backward`
    returns a tuple with the gradient of each input: dy times the other input, summed over the axes
    that were broadcast. ValueError unless there are two inputs with compatible shapes.

    J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.

    Example::

        layer = Multiply()
        y = layer.forward(np.ones((2, 6, 8, 8)), np.full((2, 6, 1, 1), 0.5))
        dx, dgate = layer.backward(np.ones_like(y))
    """

    def forward(self, *xs: Any) -> Any:
        if len(xs) > 2:
            raise ValueError(f"Multiply: {len(xs)} inputs given, expected two")
        arrays = of_one_dtype(self, xs)
        y = ops.multiply(*arrays)
        self._save(*arrays)
        return y

    def backward(self, dy: Any) -> tuple[np.ndarray, ...]:
        a, b = self._saved()
        return ops.multiply_backward(self._float(dy, a.dtype), a, b)


def of_one_dtype(layer: Layer, xs: tuple[Any, ...]) -> list[np.ndarray]:
    """The inputs in the dtype of the first."""
    name = type(layer).__name__
    if len(xs) < 2:
        given = "one input" if xs else "no input"
        raise ValueError(f"{name}: {given} given, expected two or more: layer.forward(a, b)")
    first = layer._float(xs[0])
    return [first, *[layer._float(x, first.dtype) for x in xs[1:]]]


def _listed(shapes: list[tuple[int, ...]]) -> str:
    """ "(2, 3), (2, 4) and (2, 5)" """
    return f"{', '.join(map(str, shapes[:-1]))} and {shapes[-1]}"
