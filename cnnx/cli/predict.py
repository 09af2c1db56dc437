"""``cnnx predict``: predictions for images, arrays, or a data set's test set.

A classifier prints labels with their probabilities, a regression model its numbers.
"""

from __future__ import annotations

import argparse
import csv
import errno
import io as text_io
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnx import inference, io
from cnnx.cli import data
from cnnx.cli.arguments import add_command, add_machine, integer
from cnnx.cli.console import printable, warn
from cnnx.cli.evaluate import Chosen, add_source, choose
from cnnx.cli.images import Doubts, find_images, read
from cnnx.cli.models import MODEL, open_model
from cnnx.cli.preparing import preprocessing_of
from cnnx.cli.runs import read_settings
from cnnx.data import Batches
from cnnx.layers import Layer

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx predict runs/digits-1 seven.png three.png
  cnnx predict runs/photos-1 --resize --top 3 holiday/*.jpg
  cnnx predict runs/photos-1 holiday/ --csv holiday.csv
  cnnx predict runs/photos-1 holiday/ --csv part-03.csv --shard 3/16
  cnnx predict runs/digits-1 --invert scan.png  dark on light, where training was light on dark
  cnnx predict model.npz --data mnist --csv mnist.csv
  cnnx predict net.onnx cat.jpg --size 32 --mean 0.5 --std 0.25 --labels names.txt --top 3
  cnnx predict runs/spiral-1 points.npy         rows of two numbers

All images in a folder and its subfolders are read. An .npy or .npz file (its array x, or its only
array) contains one sample or many, in the units of the training data or as 8-bit values. With
--shard 3/16, the third of 16 runs predicts the third of 16 parts of the list of files; the tables,
one after another without the headers of all but the first, are that of a single run. The model
file records how its input was preprocessed in training: cnnx info MODEL shows it. An ONNX file does
not: it gets pixels from 0 to 1, channels in the order red, green, blue, as (n, 3, h, w), minus
--mean, divided by --std. `cnnx convert` stores these options in a model file."""

Samples = Iterator[tuple[str, np.ndarray]]


class Guess(NamedTuple):
    """A sample's name, and its most probable classes with their probabilities.

    For a regression: y0, y1 ... with their values.
    """

    name: str
    said: list[tuple[str, float]]


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    what = "classify images or points, and print probabilities"
    parser = add_command(commands, "predict", run, what, _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="images (PNG, JPEG, BMP, GIF, WebP, TIFF), folders of them, .npy or .npz arrays",
    )
    add_source(parser, "instead of files")
    parser.add_argument(
        "--top", type=integer(1), metavar="K", help="the K most probable classes (default: 1)"
    )
    parser.add_argument("--csv", metavar="FILE", help="write a table instead of printing lines")
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="K/N",
        help="only part K of N of the files, for N runs on one machine or several",
    )
    add_machine(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, and print or write; returns the exit code."""
    if bool(args.files) == (args.data is not None):
        args.parser.error("give either files or --data")
    if args.shard is not None and args.data is not None:
        args.parser.error("--shard divides files, not --data")
    for file in args.files:
        if not os.path.exists(file):
            raise FileNotFoundError(errno.ENOENT, "there is no such file", file)
        if not os.path.isdir(file) and not os.path.isfile(file):
            raise ValueError(f"{file}: neither a regular file nor a folder")
    opened = open_model(args.model)
    path, model = opened.path, opened.model
    settings = read_settings(path)
    how = preprocessing_of(opened, settings, args)
    batch_size = opened.at_most(args.batch_size)
    doubts = Doubts("predict", how)
    samples: Samples
    regression = bool(settings) and not settings["data"]["classes"]
    write: Callable[[str, list[Guess]], None]
    classes = how.classes if how is not None else ()
    width = 0
    if args.data is not None:
        chosen = choose(args, path, settings, how)
        for note in chosen.notes:
            warn("predict", note)
        classes = chosen.test.classes
        regression = regression or (not settings and chosen.test.y.dtype.kind == "f")
        samples = _samples_of(chosen, batch_size)
    else:
        files = [entry for file in args.files for entry in _files(file)]
        # In a table, a file found in a folder is named relative to that folder.
        only = len(args.files) == 1 and args.csv is not None
        cut = len(files[0][1]) if only else 0
        files = _part(files, *(args.shard or (1, 1)))
        width = max((len(printable(file)) for file, _ in files), default=0)
        samples = ((name[cut:], x) for file, _ in files for name, x in read(file, how))
    samples = _watched(samples, doubts)
    if regression:
        if args.top is not None:
            raise ValueError(f"--top {args.top}: the model predicts numbers, not classes")
        guesses, write = _numbers(model, samples, batch_size), _write_numbers
    else:
        guesses = _guesses(model, samples, batch_size, args.top or 1, classes, args.labels)
        write = _write_classes
    if args.csv is not None:
        write(args.csv, list(guesses))
    else:
        _print(guesses, width)
    doubts.say()
    return 0


def _files(path: str) -> Iterator[tuple[str, str]]:
    """(file, the folder it was found in) for a file, or for the images in a folder."""
    if not os.path.isdir(path):
        yield path, ""
        return
    folder = os.path.join(path, "")
    for file in find_images(path):
        yield file, folder


def _shard(text: str) -> tuple[int, int]:
    """argparse type: (3, 16) from "3/16"."""
    parts = text.split("/")
    if len(parts) == 2 and all(part.isdecimal() and len(part) < 8 for part in parts):
        number, count = map(int, parts)
        if 1 <= number <= count:
            return number, count
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a part: expected K/N with K from 1 to N, such as 3/16"
    )


def _part(files: list[Any], number: int, count: int) -> list[Any]:
    """Consecutive files: the first parts have one more, if they cannot all have as many."""
    each, more = divmod(len(files), count)
    begin = (number - 1) * each + min(number - 1, more)
    return files[begin : begin + each + (number <= more)]


def _samples_of(chosen: Chosen, batch_size: int) -> Samples:
    """The samples of a data set, named by their files if it is a folder, else by their numbers."""
    names = chosen.test.names or tuple(map(str, range(len(chosen.test))))
    folder = os.path.isdir(chosen.source)
    rows = (row for x, _ in Batches(chosen.test, batch_size) for row in x)
    for name, x in zip(names, rows, strict=True):
        yield (os.path.join(chosen.source, name) if folder else f"{chosen.source}[{name}]"), x


def _watched(samples: Samples, doubts: Doubts) -> Samples:
    for name, x in samples:
        doubts.look([name], x[None])
        yield name, x


def _numbers(model: Layer, samples: Samples, batch_size: int) -> Iterator[Guess]:
    for names, x in _batches(samples, batch_size):
        for name, row in zip(names, inference.predict(model, x, batch_size), strict=True):
            yield Guess(name, [(f"y{k}", value) for k, value in enumerate(row.tolist())])


def _guesses(
    model: Layer,
    samples: Samples,
    batch_size: int,
    top: int,
    classes: tuple[str, ...],
    labels: str | None,
) -> Iterator[Guess]:
    for names, x in _batches(samples, batch_size):
        rows = inference.predict_proba(model, x, batch_size)
        if rows.ndim != 2:
            raise ValueError(
                f"the model's outputs have shape {rows.shape}, expected a score for each class"
            )
        if rows.shape[1] == 1:  # a single output is the probability of "yes"
            rows = np.concatenate([1 - rows, rows], axis=1)
        if labels is not None and len(classes) != rows.shape[1]:
            raise ValueError(
                f"{labels} has {len(classes)} names, but the model has {rows.shape[1]} outputs"
            )
        if top > rows.shape[1]:
            raise ValueError(f"--top {top}: the model has {rows.shape[1]} classes")
        if np.isnan(rows).any():
            name = names[int(np.isnan(rows).any(axis=1).argmax())]
            raise ValueError(
                f"{name}: the model's outputs are NaN, which is no class: look for NaN in the "
                "file and in the weights"
            )
        order = np.argsort(-rows, axis=1, kind="stable")[:, :top]
        for name, row, best in zip(names, rows, order, strict=True):
            yield Guess(name, [(data.label_name(classes, k), float(row[k])) for k in best.tolist()])


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


def _print(guesses: Iterator[Guess], width: int) -> None:
    for name, said in guesses:
        pairs = "  ".join(f"{printable(what)} {value:.4f}" for what, value in said)
        print(f"{printable(name):<{width}}  {pairs}")


def _write_classes(path: str, guesses: list[Guess]) -> None:
    header = ["name", "label", "probability"]
    for rank in range(2, max((len(guess.said) for guess in guesses), default=1) + 1):
        header += [f"label_{rank}", f"probability_{rank}"]
    rows = [
        [name, *(cell for what, value in said for cell in (what, f"{value:.6f}"))]
        for name, said in guesses
    ]
    _write(path, header, rows)


def _write_numbers(path: str, guesses: list[Guess]) -> None:
    names = [what for what, _ in guesses[0].said] if guesses else []
    rows = [[name, *(repr(value) for _, value in said)] for name, said in guesses]
    _write(path, ["name", *names], rows)


def _write(path: str, header: list[str], rows: list[list[str]]) -> None:
    text = text_io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    # A file name need not be valid text: what UTF-8 cannot encode is written as \\udcXX.
    io.write_text_atomic(path, text.getvalue().encode(errors="backslashreplace").decode())
    print(f"{len(rows):,} predictions are in {printable(path)}")
