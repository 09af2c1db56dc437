"""`load`: an ONNX file as a `Graph`."""

from __future__ import annotations

from functools import cache
from typing import Any

from cnnx.graph.graph import Graph
from cnnx.onnx.builder import Builder, Unsupported, Value
from cnnx.onnx.convert import CONVERTERS
from cnnx.onnx.node import Node
from cnnx.onnx.reader import File, FileGraph, all_nodes, name_of, read

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
    missing = [node for node in all_nodes(file) if node.operator not in known]
    if missing:
        kinds = sorted({node.operator for node in missing})[:MOST_LISTED]
        named = [f"{node.name!r} ({node.operator})" for node in missing]
        raise ValueError(
            f"it has operators that are not known: {', '.join(kinds)}; nodes {_listed(named)}"
        )


def _build(file: File) -> Graph:
    builder = Builder(file, _add_nodes)
    builder.add(file)
    if builder.problems:
        raise ValueError(f"it needs what is not known: {_listed(builder.problems)}")
    if not file.inputs:
        raise ValueError("it has no input")
    return builder.graph(file.outputs, [given.shape[1:] for given in file.inputs])


def _add_nodes(builder: Builder, graph: File | FileGraph) -> None:
    """Add the layers of all nodes of a graph, and their outputs to the values."""
    problems = builder.problems
    for each in graph.nodes:
        where = f"node {each.name!r} ({each.operator})"
        try:
            node = Node(builder, each)
            outputs = _convert(node)
        except Unsupported as problem:
            problems.append(f"{where}: {problem}")
            outputs = ()
        except _DAMAGE as error:
            if problems:
                return  # it may be a consequence
            raise ValueError(f"{where}: {error}") from error
        if node.unread():
            problems.append(f"{where}: its attributes {', '.join(node.unread())} are not known")
        for number, name in enumerate(each.outputs):
            made = outputs[number] if number < len(outputs) else Value(-1, None)
            if isinstance(made, Value) and made.shape is None:
                shape = graph.shapes.get(name)
                made = Value(made.number, shape, made.sizes, name in graph.floats)
            builder.values[name] = made
    if not problems:
        problems += _unmade(builder, graph)


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


def _unmade(builder: Builder, graph: File | FileGraph) -> list[str]:
    """Nodes that read an output which converters do not make, such as the mask of a dropout."""
    own = builder.values.maps[0]
    missing = {name for name, v in own.items() if isinstance(v, Value) and v.number < 0 and name}
    readers = [(f"node {n.name!r} ({n.operator})", n.reads()) for n in graph.nodes]
    readers.append(("the graph's output", graph.outputs))
    return [
        f"{reader} needs {name!r}, which is an output that is not computed"
        for reader, names in readers
        for name in names
        if name in missing
    ]


def _listed(items: list[str]) -> str:
    more = len(items) - MOST_LISTED
    return "; ".join(items[:MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")
