"""``cnnx info``: version, backend, threads and data sets, or the description of a model."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

from cnnx import config
from cnnx.cli.arguments import add_command, add_machine
from cnnx.cli.console import listed, printable
from cnnx.cli.models import (
    MODEL,
    Opened,
    add_input_shape,
    is_onnx,
    open_model,
    sample_shapes,
    words_of,
)
from cnnx.cli.runs import read_settings
from cnnx.data import cache_directory, datasets
from cnnx.data.download import CIFAR10, FASHION_MNIST, MNIST, Source
from cnnx.preprocessing import Preprocessing

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx info
  cnnx info runs/digits-1                       a model and its preprocessing
  cnnx info net.onnx                            inputs, outputs, operators
  CNNX_DATA=~/datasets CNNX_ISA=baseline cnnx info"""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "show version, backend, kernels, threads and data sets, or describe a model"
    parser = add_command(commands, "info", run, what, _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", nargs="?", help=MODEL)
    add_input_shape(parser)
    add_machine(parser)


def run(args: argparse.Namespace) -> int:
    """Print; returns the exit code."""
    if args.model is not None:
        _show_model(args.model, args.input_shape)
        return 0
    if args.input_shape is not None:
        raise ValueError("--input-shape is of a model, and none is given")
    config.show_config()
    print(f"{'CNNX_DATA':20} {os.environ.get('CNNX_DATA') or 'not set'}")
    print(f"{'cache directory':20} {cache_directory()}")
    print(f"{'digits':20} bundled")
    for source in (MNIST, FASHION_MNIST, CIFAR10):
        print(f"{source.title:20} {_where(source)}")
    return 0


def _show_model(path: str, input_shape: Any) -> None:
    """What the model's file and the run.json next to it say about the model."""
    if is_onnx(path):
        _print(_onnx_rows(path))
    opened = open_model(path)
    settings, model = read_settings(opened.path), opened.model
    parameters = model.parameters()
    dtypes = sorted({str(parameter.dtype) for parameter in parameters})
    count = sum(parameter.size for parameter in parameters)
    rows = {} if opened.file is not None else {"model": opened.path}
    rows["parameters"] = f"{count:,}, {', '.join(dtypes) or 'none'}"
    rows["MACs"] = _macs(opened, input_shape)
    if opened.plan is not None:
        rows["plan"] = str(opened.plan)
    if settings:
        result = settings.get("result")
        rows["trained on"] = settings["data"]["source"]
        rows["result"] = "no epoch was finished"
        if isinstance(result, dict):
            rows["result"] = ", ".join(f"{name} {value}" for name, value in result.items())
    how = model.preprocessing
    if how is None:
        rows["preprocessing"] = "the file says none: pixels are assumed to be from 0 to 1"
        rows["classes"] = listed(settings["data"]["classes"], 20) if settings else ""
    else:
        rows.update(_preprocessing_rows(how))
    _print(rows)
    print(model)


def _print(rows: dict[str, str]) -> None:
    for name, value in rows.items():
        if value:
            print(f"{name:20} {printable(value)}")


def _onnx_rows(path: str) -> dict[str, str]:
    """What an ONNX file says, whether or not cnnx knows its operators."""
    from cnnx.onnx import reader

    file = reader.read(path)
    operators = Counter(node.operator for node in reader.all_nodes(file))
    ordered = sorted(operators.items(), key=lambda item: (-item[1], item[0]))

    def words(name: str) -> str:
        kind = "float" if name in file.floats else "not float"
        shape = words_of(file.shapes[name]) if name in file.shapes else "unknown shape"
        return f"{name} {shape} {kind}"

    return {
        "model": path,
        "format": f"ONNX, opset {file.opset}",
        "inputs": ", ".join(words(given.name) for given in file.inputs),
        "outputs": ", ".join(map(words, file.outputs)),
        "operators": ", ".join(f"{name} {count}" for name, count in ordered),
    }


def _macs(opened: Opened, input_shape: Any) -> str:
    """Multiply-adds of one sample, if the shape of its input is known."""
    try:
        shapes = sample_shapes(opened, input_shape)
    except ValueError:
        if input_shape is not None:
            raise
        return "depend on the size of the input: --input-shape 3x224x224 or the like says it"
    if () in shapes:
        return "not counted: an input has no axis besides the batch"
    return f"{opened.model.summary(*shapes).macs:,} for a sample of " + ",".join(
        map(words_of, shapes)
    )


def _preprocessing_rows(how: Preprocessing) -> dict[str, str]:
    """The fields of a preprocessing as text; empty ones are left out."""
    images = len(how.input_shape) == 3
    scale = "unknown: arrays are used unchanged, image files are rejected"
    if how.value_range is not None:
        scale = "{:g} (black) to {:g} (white)".format(*how.value_range)
    usual = "" if how.brightness is None else "{:.3f}, deviation {:.3f}".format(*how.brightness)
    return {
        "input": " x ".join("any" if size is None else str(size) for size in how.input_shape),
        "arrays": how.layout if images else "",
        "range of arrays": scale if images else "",
        "mean": "" if how.mean is None else str(how.mean),
        "std": "" if how.std is None else str(how.std),
        "images": ", ".join(
            words
            for words, holds in (
                ("scaled to that size", how.resize),
                (f"transparent pixels on {how.background}", how.background is not None),
                ("inverted", how.invert),
            )
            if holds
        ),
        "mean brightness": usual,
        "classes": listed(how.classes, 20),
    }


def _where(source: Source) -> str:
    """The directory from which a data set would be read, found as the loaders do."""
    named = os.environ.get("CNNX_DATA")
    if named:
        try:
            found = datasets.find_files(source, os.path.expanduser(named), "CNNX_DATA")
        except OSError as error:
            return str(error)
        if found is not None:
            return os.path.dirname(found[0][0])
    folder = os.path.join(cache_directory(), source.folders[0])
    _, lacking = datasets.match_files(source, folder)
    return folder if not lacking else "not here: downloaded on first use"
