"""`summary`: a table of a model's layers, shapes, parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cnnx import checks
from cnnx.graph.container import Container, flatten
from cnnx.layers.base import Layer

__all__ = ["Summary", "SummaryRow", "summarise"]


class SummaryRow(NamedTuple):
    """One layer: its name, class, output shape without the batch axis, parameters, multiply-adds.

    Parameters of a shared layer are counted in its first row only.

    reads  the names of the layers whose outputs it reads, or "input"
    step   the number of the step that runs it in training: layers with the same number are fused
           (`Container.explain`)
    """

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    reads: tuple[str, ...] = ()
    step: int | None = None


class Summary:
    """The rows and totals of `Layer.summary`; `str` and `repr` are the table.

    It has a column "reads" unless every layer reads the output of the row before it, and with
    fused=True a column "step".

    input_shape   one sample's shape         rows       a `SummaryRow` per layer
    parameters    number of parameters       trainable  number of trainable ones
    macs          multiply-adds of one sample's forward
    """

    def __init__(
        self,
        input_shape: tuple[Any, ...],
        rows: list[SummaryRow],
        trainable: int,
        fused: bool = False,
    ) -> None:
        self.fused = fused
        self.input_shape = input_shape
        self.rows = rows
        self.parameters = sum(row.parameters for row in rows)
        self.macs = sum(row.macs for row in rows)
        self.trainable = trainable

    def __str__(self) -> str:
        head = ["name", "layer", "output shape", "parameters", "MACs"]
        total = ["total", "", "", f"{self.parameters:,}", f"{self.macs:,}"]
        body = [
            [row.name, row.layer, _shape(row.output_shape), f"{row.parameters:,}", f"{row.macs:,}"]
            for row in self.rows
        ]
        columns: list[tuple[str, Callable[[SummaryRow], str]]] = []
        if self.fused:
            columns.append(("step", lambda row: str(row.step)))
        if not self._is_chain():
            columns.append(("reads", lambda row: ", ".join(row.reads)))
        for title, cell in columns:
            head.append(title)
            total.append("")
            for line, row in zip(body, self.rows, strict=True):
                line.append(cell(row))
        widths = [max(map(len, column)) for column in zip(head, *body, total, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [f"input shape {_shape(self.input_shape)}", _line(head, widths), rule]
        lines += [_line(row, widths) for row in body]
        lines += [rule, _line(total, widths), f"trainable parameters: {self.trainable:,}"]
        return "\n".join(lines)

    def _is_chain(self) -> bool:
        before = [("input",), *[(row.name,) for row in self.rows]]
        return all(row.reads in ((), last) for row, last in zip(self.rows, before, strict=False))

    __repr__ = __str__


def summarise(layer: Layer, *input_shapes: Any, fused: bool = False) -> Summary:
    """The summary of a layer or model for samples of `input_shapes` (no batch axis)."""
    shapes = tuple([checks.sample_shape("summary", "input_shape", x) for x in input_shapes])
    rows: list[SummaryRow] = []
    seen: set[int] = set()
    if isinstance(layer, Container) and layer.opens():
        wiring, _ = flatten(layer)
        several = wiring.inputs > 1
        names = [f"input {i}" if several else "input" for i in range(wiring.inputs)]
        steps = layer.step_numbers() if fused else [None] * len(wiring.nodes)
        for (node, given, made), step in zip(wiring.flow(*shapes), steps, strict=True):
            reads = tuple([names[i] for i in node.inputs])
            _collect(node.layer, node.name, given, rows, seen, reads, step, made)
            names.append(node.name)
    else:
        _collect(layer, "", shapes, rows, seen)
    trainable = sum(p.size for p in layer.parameters() if p.requires_grad)
    return Summary(shapes[0] if len(shapes) == 1 else shapes, rows, trainable, fused)


def _collect(
    layer: Layer,
    name: str,
    shapes: tuple[Any, ...],
    rows: list[SummaryRow],
    seen: set[int],
    reads: tuple[str, ...] = (),
    step: int | None = None,
    made: Any = None,
) -> None:
    """made: the output shape, if it is known."""
    inside = list(layer.flow(*shapes))
    for child_name, child, child_shapes in inside:
        path = f"{name}.{child_name}" if name else child_name
        _collect(child, path, child_shapes, rows, seen, step=step)
    if inside or (isinstance(layer, Container) and layer.opens()):
        return
    own = [p for p in layer.parameters() if id(p) not in seen]
    seen.update(id(p) for p in own)
    parameters = sum(p.size for p in own)
    output = layer.output_shape(*shapes) if made is None else made
    kind, macs = type(layer).__name__, layer.macs(*shapes)
    rows.append(SummaryRow(name, kind, output, parameters, macs, reads, step))


def _shape(shape: tuple[Any, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _line(cells: list[str], widths: list[int]) -> str:
    """Numbers are right-aligned, text is left-aligned."""
    ends = [
        cell.rjust(width) if column in (3, 4) else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(ends).rstrip()
