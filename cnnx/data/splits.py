"""Splits of a data set: for test, for cross-validation, at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..random import generator
from ..targets import is_one_hot
from .datasets import Dataset
from .limits import integer
from .samplers import class_numbers
from .sources import Subset, as_source, labels_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cnnx.typing import Source


def train_test_split(
    data: Source,
    y: ArrayLike | None = None,
    *,
    test_size: float = 0.2,
    stratify: bool = True,
    seed: int | None = 0,
) -> tuple[Any, Any]:
    """Split a data set at random into training and test set.

    data, y    Dataset or (x, y) pair; x and y as two arguments; or an ImageFolder, Subset or any
               map-style data set with labels `y`
    test_size  a fraction of the samples between 0 and 1 (rounded up), or their number
    stratify   keep the class proportions in the test set, to within one sample; y must then be
               integer labels (n,) or (n, 1), or one-hot rows, with at least two samples of each
               class
    seed       int from 0: the same seed gives the same split; None: `cnnx.manual_seed`'s generator

    returns    train, test, in random order: Datasets, copied, of arrays; `Subset`s, without copies,
               of other data sets

    Example:
        train, test = train_test_split((x, y), test_size=0.25)
        train, test = train_test_split(x, y, stratify=False)
        train, test = train_test_split(cnnx.data.ImageFolder("flowers", size=64))
    """
    op = "train_test_split"
    whole = as_source(data if y is None else (data, y))
    count = _test_count(op, test_size, len(whole))
    seed = None if seed is None else integer(op, "seed", seed, 0)
    labels = _stratified_labels(op, labels_of(op, whole), count) if stratify else None
    order = generator(seed).permutation(len(whole))
    test = np.zeros(len(whole), bool)  # indexed by position in `order`
    if labels is None:
        test[:count] = True
    else:
        shares = _shares(np.bincount(labels), count)
        for label, share in enumerate(shares):
            test[np.flatnonzero(labels[order] == label)[:share]] = True
    if isinstance(whole, Dataset):
        return whole[order[~test]], whole[order[test]]
    return Subset(whole, order[~test]), Subset(whole, order[test])


def _test_count(op: str, test_size: float, n: int) -> int:
    if isinstance(test_size, (bool, np.bool_)) or not isinstance(
        test_size, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{op}: test_size must be a fraction or a number, got {test_size!r}")
    if isinstance(test_size, (float, np.floating)):
        if not 0 < test_size < 1:
            raise ValueError(
                f"{op}: test_size as a fraction must be between 0 and 1, got {test_size}; "
                f"a number of samples is an int"
            )
        count = math.ceil(n * float(test_size) - 1e-9)  # 70 * 0.1 is 7 plus a rounding error
    else:
        count = int(test_size)
    if not 0 < count < n:
        raise ValueError(
            f"{op}: test_size={test_size} makes {count} of {n} samples the test set; "
            f"both sets need one or more"
        )
    return count


def _stratified_labels(op: str, y: np.ndarray, count: int) -> np.ndarray:
    """Labels as 0..classes-1, if a stratified split with a test set of `count` is possible."""
    if y.shape[1:] in ((), (1,)):
        classes = y.reshape(-1) if y.dtype.kind in "iub" else None
    else:
        classes = y.argmax(axis=1) if y.ndim == 2 and is_one_hot(y) else None
    if classes is None:
        raise ValueError(
            f"{op}: stratify=True needs integer labels (n,) or one-hot rows, but y is {y.shape} "
            f"{y.dtype}; pass stratify=False"
        )
    names, labels, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    if sizes.min() < 2:
        raise ValueError(
            f"{op}: class {names[sizes.argmin()]} has 1 sample, stratify=True needs 2 or more; "
            f"pass stratify=False"
        )
    if min(count, len(y) - count) < len(names):
        raise ValueError(
            f"{op}: {len(names)} classes do not fit into train and test sets of {len(y) - count} "
            f"and {count} samples; choose another test_size or stratify=False"
        )
    return labels


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """Test samples per class: the proportional share, rounded by the largest remainder."""
    shares, remainder = np.divmod(sizes * count, sizes.sum())
    shares[np.argsort(-remainder, kind="stable")[: count - shares.sum()]] += 1
    return shares


def random_split(data: Source, lengths: Sequence[float], *, seed: int | None = 0) -> list[Subset]:
    """Split a data set at random into parts that do not overlap, without copies.

    data     Dataset, (x, y) pair, ImageFolder or any map-style data set
    lengths  the numbers of samples, whose sum is that of the data set; or fractions whose sum is 1:
             floor(fraction * n) each, and one more for the first ones until the sum is n
    seed     int from 0: the same seed gives the same split; None: `cnnx.manual_seed`'s generator

    returns  a `Subset` for each length, as `torch.utils.data.random_split`

    Example: ``train, validation, test = random_split(data, [0.8, 0.1, 0.1])``
    """
    op = "random_split"
    source = as_source(data, op)
    sizes = _lengths(op, lengths, len(source))
    seed = None if seed is None else integer(op, "seed", seed, 0)
    order = generator(seed).permutation(len(source))
    return [Subset(source, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def kfold(
    data: Source, k: int = 5, *, stratify: bool = True, seed: int | None = 0
) -> list[tuple[Subset, Subset]]:
    """The k pairs (train, validation) of cross-validation: each sample validates exactly once.

    data      Dataset, (x, y) pair, ImageFolder or any map-style data set with labels `y`
    k         number of parts, at least 2
    stratify  every part has each class to within one sample of its share; every class then needs at
              least k samples. False: the parts are taken at random
    seed      int from 0; None: `cnnx.manual_seed`'s generator

    returns   k pairs of `Subset`s; the validation sets differ in size by at most one

    Example:
        for train, validation in kfold(data, 5):
            history = cnnx.fit(make_model(), train, validation=validation, epochs=10)
    """
    op = "kfold"
    source = as_source(data, op)
    k, n = integer(op, "k", k, 2), len(source)
    if n < k:
        raise ValueError(f"{op}: k is {k}, but there are {n} samples")
    seed = None if seed is None else integer(op, "seed", seed, 0)
    order = generator(seed).permutation(n)
    if checks.flag(op, "stratify", stratify):
        numbers = class_numbers(op, source)
        names, sizes = np.unique(numbers, return_counts=True)
        if sizes.min() < k:
            raise ValueError(
                f"{op}: class {names[sizes.argmin()]} has {sizes.min()} samples, stratify=True "
                f"needs {k} or more; pass stratify=False"
            )
        # Class by class, dealt out in turn: every k neighbours go to k different parts.
        order = order[np.argsort(numbers[order], kind="stable")]
    part = np.empty(n, np.intp)
    part[order] = np.arange(n) % k
    return [
        (Subset(source, np.flatnonzero(part != i)), Subset(source, np.flatnonzero(part == i)))
        for i in range(k)
    ]


def _lengths(op: str, lengths: Sequence[float], n: int) -> list[int]:
    """Numbers of samples, from numbers or fractions."""
    given = list(lengths)
    if not given:
        raise ValueError(f"{op}: lengths is empty, expected one or more")
    if all(isinstance(length, (int, np.integer)) for length in given):
        sizes = [integer(op, "a length", length, 0) for length in given]
        if sum(sizes) != n:
            raise ValueError(f"{op}: the lengths add up to {sum(sizes)}, but there are {n} samples")
        return sizes
    shares = [checks.real(op, "a length", length) for length in given]
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"{op}: lengths are {given}, expected numbers of samples, or fractions that add up to 1"
        )
    sizes = [math.floor(n * share + 1e-9) for share in shares]
    for i in range(n - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes
