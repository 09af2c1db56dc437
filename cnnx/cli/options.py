"""The options of ``cnnx train``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from cnnx import models
from cnnx.cli import data
from cnnx.cli.arguments import (
    add_command,
    add_images,
    add_machine,
    fraction,
    integer,
    positive,
    size,
)
from cnnx.cli.recipes import AUGMENTS, OPTIMIZERS, SCHEDULES, defaults

__all__ = ["add"]

_EXAMPLE = """\
  cnnx train                                    the bundled digits, in seconds
  cnnx train --data mnist --model lenet5 --epochs 5
  cnnx train --data spiral                      points: an MLP, and a plot of its boundary
  cnnx train --data photos/ --resize 64 --epochs 30 --out runs/photos
  cnnx train --data scans.npz --layout channels_last --invert
  cnnx train --data photos/ --resize 64 --augment standard --schedule onecycle --workers 2
  cnnx train --val-split 0.1 --early-stop 5 --epochs 50 --class-weights --ema 0.99
  cnnx train runs/digits-1/config.toml          a run again, with the same bits
  cnnx train --resume runs/digits-1             go on after Ctrl-C or a crash, with the same bits
  mpirun -n 4 cnnx train --distributed --batch-size 128       four processes, by MPI

Data sets are searched in the directory CNNX_DATA, then in the cache, and are otherwise downloaded.
Synthetic points are drawn with --seed; for other variants, use cnnx.data.make_spiral and similar
functions, and save_csv to write a .csv file. A polynomial, or a .csv file with y0, is a regression,
whose loss is the mean squared error. A folder (photos/cat/1.png ...), points, and an .npz file
(arrays x and y) without x_test and y_test are split: a fifth of every class, chosen by --seed, is
held out. Held-out samples do not influence training; they are scored after each epoch. Folders
train/ and test/ with one subfolder per class are used as they are. Images in an .npz file with
values from 0 to 16, 255 or similar are scaled to 0..1. The model file records this preprocessing:
cnnx info MODEL shows it.

A folder may be larger than memory: images are read as they are used, and kept within --cache-mb.

--resume needs no other option: those of the run are used, and others are an error. --epochs may be
raised if the schedule does not depend on it; --workers, --cache-mb and --threads do not affect
results. A run keeps its last checkpoint in checkpoints/, which is only needed to continue."""


def add(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Describe the command's arguments. An option that is not given is None."""
    parser = add_command(commands, "train", run, "train a model on a data set", _EXAMPLE)
    parser.add_argument(
        "config",
        nargs="?",
        type=_config,
        metavar="CONFIG",
        help="a file of options (.toml), named as here; those of the command line take precedence",
    )
    _add_model(parser)
    _add_extras(parser)
    _add_input(parser)
    _add_ranks(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="directory for model.npz, history.csv, run.json and pictures; must be new or empty "
        "(default: runs/<data>-<n>, counting up)",
    )
    parser.add_argument(
        "--resume", metavar="RUN", help="continue the interrupted run in this directory"
    )
    add_machine(parser)


def _config(text: str) -> str:
    if not text.endswith(".toml"):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a .toml file")
    return text


def _words(table: Mapping[str, Any]) -> str:
    """The entries of a table of named settings, as text for argparse."""
    return "; ".join(f"{name} ({entry.words})" for name, entry in table.items()).replace("%", "%%")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=data.parse,
        metavar="DATA",
        help=f"{data.SOURCES} (default: digits)",
    )
    names = models.names("classification")
    parser.add_argument(
        "--model",
        choices=names,
        metavar="NAME",
        help=f"{', '.join(names)} (default: {defaults('model')}); points need mlp",
    )
    parser.add_argument(
        "--epochs", type=integer(1), metavar="N", help=f"default: {defaults('epochs')}"
    )
    parser.add_argument(
        "--batch-size", type=integer(1), metavar="N", help=f"default: {defaults('batch_size')}"
    )
    rates = ", ".join(f"{name} {method.lr:g}" for name, method in OPTIMIZERS.items())
    parser.add_argument(
        "--lr", type=positive, metavar="RATE", help=f"learning rate (default: {rates})"
    )
    parser.add_argument(
        "--schedule",
        choices=tuple(SCHEDULES),
        help=f"how the learning rate changes: {_words(SCHEDULES)} (default: tenth)",
    )
    parser.add_argument(
        "--constant-lr",
        action="store_const",
        dest="schedule",
        const="constant",
        help="the same as --schedule constant",
    )
    parser.add_argument(
        "--optimizer",
        choices=tuple(OPTIMIZERS),
        help="default: adam; sgd has momentum 0.9",
    )
    parser.add_argument(
        "--seed",
        type=integer(0),
        metavar="N",
        help="fixes initial weights, sample order, dropout, split and synthetic points: the same "
        "seed gives the same bits (default: 0)",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: float32")
    parser.add_argument(
        "--drop-last",
        action="store_true",
        default=None,
        help="leave out the last batch of an epoch if it is smaller than the others",
    )


def _add_extras(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--augment",
        choices=tuple(AUGMENTS),
        help=f"random changes of the training images: {_words(AUGMENTS)} (default: none)",
    )
    parser.add_argument(
        "--early-stop",
        type=integer(1),
        metavar="N",
        help="stop after N epochs without a lower validation loss, and keep the best model; "
        "combine it with --val-split, or the test set decides which epoch is kept",
    )
    parser.add_argument(
        "--val-split",
        type=fraction,
        metavar="FRACTION",
        help="score this share of the training samples, which then do not train, after each epoch, "
        "and the test set at the end only",
    )
    parser.add_argument(
        "--class-weights",
        action="store_true",
        default=None,
        help="weight the loss of each class by 1 / its number of samples, in the scores of the "
        "epochs too",
    )
    parser.add_argument(
        "--ema",
        type=fraction,
        metavar="DECAY",
        help="score and save exponential moving averages of the weights: 0.99 averages about the "
        "last 100 steps",
    )
    parser.add_argument(
        "--workers",
        type=integer(0, 64),
        metavar="N",
        help="threads that prepare batches ahead; do not affect results (default: 0)",
    )


def _add_ranks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--distributed",
        action="store_true",
        default=None,
        help="share each batch among the processes (ranks) that mpirun started; needs mpi4py",
    )
    parser.add_argument(
        "--reduction",
        choices=("mpi", "ordered"),
        help="how --distributed sums gradients: by MPI, while they are computed; or in the order "
        "of the shards, with the same bits for any number of ranks (default: mpi)",
    )
    parser.add_argument(
        "--shards",
        type=integer(1),
        metavar="N",
        help="equal parts of each batch that the ranks share (default: one for each rank)",
    )
    parser.add_argument(
        "--sync-batch-norm",
        action="store_true",
        default=None,
        help="normalise by the whole batch instead of each rank's part of it",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        metavar="SECONDS",
        help="how long a rank waits for the others before it ends the run on all (default: 300)",
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resize",
        type=size,
        metavar="SIZE",
        help="scale images from folders to this height and width: 64, or 48x64 (height x width)",
    )
    parser.add_argument(
        "--cache-mb",
        type=integer(0, 1 << 24),
        metavar="N",
        help="megabytes for decoded images of a folder; those beyond it are decoded again "
        "in each epoch, with the same results (default: 1024)",
    )
    add_images(
        parser, "", "train on inverted images: dark on light becomes light on dark, in predict too"
    )
    parser.set_defaults(invert=None)
