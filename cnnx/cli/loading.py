"""The data of ``cnnx train``: read, converted to the model's input, and split for the test."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cnnx.cli import data
from cnnx.cli.folders import Images
from cnnx.cli.images import Doubts, prepare
from cnnx.cli.splits import hold_out, named
from cnnx.data import Dataset, ImageFolder
from cnnx.preprocessing import Preprocessing

__all__ = ["Input", "load"]

_CACHE_MB = 1024  # unless --cache-mb is given


class Input(NamedTuple):
    """Training and test part, as the model's input, and how they were made."""

    parts: data.Parts
    preprocessing: Preprocessing
    own_test: bool  # whether the data set has its own test set


def load(args: argparse.Namespace) -> Input:
    """Load --data; ValueError for data that cannot be trained on."""
    cache_mb = _CACHE_MB if args.cache_mb is None else args.cache_mb
    found = data.load(
        args.data,
        args.seed,
        layout=args.layout,
        size=args.resize,
        background=args.background,
        cache_bytes=cache_mb << 20,
    )
    _check_labels(args.data, found)
    convert = _images if isinstance(found.train, ImageFolder) else _arrays
    train, test, preprocessing = convert(args, found)
    parts = hold_out(args.data, train, args.seed) if test is None else data.Parts(train, test)
    # Arrays given to `predict` are expected in the same form as the stored training arrays.
    preprocessing = replace(preprocessing, layout=args.layout or "channels_first")
    return Input(parts, preprocessing, test is not None)


def _check_labels(source: str, found: data.Loaded) -> None:
    """ValueError for no samples, and for a single class."""
    parts = data.Parts(found.train, found.train)
    if len(found.train) == 0:
        raise ValueError(f"{source}: 0 samples are too few to train on")
    labels = np.unique(found.train.y)
    if not parts.regression and len(labels) < 2:
        name = data.label_name(parts.classes, int(labels[0]))
        raise ValueError(
            f"{source}: all {len(found.train)} samples are of class {name}, but at least 2 classes "
            "are required"
        )


def _arrays(
    args: argparse.Namespace, found: data.Loaded
) -> tuple[Dataset, Dataset | None, Preprocessing]:
    """Arrays as the model's input; their preprocessing follows from the numbers."""
    whole = found.train
    how = Preprocessing.from_data(
        whole,
        classes=data.Parts(whole, whole if found.test is None else found.test).classes,
        invert=args.invert,
        **({"value_range": (0.0, 1.0)} if found.unit else {}),
    )
    if args.invert and (len(how.input_shape) != 3 or how.value_range is None):
        raise ValueError(f"{args.data}: --invert is for images on a scale from black to white")
    train, test = (
        None if part is None else replace(part, x=prepare(how, part.x, found.unit, name))
        for part, name in ((whole, args.data), (found.test, f"{args.data}: x_test"))
    )
    assert train is not None
    return named(train), test, how


def _images(
    args: argparse.Namespace, found: data.Loaded
) -> tuple[Images, Images | None, Preprocessing]:
    """Folders as the model's input. All images are read once, and none is held but in the cache."""
    how = Preprocessing(
        found.train.shape,
        found.train.classes,
        resize=args.resize is not None,
        background=args.background,
        invert=args.invert,
    )
    train = Images.of(found.train, how, args.data, args.workers)
    test = None if found.test is None else Images.of(found.test, how, args.data, args.workers)
    doubts = Doubts("train", how)
    for part in (train, test):
        if part is not None:
            doubts.uniform += part.facts.plain
    doubts.say()
    means = train.facts.means
    return train, test, replace(how, brightness=(float(means.mean()), float(means.std())))
