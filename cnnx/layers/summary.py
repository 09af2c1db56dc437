"""`summary`: a table of a model's layers, shapes, parameters and multiply-adds."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from cnnx.graph.container import Container
from cnnx.layers.base import Layer

__all__ = ["Summary", "SummaryRow", "summarise"]


class SummaryRow(NamedTuple):
    """One layer: its name, class, output shape without the batch axis, parameters, multiply-adds.

    Parameters that an earlier row has counted (of a shared layer) are not counted again.
    """

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


class Summary:
    """The rows and totals of `Layer.summary`; `str` and `repr` are the table.

    input_shape   one sample's shape         rows       a `SummaryRow` per layer
    parameters    numbers in all weights     trainable  those of them that learn
    macs          multiply-adds of one sample's forward
    """

    def __init__(
        self, input_shape: tuple[Any, ...], rows: list[SummaryRow], trainable: int
    ) -> None:
        self.input_shape = input_shape
        self.rows = rows
        self.parameters = sum(row.parameters for row in rows)
        self.macs = sum(row.macs for row in rows)
        self.trainable = trainable

    def __str__(self) -> str:
        head = ("name", "layer", "output shape", "parameters", "MACs")
        total = ("total", "", "", f"{self.parameters:,}", f"{self.macs:,}")
        body = [
            (row.name, row.layer, _shape(row.output_shape), f"{row.parameters:,}", f"{row.macs:,}")
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(head, *body, total, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [f"input shape {_shape(self.input_shape)}", _line(head, widths), rule]
        lines += [_line(row, widths) for row in body]
        lines += [rule, _line(total, widths), f"trainable parameters: {self.trainable:,}"]
        return "\n".join(lines)

    __repr__ = __str__


def summarise(layer: Layer, *input_shapes: Any) -> Summary:
    """The summary of a layer or model for samples of `input_shapes` (no batch axis)."""
    shapes = tuple(map(_sizes, input_shapes))
    rows: list[SummaryRow] = []
    _collect(layer, "", shapes, rows, set())
    trainable = sum(p.size for p in layer.parameters() if p.requires_grad)
    return Summary(shapes[0] if len(shapes) == 1 else shapes, rows, trainable)


def _sizes(input_shape: Any) -> tuple[int, ...]:
    """One sample's shape; a number is that of a row of features, as in NumPy."""
    try:
        sizes = tuple(map(operator.index, np.atleast_1d(input_shape)))
    except (TypeError, ValueError):
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(
            f"summary: input_shape is {input_shape!r}, expected the shape of one sample, without "
            "the batch: (3, 32, 32) for images, 64 or (64,) for features"
        )
    return sizes


def _collect(
    layer: Layer, name: str, shapes: tuple[Any, ...], rows: list[SummaryRow], seen: set[int]
) -> None:
    inside = list(layer.flow(*shapes))
    for child_name, child, child_shapes in inside:
        _collect(child, f"{name}.{child_name}" if name else child_name, child_shapes, rows, seen)
    if inside or isinstance(layer, Container):
        return
    own = [p for p in layer.parameters() if id(p) not in seen]
    seen.update(id(p) for p in own)
    parameters = sum(p.size for p in own)
    output = layer.output_shape(*shapes)
    rows.append(SummaryRow(name, type(layer).__name__, output, parameters, layer.macs(*shapes)))


def _shape(shape: tuple[Any, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join(left + right).rstrip()
