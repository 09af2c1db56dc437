"""A diagram of a model: its layers from top to bottom, and how they are connected."""

# Design:
# The rows are the nodes of the model in execution order. An edge to the next row is an arrow; an
# edge to a row further down is a line in a lane to the right of the boxes (lanes.py), where there
# is no text. All readers of a value share its line.

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnx import checks
from cnnx.graph import Graph
from cnnx.graph.container import Container, count_outputs, flatten
from cnnx.graph.wiring import Node, Wiring
from cnnx.layers import Layer, Sequential
from cnnx.layers.base import BUILTIN
from cnnx.layers.parameter import Parameter

from . import figures, look
from .images import Path
from .lanes import edges_beside, lanes

__all__ = ["plot_model"]

Shape = tuple[int, ...]

# A colour for each kind of layer, by the first word of its class name.
_KINDS = (
    ("Conv", "#d6e6f7"),
    ("Linear", "#fbe3cf"),
    ("Residual", "#d3ece3"),
    ("Graph", "#d3ece3"),
    ("BatchNorm", "#ece4f3"),
    ("MaxPool", "#dff0d8"),
    ("AvgPool", "#dff0d8"),
    ("GlobalAvgPool", "#dff0d8"),
    ("AdaptiveAvgPool", "#dff0d8"),
    ("Upsample", "#d3eef0"),
    ("Add", "#fcf0c3"),
    ("Multiply", "#fcf0c3"),
    ("Concat", "#fcf0c3"),
)
_OTHER, _END = "#f1f2f4", "#ffffff"
_LONGEST_NAME = 32


class _Row(NamedTuple):
    """A box, with the numbers of its input and output values: a layer, or an input or output of the
    model, with neither name nor parameters.

    after  the output shapes, to write below the box
    """

    name: str
    kind: str
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    after: str = ""
    colour: str = _END
    settings: str = ""
    parameters: int = 0


def plot_model(
    model: Layer,
    input_shape: Any = None,
    *,
    expand: bool = False,
    path: Path = None,
    ax: Any = None,
) -> Any:
    """The layers of a model from top to bottom: settings, parameters, and the output shape of each.

    input_shape  of one sample, without the batch axis; a tuple of shapes for several inputs. Not
                 needed for a `Graph`, which knows the shapes of its inputs
    expand       False: nested Sequentials are expanded, other blocks (a Residual, a Concat of
                 branches, a Graph inside the model) are one box each. True: these are expanded too,
                 with their shortcuts and branches

    Layers are drawn in execution order. An arrow leads to the next layer if that reads the output.
    A value that is read further down (a skip connection, a branch that is joined later) leaves the
    box on the right; its line leads to every layer that reads it. Several inputs and outputs have
    separate boxes. The model itself is always expanded, a user-defined layer never.

    Returns the matplotlib Figure; ValueError for a shape that the model does not accept, and unless
    there is one shape for each input

    >>> figure = cnnx.viz.plot_model(cnnx.models.lenet5(), (1, 28, 28), path="lenet5.png")
    >>> figure = cnnx.viz.plot_model(cnnx.models.resnet20(), (3, 32, 32), expand=True)
    """
    op = "plot_model"
    look.check_model(op, model)
    shapes = _input_shapes(op, model, input_shape)
    wiring = _wiring(op, model, len(shapes), expand)
    layout = _Layout(list(_rows(wiring, shapes)))
    bottom = layout.tops[-1] - 0.01
    axes = figures.one_panel(op, ax, 0.52 * layout.width, 0.55 * bottom + 0.9)
    figures.quiet(axes)
    axes.set_xlim(0, layout.width)
    axes.set_ylim(bottom + 0.6, -0.7)
    if layout.rows[0].reads:
        _draw_shape(axes, layout, -0.35, "input  " + _shape_text(shapes[0]))
    for number in range(len(layout.rows)):
        _draw_row(axes, layout, number)
    for number in range(len(layout.edges)):
        _draw_edge(axes, layout, number)
    total = sum(p.size for p in model.parameters())
    axes.text(
        0.1, bottom + 0.32, f"{total:,} parameters", fontsize=9, fontweight="bold",
        color=figures.INK, va="center",
    )  # fmt: skip
    return figures.finish(op, axes, path)


def _input_shapes(op: str, model: Layer, given: Any) -> tuple[Shape, ...]:
    """The sample shape of each input."""
    if given is None and isinstance(model, Graph):
        return model.input_shapes
    several = isinstance(given, (tuple, list)) and any(isinstance(s, (tuple, list)) for s in given)
    try:
        return tuple(
            tuple(checks.integer(op, "input_shape", size) for size in shape)
            for shape in (given if several else (given,))
        )
    except TypeError as error:
        raise ValueError(
            f"{op}: input_shape is {given!r}, expected a shape: (3, 32, 32) for images, or a "
            "tuple of such shapes for several inputs"
        ) from error


