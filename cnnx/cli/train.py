"""``cnnx train``: train a model on a data set, and save model, history and pictures."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import Any

import numpy as np

from cnnx import config, models, random
from cnnx.cli import data
from cnnx.cli.arguments import add_command, add_images, add_machine, integer, positive, size
from cnnx.cli.console import printable, warn
from cnnx.cli.images import prepare
from cnnx.cli.recipes import LOWERED, OPTIMIZERS, LowerRate, defaults, recipe
from cnnx.cli.runs import FILES, Run, check_out
from cnnx.cli.splits import Record, hold_out, named
from cnnx.layers import Layer
from cnnx.losses import CrossEntropyLoss, MSELoss
from cnnx.preprocessing import Preprocessing
from cnnx.training import fit

__all__ = ["add", "run"]

_EXAMPLE = """\
  cnnx train                                    the bundled digits, in seconds
  cnnx train --data mnist --model lenet5 --epochs 5
  cnnx train --data spiral                      points: an MLP, and a plot of its boundary
  cnnx train --data photos/ --resize 64 --epochs 30 --out runs/photos
  cnnx train --data scans.npz --layout channels_last --invert

Data sets are searched in the directory CNNX_DATA, then in the cache, and are otherwise downloaded.
Synthetic points are drawn with --seed; for other variants, use cnnx.data.make_spiral and similar
functions, and save_csv to write a .csv file. A polynomial, or a .csv file with y0, is a regression,
whose loss is the mean squared error. A folder (photos/cat/1.png ...), points, and an .npz file
(arrays x and y) without x_test and y_test are split: a fifth of every class, chosen by --seed, is
held out. Held-out samples do not influence training; they are scored after each epoch. Folders
train/ and test/ with one subfolder per class are used as they are. Images in an .npz file with
values from 0 to 16, 255 or similar are scaled to 0..1. The model file records this preprocessing:
cnnx info MODEL shows it."""


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    parser = add_command(commands, "train", run, "train a model on a data set", _EXAMPLE)
    parser.add_argument(
        "--data",
        type=data.parse,
        default="digits",
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
        "--constant-lr",
        action="store_true",
        help="do not lower the learning rate to a tenth for the last fifth of the epochs",
    )
    parser.add_argument(
        "--optimizer",
        choices=tuple(OPTIMIZERS),
        default="adam",
        help="default: adam; sgd has momentum 0.9",
    )
    parser.add_argument(
        "--seed",
        type=integer(0),
        default=0,
        metavar="N",
        help="fixes initial weights, sample order, dropout, split and synthetic points: the same "
        "seed gives the same bits (default: 0)",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="default: float32"
    )
    parser.add_argument(
        "--drop-last",
        action="store_true",
        help="leave out the last batch of an epoch if it is smaller than the others",
    )
    parser.add_argument(
        "--resize",
        type=size,
        metavar="SIZE",
        help="scale images from folders to this height and width: 64, or 48x64 (height x width)",
    )
    add_images(
        parser, "", "train on inverted images: dark on light becomes light on dark, in predict too"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="directory for model.npz, history.csv, run.json and pictures; must be new or empty "
        "(default: runs/<data>-<n>, counting up)",
    )
    add_machine(parser)


def run(args: argparse.Namespace) -> int:
    """Train, print, write; returns the exit code."""
    _check_arguments(args)
    method = OPTIMIZERS[args.optimizer]
    args.lr = method.lr if args.lr is None else args.lr

    parts, preprocessing, own_test = _load(args)
    for name, default in recipe(args.data, parts.sample_shape)._asdict().items():
        if getattr(args, name) is None:
            setattr(args, name, default)
    random.manual_seed(args.seed)
    model = models.build(args.model, parts.sample_shape, parts.outputs)
    model.astype(np.dtype(args.dtype))
    model.preprocessing = preprocessing
    optimizer = method.make(model.parameters(), lr=args.lr, **method.settings)
    loss = MSELoss() if parts.regression else CrossEntropyLoss()
    settings = _settings(args, parts, model)
    _print_header(args, parts, settings, preprocessing)
    record = Record.of(parts, own_test)
    if record.doubles and not data.is_drawn(args.data):
        doubles = data.count(record.doubles, "held-out sample equals", "held-out samples equal")
        warn("train", f"{doubles} a training sample: the test score is too optimistic")
    place = Run(model, settings, data.short_name(args.data), args.out, record)
    schedule = [] if args.constant_lr else [LowerRate(optimizer, args.epochs)]
    args.kept = place.kept
    try:
        fit(
            model,
            parts.train,
            validation=parts.test,
            epochs=args.epochs,
            batch_size=args.batch_size,
            optimizer=optimizer,
            loss=loss,
            seed=args.seed,
            drop_last=args.drop_last,
            callbacks=[*schedule, place],
        )
    except BaseException:
        place.interrupted()
        raise
    _print_result(place, parts)
    for missing in place.draw(parts):
        warn("train", missing)
    files = [name for name in FILES if os.path.exists(place.path(name))]
    print(f"{', '.join(files)} are in {printable(place.directory)}")
    print(f"evaluate it with: cnnx evaluate {printable(place.directory)}")
    return 0


def _check_arguments(args: argparse.Namespace) -> None:
    """Usage errors: an occupied directory, and flags that do not apply to --data."""
    if args.out is not None:
        try:
            check_out(args.out)
        except OSError as error:
            args.parser.error(f"argument --out: {error.filename} {error.strerror}")
    folder, arrays = os.path.isdir(args.data), args.data.endswith(".npz")
    for flag, value, fits, what in (
        ("--resize", args.resize, folder, "a folder of images"),
        ("--background", args.background, folder, "a folder of images"),
        ("--layout", args.layout, arrays, "an .npz file"),
    ):
        if value is not None and not fits:
            args.parser.error(f"{flag} is for {what}, and --data is {args.data}")


def _load(args: argparse.Namespace) -> tuple[data.Parts, Preprocessing, bool]:
    """The data in two parts, as the model's input; their preprocessing; and whether the data set
    has its own test set.
    """
    found = data.load(
        args.data,
        args.seed,
        layout=args.layout,
        size=args.resize,
        background=args.background,
    )
    whole = found.train
    parts = data.Parts(whole, whole if found.test is None else found.test)
    if len(whole) == 0:
        raise ValueError(f"{args.data}: 0 samples are too few to train on")
    labels = np.unique(whole.y)
    if not parts.regression and len(labels) < 2:
        name = data.label_name(parts.classes, int(labels[0]))
        raise ValueError(
            f"{args.data}: all {len(whole)} samples are of class {name}, but at least 2 classes "
            "are required"
        )
    preprocessing = Preprocessing.from_data(
        whole,
        classes=parts.classes,
        resize=args.resize is not None,
        background=args.background,
        invert=args.invert,
        **({"value_range": (0.0, 1.0)} if found.unit else {}),
    )
    if args.invert and (len(parts.sample_shape) != 3 or preprocessing.value_range is None):
        raise ValueError(f"{args.data}: --invert is for images on a scale from black to white")
    made = [
        None if part is None else replace(part, x=prepare(preprocessing, part.x, found.unit, name))
        for part, name in ((whole, args.data), (found.test, f"{args.data}: x_test"))
    ]
    train, test = made
    assert train is not None
    if test is None:
        parts = hold_out(args.data, named(train), args.seed)
    else:
        parts = data.Parts(train, test)
    # Arrays given to `predict` are expected in the same form as the stored training arrays.
    return parts, replace(preprocessing, layout=args.layout or "channels_first"), test is not None


def _settings(args: argparse.Namespace, parts: data.Parts, model: Layer) -> dict[str, Any]:
    """The contents of run.json except the result."""
    method = OPTIMIZERS[args.optimizer]
    return {
        "cnnx": config.config_dict(),
        "data": {
            "source": data.absolute(args.data),
            "train": len(parts.train),
            "test": len(parts.test),
            "sample_shape": list(parts.sample_shape),
            "classes": list(parts.classes),
        },
        "model": args.model,
        "loss": "mean squared error" if parts.regression else "cross-entropy",
        "parameters": sum(parameter.size for parameter in model.parameters()),
        "dtype": args.dtype,
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "drop_last": args.drop_last,
        "optimizer": {
            "name": args.optimizer,
            "lr": args.lr,
            "lowered_to": None if args.constant_lr else args.lr * LOWERED,
            **method.settings,
        },
        "seed": args.seed,
    }


def _print_header(
    args: argparse.Namespace,
    parts: data.Parts,
    settings: dict[str, Any],
    preprocessing: Preprocessing,
) -> None:
    found = settings["cnnx"]
    kernels = f" ({found['kernel set (ISA)']})" if "kernel set (ISA)" in found else ""
    plural = "" if found["threads"] == 1 else "s"
    compute = f"{found['backend']}{kernels}, {found['threads']} thread{plural}"
    if found["backend"] == "reference":  # NumPy manages its threads itself
        compute = "reference (NumPy)"
    print(f"data      {data.describe(args.data, parts)}")
    input_words = _input_words(preprocessing)
    if input_words:
        print(f"input     {input_words}")
    print(f"model     {args.model}: {settings['parameters']:,} parameters, {args.dtype}")
    lowered = args.epochs // 5 if not args.constant_lr else 0
    last = f" (the last {lowered}: {args.lr * LOWERED:g})" if lowered else ""
    print(
        f"training  {args.optimizer} {args.lr:g}, {args.epochs} epochs{last}, "
        f"batches of {args.batch_size}, seed {args.seed}"
    )
    print(f"backend   {compute}", flush=True)


def _input_words(preprocessing: Preprocessing) -> str:
    """How the numbers of images were scaled; "" for the usual scaling of pictures."""
    if len(preprocessing.input_shape) != 3:
        return ""
    if preprocessing.value_range is None:
        return "numbers of unknown scale, used unchanged: image files cannot be predicted"
    low, high = preprocessing.value_range
    scaled = f"{low:g} to {high:g} scaled to 0 to 1" if (low, high) != (0, 1) else ""
    return ", ".join(filter(None, (scaled, "inverted" if preprocessing.invert else "")))


def _print_result(place: Run, parts: data.Parts) -> None:
    """Print the scores of the last epoch, which `fit` measures in the same way as `evaluate`."""
    of = f"{len(parts.test):,} {'images' if len(parts.sample_shape) == 3 else 'points'}"
    last = place.history[-1]
    if parts.regression:
        result = f"test loss {last['val_loss']:.4f} (mean squared error of {of})"
    else:
        accuracy = 100 * last["val_accuracy"]
        result = f"test accuracy {accuracy:.2f} % of {of}, loss {last['val_loss']:.4f}"
    print(f"{result}, after {place.seconds:.1f} s", flush=True)
