"""Data sets, batches, and utilities to prepare data for `fit`.

Loaders return `Dataset`s (`load_digits` needs no network). An `(x, y)` pair of arrays is accepted
wherever a data set is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .batches import Batches, DataLoader, batches
from .csv import load_csv, save_csv
from .datasets import (
    Dataset,
    as_dataset,
    load_arrays,
    load_cifar10,
    load_digits,
    load_fashion_mnist,
    load_mnist,
)
from .download import DownloadError, cache_directory
from .folders import load_folder, load_folders
from .image_folder import ImageFolder
from .images import load_image
from .labels import one_hot, select_classes
from .samplers import (
    ClassBalancedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .shapes import make_shapes
from .sources import Subset, WeightedDataset, as_source
from .splits import kfold, random_split, train_test_split
from .standard import channel_stats, normalize
from .synthetic import (
    make_circle,
    make_line,
    make_polynomial,
    make_spiral,
    make_zone,
    make_zone_3d,
)

if TYPE_CHECKING:
    from . import transforms as transforms

__all__ = [
    "Batches",
    "ClassBalancedSampler",
    "DataLoader",
    "Dataset",
    "DownloadError",
    "ImageFolder",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "WeightedDataset",
    "WeightedRandomSampler",
    "as_dataset",
    "as_source",
    "batches",
    "cache_directory",
    "channel_stats",
    "kfold",
    "load_arrays",
    "load_cifar10",
    "load_csv",
    "load_digits",
    "load_fashion_mnist",
    "load_folder",
    "load_folders",
    "load_image",
    "load_mnist",
    "make_circle",
    "make_line",
    "make_polynomial",
    "make_shapes",
    "make_spiral",
    "make_zone",
    "make_zone_3d",
    "normalize",
    "one_hot",
    "random_split",
    "save_csv",
    "select_classes",
    "train_test_split",
]


def __getattr__(name: str) -> object:
    """`cnnx.data.transforms`, imported when it is first used."""
    if name != "transforms":
        raise AttributeError(f"module 'cnnx.data' has no attribute {name!r}")
    import importlib

    return importlib.import_module(".transforms", __name__)
