"""``cnnx predict``: what a model sees in images, arrays, or a data set's test part."""

from __future__ import annotations

import argparse
import csv
import errno
import io as text_io
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnx import io
from cnnx.cli import data, images
from cnnx.cli.arguments import add_command, add_machine, integer
from cnnx.cli.evaluate import add_source, choose_test
from cnnx.cli.runs import find_model, read_settings
from cnnx.inference import predict_proba
from cnnx.layers import Layer, load

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx predict runs/digits-1 seven.png three.png
  cnnx predict runs/photos-1 --resize --top 3 holiday/*.jpg
  cnnx predict model.npz --data mnist --csv mnist.csv

Pixels of 8 bits become numbers from 0 to 1, as in training. An .npy or .npz file (its array x, or
the only one it has) holds one sample or many."""

Samples = Iterator[tuple[str, np.ndarray]]


class Guess(NamedTuple):
    """A sample's name, and its most probable labels with their probabilities."""

    name: str
    labels: list[int]
    probabilities: list[float]


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "say what is on images, with probabilities"
    parser = add_command(commands, "predict", run, what, _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help="a model file or the directory of a run")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="images (PNG, JPEG), .npy or .npz arrays"
    )
    add_source(parser, "instead of files")
    parser.add_argument(
        "--top", type=integer(1), default=1, metavar="K", help="the K most probable (default: 1)"
    )
    parser.add_argument("--csv", metavar="FILE", help="write a table instead of printing lines")
    parser.add_argument(
        "--resize", action="store_true", help="scale images to the size that the model takes"
    )
    add_machine(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, and print or write; returns the exit code."""
    if bool(args.files) == (args.data is not None):
        args.parser.error("give either files or --data")
    for file in args.files:
        if not os.path.isfile(file):
            raise FileNotFoundError(errno.ENOENT, "there is no such file", file)
    path = find_model(args.model)
    settings = read_settings(path)
    model = load(path)
    samples: Samples
    if args.data is not None:
        source, parts = choose_test(args, settings)
        classes = parts.classes
        samples = ((f"{source}[{i}]", x) for i, x in enumerate(parts.test.x))
    else:
        classes = tuple(settings["data"]["classes"]) if settings else ()
        expected = images.expected_shape(model, settings)
        samples = (s for file in args.files for s in images.read(file, expected, args.resize))
    guesses = _guesses(model, samples, args.batch_size, args.top)
    if args.csv is not None:
        _write(args.csv, guesses, classes, args.top)
    else:
        _print(guesses, classes, max((len(file) for file in args.files), default=0))
    return 0


def _guesses(model: Layer, samples: Samples, batch_size: int, top: int) -> Iterator[Guess]:
    for names, x in _batches(samples, batch_size):
        rows = predict_proba(model, x, batch_size)
        if rows.ndim != 2:
            raise ValueError(
                f"the model's outputs have shape {rows.shape}, expected a score for each class"
            )
        if rows.shape[1] == 1:  # a single output is the probability of "yes"
            rows = np.concatenate([1 - rows, rows], axis=1)
        if top > rows.shape[1]:
            raise ValueError(f"--top {top}: the model has {rows.shape[1]} classes")
        order = np.argsort(-rows, axis=1, kind="stable")[:, :top]
        for name, row, best in zip(names, rows, order, strict=True):
            yield Guess(name, best.tolist(), row[best].tolist())


def _batches(samples: Samples, batch_size: int) -> Iterator[tuple[list[str], np.ndarray]]:
    """Consecutive samples of one shape and dtype, at most batch_size of them."""
    names: list[str] = []
    rows: list[np.ndarray] = []
    for name, x in samples:
        if rows and (
            len(rows) == batch_size or x.shape != rows[0].shape or x.dtype != rows[0].dtype
        ):
            yield names, np.stack(rows)
            names, rows = [], []
        names.append(name)
        rows.append(x)
    if rows:
        yield names, np.stack(rows)


def _print(guesses: Iterator[Guess], classes: tuple[str, ...], width: int) -> None:
    for name, labels, probabilities in guesses:
        pairs = [
            f"{data.label_name(classes, label)} {probability:.4f}"
            for label, probability in zip(labels, probabilities, strict=True)
        ]
        print(f"{name:<{width}}  {'  '.join(pairs)}")


def _write(path: str, guesses: Iterator[Guess], classes: tuple[str, ...], top: int) -> None:
    text = text_io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["name", "label", "probability"]
    for rank in range(2, top + 1):
        header += [f"label_{rank}", f"probability_{rank}"]
    writer.writerow(header)
    count = 0
    for name, labels, probabilities in guesses:
        cells: list[Any] = [name]
        for label, probability in zip(labels, probabilities, strict=True):
            cells += [data.label_name(classes, label), f"{probability:.6f}"]
        writer.writerow(cells)
        count += 1
    io.write_text_atomic(path, text.getvalue())
    print(f"{count:,} predictions are in {path}")
