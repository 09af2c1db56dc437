"""``--data``: the name of a known data set, a file of arrays or points, or class folders."""

# Design:
# Arguments are parsed with a quick look at the disk only: a misspelt name is a usage error. Loading
# comes later, and records whether one of our loaders has scaled the numbers to [0, 1] (known data
# sets, image files, bytes) or they are the user's own. Synthetic points are drawn with the run's
# seed. splits.py decides which samples are used for training and which are held out. Labels of
# other data sets are mapped to the model's by class name.

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from cnnx import data
from cnnx.cli.console import listed, printable
from cnnx.data import Dataset, Subset
from cnnx.data.image_folder import open_folders
from cnnx.data.npz import stored_dtype

__all__ = [
    "NAMES",
    "SOURCES",
    "Loaded",
    "Parts",
    "Samples",
    "absolute",
    "count",
    "describe",
    "is_drawn",
    "label_name",
    "load",
    "match_classes",
    "parse",
    "sample_shape",
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
    f"{', '.join(_LOADERS)}; synthetic points: {', '.join(_MAKERS)}; an .npz file (x, y), "
    "a .csv file (x0,x1,label or x0,y0), or a folder with one subfolder of images per class"
)
_FILES = (".npz", ".csv")


class Samples(Protocol):
    """What any data set of the command line has: a Dataset, images of a folder, or their Subset."""

    @property
    def y(self) -> np.ndarray: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Any: ...


class Parts(NamedTuple):
    """A data set split into training and test part, and properties of its samples."""

    train: Samples
    test: Samples

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample; for images (channels, height, width)."""
        return sample_shape(self.train)

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers instead of classes."""
        return self.train.y.dtype.kind == "f"

    @property
    def outputs(self) -> int:
        """Number of outputs of a model for these samples."""
        return int(self.train.y.shape[1]) if self.regression else len(self.classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """One name per label, in label order; () for a regression."""
        if self.regression:
            return ()
        if self.train.classes:
            return self.train.classes
        count = 1 + max((int(part.y.max()) for part in self if len(part)), default=-1)
        return tuple(map(str, range(count)))


def sample_shape(part: Any) -> tuple[int, ...]:
    """Shape of one sample, without reading any."""
    if isinstance(part, Subset):
        return sample_shape(part.dataset)
    shape: tuple[int, ...] = part.x.shape[1:] if isinstance(part, Dataset) else part.shape
    return shape


def parse(text: str) -> str:
    """argparse type: a known name, or the path of an existing file or folder."""
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
    """The source as a path that stays valid when the working directory changes."""
    return source if source in NAMES else os.path.abspath(source)


def short_name(source: str) -> str:
    """The data set's name as used in the name of a run directory."""
    name = os.path.basename(os.path.abspath(source)) or "data"
    return source if source in NAMES else name.removesuffix(".npz").removesuffix(".csv")


class Loaded(NamedTuple):
    """A data set as it was loaded, before any conversion of numbers and labels.

    Both parts are Datasets, or ImageFolders, which are read as they are used.
    """

    train: Any
    test: Any  # None: the data set has no test set of its own
    unit: bool  # whether one of our loaders has scaled x to [0, 1]


def load(
    source: str,
    seed: int,
    *,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    background: Any = None,
    cache_bytes: int = 256 << 20,
) -> Loaded:
    """Load what `parse` accepted.

    layout            of arrays in an .npz file, as in `load_arrays`
    size, channels, background  of images in folders, as in `load_folder`
    cache_bytes       memory for decoded images of folders, as in `ImageFolder`
    """
    if source in _LOADERS:
        return Loaded(*_LOADERS[source](), unit=True)
    if source in _MAKERS:
        return Loaded(_MAKERS[source](seed=seed), None, unit=False)
    if os.path.isdir(source):
        folders = open_folders(
            source, size, channels, background=background, cache_bytes=cache_bytes
        )
        return Loaded(*folders, unit=True)
    if source.endswith(".csv"):
        return Loaded(data.load_csv(source), None, unit=False)
    train, test = data.load_arrays(source, layout)
    for part, name in ((train, "x"), (test, "x_test")):
        if part is not None and len(part) == 0:
            raise ValueError(f"{source}: {name} has 0 samples")
    return Loaded(train, test, unit=stored_dtype(source) == np.uint8)


def is_drawn(source: str) -> bool:
    """Whether the samples are synthetic, drawn with a seed."""
    return source in _MAKERS


def match_classes(source: str, part: Any, known: tuple[str, ...]) -> Any:
    """A Dataset or `Images` with its labels mapped to those of a model with the classes `known`.

    Classes are matched by name. If the data set has numbers instead of names, they are indices of
    the model's classes, unless all of those are numbers too. A class that the model does not know
    is a ValueError that lists both sets of classes.
    """
    if not known or part.y.dtype.kind == "f" or part.classes == known:
        return part
    present = np.unique(part.y)
    names = {int(label): label_name(part.classes, int(label)) for label in present}
    places = {name: place for place, name in enumerate(known)}
    numbered = all(name == str(label) for label, name in names.items())
    if numbered and not all(name.isdecimal() for name in known):
        places = {str(place): place for place in range(len(known))}
    unknown = [name for name in names.values() if name not in places]
    if unknown:
        raise ValueError(
            f"{source}: class {listed(unknown)} is not one of the model's: it knows "
            f"{listed(known, 20)}; the data contain {listed(names.values(), 20)}"
        )
    labels = np.array([places[name] for name in names.values()], np.int64)
    return replace(part, y=labels[np.searchsorted(present, part.y)], classes=known)


def describe(source: str, parts: Parts) -> str:
    """One line: name, number of samples, their shape, classes."""
    shape = "x".join(map(str, parts.sample_shape))
    if len(parts.sample_shape) == 1:
        shape = count(parts.sample_shape[0], "feature", "features")
    said = (
        count(parts.outputs, "regression target", "regression targets")
        if parts.regression
        else f"{len(parts.classes)} classes"
    )
    counts = f"{len(parts.train):,} train, {len(parts.test):,} test"
    return f"{printable(source)}: {counts}, {shape}, {said}"


def label_name(classes: tuple[str, ...], label: int) -> str:
    """The class's name, or its number if it has no name."""
    return classes[label] if label < len(classes) else str(label)


def count(n: int, one: str, many: str) -> str:
    """A number with its noun in the singular or plural."""
    return f"{n:,} {one if n == 1 else many}"
