"""Draws the figures of docs/how_it_works.md as SVG files: ``python docs/figures/draw.py``."""

from __future__ import annotations

from html import escape
from pathlib import Path

HERE = Path(__file__).parent
WIDTH = 760
BLUE, LIGHT, ORANGE, PALE, GREEN, GREY = (
    "#5c6bc0",
    "#c5cae9",
    "#fb8c00",
    "#ffe0b2",
    "#a5d6a7",
    "#eee",
)

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 width="{width}" height="{height}" font-family="sans-serif" font-size="13" fill="#222">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
 orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
"""


class Figure:
    """Shapes of one picture, in the order in which they are painted."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.shapes: list[str] = []

    def box(self, x, y, w, h, fill=GREY, label="", size=13):
        """A rectangle, with a label in its middle; the label may have several lines."""
        place = f'x="{x}" y="{y}" width="{w}" height="{h}"'
        self.shapes.append(f'<rect {place} fill="{fill}" stroke="#555" stroke-width="0.8"/>')
        lines = label.split("\n") if label else []
        for i, line in enumerate(lines):
            below = (i - (len(lines) - 1) / 2) * size * 1.25 + size * 0.35
            self.text(x + w / 2, y + h / 2 + below, line, "middle", size)

    def grid(self, x, y, rows, columns, cell, fill=GREY, marked=(), mark=ORANGE):
        """Cells; those in `marked`, (row, column), have another colour."""
        for i in range(rows):
            for j in range(columns):
                self.box(x + j * cell, y + i * cell, cell, cell, mark if (i, j) in marked else fill)

    def text(self, x, y, text, anchor="start", size=13):
        place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"'
        self.shapes.append(f"<text {place}>{escape(text)}</text>")

    def arrow(self, x1, y1, x2, y2):
        line = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
        self.shapes.append(
            f'<line {line} stroke="#555" stroke-width="1.3" marker-end="url(#head)"/>'
        )

    def write(self, name: str) -> None:
        head = HEAD.format(width=WIDTH, height=self.height)
        text = head + "\n".join(self.shapes) + "\n</svg>\n"
        (HERE / f"{name}.svg").write_text(text, encoding="utf-8")


def gemm() -> None:
    """An image, its staged rows, and the product of a register tile."""
    f = Figure(270)
    f.text(20, 24, "image: a band of two output rows")
    band = {(i, j) for i in range(2, 6) for j in range(8)}
    f.grid(20, 40, 8, 8, 20, marked=band, mark=PALE)
    f.text(20, 222, "reads four input rows")
    f.arrow(190, 130, 242, 130)
    f.text(250, 72, "staged: rows with their zeros, in the cache")
    border = {(i, j) for i in range(4) for j in (0, 9)}
    f.grid(250, 84, 4, 10, 22, fill=PALE, marked=border, mark="#fff")
    f.grid(250 + 2 * 22, 84, 3, 4, 22, fill=BLUE)
    f.text(250, 196, "tap (u, v) of four neighbouring windows is")
    f.text(250, 213, "one vector, loaded at an offset")
    f.arrow(478, 130, 522, 130)
    f.text(530, 24, "register tile: 6 filters x 16 pixels")
    f.grid(560, 40, 6, 9, 20, fill=LIGHT)
    f.grid(532, 40, 6, 1, 20, fill=ORANGE)
    f.text(530, 180, "for each channel and tap:")
    f.box(530, 190, 14, 14, LIGHT)
    f.text(550, 202, "sums")
    f.text(590, 202, "+=")
    f.box(616, 190, 14, 14, ORANGE)
    f.text(635, 202, "weight *")
    f.box(690, 190, 14, 14, BLUE)
    f.text(709, 202, "vector")
    f.text(530, 236, "then bias, shortcut and activation,")
    f.text(530, 253, "and each output is written once")
    f.write("gemm")


def winograd() -> None:
    """From a tile and a filter to 36 numbers each, their products, and back."""
    f = Figure(290)
    f.text(20, 24, "6x6 pixels of a channel")
    f.grid(20, 34, 6, 6, 16, fill=PALE)
    f.text(20, 176, "3x3 weights of a filter")
    f.grid(20, 186, 3, 3, 16, fill=ORANGE)
    f.arrow(126, 82, 172, 82)
    f.text(149, 72, "transform", "middle", 11)
    f.arrow(126, 210, 172, 210)
    f.text(149, 200, "transform", "middle", 11)
    f.grid(182, 34, 6, 6, 16, fill=LIGHT)
    f.text(182, 148, "V: 36 numbers")
    f.grid(182, 162, 6, 6, 16, fill=PALE)
    f.text(182, 276, "U: 36 numbers")
    f.arrow(284, 82, 334, 110)
    f.arrow(284, 210, 334, 168)
    for k in range(4):
        f.box(340 + 8 * k, 84 + 8 * k, 154, 64, LIGHT)
    f.box(372, 116, 154, 64, LIGHT, "M = U * V\nsummed over channels")
    f.text(348, 206, "36 matrix products:")
    f.text(348, 223, "filters x channels x tiles")
    f.arrow(530, 140, 586, 140)
    f.text(558, 130, "inverse", "middle", 11)
    f.grid(594, 108, 4, 4, 16, fill=GREEN)
    f.text(594, 98, "4x4 outputs")
    f.text(594, 196, "36 multiplications")
    f.text(594, 213, "instead of 144")
    f.write("winograd")


