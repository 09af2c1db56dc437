"""``cnnx evaluate``: loss and accuracy of a trained model, in total and class by class.

Of a regression: its loss, the mean squared error.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from cnnx import targets
from cnnx.cli import data
from cnnx.cli.arguments import add_command, add_machine, integer
from cnnx.cli.console import printable
from cnnx.cli.runs import find_model, read_settings
from cnnx.inference import predict
from cnnx.layers import Layer, load
from cnnx.losses import CrossEntropyLoss, MSELoss

__all__ = ["add", "add_source", "choose_test", "run"]

_EXAMPLE = """\
  cnnx evaluate runs/digits-1                   on the test set of its own data
  cnnx evaluate model.npz --data mnist
  cnnx evaluate runs/photos-1 --data new.npz    its x_test and y_test, or a fifth of x and y"""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    parser = add_command(commands, "evaluate", run, "score a model on a test set", _EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help="a model file or the directory of a run")
    add_source(parser, "default: the data of the run")
    add_machine(parser)


def add_source(parser: argparse.ArgumentParser, default: str) -> None:
    """--data, --seed and --batch-size, as `predict` has them too."""
    parser.add_argument(
        "--data",
        type=data.parse,
        metavar="DATA",
        help=f"whose test set: {data.SOURCES} ({default})",
    )
    parser.add_argument(
        "--seed",
        type=integer(0),
        metavar="N",
        help="splits data without a test set, and draws points by formula, as in training "
        "(default: the seed of the run, or 0)",
    )
    parser.add_argument(
        "--batch-size",
        type=integer(1),
        default=256,
        metavar="N",
        help="samples at a time (default: 256)",
    )


def choose_test(args: argparse.Namespace, settings: dict[str, Any]) -> tuple[str, data.Parts]:
    """The data set that --data names, or else the run's, split as in training."""
    source = args.data
    if source is None:
        if not settings:
            raise ValueError(
                f"{args.model}: there is no run.json beside it that names the data: use --data"
            )
        try:
            source = data.parse(settings["data"]["source"])
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"the data of the run: {error}: use --data") from None
    seed = args.seed if args.seed is not None else settings.get("seed", 0)
    return source, data.load(source, seed)


def run(args: argparse.Namespace) -> int:
    """Score and print; returns the exit code."""
    path = find_model(args.model)
    settings = read_settings(path)
    model = load(path)
    source, parts = choose_test(args, settings)
    if settings and parts.regression == bool(settings["data"]["classes"]):
        has, wants = ("numbers", "classes") if parts.regression else ("classes", "numbers")
        raise ValueError(f"{source} holds {has} to predict, but the model was trained on {wants}")
    if parts.regression:
        loss = _squared_error(model, parts, args.batch_size)
        print(f"data      {data.describe(source, parts)}")
        print(f"loss {loss:.4f} (mean squared error of {len(parts.test):,} points)")
        return 0
    loss, labels = _scores(model, parts, args.batch_size)
    right = labels == parts.test.y
    print(f"data      {data.describe(source, parts)}")
    rows = []
    for label in np.unique(np.concatenate([np.arange(len(parts.classes)), parts.test.y])):
        of_class = parts.test.y == label
        name = printable(data.label_name(parts.classes, int(label)))
        rows.append((name, int(of_class.sum()), int(right[of_class].sum())))
    _print_table([*rows, ("all", len(right), int(right.sum()))])
    print(f"loss {loss:.4f}, accuracy {100 * right.mean():.2f} %")
    return 0


def _scores(model: Layer, parts: data.Parts, batch_size: int) -> tuple[float, np.ndarray]:
    """The loss over the test set, and the label predicted for each sample."""
    outputs = predict(model, parts.test, batch_size)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            f"the model's outputs have shape {outputs.shape}, but one score for each class "
            f"(n, {len(parts.classes)}) is expected"
        )
    targets.refuse_nan("evaluate", outputs)
    return float(CrossEntropyLoss()(outputs, parts.test.y)), outputs.argmax(axis=1)


def _squared_error(model: Layer, parts: data.Parts, batch_size: int) -> float:
    """The loss over the test set of a regression."""
    outputs = predict(model, parts.test, batch_size)
    if outputs.shape != parts.test.y.shape:
        raise ValueError(
            f"the model's outputs have shape {outputs.shape}, but the numbers to predict "
            f"{parts.test.y.shape}"
        )
    return float(MSELoss()(outputs, parts.test.y))


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