def _wiring(op: str, model: Layer, inputs: int, expand: bool) -> Wiring:
    """The nodes to draw; `inputs` is the number of shapes given for the model."""
    if not isinstance(model, Container) or not model.opens():
        read = tuple(range(inputs))
        made = tuple(range(inputs, inputs + count_outputs(model)))
        return Wiring(inputs, (Node("", model, read, made),), made)
    wiring, _ = flatten(model, None if expand else _is_chain)
    if not wiring.nodes:
        raise ValueError(f"{op}: the model has no layers")
    if inputs != wiring.inputs:
        raise ValueError(
            f"{op}: input_shape holds {inputs}, but the model has {wiring.inputs} inputs: expected "
            "a shape for each, such as ((3, 32, 32), (10,)) for two"
        )
    return wiring


def _is_chain(layer: Container) -> bool:
    return type(layer) is Sequential and layer.opens()


def _rows(wiring: Wiring, shapes: tuple[Shape, ...]) -> Iterator[_Row]:
    """The boxes from top to bottom.

    A single input that only the first layer reads has no box, nor has a single output. Any other
    input is above the first layer that reads it, an output below its layer, or at the end if
    another layer reads it too.
    """
    read = {value for node in wiring.nodes for value in node.inputs}
    ends = dict(enumerate(wiring.outputs)) if len(wiring.outputs) > 1 else {}
    alone = wiring.inputs == 1 and not any(0 in node.inputs for node in wiring.nodes[1:])
    starts = {} if alone and 0 not in wiring.outputs else dict(enumerate(shapes))
    seen: set[int] = set()
    for node, _, made in wiring.flow(*shapes):
        for value in [value for value in starts if value in node.inputs]:
            kind = f"input {value}" if wiring.inputs > 1 else "input"
            yield _Row("", kind, (), (value,), _shape_text(starts.pop(value)))
        yield _layer_row(node, made, seen)
        for number in [n for n, v in ends.items() if v in node.outputs and v not in read]:
            yield _Row("", f"output {number}", (ends.pop(number),), ())
    for number, value in ends.items():
        yield _Row("", f"output {number}", (value,), ())


def _layer_row(node: Node, made: Any, seen: set[int]) -> _Row:
    """`seen` holds the parameters counted in earlier rows."""
    name, layer = node.name, node.layer
    kind = type(layer).__name__
    own = [p for p in layer.parameters() if id(p) not in seen]
    seen.update(map(id, own))
    return _Row(
        name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :],
        kind,
        node.inputs,
        node.outputs,
        ",  ".join(map(_shape_text, made if len(node.outputs) > 1 else (made,))),
        next((c for word, c in _KINDS if kind.startswith(word)), _OTHER),
        _settings(layer) if kind in BUILTIN else "",
        sum(p.size for p in own),
    )


class _Layout:
    """The coordinates: x from the left, y from the top.

    tops, heights          of the boxes; the last of tops is the end of the figure
    gaps                   below the boxes: wider if no arrow leads to the next box
    kind, settings, right  x of the texts in a box, and of its right edge
    arrows                 the rows with an arrow to the next row
    edges, lanes, colours  the lines to the right of the boxes, their lanes and colours
    """

    def __init__(self, rows: list[_Row]) -> None:
        self.rows = rows
        self.arrows, self.edges = edges_beside(
            [set(row.reads) for row in rows], [row.makes for row in rows]
        )
        self.lanes = lanes(self.edges)
        self.colours = self._colours()
        self._ports = [self._ports_of(row) for row in range(len(rows))]
        # A box with four lines or more is higher than usual.
        self.heights = [max(0.48, 0.12 * (len(ports) + 1)) for ports in self._ports]
        self.gaps = [0.52 if row in self.arrows else 0.72 for row in range(len(rows) - 1)] + [0.52]
        self.tops = np.cumsum([0.01, *np.add(self.heights, self.gaps)]).tolist()
        self.kind = 0.4 + max(1.1, 0.2 + 0.136 * max(len(row.name) for row in rows))
        longest = max((len(row.kind) for row in rows if row.settings), default=0)
        self.settings = self.kind + max(2.6, 0.2 + 0.18 * longest)
        self.right = self.settings + 5.75
        self.width = (self.lane_x(max(self.lanes)) if self.lanes else self.right) + 0.15

    def lane_x(self, lane: int) -> float:
        return self.right + 0.5 + 0.36 * lane

    def port_y(self, row: int, edge: int) -> float:
        """The y of the start or end of a line at a box."""
        ports = self._ports[row]
        return self.tops[row] + self.heights[row] * (ports.index(edge) + 1) / (len(ports) + 1)

    def _ports_of(self, row: int) -> list[int]:
        """The lines of a box from top to bottom: in this order they do not cross each other."""
        inner_first = sorted(range(len(self.edges)), key=lambda edge: self.lanes[edge])
        ends = [edge for edge in inner_first if row in self.edges[edge].targets]
        begins = [edge for edge in inner_first if row == self.edges[edge].source]
        return ends + begins[::-1]

    def _colours(self) -> list[str]:
        """For each line the least recently used colour that differs from that of the previous line
        in its lane; adjacent lanes have no colour in common.
        """
        found: list[str] = []
        used = dict.fromkeys(figures.CLASSES, -1)
        last: dict[int, str] = {}
        for number, lane in enumerate(self.lanes):
            free = [c for c in figures.CLASSES[lane % 2 :: 2] if c != last.get(lane)]
            colour = min(free, key=lambda c: used[c])
            used[colour] = number
            last[lane] = colour
            found.append(colour)
        return found


