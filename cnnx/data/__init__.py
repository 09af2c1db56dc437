"""Data sets, batches and the small tools between a file and `fit`.

Loaders return `Dataset`s (`load_digits` needs no network); wherever a data set is taken, an
`(x, y)` pair of arrays works too.
"""

from __future__ import annotations

from .batches import Batches, batches, channel_stats, normalize, train_test_split
from .datasets import (
    Dataset,
    as_dataset,
    load_arrays,
    load_cifar10,
    load_digits,
    load_fashion_mnist,
    load_folder,
    load_mnist,
)
from .download import DownloadError, cache_directory

__all__ = [
    "Batches",
    "Dataset",
    "DownloadError",
    "as_dataset",
    "batches",
    "cache_directory",
    "channel_stats",
    "load_arrays",
    "load_cifar10",
    "load_digits",
    "load_fashion_mnist",
    "load_folder",
    "load_mnist",
    "normalize",
    "train_test_split",
]
