"""``--data``: the name of a known data set, a file of arrays or points, or class folders."""

# Design:
# What to load is decided while arguments are parsed, and costs a look at the disk: a misspelt name
# is a usage error. Loading comes later. Data without a test set of its own are split by the run's
# seed, so `evaluate` and `predict`, which find the seed in run.json, hold the same samples out as
# `train` did; points by formula are drawn by it too.

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnnx import data
from cnnx.cli.console import printable
from cnnx.data import Dataset

__all__ = [
    "NAMES",
    "SOURCES",
    "Parts",
    "absolute",
    "describe",
    "label_name",
    "load",
    "parse",
    "short_name",
]

_LOADERS = {
    "digits": data.load_digits,
    "mnist": data.load_mnist,
    "fashion-mnist": data.load_fashion_mnist,
    "cifar10": data.load_cifar10,
}
_MAKERS: dict[str, Callable[..., Dataset]] = {
    "spiral": data.make_spiral,
    "circle": data.make_circle,
    "line": data.make_line,
    "zone": data.make_zone,
    "zone-3d": data.make_zone_3d,
    "polynomial": data.make_polynomial,
}
NAMES = (*_LOADERS, *_MAKERS)
SOURCES = (
    f"{', '.join(_LOADERS)}; points by formula: {', '.join(_MAKERS)}; an .npz file (x, y), "
    "a .csv file (x0,x1,label or x0,y0), or a folder with a folder of images for each class"
)
_FILES = (".npz", ".csv")


class Parts(NamedTuple):
    """A data set in two parts, and what its samples are."""

    train: Dataset
    test: Dataset

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (channels, height, width) of images."""
        return self.train.x.shape[1:]

    @property
    def regression(self) -> bool:
        """Whether numbers are to be predicted, not classes."""
        return self.train.y.dtype.kind == "f"

    @property
    def outputs(self) -> int:
        """How many outputs a model of these samples has."""
        return int(self.train.y.shape[1]) if self.regression else len(self.classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """A name for each label, in the order of the labels; () of a regression."""
        if self.regression:
            return ()
        if self.train.classes:
            return self.train.classes
        count = 1 + max((int(part.y.max()) for part in self if len(part)), default=-1)
        return tuple(map(str, range(count)))


def parse(text: str) -> str:
    """An argparse type: a known name, or the path of something that is there."""
    path = os.path.expanduser(text)
    if text in NAMES:
        return text
    if os.path.isdir(path) or (path.endswith(_FILES) and os.path.isfile(path)):
        return path
    if os.path.exists(path):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a folder of class folders nor an .npz or .csv file"
        )
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a data set ({', '.join(NAMES)}) nor an .npz file, a .csv file or a "
        "folder that exists"
    )


def absolute(source: str) -> str:
    """A source that stays right when the working directory changes."""
    return source if source in NAMES else os.path.abspath(source)


def short_name(source: str) -> str:
    """What to call a data set in the name of a run's directory."""
    name = os.path.basename(os.path.abspath(source)) or "data"
    return source if source in NAMES else name.removesuffix(".npz").removesuffix(".csv")


def load(source: str, seed: int) -> Parts:
    """Load what `parse` accepted; a fifth of every class is held out where there is no test set."""
    if source in _LOADERS:
        return Parts(*_LOADERS[source]())
    if source in _MAKERS:
        return _split(source, _MAKERS[source](seed=seed), seed)
    if os.path.isdir(source):
        return _split(source, data.load_folder(source), seed)
    if source.endswith(".csv"):
        return _split(source, data.load_csv(source), seed)
    train, test = data.load_arrays(source)
    if test is None:
        return _split(source, train, seed)
    for part, name in ((train, "x"), (test, "x_test")):
        if len(part) == 0:
            raise ValueError(f"{source}: {name} has 0 samples")
    return Parts(train, test)


def describe(source: str, parts: Parts) -> str:
    """One line: name, numbers of samples, their shape, classes."""
    shape = "x".join(map(str, parts.sample_shape))
    if len(parts.sample_shape) == 1:
        shape = _count(parts.sample_shape[0], "feature", "features")
    said = (
        _count(parts.outputs, "number to predict", "numbers to predict")
        if parts.regression
        else f"{len(parts.classes)} classes"
    )
    counts = f"{len(parts.train):,} train, {len(parts.test):,} test"
    return f"{printable(source)}: {counts}, {shape}, {said}"


def label_name(classes: tuple[str, ...], label: int) -> str:
    """The class's name, or its number where no name is known."""
    return classes[label] if label < len(classes) else str(label)


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _split(source: str, whole: Dataset, seed: int) -> Parts:
    if whole.y.dtype.kind == "f":
        if len(whole) < 2:
            raise ValueError(
                f"{source}: {_count(len(whole), 'sample', 'samples')}, and a fifth is held out to "
                "test on: 2 or more are needed"
            )
        return Parts(*data.train_test_split(whole, stratify=False, seed=seed))
    labels, sizes = np.unique(whole.y, return_counts=True)
    held_out = math.ceil(len(whole) / 5)
    if sizes.size and sizes.min() < 2:
        name = label_name(whole.classes, int(labels[sizes.argmin()]))
        raise ValueError(
            f"{source}: class {name} has 1 sample, and a fifth is held out of every class to test "
            "on: 2 or more are needed"
        )
    if held_out < max(len(labels), 1):
        raise ValueError(
            f"{source}: {len(whole)} samples are too few for {len(labels)} classes: the fifth held "
            f"out to test on would have {held_out}"
        )
    return Parts(*data.train_test_split(whole, test_size=held_out, seed=seed))
