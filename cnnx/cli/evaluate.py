"""``cnnx evaluate``: loss and accuracy of a trained model, in total and per class.

For a regression: its loss, the mean squared error.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cnnx import targets
from cnnx.cli import data, splits
from cnnx.cli.arguments import add_command, add_images, add_machine, integer
from cnnx.cli.console import listed, printable, warn
from cnnx.cli.folders import Images
from cnnx.cli.images import Doubts, prepare
from cnnx.cli.models import MODEL, open_model
from cnnx.cli.preparing import add_preparation, preprocessing_of
from cnnx.cli.runs import read_record, read_settings
from cnnx.data import Batches, ImageFolder
from cnnx.inference import predict
from cnnx.layers import Layer
from cnnx.losses import CrossEntropyLoss, MSELoss
from cnnx.preprocessing import Preprocessing

__all__ = ["Chosen", "add", "add_source", "choose", "run"]

_EXAMPLE = """\
  cnnx evaluate runs/digits-1                   on the run's own test set
  cnnx evaluate model.npz --data mnist
  cnnx evaluate runs/photos-1 --data new.npz    its x_test and y_test, or all of x and y
  cnnx evaluate runs/photos-1 --data new/ --resize

Classes are matched by name. Samples that the run recorded as training samples are never scored. Of
the run's own data, the held-out samples are scored; samples that were added later are listed and
scored separately."""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    parser = add_command(commands, "evaluate", run, "score a model on a test set", _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    add_source(parser, "default: the data set of the run")
    add_machine(parser)


def add_source(parser: argparse.ArgumentParser, default: str) -> None:
    """--data, --seed, --batch-size and the options of images, shared with `predict`."""
    parser.add_argument(
        "--data",
        type=data.parse,
        metavar="DATA",
        help=f"data set whose test set is used: {data.SOURCES} ({default})",
    )
    parser.add_argument(
        "--seed",
        type=integer(0),
        metavar="N",
        help="seed of synthetic points, and of the split of a data set without a test set if the "
        "model has no record of its training (default: the seed of the run, or 0)",
    )
    parser.add_argument(
        "--batch-size",
        type=integer(1),
        default=256,
        metavar="N",
        help="samples per batch (default: 256)",
    )
    parser.add_argument(
        "--resize", action="store_true", help="scale images to the model's input size"
    )
    add_preparation(parser)
    add_images(
        parser,
        " (default: as in training)",
        "these images are negatives of the training images: dark on light, where those were light "
        "on dark",
    )


class Chosen(NamedTuple):
    """The samples to score, converted to the model's input."""

    source: str
    test: data.Samples
    new: data.Samples | None  # samples added to the run's own data since training
    notes: tuple[str, ...]  # warnings about the choice of samples


def choose(
    args: argparse.Namespace,
    path: str,
    settings: dict[str, Any],
    how: Preprocessing | None,
) -> Chosen:
    """The samples to score, from the data set of --data or else from the run's own."""
    own_source = settings["data"]["source"] if settings else None
    source = args.data if args.data is not None else own_source
    if source is None:
        raise ValueError(
            f"{args.model}: there is no run.json next to it that names the data set: use --data"
        )
    try:
        source = data.parse(source)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"the data set of the run: {error}: use --data") from None
    seed = args.seed if args.seed is not None else settings.get("seed", 0)
    own = data.absolute(source) == own_source
    if own and data.is_drawn(source):
        own = seed == settings["seed"]
    images = how is not None and len(how.input_shape) == 3
    found = data.load(
        source,
        seed,
        layout=how.layout if how is not None and how.layout == "channels_last" else args.layout,
        # The shape of an image has three numbers, none of which is None with resize.
        size=how.input_shape[1:] if how is not None and how.resize and images else None,  # type: ignore[arg-type]
        channels=how.input_shape[0] if how is not None and images else None,
        background=None if how is None else how.background,
    )
    known = how.classes if how is not None else ()
    if how is not None and how.classes and found.train.y.dtype.kind == "f":
        raise ValueError(
            f"{source} contains regression targets, but the model was trained on classes"
        )
    if settings and not settings["data"]["classes"] and found.train.y.dtype.kind != "f":
        raise ValueError(
            f"{source} contains classes, but the model was trained on regression targets"
        )

    def made(part: Any) -> Any:
        if isinstance(part, ImageFolder):
            return data.match_classes(source, Images.of(part, how, source), known)
        x, unit = part.x, found.unit
        if unit and source.endswith(".npz") and how is not None and how.value_range != (0, 1):
            x, unit = np.rint(x * 255).astype(np.uint8), False  # back to the bytes in the file
        x = x if how is None else prepare(how, x, unit, source)
        return data.match_classes(source, replace(part, x=x), known)

    return _choose(source, made, found, own, seed, read_record(path) if settings else None)


