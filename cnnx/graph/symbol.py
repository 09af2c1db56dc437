"""`Input` and `Symbol`: a network is written by calling layers on values without numbers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from cnnx import checks

if TYPE_CHECKING:
    from cnnx.layers.base import Layer

__all__ = ["Call", "Input", "Symbol"]

Shape = tuple[int, ...]
_count = itertools.count()


class Call:
    """A layer called on Symbols. `order` is that of the calls, in which a graph runs."""

    def __init__(self, layer: Layer, inputs: tuple[Symbol, ...]) -> None:
        self.layer, self.inputs = layer, inputs
        self.order = next(_count)
        self.outputs: tuple[Symbol, ...] = ()


class Symbol:
    """A value of a network before there are numbers: what `Input` and a layer called on one give.

    shape  of one sample, without the batch axis
    call   the `Call` that makes it; None for an `Input`

    ``a + b`` is ``Add()(a, b)`` and ``a * b`` is ``Multiply()(a, b)``. A Symbol holds the layers
    that it was made with; `cnnx.Graph` makes a layer of it.
    """

    __slots__ = ("call", "shape")

    def __init__(self, shape: Shape, call: Call | None = None) -> None:
        self.shape, self.call = shape, call

    def __cnnx_call__(self, layer: Layer, inputs: tuple[Any, ...]) -> Any:
        """What ``layer(*inputs)`` is where one of the inputs is a Symbol.

        A Symbol, or a tuple of them for a Graph of several outputs. TypeError where another input
        is none; errors of the layer where the shapes do not fit it.
        """
        for number, value in enumerate(inputs):
            if not isinstance(value, Symbol):
                raise TypeError(
                    f"{type(layer).__name__}: input {number} is a {type(value).__name__}, but "
                    "another input is a Symbol: give Symbols (cnnx.Input) or arrays alone"
                )
        made = layer.output_shape(*[value.shape for value in inputs])
        call = Call(layer, inputs)
        shapes = made if made and isinstance(made[0], tuple) else (made,)
        call.outputs = tuple(Symbol(shape, call) for shape in shapes)
        return call.outputs[0] if len(call.outputs) == 1 else call.outputs

    def __add__(self, other: Any) -> Any:
        from cnnx.layers.merge import Add

        return Add()(self, other)

    def __mul__(self, other: Any) -> Any:
        from cnnx.layers.merge import Multiply

        return Multiply()(self, other)

    def __repr__(self) -> str:
        maker = "an Input" if self.call is None else f"made by {type(self.call.layer).__name__}"
        return f"Symbol(shape={self.shape}, {maker})"


def Input(shape: Any) -> Symbol:
    """A value that a network is given: the start of a `Graph`.

    shape  of one sample, without the batch axis: (3, 32, 32) for images, 64 or (64,) for features.
           ValueError for what is no shape

    Example::

        x = cnnx.Input((3, 32, 32))
        h = Conv2D(3, 16, 3, padding=1)(x)
        model = cnnx.Graph(x, Concat()(x, h))
    """
    return Symbol(checks.sample_shape("Input", "shape", shape))
