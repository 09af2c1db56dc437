"""`save`: a model of cnnx as an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnx import checks, io
from cnnx.graph.container import Container, flatten
from cnnx.graph.graph import Graph
from cnnx.graph.wiring import Node, Wiring, is_patched
from cnnx.layers.base import Layer
from cnnx.layers.embedding import Embedding
from cnnx.onnx.emit import EMITTERS, Emitter
from cnnx.onnx.emit_operators import OPERATOR_EMITTERS
from cnnx.onnx.package import the_package
from cnnx.onnx.place import Nodes, Place

__all__ = ["save"]

OLDEST = 17  # the first opset with LayerNormalization
BATCH = "n"  # the name of the batch axis, whose size is free
MOST_NAMED = 8  # layers in an error
MOST_BYTES = 2**31 - 1  # of a protobuf message


def save(
    model: Layer,
    path: Any,
    input_shape: Any = None,
    opset: int = 17,
    custom: Mapping[type[Layer], Emitter] | None = None,
) -> None:
    """Write a model to exactly `path` as ONNX, completely or not at all.

    path         or a binary file object, such as ``io.BytesIO()``
    input_shape  the shape of one sample, without the batch axis; a tuple of shapes for a model of
                 several inputs; None: those of a `Graph`. The batch size of the file is free
    opset        the version of the operators, from 17 to the newest of the installed package
    custom       {class of layer: function} for one's own layers. ``f(place, layer, *inputs)`` adds
                 nodes to a `Place`, and returns the name of the last one's output

    The file computes what the model does in eval mode, in float32. Its weights have the names of
    `state_dict`, its inputs the names "input", or "input0", "input1", ..., its outputs "output"
    likewise; an input that an `Embedding` reads is of int64, others of float32. `preprocessing` is
    not part of it.

    TypeError for layers without an ONNX form, such as `Activation`; ValueError for another opset,
    shapes that the model does not take, and a model of more than 2 GB; ImportError, with advice,
    without the package `onnx`.

    Example: ``cnnx.onnx.save(model, "digits.onnx", input_shape=(1, 8, 8))``
    """
    onnx = the_package()
    newest = onnx.defs.onnx_opset_version()
    opset = checks.integer("onnx.save", "opset", opset, least=OLDEST, most=newest)
    shapes = _input_shapes(model, input_shape)
    wiring = _wiring(model, len(shapes))
    emitters = {**EMITTERS, **OPERATOR_EMITTERS, **(custom or {})}
    _check_layers(wiring, emitters)
    content = _build(wiring, shapes, opset, emitters)
    if content.ByteSize() > MOST_BYTES:
        raise ValueError(
            f"onnx.save: the model has {content.ByteSize():,} bytes, and a file of this format at "
            f"most {MOST_BYTES:,}"
        )
    onnx.checker.check_model(content, full_check=True)
    data = content.SerializeToString()
    if hasattr(path, "write"):
        path.write(data)
        return
    with io.atomic_write(path) as file:
        file.write(data)


def _input_shapes(model: Layer, given: Any) -> tuple[tuple[int, ...], ...]:
    if given is None:
        if not isinstance(model, Graph):
            raise ValueError(
                f"onnx.save: a {type(model).__name__} takes samples of more than one shape: pass "
                "input_shape, such as (3, 32, 32)"
            )
        return model.input_shapes
    several = checks.is_sequence(given) and len(given) > 0 and checks.is_sequence(given[0])
    shapes = tuple(given) if several else (given,)
    return tuple(checks.sample_shape("onnx.save", "input_shape", shape) for shape in shapes)


def _wiring(model: Layer, count: int) -> Wiring:
    """All nodes of the model, at any depth."""
    if not (isinstance(model, Container) and model.opens()):
        return Wiring(count, (Node("", model, tuple(range(count)), (count,)),), (count,))
    wiring, _ = flatten(model)
    if wiring.inputs != count:
        raise ValueError(
            f"onnx.save: input_shape has {count} shapes, but the model has {wiring.inputs} inputs"
        )
    return wiring


def _check_layers(wiring: Wiring, emitters: Mapping[type[Layer], Emitter]) -> None:
    """TypeError that names all layers without an ONNX form."""
    unknown = [
        node for node in wiring.nodes if type(node.layer) not in emitters or is_patched(node.layer)
    ]
    if unknown:
        listed = [
            f"{n.name or 'the model'} ({type(n.layer).__name__})" for n in unknown[:MOST_NAMED]
        ]
        if len(unknown) > MOST_NAMED:
            listed.append(f"{len(unknown) - MOST_NAMED} more")
        raise TypeError(
            f"onnx.save: no ONNX form is known of {', '.join(listed)}: pass "
            f"custom={{{type(unknown[0].layer).__name__}: function}} with one that adds its nodes, "
            "as docs/onnx.md shows"
        )


def _build(wiring: Wiring, shapes: Any, opset: int, emitters: Mapping[type[Layer], Emitter]) -> Any:
    """The ModelProto."""
    helper = the_package().helper
    nodes = Nodes(opset)
    names = [nodes.name(name) for name in _numbered("input", wiring.inputs)]
    outputs = [nodes.name(name) for name in _numbered("output", len(wiring.outputs))]
    known = list(shapes)  # of all values, for one sample
    for node, given, shape in wiring.flow(*shapes):
        place = Place(nodes, node.name, node.layer, given, shape)
        names.append(
            emitters[type(node.layer)](place, node.layer, *[names[i] for i in node.inputs])
        )
        known.append(shape)
    for output, value in zip(outputs, wiring.outputs, strict=True):
        nodes.nodes.append(helper.make_node("Identity", [names[value]], [output], name=output))
    kinds = _input_kinds(wiring)
    graph = helper.make_graph(
        nodes.nodes,
        "cnnx",
        [_described(*each) for each in zip(names, kinds, shapes)],
        [
            _described(output, "FLOAT", known[value])
            for output, value in zip(outputs, wiring.outputs)
        ],
        nodes.initialisers,
    )
    imports = [helper.make_opsetid("", opset)]
    # The oldest version of the container that allows these operators: more programs read it.
    version = helper.find_min_ir_version_for(imports)
    return helper.make_model(graph, opset_imports=imports, producer_name="cnnx", ir_version=version)


def _numbered(word: str, count: int) -> list[str]:
    return [word] if count == 1 else [f"{word}{number}" for number in range(count)]


def _input_kinds(wiring: Wiring) -> list[str]:
    numbers = {i for node in wiring.nodes if type(node.layer) is Embedding for i in node.inputs}
    return ["INT64" if i in numbers else "FLOAT" for i in range(wiring.inputs)]


def _described(name: str, kind: str, shape: tuple[int, ...]) -> Any:
    onnx = the_package()
    element = getattr(onnx.TensorProto, kind)
    return onnx.helper.make_tensor_value_info(name, element, [BATCH, *shape])
