"""Plans as text: `Plan.explain`, `Plan.memory`, `Plan.profile`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cnnx.engine.program import Program
    from cnnx.engine.tune import Choices
    from cnnx.graph.steps import Step

__all__ = ["Profile", "Row", "choices", "explain", "memory", "names", "profile"]


def names(step: Step | None) -> str:
    """ "3.body.4 Conv2D + 3.add Add + 4 ReLU"; "" for a change of the layout."""
    if step is None:
        return ""
    return " + ".join(f"{node.name} {type(node.layer).__name__}" for node in step.nodes())


def explain(history: Sequence[tuple[str, int]], program: Program) -> str:
    """The number of nodes after each pass, and a table of the steps."""
    passes = [("pass", "nodes"), *history, ("fuse", len(program.entries))]
    rows = [
        (number, names(entry.step), entry.kind, entry.shape)
        for number, entry in enumerate(program.entries)
    ]
    return f"{_table(passes)}\n\n{_table([('step', 'layers', 'computed by', 'output'), *rows])}"


def choices(measured: Choices, kernels: str) -> str:
    """The algorithms that were measured to be faster than the usual ones; "" for none."""
    if not measured:
        return ""
    rows = [
        (
            algorithm,
            f"{c.channels} -> {c.filters}",
            "x".join(map(str, c.kernel)),
            (c.images, *c.pixels),
        )
        for c, algorithm in measured.items()
    ]
    title = (f"measured ({kernels})", "channels", "kernel", "images and pixels")
    return f"\n\n{_table([title, *rows])}"


def memory(program: Program) -> str:
    """The pieces of the arena, in the order of the steps that write them."""
    by_value = {entry.output: entry for entry in program.entries}
    rows: list[Sequence[Any]] = [("offset", "bytes", "steps", "value")]
    for piece in sorted(program.pieces, key=lambda piece: (piece.lifetime.first, piece.offset)):
        size, first, last = piece.lifetime[:3]
        what = "scratch" if piece.value is None else names(by_value[piece.value].step)
        rows.append((f"{piece.offset:,}", f"{size:,}", f"{first}-{last}", what))
    total = sum(piece.lifetime.size for piece in program.pieces)
    jobs = [entry.job.job for entry in program.entries if entry.job]
    packed = sum(job.packed * (wanted.role == "weight") for job in jobs for wanted in job.arrays)
    return (
        f"{_table(rows)}\n\narena {program.arena_bytes:,} bytes, for values and scratch memory of "
        f"{total:,} bytes; packed weights {packed:,} bytes"
    )


class Row(NamedTuple):
    """A step of a profile. gflops: 10^9 operations per second, a multiply-add being two; gbs: 10^9
    bytes per second of inputs, weights and output.
    """

    step: int
    layers: str
    computed_by: str
    ms: float
    gflops: float
    gbs: float


class Profile(tuple[Row, ...]):
    """The rows of `Plan.profile`, which prints as a table."""

    def __str__(self) -> str:
        rows: list[Sequence[Any]] = [("step", "layers", "computed by", "ms", "GFLOP/s", "GB/s")]
        for step, layers, computed_by, ms, gflops, gbs in self:
            flops = f"{gflops:.1f}" if gflops else ""
            rows.append((step, layers, computed_by, f"{ms:.4f}", flops, f"{gbs:.1f}"))
        return f"{_table(rows)}\n\nall steps {sum(row.ms for row in self):.4f} ms"


def profile(program: Program, seconds: Sequence[float]) -> Profile:
    """Time, arithmetic and memory traffic of each step, but for those that do nothing."""
    return Profile(
        Row(
            number,
            names(entry.step),
            entry.kind,
            1e3 * time,
            2e-9 * entry.macs / time,
            1e-9 * entry.bytes / time,
        )
        for number, (entry, time) in enumerate(zip(program.entries, seconds, strict=True))
        if not entry.idle
    )


def _table(rows: Sequence[Sequence[Any]]) -> str:
    """Columns of text to the left, of numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = [all(_is_number(cell) for cell in column[1:]) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numbers, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return all(character in "0123456789.,-" for character in cell)