def _choose(
    source: str, made: Any, found: data.Loaded, own: bool, seed: int, record: splits.Record | None
) -> Chosen:
    """Leave out the samples that the model was trained on."""
    if found.test is not None and (own or record is None):
        return Chosen(source, made(found.test), None, ())
    if record is None:
        part = splits.named(made(found.train))
        note = (
            f"there is no record of what the model was trained on: a fifth of {source}, chosen "
            f"with seed {seed}, is scored. If this is the training data, and samples were added "
            "or removed since, some of the scored samples are training samples"
        )
        return Chosen(source, splits.hold_out(source, part, seed).test, None, (note,))
    whole = splits.named(made(found.train if found.test is None else found.test))
    seen = record.look(whole, own)
    notes = []
    if seen.gone and own:
        notes.append(f"{seen.gone:,} of {len(record.held_out):,} held-out samples are gone")
    if not own and seen.trained:
        notes.append(
            f"left out: {data.count(len(seen.trained), 'sample', 'samples')} of {source} that the "
            f"model was trained on: {listed([whole.names[row] for row in seen.trained])}"
        )
    chosen = seen.held_out if own else sorted((*seen.held_out, *seen.new))
    new = splits.rows(whole, seen.new) if own and seen.new else None
    return Chosen(source, splits.rows(whole, chosen), new, tuple(notes))


def run(args: argparse.Namespace) -> int:
    """Score and print; returns the exit code."""
    opened = open_model(args.model)
    path, model = opened.path, opened.model
    settings = read_settings(path)
    how = preprocessing_of(opened, settings, args)
    chosen = choose(args, path, settings, how)
    test, new, batch_size = chosen.test, chosen.new, opened.at_most(args.batch_size)
    if not len(test) and new is None:
        raise ValueError(f"{chosen.source}: nothing to score: the model was trained on all of it")
    for note in chosen.notes:
        warn("evaluate", note)
    doubts = Doubts("evaluate", how)
    shape = "x".join(map(str, data.sample_shape(test)))
    print(f"data      {printable(chosen.source)}: {len(test):,} to score, {shape}")
    if len(test):
        _report(model, test, batch_size, doubts)
    if new is not None:
        names = data.count(len(new), "sample that was", "samples that were")
        print(f"\nnew       {names} added since, scored separately: {listed(new.names)}")
        _report(model, new, batch_size, doubts)
    doubts.say()
    return 0


def _report(model: Layer, test: data.Samples, batch_size: int, doubts: Doubts) -> None:
    """Print the scores of a data set: the loss, and for classes a table too."""
    outputs = predict(model, _watched(test, batch_size, doubts))
    if test.y.dtype.kind == "f":
        loss = _squared_error(outputs, test.y)
        print(f"loss {loss:.4f} (mean squared error of {data.count(len(test), 'point', 'points')})")
        return
    loss, labels = _scores(outputs, test)
    right = labels == test.y
    rows = []
    for label in np.unique(np.concatenate([np.arange(len(test.classes)), test.y])):
        of_class = test.y == label
        name = printable(data.label_name(test.classes, int(label)))
        rows.append((name, int(of_class.sum()), int(right[of_class].sum())))
    _print_table([*rows, ("all", len(right), int(right.sum()))])
    print(f"loss {loss:.4f}, accuracy {100 * right.mean():.2f} %")


def _watched(test: data.Samples, batch_size: int, doubts: Doubts) -> Iterator[np.ndarray]:
    """The inputs batch by batch, of which anything odd is noted."""
    names = list(test.names or map(str, range(len(test))))
    for number, (x, _) in enumerate(Batches(test, batch_size)):
        doubts.look(names[number * batch_size :][: len(x)], x)
        yield x


def _scores(outputs: np.ndarray, test: data.Samples) -> tuple[float, np.ndarray]:
    """The loss over a test set, and the predicted label of each sample."""
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            f"the model's outputs have shape {outputs.shape}, but one score for each class "
            f"(n, {len(test.classes)}) is expected"
        )
    targets.refuse_nan("evaluate", outputs)
    return float(CrossEntropyLoss()(outputs, test.y)), outputs.argmax(axis=1)


def _squared_error(outputs: np.ndarray, y: np.ndarray) -> float:
    """The loss over the test set of a regression."""
    if outputs.shape != y.shape:
        raise ValueError(
            f"the model's outputs have shape {outputs.shape}, but the targets {y.shape}"
        )
    return float(MSELoss()(outputs, y))


def _print_table(rows: list[tuple[str, int, int]]) -> None:
    width = max(len(name) for name, _, _ in [("class", 0, 0), *rows])
    rule = "-" * (width + 29)
    print(f"{'class':<{width}}  {'n':>7}  {'correct':>7}  {'accuracy':>9}")
    print(rule)
    for name, n, correct in rows:
        if name == "all":
            print(rule)
        share = f"{100 * correct / n:.2f} %" if n else "-"
        print(f"{name:<{width}}  {n:>7,}  {correct:>7,}  {share:>9}")
