"""What `compile` is told about the inputs of a network, and how messages write shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnnx import checks
from cnnx.graph.container import Container
from cnnx.layers.base import Layer

__all__ = ["given_inputs", "listed", "numbered", "text"]

Shape = tuple[int, ...]


def given_inputs(
    model: Layer, input_shape: Any, batch: Any
) -> tuple[tuple[str, ...], tuple[Shape, ...], Any]:
    """Names and sample shapes of the inputs; the batch size, or whole shapes, or None."""
    count = model.wiring().inputs if isinstance(model, Container) and model.opens() else None
    if isinstance(input_shape, Mapping):
        if batch is not None:
            raise ValueError(f"compile: batch={batch}, but the shapes {input_shape} include it")
        wholes = [_whole_shape(name, shape) for name, shape in input_shape.items()]
        if not wholes:
            raise ValueError("compile: input_shape is an empty dict, expected {name: shape}")
        names = tuple(input_shape)
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"compile: the names of the inputs are {names}, expected text")
        shapes = tuple([shape[1:] for shape in wholes])
        wanted: Any = tuple(wholes)
    else:
        several = checks.is_sequence(input_shape) and any(map(checks.is_sequence, input_shape))
        each = list(input_shape) if several else [input_shape]
        shapes = tuple([checks.sample_shape("compile", "input_shape", shape) for shape in each])
        names = numbered("x", len(shapes))
        wanted = None if batch is None else checks.integer("compile", "batch", batch, least=1)
    if count is not None and len(shapes) != count:
        raise ValueError(
            f"compile: {len(shapes)} input shapes given, but the model has {count} inputs"
        )
    return names, shapes, wanted


def _whole_shape(name: Any, shape: Any) -> Shape:
    if not checks.is_sequence(shape):
        raise ValueError(
            f"compile: the shape of {name!r} is {shape!r}, expected one with the batch axis, "
            "(1, 3, 32, 32), or () for a scalar"
        )
    sizes = [checks.integer("compile", f"a size of {name!r}", size, least=1) for size in shape]
    return tuple(sizes)


def numbered(letter: str, count: int) -> tuple[str, ...]:
    return (letter,) if count == 1 else tuple([f"{letter}{i}" for i in range(count)])


def text(shape: Sequence[Any]) -> str:
    """ "(n, 3, 32, 32)" """
    return f"({', '.join(map(str, shape))})"


def listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(map(str, shapes))
