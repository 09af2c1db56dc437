"""The content of an ONNX file as plain data, read as untrusted input."""

# Design:
# Nothing that a file declares is believed: the size of an array must match its bytes before it is
# read; values must be made before they are read, so there are no cycles; other files must lie in
# the file's folder. The shapes of values are those that the package infers; to keep that cheap, it
# gets the large arrays as inputs without content.
# The branches of an `If` are graphs in an attribute. They read the values around them by name.

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnx import io
from cnnx.onnx.package import the_package

__all__ = [
    *("File", "FileGraph", "FileNode", "FileValue", "Shape"),
    *("all_nodes", "name_of", "outer_names", "read"),
]

Shape = tuple[Any, ...]  # of numbers, of names of free sizes, and of None for unknown ones

MOST_NODES = 20_000  # and as many values
_BYTES = (bytes, bytearray, memoryview)
_FLOATS = (1, 10, 11, 16)  # types: float32, float16, float64, bfloat16
_BRANCHES = ("then_branch", "else_branch")
OLDEST = 7  # opset: before it, operators broadcast by an attribute
SMALL = 1024  # elements: arrays that shape inference may need, such as shapes
# The fields that hold the elements of an array that is not stored as bytes.
_FIELDS = {
    **dict.fromkeys(("INT8", "INT16", "INT32", "UINT8", "UINT16", "BOOL"), "int32_data"),
    **dict.fromkeys(("FLOAT16", "BFLOAT16"), "int32_data"),
    "FLOAT": "float_data",
    "DOUBLE": "double_data",
    "INT64": "int64_data",
    **dict.fromkeys(("UINT32", "UINT64"), "uint64_data"),
}


