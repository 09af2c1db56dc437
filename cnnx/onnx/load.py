"""`load`: an ONNX file as a `Graph`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from cnnx.graph.graph import Graph
from cnnx.onnx.convert import CONVERTERS
from cnnx.onnx.layers import Always
from cnnx.onnx.node import Builder, Node, Unsupported, Value
from cnnx.onnx.reader import File, name_of, read

__all__ = ["load"]

MOST_LISTED = 20  # problems in an error
MOST_TEXT = 4000  # characters of it
# What invalid content raises, in the package, in NumPy and in the layers.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def load(source: Any) -> Graph:
    """A model from an ONNX file, as a `Graph` in eval mode.

    source  a path, or the file's content as bytes

    The graph is a layer: it has `predict`, `fit` and `state_dict`, and ``graph.save("net.npz")``
    writes a file that `cnnx.load` reads without the package `onnx`. Its layers are named after the
    nodes. Operators for which cnnx has a layer become that; others become one of
    `cnnx.onnx.layers`. Nodes whose inputs are constants are computed now. float16 becomes float32.

    ValueError that names the file for a damaged one, and for one with operators or attributes that
    are not known: it lists all of them. Arrays in other files must be in the file's folder.
    ImportError, with advice, without the package `onnx`.

    Example: ``model = cnnx.onnx.load("resnet18.onnx")``
    """
    name = name_of(source)
    try:
        file = read(source)
        _check_operators(file)
        return _build(file)
    except _DAMAGE as error:
        if isinstance(error, ImportError) or str(error).startswith(name):
            raise
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{name} cannot be loaded: {reason[:MOST_TEXT]}") from error


def _check_operators(file: File) -> None:
    known = {operator for operator, _ in CONVERTERS}
    missing = [
        f"{node.name!r} ({node.operator})" for node in file.nodes if node.operator not in known
    ]
    if missing:
        kinds = sorted({node.operator for node in file.nodes} - known)[:MOST_LISTED]
        raise ValueError(
            f"it has operators that are not known: {', '.join(kinds)}; nodes {_listed(missing)}"
        )


def _build(file: File) -> Graph:
    builder = Builder(file)
    problems: list[str] = []
    for each in file.nodes:
        node = Node(builder, each)
        where = f"node {each.name!r} ({each.operator})"
        try:
            outputs = _convert(node)
        except Unsupported as problem:
            problems.append(f"{where}: {problem}")
            outputs = ()
        except _DAMAGE as error:
            if problems:
                break  # it may be a consequence
            raise ValueError(f"{where}: {error}") from error
        if node.unread():
            problems.append(f"{where}: its attributes {', '.join(node.unread())} are not known")
        for number, name in enumerate(each.outputs):
            made = outputs[number] if number < len(outputs) else Value(-1, None)
            if isinstance(made, Value) and made.shape is None:
                shape = file.shapes.get(name)
                made = Value(made.number, shape, made.sizes, name in file.floats)
            builder.values[name] = made
    if not problems:
        problems = _unmade(builder)
    if problems:
        raise ValueError(f"it needs what is not known: {_listed(problems)}")
    return _graph(builder)


def _convert(node: Node) -> tuple[Any, ...]:
    since = _since(node.operator, node.opset)
    if since is None:
        raise Unsupported(f"opset {node.opset} does not have it")
    made = CONVERTERS[node.operator, since](node)
    return made if isinstance(made, tuple) else (made,)


@cache
def _since(operator: str, opset: int) -> int | None:
    """The version of an operator that an opset has."""
    versions = [v for known, v in CONVERTERS if known == operator and v <= opset]
    return max(versions, default=None)


def _unmade(builder: Builder) -> list[str]:
    """Nodes that read an output which converters do not make, such as the mask of a dropout."""
    file = builder.file
    missing = {
        name for name, v in builder.values.items() if isinstance(v, Value) and v.number < 0 and name
    }
    readers = [(f"node {n.name!r} ({n.operator})", n.inputs) for n in file.nodes]
    readers.append(("the graph's output", tuple(file.outputs)))
    return [
        f"{reader} needs {name!r}, which is an output that is not computed"
        for reader, names in readers
        for name in names
        if name in missing
    ]


def _graph(builder: Builder) -> Graph:
    """The Graph, of the calls that its outputs need."""
    file = builder.file
    if not file.inputs:
        raise ValueError("it has no input")
    ends = []
    for name in file.outputs:
        value = builder.values[name]
        if isinstance(value, np.ndarray):
            always = Always()
            always.fix(1, value)
            value = builder.call(name, always, (Value(0, None),))
        ends.append(value.number)
    count = len(file.inputs)
    needed, open_ends = set(range(count)), list(ends)
    while open_ends:
        number = open_ends.pop()
        if number not in needed:
            needed.add(number)
            open_ends += builder.calls[number - count][2]
    order = {number: i for i, number in enumerate(sorted(needed))}
    calls = [builder.calls[number - count] for number in sorted(needed) if number >= count]
    model = Graph.from_config(
        {
            "layers": {name: layer for name, layer, _ in calls},
            "calls": [(name, [order[i] for i in inputs]) for name, _, inputs in calls],
            "outputs": [order[number] for number in ends],
            "input_shapes": [given.shape[1:] for given in file.inputs],
        }
    )
    return model.eval()


def _listed(items: list[str]) -> str:
    more = len(items) - MOST_LISTED
    return "; ".join(items[:MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")
