"""``cnnx train``: train a model on a data set, and save model, history and pictures."""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple

import numpy as np

from cnnx import config, models, random
from cnnx.callbacks import Checkpoint, EarlyStopping
from cnnx.cli import data, options, ranks
from cnnx.cli.console import printable, warn
from cnnx.cli.loading import load
from cnnx.cli.ranks import Ranks
from cnnx.cli.recipes import AUGMENTS, LOWERED, OPTIMIZERS, SCHEDULES, recipe
from cnnx.cli.runs import (
    CHECKPOINTS,
    FILES,
    SETTINGS,
    SPLIT,
    Run,
    check_out,
    read_json,
    read_record,
)
from cnnx.cli.settings import complete, stored, to_toml
from cnnx.cli.splits import Record
from cnnx.data import train_test_split
from cnnx.data.transforms import Compose
from cnnx.distributed import sync_batch_norm
from cnnx.history import History, Row
from cnnx.layers import Layer
from cnnx.losses import CrossEntropyLoss, Loss, MSELoss
from cnnx.optim import EMA, Optimizer
from cnnx.preprocessing import Preprocessing

__all__ = ["add", "run"]

_SECONDS = 300.0  # a checkpoint within an epoch that takes longer


def add(commands: Any) -> None:
    """Describe the command's arguments."""
    options.add(commands, run)


def run(args: argparse.Namespace) -> int:
    """Train, print, write; returns the exit code."""
    complete(args)
    if args.resume is not None and _is_finished(args):
        return 0
    _check_arguments(args)
    with config.use_backend(args.backend), ranks.entered(args) as team:
        job = team.prepare(lambda: _prepare(args, team))
        place = team.on_first(lambda: _begin(args, job, team))
        try:
            history = _fit(args, job, place, team)
            scores = _test_scores(args, job, team, history)
            return 0 if place is None else _end(job, place, scores)
        except BaseException:
            if place is not None:
                place.interrupted()
            raise


class _Job(NamedTuple):
    """What is trained, and on what."""

    parts: data.Parts
    validation: data.Samples  # scored after each epoch
    preprocessing: Preprocessing
    record: Record
    model: Layer
    optimizer: Optimizer
    loss: Loss
    augment: Compose | None
    settings: dict[str, Any]  # of run.json


def _prepare(args: argparse.Namespace, team: Ranks) -> _Job:
    """Load the data, and make the model; completes the options by the recipe of the data."""
    method = OPTIMIZERS[args.optimizer]
    args.lr = method.lr if args.lr is None else args.lr
    parts, preprocessing, own_test = load(args)
    for name, default in recipe(args.data, parts.sample_shape)._asdict().items():
        if getattr(args, name) is None:
            setattr(args, name, default)
    record = Record.of(parts, own_test)
    if args.resume is not None:
        _check_unchanged(args, record)
    parts, validation = _validation(args, parts)
    augment = _augment(args, parts, preprocessing)
    random.manual_seed(args.seed)
    model = models.build(args.model, parts.sample_shape, parts.outputs)
    model.astype(np.dtype(args.dtype))
    model.preprocessing = preprocessing
    if args.sync_batch_norm:
        sync_batch_norm(model, team.comm)
    optimizer = method.make(model.parameters(), lr=args.lr, **method.settings)
    loss = _loss(args, parts)
    settings = _settings(args, parts, validation, model)
    return _Job(parts, validation, preprocessing, record, model, optimizer, loss, augment, settings)


def _begin(args: argparse.Namespace, job: _Job, team: Ranks) -> Run:
    """Say what is trained, and make the directory of the run."""
    record, settings = job.record, job.settings
    _print_header(args, job, team)
    if record.doubles and not data.is_drawn(args.data):
        doubles = data.count(record.doubles, "held-out sample equals", "held-out samples equal")
        warn("train", f"{doubles} a training sample: the test score is too optimistic")
    place = Run(
        job.model,
        settings,
        data.short_name(args.data),
        args.out if args.resume is None else args.resume,
        record,
        toml=to_toml(settings["options"]),
        command=team.start,
        resume=args.resume is not None,
        validated=args.val_split is not None,
        chosen=args.early_stop is not None,
    )
    if team.comm is not None:  # a rank that dies ends all of them, without a last word
        where = printable(place.directory)
        print(f"run       {where}; if it breaks off: {team.start} --resume {where}", flush=True)
    args.kept = place.kept
    return place


