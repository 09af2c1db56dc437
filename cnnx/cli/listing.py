"""``cnnx runs``: a table of the runs in a directory."""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple

from cnnx.cli.arguments import add_command
from cnnx.cli.console import printable
from cnnx.cli.runs import HISTORY, SETTINGS, read_json
from cnnx.history import History

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx runs                                     the runs in runs/
  cnnx runs runs

Scores are those of the epochs: the validation accuracy in per cent, or for a regression the loss.
They are of the test set, or with --val-split of the validation samples. A run without a last epoch
was interrupted, or is still training: cnnx train --resume RUN continues it."""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    parser = add_command(commands, "runs", run, "list runs with their scores", _EXAMPLE)
    parser.add_argument(
        "directory",
        nargs="?",
        default="runs",
        metavar="DIR",
        help="the directory that contains the runs (default: runs)",
    )


class Line(NamedTuple):
    """A run as text, column by column."""

    run: str
    data: str = ""
    model: str = ""
    epochs: str = ""
    best: str = ""
    last: str = ""
    time: str = ""
    state: str = ""


def run(args: argparse.Namespace) -> int:
    """Print the table; returns the exit code."""
    names = sorted(os.listdir(args.directory), key=_in_order)
    places = [(name, os.path.join(args.directory, name)) for name in names]
    lines = [_line(name, place) for name, place in places if os.path.isdir(place)]
    if not lines:
        print(f"{printable(args.directory)} contains no runs: cnnx train makes one")
        return 0
    table = [Line(*Line._fields), *lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [
            f"{cell:>{width}}" if name in ("epochs", "best", "last", "time") else f"{cell:<{width}}"
            for name, cell, width in zip(Line._fields, line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())
    return 0


def _in_order(name: str) -> tuple[str, int, str]:
    """digits-2 before digits-10."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number), name) if number.isdecimal() else (name, 0, name)


def _line(name: str, place: str) -> Line:
    """A run, or in place of its scores why it cannot be read."""
    shown = printable(name)
    try:
        settings = read_json(os.path.join(place, SETTINGS))
        source, model, planned = settings["data"]["source"], settings["model"], settings["epochs"]
        result = settings["result"]
        source = printable(os.path.basename(source.rstrip(os.sep)))
        if result is None:
            return Line(shown, source, printable(model), f"0/{planned}", state="interrupted")
        history = History.from_csv(os.path.join(place, HISTORY))
        column = "val_accuracy" if "val_accuracy" in history.columns else "val_loss"
        scores = history[column]
        best = max(scores) if column == "val_accuracy" else min(scores)
        return Line(
            shown,
            source,
            printable(model),
            f"{len(history)}/{planned}",
            _score(column, best),
            _score(column, scores[-1]),
            f"{result['seconds']:.1f} s",
            "finished" if result["finished"] is True else "interrupted",
        )
    except FileNotFoundError as error:
        missing = os.path.basename(error.filename)
        return Line(shown, state=f"damaged: no {missing}")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Line(shown, state=f"damaged: {printable(' '.join(str(error).split()))}")


def _score(column: str, value: float) -> str:
    return f"{100 * value:.2f} %" if column == "val_accuracy" else f"{value:.4f}"