def graph() -> None:
    """A residual block: its layers, and the steps that run."""
    f = Figure(250)
    layers = ["Conv2D", "BatchNorm2D", "ReLU", "Conv2D", "BatchNorm2D", "Add", "ReLU"]
    f.text(20, 28, "layers: each reads and writes the whole tensor")
    for k, name in enumerate(layers):
        f.box(20 + 104 * k, 50, 88, 34, LIGHT, name, 12)
        if k:
            f.arrow(20 + 104 * k - 16, 67, 20 + 104 * k - 1, 67)
    f.text(20, 132, "steps of training")
    x = 20
    for name, width in [
        ("Conv2D", 88),
        ("BatchNorm2D + ReLU", 192),
        ("Conv2D", 88),
        ("BatchNorm2D + Add + ReLU", 296),
    ]:
        f.box(x, 144, width, 30, PALE, name, 12)
        x += width + 16
    f.text(20, 202, "steps of a plan: batch norm is part of the weights")
    f.box(20, 212, 296, 30, GREEN, "Conv2D + ReLU", 12)
    f.box(332, 212, 400, 30, GREEN, "Conv2D + Add + ReLU", 12)
    f.write("graph")


def determinism() -> None:
    """Groups of images, tasks in any order, sums in one order."""
    f = Figure(250)
    f.text(
        20,
        24,
        "a batch of 32 images, in groups that follow from the shapes; free threads take the next",
    )
    for k in range(4):
        f.box(20 + 180 * k, 36, 164, 36, LIGHT, f"images {8 * k} to {8 * k + 7}")
        f.arrow(102 + 180 * k, 72, 102 + 180 * k, 112)
        f.box(20 + 180 * k, 114, 164, 36, PALE if k in (0, 3) else GREEN, f"sum {k}")
    f.box(20, 90, 12, 12, PALE)
    f.text(38, 101, "thread 0", size=11)
    f.box(200, 90, 12, 12, GREEN)
    f.text(218, 101, "thread 1", size=11)
    for k in range(4):
        f.arrow(102 + 180 * k, 150, 300 + 54 * k, 196)
    f.box(200, 198, 360, 36, ORANGE)
    f.text(380, 221, "((sum 0 + sum 1) + sum 2) + sum 3: always", "middle")
    f.write("determinism")


# (name, first byte, bytes, first step, last step): `plan.memory()` of LeNet-5 with AVX2.
ARENA = [
    ("0 Conv2D", 0, 18816, 0, 1),
    ("1 ReLU + 2 MaxPool2D", 18816, 4704, 1, 2),
    ("3 Conv2D", 0, 6400, 2, 3),
    ("4 ReLU + 5 MaxPool2D", 6400, 1600, 3, 5),
    ("7 Linear + 8 ReLU", 0, 480, 5, 6),
    ("9 Linear + 10 ReLU", 512, 336, 6, 7),
]


def memory() -> None:
    """The arena of a plan: bytes to the right, steps downwards."""
    f = Figure(330)
    left, scale, top, row = 70, 0.027, 50, 30
    f.text(left, 24, "offset in the arena: 0 to 24,768 bytes")
    f.arrow(left, 36, left + 24768 * scale, 36)
    for step in range(8):
        f.text(20, top + row * step + 19, f"step {step}")
    fills = [LIGHT, PALE, GREEN, ORANGE, BLUE, PALE]
    for (name, offset, size, first, last), fill in zip(ARENA, fills, strict=True):
        x, width = left + offset * scale, max(size * scale, 5)
        f.box(round(x, 1), top + row * first, round(width, 1), row * (last - first + 1), fill)
        f.text(x + (5 if width > 120 else width + 6), top + row * first + 19, name, size=10)
    f.text(
        20,
        318,
        "A place is used again when its value has had its last reader (scratch left out).",
    )
    f.write("memory")


def threads() -> None:
    """Two threads in a region, with a core that is free, and one that is taken away."""
    f = Figure(260)
    f.text(20, 26, "a quiet machine: the region ends after half the time")
    f.text(20, 58, "thread 0")
    f.text(20, 88, "thread 1")
    for k in range(4):
        f.box(90 + 50 * k, 42, 48, 22, LIGHT)
        f.box(90 + 50 * k, 72, 48, 22, GREEN)
    f.arrow(292, 42, 292, 96)
    f.text(20, 136, "a busy one: thread 1 is suspended in its second task, and thread 0 waits")
    f.text(20, 168, "thread 0")
    f.text(20, 198, "thread 1")
    for k in range(6):
        f.box(90 + 50 * k, 152, 48, 22, LIGHT)
    f.box(392, 152, 298, 22, "#fff", "waits", 11)
    f.box(90, 182, 48, 22, GREEN)
    f.box(140, 182, 24, 22, GREEN)
    f.box(166, 182, 498, 22, "#fff", "another process has the core", 11)
    f.box(666, 182, 24, 22, GREEN)
    f.arrow(694, 152, 694, 206)
    f.text(
        20,
        240,
        "One thread would have needed the time of eight tasks: the loss is a debt.",
    )
    f.write("threads")


if __name__ == "__main__":
    for draw in (gemm, winograd, graph, determinism, memory, threads):
        draw()