def _end(job: _Job, place: Run, scores: Row) -> int:
    """Save, print and draw the trained model and its scores; returns the exit code."""
    place.end(scores)
    _print_result(scores, place, job.parts)
    for missing in place.draw(job.parts):
        warn("train", missing)
    files = [name for name in FILES if os.path.exists(place.path(name))]
    print(f"{', '.join(files)} are in {printable(place.directory)}")
    print(f"evaluate it with: cnnx evaluate {printable(place.directory)}")
    return 0


def _is_finished(args: argparse.Namespace) -> bool:
    """Whether nothing is left to do for the run to resume, which is printed then."""
    result = read_json(os.path.join(args.resume, SETTINGS)).get("result")
    done = isinstance(result, dict) and result.get("finished") is True
    if not done or (result["epochs"] < args.epochs and args.early_stop is None):
        return False
    count = data.count(result["epochs"], "epoch", "epochs")
    print(f"{printable(args.resume)} is finished, after {count}: evaluate it, or start a new run")
    return True


def _check_unchanged(args: argparse.Namespace, record: Record) -> None:
    """ValueError if the data are not those of the run to resume."""
    known = read_record(os.path.join(args.resume, SPLIT))
    if known is None and not os.path.exists(os.path.join(args.resume, CHECKPOINTS)):
        return  # killed before the first step
    if record != known:
        raise ValueError(f"{args.data} has changed since {args.resume} began: start a new run")


