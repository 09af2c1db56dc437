"""A model from a file of any kind: of `model.save` or `plan.save` (.npz), or ONNX (.onnx)."""

# Design:
# Every command that takes a MODEL opens it here. The name's end says what an ONNX file is; the two
# kinds of .npz say so themselves. An ONNX file is read twice, once as layers and once as what it
# says itself: its names, its operators and its batch size, which a Graph does not keep.

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnx import io
from cnnx.cli.runs import find_model
from cnnx.engine import Plan, compile
from cnnx.engine.files import build as build_plan
from cnnx.engine.files import is_plan
from cnnx.graph.graph import Graph
from cnnx.layers import Embedding, Layer
from cnnx.layers.files import build as build_model

if TYPE_CHECKING:
    from cnnx.onnx.reader import File

__all__ = [
    "MODEL",
    "Opened",
    "add_input_shape",
    "compiled",
    "is_onnx",
    "open_model",
    "sample_shapes",
    "samples",
    "words_of",
]

MODEL = (
    "a model file, a saved plan, an ONNX file, or the directory of a run"  # help of the argument
)
Shape = tuple[int, ...]


class Opened(NamedTuple):
    """A model from a file.

    plan  of a file of `plan.save`, whose graph `model` is; else None
    file  what an ONNX file says; else None
    """

    path: str
    model: Layer
    plan: Plan | None = None
    file: File | None = None

    @property
    def batch(self) -> int | None:
        """The number of samples that an ONNX file fixes for its first input; None: any."""
        sizes = self.file.inputs[0].shape if self.file is not None and self.file.inputs else ()
        return sizes[0] if sizes and isinstance(sizes[0], int) else None

    def at_most(self, batch_size: int) -> int:
        """The number of samples per batch: one, if the file was made for one at a time."""
        return 1 if self.batch == 1 else batch_size

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The names of the inputs, if the file has any."""
        if self.plan is not None:
            return self.plan.inputs
        return None if self.file is None else tuple(given.name for given in self.file.inputs)


def is_onnx(path: str) -> bool:
    """Whether the name is that of an ONNX file."""
    return path.lower().endswith(".onnx")


def open_model(path: str) -> Opened:
    """The model in a file, or in the directory of a run; ValueError for a file of another kind."""
    path = find_model(path)
    if is_onnx(path):
        from cnnx import onnx
        from cnnx.onnx import reader

        return Opened(path, onnx.load(path), None, reader.read(path))
    arrays, meta = io.load_npz(path)
    if is_plan(meta):
        plan = build_plan(arrays, meta, None, io.name_of(path))
        return Opened(path, plan.graph, plan)
    return Opened(path, build_model(arrays, meta, None, io.name_of(path)))


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """--input-shape: for files that do not say the size of their input, or leave it free."""
    parser.add_argument(
        "--input-shape",
        type=_shapes,
        metavar="SHAPE",
        help="the shape of one sample, such as 3x224x224, if the file leaves it open; of several "
        "inputs 3x32x32,8",
    )


def sample_shapes(opened: Opened, given: Sequence[Shape] | None) -> tuple[Shape, ...]:
    """The shape of one sample of each input: `given`, or what the file says.

    ValueError if the file does not say it, or for another number of inputs.
    """
    model, how = opened.model, opened.model.preprocessing
    known: tuple[Any, ...] | None = None
    if isinstance(model, Graph):
        known = model.input_shapes
    elif how is not None:
        known = (how.input_shape,)
    if given is not None:
        if known is not None and len(given) != len(known):
            raise ValueError(
                f"{opened.path}: --input-shape has {len(given)} shapes, the model {len(known)} "
                "inputs"
            )
        return tuple(given)
    if known is None:
        raise ValueError(
            f"{opened.path} does not say the shape of a sample: give --input-shape, such as 1x28x28"
        )
    if not all(isinstance(size, int) for shape in known for size in shape):
        words = ",".join(words_of(shape) for shape in known)
        raise ValueError(
            f"{opened.path} takes samples of {words}: give --input-shape with numbers for all sizes"
        )
    return known


def words_of(shape: Sequence[Any]) -> str:
    """A shape as text, with "any" for unknown sizes: 3x224xany."""
    return "x".join("any" if size is None else str(size) for size in shape)


def compiled(opened: Opened, shapes: Sequence[Shape], batch: int = 1) -> Plan:
    """The plan of a model for samples of these shapes, prepared for a batch size."""
    if opened.plan is not None and tuple(shapes) == opened.plan.input_shapes:
        opened.plan.prepare(batch)
        return opened.plan
    if opened.inputs is not None:
        named = zip(opened.inputs, shapes, strict=True)
        return compile(opened.model, {name: (batch, *shape) for name, shape in named})
    return compile(opened.model, list(shapes) if len(shapes) > 1 else shapes[0], batch)


def samples(opened: Opened, plan: Plan, batch: int) -> list[np.ndarray]:
    """Random numbers for each input; zeros for one of integers, which are numbers of something."""
    rng, wiring = np.random.default_rng(0), plan.graph.wiring()
    found = []
    for i, shape in enumerate(plan.input_shapes):
        readers = [node.layer for node in wiring.nodes if i in node.inputs]
        if opened.file is not None:
            floats = opened.file.inputs[i].name in opened.file.floats
        else:
            floats = not any(isinstance(layer, Embedding) for layer in readers)
        x = rng.normal(size=(batch, *shape)).astype(np.float32)
        found.append(x if floats else np.zeros(x.shape, np.int64))
    return found


def _shapes(text: str) -> tuple[Shape, ...]:
    """argparse type: ((3, 32, 32), (8,)) from 3x32x32,8."""
    found = []
    for part in text.lower().split(","):
        sizes = part.split("x")
        if not all(size.isdecimal() and 0 < int(size) < 1 << 31 for size in sizes):
            raise argparse.ArgumentTypeError(
                f"{part!r} is not the shape of a sample: expected sizes such as 3x224x224, without "
                "the batch"
            )
        found.append(tuple(int(size) for size in sizes))
    return tuple(found)
