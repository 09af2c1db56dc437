"""Plans in files: `Plan.save` and `load_plan`."""

# Design:
# A file has the graph after batch norm was folded, as a model (layers/files.py), and the names of
# the inputs. Packed weights depend on the kernel set, so they are made again when it is loaded: a
# file that was written on one CPU runs on any other. Nothing is unpickled.

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import io
from cnnx.backends.choose import Convolution
from cnnx.graph.graph import Graph
from cnnx.graph.wiring import is_builtin
from cnnx.layers import files
from cnnx.layers.base import Layer

if TYPE_CHECKING:
    from cnnx.engine.plan import Plan

__all__ = [
    *("build", "content", "is_plan", "load_plan", "save_plan"),
    *("unpickled", "user_classes"),
]

_FORMAT, _VERSION = "cnnx-plan", 1


def save_plan(plan: Plan, path: Any) -> None:
    """Write a plan to exactly `path`, atomically, or to a binary file object.

    TypeError, before anything is written, for a layer that cannot be described (see `cnnx.load`).
    """
    meta = {
        "format": _FORMAT,
        "version": _VERSION,
        "inputs": list(plan.inputs),
        "shapes": plan.whole_shapes,
        "tuned": _tuned(plan),
        "model": files.describe(plan.graph),
    }
    io.save_npz(path, plan.graph.state_dict(), meta)


def load_plan(
    path: Any, batch: int | None = None, custom: Mapping[str, type[Layer]] | None = None
) -> Plan:
    """Load a plan that ``plan.save(path)`` wrote, on this CPU or on another one.

    path    or a binary file object, read from its current position
    batch   prepare for batches of so many samples now; None: at the first call
    custom  the user-defined layer classes in it, by name, as in `cnnx.load`

    ValueError with the name of the file for a damaged file, or one of another kind.

    Example: ``plan = cnnx.load_plan("net.npz", batch=1)``
    """
    arrays, meta = io.load_npz(path)
    plan = build(arrays, meta, custom, io.name_of(path))
    if batch is not None:
        plan.prepare(batch)
    return plan


def content(plan: Plan) -> bytes:
    """The bytes of its file."""
    file = BytesIO()
    save_plan(plan, file)
    return file.getvalue()


def user_classes(plan: Plan) -> dict[str, type[Layer]]:
    """The classes of its layers that are not cnnx's own, by name, as `load_plan` takes them."""
    return {
        type(each).__name__: type(each) for each in plan.graph.modules() if not is_builtin(each)
    }


def unpickled(content: bytes, custom: Mapping[str, type[Layer]]) -> Plan:
    """The plan of which `content` returned the bytes."""
    return load_plan(BytesIO(content), custom=custom)


def is_plan(meta: Any) -> bool:
    """Whether a file of `io.load_npz` with this meta is one of `plan.save`."""
    return isinstance(meta, dict) and meta.get("format") == _FORMAT


def build(
    arrays: dict[str, np.ndarray],
    meta: Any,
    custom: Mapping[str, type[Layer]] | None,
    name: str,
) -> Plan:
    """The plan that `save_plan` described; ValueError with the name of its file if it cannot be."""
    from cnnx.engine.plan import Plan

    if not is_plan(meta):
        raise ValueError(f"{name} is not a plan of cnnx: it is no file of `plan.save`")
    if meta.get("version") != _VERSION:
        raise ValueError(
            f"{name} has plan format {meta.get('version')}, this cnnx reads {_VERSION}"
        )
    graph = files.build(arrays, meta.get("model"), custom, name)
    if type(graph) is not Graph:
        raise ValueError(f"{name} cannot be loaded: it holds a {type(graph).__name__}, not a Graph")
    names = _checked(meta.get("inputs"), graph, name)
    whole = _whole_shapes(meta.get("shapes"), graph, name)
    try:
        wiring = graph.wiring()
        # An empty batch goes through the layers, if all of them have its axis in front.
        if whole is None and all(node.layer._batch_first for node in wiring.nodes):
            list(wiring.shapes(*graph.input_shapes))
        plan = Plan(graph.eval(), names, [("file", len(wiring.nodes))], whole)
        if meta.get("tuned") is not None:
            plan.tuned_on, plan.choices = _choices(meta["tuned"])
        return plan
    except (AttributeError, LookupError, TypeError, ValueError, MemoryError) as error:
        raise ValueError(f"{name} cannot be loaded: {error}") from error


def _checked(names: Any, graph: Graph, file: str) -> list[str]:
    count = len(graph.input_shapes)
    texts = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    if not texts or len(names) != count or len(set(names)) != count:
        raise ValueError(f"{file} cannot be loaded: its {count} inputs are named {names}")
    return names


def _whole_shapes(given: Any, graph: Graph, file: str) -> tuple[tuple[int, ...], ...] | None:
    """Of inputs without a common batch axis; other files have none."""
    if given is None:
        return None
    listed = isinstance(given, list) and all(isinstance(shape, list) for shape in given)
    shapes = tuple(map(tuple, given)) if listed else ()
    if tuple([shape[1:] for shape in shapes]) != graph.input_shapes or not all(
        type(size) is int and size > 0 for shape in shapes for size in shape
    ):
        raise ValueError(f"{file} cannot be loaded: its inputs have shapes {given!r:.200}")
    return shapes


def _tuned(plan: Plan) -> Any:
    """What `plan.tune` found, as JSON."""
    if not plan.choices:
        return None
    rows = [
        {**c._asdict(), "dtype": c.dtype.str, "algorithm": algorithm}
        for c, algorithm in plan.choices.items()
    ]
    return {"kernels": plan.tuned_on, "choices": rows}


def _choices(given: Any) -> tuple[str, dict[Convolution, str]]:
    """The kernels, and the algorithms. They are hints: `choose` ignores what does not apply."""
    found = {}
    for row in given["choices"]:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        algorithm = str(fields.pop("algorithm"))
        fields["dtype"] = np.dtype(fields["dtype"])
        found[Convolution(**fields)] = algorithm
    return str(given["kernels"]), found