def _fit(args: argparse.Namespace, job: _Job, place: Run | None, team: Ranks) -> History:
    """Train, from the last checkpoint if there is one. Only one rank has a place."""
    train, optimizer = job.parts.train, job.optimizer
    batches = len(train) // args.batch_size
    if not args.drop_last or not batches:
        batches = -(-len(train) // args.batch_size)
    stop = [] if args.early_stop is None else [EarlyStopping(patience=args.early_stop)]
    here = None if place is None else (place.path(CHECKPOINTS), place.resumable)
    saved, resumable = team.told(here)
    return team.fit(
        job.model,
        train,
        validation=job.validation,
        epochs=args.epochs,
        batch_size=args.batch_size,
        optimizer=optimizer,
        loss=job.loss,
        seed=args.seed,
        drop_last=args.drop_last,
        callbacks=[
            *stop,
            *([] if place is None else [place]),
            Checkpoint(saved, seconds=_SECONDS, keep=1),
        ],
        schedule=SCHEDULES[args.schedule].make(optimizer, args.epochs, batches),
        ema=None if args.ema is None else EMA(job.model, args.ema),
        augment=job.augment,
        workers=args.workers,
        resume=saved if resumable else None,
    )


def _test_scores(args: argparse.Namespace, job: _Job, team: Ranks, history: History) -> Row:
    """Loss and metrics on the test set; of the last epoch if those are of the kept model."""
    if args.val_split is None and args.early_stop is None:
        last = history[-1]
        return {k.removeprefix("val_"): v for k, v in last.items() if k.startswith("val_")}
    return dict(team.evaluate(job.model, job.parts.test, job.loss))


def _validation(args: argparse.Namespace, parts: data.Parts) -> tuple[data.Parts, data.Samples]:
    """The parts without the samples of --val-split, and the samples to score after each epoch."""
    if args.val_split is None:
        return parts, parts.test
    if len(parts.train) < 2:
        raise ValueError(f"{args.data}: 1 training sample cannot be split by --val-split")
    train, validation = train_test_split(
        parts.train,
        test_size=args.val_split,
        stratify=not parts.regression,
        seed=args.seed,
    )
    return data.Parts(train, parts.test), validation


def _augment(
    args: argparse.Namespace, parts: data.Parts, preprocessing: Preprocessing
) -> Compose | None:
    if args.augment == "none":
        return None
    if len(parts.sample_shape) != 3 or preprocessing.value_range is None:
        raise ValueError(f"{args.data}: --augment is for images on a scale from black to white")
    return Compose(AUGMENTS[args.augment].make(*parts.sample_shape[1:]))


def _loss(args: argparse.Namespace, parts: data.Parts) -> Loss:
    if not args.class_weights:
        return MSELoss() if parts.regression else CrossEntropyLoss()
    if parts.regression:
        raise ValueError(f"{args.data}: --class-weights is for classes, and these are numbers")
    counts = np.bincount(parts.train.y, minlength=parts.outputs)
    return CrossEntropyLoss(weight=len(parts.train) / (parts.outputs * np.maximum(counts, 1)))


def _check_arguments(args: argparse.Namespace) -> None:
    """Usage errors: an occupied directory, and flags that do not apply to --data or one process."""
    ranks.check(args)
    if args.out is not None:
        try:
            check_out(args.out)
        except OSError as error:
            args.parser.error(f"argument --out: {error.filename} {error.strerror}")
    folder, arrays = os.path.isdir(args.data), args.data.endswith(".npz")
    for flag, value, fits, what in (
        ("--resize", args.resize, folder, "a folder of images"),
        ("--background", args.background, folder, "a folder of images"),
        ("--cache-mb", args.cache_mb, folder, "a folder of images"),
        ("--layout", args.layout, arrays, "an .npz file"),
    ):
        if value is not None and not fits:
            args.parser.error(f"{flag} is for {what}, and --data is {args.data}")


def _settings(
    args: argparse.Namespace, parts: data.Parts, validation: data.Samples, model: Layer
) -> dict[str, Any]:
    """The contents of run.json except the result."""
    method = OPTIMIZERS[args.optimizer]
    return {
        "cnnx": config.config_dict(),
        "data": {
            "source": data.absolute(args.data),
            "train": len(parts.train),
            "test": len(parts.test),
            **({} if args.val_split is None else {"validation": len(validation)}),
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
            "lowered_to": args.lr * LOWERED if args.schedule == "tenth" else None,
            **method.settings,
        },
        "seed": args.seed,
        "options": stored(args),
    }


def _print_header(args: argparse.Namespace, job: _Job, team: Ranks) -> None:
    found = job.settings["cnnx"]
    kernels = f" ({found['kernel set (ISA)']})" if "kernel set (ISA)" in found else ""
    plural = "" if found["threads"] == 1 else "s"
    compute = f"{found['backend']}{kernels}, {found['threads']} thread{plural}"
    if found["backend"] == "reference":  # NumPy manages its threads itself
        compute = "reference (NumPy)"
    print(f"data      {data.describe(args.data, job.parts)}")
    input_words = _input_words(job.preprocessing)
    if input_words:
        print(f"input     {input_words}")
    print(f"model     {args.model}: {job.settings['parameters']:,} parameters, {args.dtype}")
    lowered = args.epochs // 5 if args.schedule == "tenth" else 0
    last = f" (the last {lowered}: {args.lr * LOWERED:g})" if lowered else ""
    if args.schedule not in ("tenth", "constant"):
        last = f" ({args.schedule})"
    print(
        f"training  {args.optimizer} {args.lr:g}, {args.epochs} epochs{last}, "
        f"batches of {args.batch_size}, seed {args.seed}"
    )
    if team.comm is not None:
        print(f"ranks     {team.describe()}")
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


def _print_result(scores: Row, place: Run, parts: data.Parts) -> None:
    """Print the scores, which `fit` measures in the same way as `evaluate`."""
    of = f"{len(parts.test):,} {'images' if len(parts.sample_shape) == 3 else 'points'}"
    if parts.regression:
        result = f"test loss {scores['loss']:.4f} (mean squared error of {of})"
    else:
        accuracy = 100 * scores["accuracy"]
        result = f"test accuracy {accuracy:.2f} % of {of}, loss {scores['loss']:.4f}"
    print(f"{result}, after {place.seconds:.1f} s", flush=True)
