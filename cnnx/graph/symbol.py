"""`Input` and `Symbol`: symbolic values, which define a network when layers are called on them."""

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
    """A layer called on Symbols. A graph runs its calls by their `order`."""

    def __init__(self, layer: Layer, inputs: tuple[Symbol, ...]) -> None:
        self.layer, self.inputs = layer, inputs
        self.order = next(_count)
        self.outputs: tuple[Symbol, ...] = ()


class Symbol:
    """A symbolic value of a network: the result of `Input`, or of a layer called on Symbols.

    shape  of one sample, without the batch axis
    call   the `Call` that returned it; None for an `Input`

    ``a + b`` is ``Add()(a, b)`` and ``a * b`` is ``Multiply()(a, b)``. A Symbol refers to the calls
    that lead to it; `cnnx.Graph` makes a layer of these.
    """

    __slots__ = ("call", "shape")

    def __init__(self, shape: Shape, call: Call | None = None) -> None:
        self.shape, self.call = shape, call

    def __cnnx_call__(self, layer: Layer, inputs: tuple[Any, ...]) -> Any:
        """The result of ``layer(*inputs)`` if one of the inputs is a Symbol.

        A Symbol, or a tuple of them for a Graph with several outputs. TypeError if another input is
        not a Symbol; the layer's errors for shapes that it does not accept.
        """
        for number, value in enumerate(inputs):
            if not isinstance(value, Symbol):
                raise TypeError(
                    f"{type(layer).__name__}: input {number} is a {type(value).__name__}, but "
                    "another input is a Symbol: pass only Symbols (cnnx.Input) or only arrays"
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
    """A symbolic input of a network, from which a `Graph` is built.

    shape  of one sample, without the batch axis: (3, 32, 32) for images, 64 or (64,) for features.
           ValueError for an invalid shape

    Example::

        x = cnnx.Input((3, 32, 32))
        h = Conv2D(3, 16, 3, padding=1)(x)
        model = cnnx.Graph(x, Concat()(x, h))
    """
    return Symbol(checks.sample_shape("Input", "shape", shape))