def _draw_row(axes: Any, layout: _Layout, number: int) -> None:
    """A box, the text in it and below it, and the arrow to the next one."""
    from matplotlib.patches import FancyBboxPatch

    row, top = layout.rows[number], layout.tops[number]
    bottom = top + layout.heights[number]
    axes.add_patch(
        FancyBboxPatch(
            (0.15, top),
            layout.right - 0.15,
            bottom - top,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=row.colour,
            edgecolor=figures.SOFT if row.colour == _END else "none",
            linewidth=0.8,
        )
    )
    for x, text, size, colour, more in (
        (0.4, row.name, 8, figures.SOFT, {}),
        (layout.kind, row.kind, 9.5, figures.INK, {"fontweight": "bold"}),
        (layout.settings, row.settings, 8, figures.INK, {}),
        (layout.right - 0.2, f"{row.parameters:,}" * (row.parameters > 0), 8, figures.INK,
         {"ha": "right"}),
    ):  # fmt: skip
        text = figures.plain(text)
        axes.text(x, (top + bottom) / 2, text, fontsize=size, color=colour, va="center", **more)
    _draw_shape(axes, layout, bottom + 0.26, row.after)
    last = number + 1 == len(layout.rows)
    if number in layout.arrows or (last and row.makes):
        x, end = layout.kind + 1.7, bottom + (0.43 if last else 0.49)
        _draw_arrow(axes, (x, bottom + 0.04), (x, end), figures.SOFT)


def _draw_edge(axes: Any, layout: _Layout, number: int) -> None:
    """The line of a value from its box to its readers."""
    source, targets = layout.edges[number]
    right, lane = layout.right, layout.lane_x(layout.lanes[number])
    colour = layout.colours[number]
    start = layout.port_y(source, number)
    ends = [layout.port_y(row, number) for row in targets]
    # First wider, in the background colour, so that lines it crosses appear to pass below it.
    for wide, ink in ((4, axes.get_facecolor()), (1.4, colour)):
        for end in ends:
            axes.plot(
                (right, lane, lane, right + 0.15),
                (start, start, end, end),
                color=ink,
                linewidth=wide,
                solid_joinstyle="round",
                solid_capstyle="butt",
            )
    for end in ends:
        _draw_arrow(axes, (right + 0.3, end), (right, end), colour)


def _draw_arrow(
    axes: Any, start: tuple[float, float], end: tuple[float, float], colour: str
) -> None:
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 0.9}
    axes.annotate("", end, start, arrowprops=arrow)


def _settings(layer: Layer) -> str:
    """Settings that are neither defaults nor visible from the shapes: ``kernel 5, padding 2``."""
    said = []
    for name, argument in inspect.signature(type(layer)).parameters.items():
        value = getattr(layer, name, None)
        told = name.startswith(("in_", "out_", "output_", "num_")) or isinstance(
            value, (Layer, Parameter, np.ndarray)
        )
        usual = argument.default
        pair = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
        if argument.kind is argument.VAR_POSITIONAL:
            said += [f"{len(value)} {name}"] if value else []  # the branches of a Concat
            continue
        if told or value is None or usual in (value, pair):
            continue
        said.append(f"{name.removesuffix('_size').replace('_', ' ')} {pair}")
    text = ", ".join(said)
    return text if len(text) <= 36 else text[:35] + "…"


def _shape_text(shape: Shape) -> str:
    return " × ".join(map(str, shape)) or "a number"  # noqa: RUF001


def _draw_shape(axes: Any, layout: _Layout, middle: float, text: str) -> None:
    x = layout.kind + 1.95
    axes.text(x, middle, text, fontsize=8.5, color=figures.SOFT, va="center")
