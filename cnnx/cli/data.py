"""``--data``: the name of a known data set, an .npz file, or a folder of class folders."""

# Design:
# What to load is decided while arguments are parsed, and costs a look at the disk: a misspelt name
# is a usage error. Loading comes later. A file or folder without a test set of its own is split by
# the run's seed, so `evaluate` and `predict`, which find the seed in run.json, hold the same
# samples out as `train` did.

from __future__ import annotations

import argparse
import math
import os
from typing import NamedTuple

import numpy as np

from cnnx import data
from cnnx.data import Dataset

__all__ = ["NAMES", "Parts", "absolute", "describe", "label_name", "load", "parse", "short_name"]

_LOADERS = {
    "digits": data.load_digits,
    "mnist": data.load_mnist,
    "fashion-mnist": data.load_fashion_mnist,
    "cifar10": data.load_cifar10,
}
NAMES = tuple(_LOADERS)


class Parts(NamedTuple):
    """A data set in two parts, and what its samples are."""

    train: Dataset
    test: Dataset

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (channels, height, width) of images."""
        return self.train.x.shape[1:]

    @property
    def classes(self) -> tuple[str, ...]:
        """A name for each label, in the order of the labels."""
        if self.train.classes:
            return self.train.classes
        count = 1 + max((int(part.y.max()) for part in self if len(part)), default=-1)
        return tuple(map(str, range(count)))


def parse(text: str) -> str:
    """An argparse type: a known name, or the path of something that is there."""
    path = os.path.expanduser(text)
    if text in _LOADERS:
        return text
    if os.path.isdir(path) or (path.endswith(".npz") and os.path.isfile(path)):
        return path
    if os.path.exists(path):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a folder of class folders nor an .npz file"
        )
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a data set ({', '.join(_LOADERS)}) nor an .npz file or a folder "
        "that exists"
    )


def absolute(source: str) -> str:
    """A source that stays right when the working directory changes."""
    return source if source in _LOADERS else os.path.abspath(source)


def short_name(source: str) -> str:
    """What to call a data set in the name of a run's directory."""
    name = os.path.basename(os.path.abspath(source)) or "data"
    return source if source in _LOADERS else name.removesuffix(".npz")


def load(source: str, seed: int) -> Parts:
    """Load what `parse` accepted; a fifth of every class is held out where there is no test set."""
    if source in _LOADERS:
        return Parts(*_LOADERS[source]())
    if os.path.isdir(source):
        return _split(source, data.load_folder(source), seed)
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
    return (
        f"{source}: {len(parts.train):,} train, {len(parts.test):,} test, {shape}, "
        f"{len(parts.classes)} classes"
    )


def label_name(classes: tuple[str, ...], label: int) -> str:
    """The class's name, or its number where no name is known."""
    return classes[label] if label < len(classes) else str(label)


def _split(source: str, whole: Dataset, seed: int) -> Parts:
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