class FileNode(NamedTuple):
    """A node: an operator, the names of the values that it reads and makes, and its settings."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def branches(self) -> list[FileGraph]:
        """The graphs among the attributes."""
        return [value for value in self.attributes.values() if isinstance(value, FileGraph)]

    def reads(self) -> list[str]:
        """The names of the inputs, and of what branches read."""
        return [*self.inputs, *[name for graph in self.branches() for name in outer_names(graph)]]


class FileValue(NamedTuple):
    """An input of the graph."""

    name: str
    shape: Shape


class FileGraph(NamedTuple):
    """A branch of an `If`, which has no inputs; the fields are those of `File`."""

    outputs: list[str]
    nodes: list[FileNode]
    arrays: dict[str, np.ndarray]
    shapes: dict[str, Shape]
    floats: set[str]


class File(NamedTuple):
    """A file: its graph, with all arrays by name.

    shapes  of the values, as far as known
    floats  the names of the values that are known to be floats
    size    of the file, in bytes
    """

    name: str
    opset: int
    inputs: list[FileValue]
    outputs: list[str]
    nodes: list[FileNode]
    arrays: dict[str, np.ndarray]
    shapes: dict[str, Shape]
    floats: set[str]
    size: int


def name_of(source: Any) -> str:
    """What an error calls a file that is given by path, or as bytes."""
    return "the ONNX model" if isinstance(source, _BYTES) else io.name_of(source)


def read(source: Any) -> File:
    """The content of a file, given by path, or as bytes. ValueError for a damaged one."""
    onnx = the_package()
    name = name_of(source)
    if isinstance(source, _BYTES):
        content, folder = bytes(source), None
    else:
        with open(source, "rb") as file:
            content = file.read()
        folder = os.path.dirname(os.path.realpath(source))
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # of protobuf, whose classes are not public
        raise ValueError(f"{name} is not an ONNX file: {error}") from None
    graph = model.graph
    if not graph.output:
        raise ValueError(f"{name} is not an ONNX file: it has no output")
    count = _count(graph)
    if count > MOST_NODES:
        raise ValueError(f"{name} has {count:,} nodes, and {MOST_NODES:,} are read at most")
    tensors = _Tensors(folder, len(content))
    made = _graph(graph, tensors)
    inputs = [
        FileValue(value.name, _shape(value))
        for value in graph.input
        if value.name not in made.arrays
    ]
    _check_order(made, {value.name for value in inputs})
    opset = _opset(model)
    _note_shapes(made, _inferred(model))
    return File(name, opset, inputs, *made, tensors.limit)


def all_nodes(graph: File | FileGraph) -> Iterator[FileNode]:
    """The nodes of a graph, and those of branches."""
    for node in graph.nodes:
        yield node
        for branch in node.branches():
            yield from all_nodes(branch)


def outer_names(graph: FileGraph) -> list[str]:
    """The names of the values around a branch that it reads, each once."""
    own = {*graph.arrays, *[name for node in graph.nodes for name in node.outputs]}
    names = [name for node in graph.nodes for name in node.reads()] + graph.outputs
    return [name for name in dict.fromkeys(names) if name and name not in own]


def _count(graph: Any) -> int:
    """The nodes, or the values that they make, if these are more; with those of branches."""
    nodes = values = 0
    graphs = [graph]
    while graphs:
        nodes_here = graphs.pop().node
        nodes += len(nodes_here)
        values += sum(len(node.output) for node in nodes_here)
        graphs += [each.g for node in nodes_here for each in node.attribute if each.HasField("g")]
    return max(nodes, values)


def _graph(graph: Any, tensors: _Tensors) -> FileGraph:
    """The content of a GraphProto, without the shapes."""
    if graph.sparse_initializer:
        raise ValueError("it has sparse arrays, which are not read")
    arrays = {tensor.name: tensors.read(tensor) for tensor in graph.initializer}
    nodes = [_node(node, number, tensors) for number, node in enumerate(graph.node)]
    return FileGraph([value.name for value in graph.output], nodes, arrays, {}, set())


def _opset(model: Any) -> int:
    newest = the_package().defs.onnx_opset_version()
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not versions:
        raise ValueError("it names no version of the operators (opset_import)")
    if not OLDEST <= versions[0] <= newest:
        raise ValueError(
            f"it has opset {versions[0]}, but {OLDEST} to {newest}, the newest that the installed "
            "package onnx knows, are expected"
        )
    return int(versions[0])


def _node(node: Any, number: int, tensors: _Tensors) -> FileNode:
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    attributes = {each.name: _attribute(each, tensors) for each in node.attribute}
    name = node.name or f"{node.op_type}_{number}"
    operator = domain + node.op_type
    return FileNode(operator, name, tuple(node.input), tuple(node.output), attributes)


def _attribute(attribute: Any, tensors: _Tensors) -> Any:
    kind = the_package().AttributeProto.AttributeType.Name(attribute.type)
    if kind == "TENSOR":
        return tensors.read(attribute.t)
    if kind == "STRING":
        return attribute.s.decode("utf-8")
    if kind == "STRINGS":
        return [text.decode("utf-8") for text in attribute.strings]
    if kind == "GRAPH" and attribute.name in _BRANCHES:
        if attribute.g.input:
            raise ValueError(f"{attribute.name} has inputs, but reads values by name")
        return _graph(attribute.g, tensors)
    fields = {"FLOAT": "f", "INT": "i", "FLOATS": "floats", "INTS": "ints"}
    if kind not in fields:
        return None  # another graph, or a type: the operators that have these are not known
    value = getattr(attribute, fields[kind])
    return value if kind in ("FLOAT", "INT") else list(value)


def _shape(value: Any) -> Shape:
    dims = value.type.tensor_type.shape.dim
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims
    )


def _check_order(graph: FileGraph, known: set[str]) -> None:
    """ValueError for a value that is read before it is made, or made twice.

    known  the values around the graph
    """
    own = [*graph.arrays]
    for name in own:
        if name in known:
            raise ValueError(f"the array {name!r} has the name of another value")
    known.update(own)
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                raise ValueError(
                    f"node {node.name!r} ({node.operator}) reads {name!r}, which no node before it "
                    "makes"
                )
        for branch in node.branches():
            _check_order(branch, known)
        for name in node.outputs:
            if name and name in known:
                raise ValueError(f"node {node.name!r} ({node.operator}) makes {name!r} again")
            known.add(name)
            own.append(name)
    for name in graph.outputs:
        if name not in known:
            raise ValueError(f"nothing makes the output {name!r}")
    known.difference_update(own)  # a copy for each branch would take the square of the nodes


def _inferred(model: Any) -> Any:
    """The graph with the shapes and types of values, as far as the package finds them."""
    onnx = the_package()
    light = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = "shapes"
    graph.node.extend(model.graph.node)
    graph.output.extend(model.graph.output)
    given = set()
    for tensor in model.graph.initializer:
        given.add(tensor.name)
        if math.prod(tensor.dims) <= SMALL and not tensor.external_data:
            graph.initializer.append(tensor)
        else:
            kind = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(kind)
    graph.input.extend(value for value in model.graph.input if value.name not in given)
    try:
        # Not with data_prop: a value that is joined to itself 40 times has 2^40 elements there.
        return onnx.shape_inference.infer_shapes(light).graph
    except Exception:  # of the package's own kind: without shapes, most files can be read too
        return model.graph


def _note_shapes(made: FileGraph, graph: Any) -> None:
    """Add the shapes of the values by name, and which are floats; those of branches to branches."""
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            made.shapes[value.name] = _shape(value)
        if kind.elem_type in _FLOATS:
            made.floats.add(value.name)
    for node, inferred in zip(made.nodes, graph.node, strict=True):
        for each in inferred.attribute:
            branch = node.attributes.get(each.name)
            if isinstance(branch, FileGraph):
                _note_shapes(branch, each.g)


class _Tensors:
    """Reads arrays. All of them together are at most `limit` bytes, so that references to the same
    part of another file cannot add up to more memory than there is.
    """

    def __init__(self, folder: str | None, size: int) -> None:
        self.folder = folder
        self.limit = size
        self._seen: set[str] = set()
        self._total = 0

    def read(self, tensor: Any) -> np.ndarray:
        """A TensorProto as an array; float16 becomes float32."""
        onnx = the_package()
        kinds = onnx.TensorProto.DataType
        kind = kinds.Name(tensor.data_type) if tensor.data_type in kinds.values() else "?"
        if kind not in _FIELDS:
            raise ValueError(f"the array {tensor.name!r} has type {kind}, which is not read")
        shape = tuple(tensor.dims)
        if any(n < 0 for n in shape):
            raise ValueError(f"the array {tensor.name!r} has shape {shape}")
        count = math.prod(shape)
        itemsize = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            made = onnx.TensorProto()
            made.data_type = tensor.data_type
            made.dims.extend(shape)
            made.raw_data = self._external(tensor, count * itemsize)
            tensor = made
        elif tensor.HasField("raw_data"):
            self._check(tensor, count * itemsize, len(tensor.raw_data), "bytes")
        else:
            self._check(tensor, count, len(getattr(tensor, _FIELDS[kind])), "elements")
        array = onnx.numpy_helper.to_array(tensor)
        if kind in ("FLOAT16", "BFLOAT16"):
            return array.astype(np.float32)
        return np.array(array)  # not a read-only view of the message

    def _check(self, tensor: Any, expected: int, given: int, what: str) -> None:
        if given != expected:
            raise ValueError(
                f"the array {tensor.name!r} of shape {tuple(tensor.dims)} has {given} {what}, "
                f"expected {expected}"
            )

    def _external(self, tensor: Any, length: int) -> bytes:
        """The bytes of an array in another file of the same folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        what = f"the array {tensor.name!r} is in the file {location!r}"
        if self.folder is None:
            raise ValueError(f"{what}: pass the model's path instead of its bytes")
        path = os.path.realpath(os.path.join(self.folder, location))
        if os.path.dirname(path) != self.folder and not path.startswith(self.folder + os.sep):
            raise ValueError(f"{what}, which is outside of the model's folder")
        if not os.path.isfile(path):
            raise ValueError(f"{what}, which is not there")
        size = os.path.getsize(path)
        if path not in self._seen:
            self._seen.add(path)
            self.limit += size
        offset, given = int(entries.get("offset", 0)), int(entries.get("length", length))
        self._check(tensor, length, given, "bytes")
        if offset < 0 or offset + length > size:
            raise ValueError(f"{what}, at {offset} to {offset + length}, but it has {size} bytes")
        self._total += length
        if self._total > 4 * self.limit:
            raise ValueError(f"{what}, whose parts add up to more than 4 times its size")
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)
