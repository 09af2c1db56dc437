"""Prepares a data set for training: splits, standardisation, batches."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import unmasked
from ..random import generator
from ..targets import is_one_hot
from .datasets import Dataset, as_dataset

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_BLOCK = 1024  # samples whose float64 deviations are in memory at a time


def _integer(op: str, name: str, value: Any, least: int) -> int:
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{op}: {name} must be {least} or more, got {number}")
    if number >= 2**63:
        bits = number.bit_length()
        raise ValueError(f"{op}: {name} must be less than 2**63, got a number of {bits} bits")
    return number


class Batches:
    """The batches of a data set, epoch by epoch; returned by `batches(...)`.

    Iterating yields the next epoch's `(x, y)` pairs, `len` is the number of batches, `epoch(i)`
    yields the batches of epoch i (from 0). The order depends on seed and i only.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        shuffle: bool = False,
        seed: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.data = as_dataset(data)
        self.batch_size = _integer("batches", "batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        if drop_last and 0 < len(self.data) < self.batch_size:
            raise ValueError(
                f"batches: drop_last=True leaves no batch of {self.batch_size}: "
                f"data has {len(self.data)} samples"
            )
        if seed is not None:
            self.seed = _integer("batches", "seed", seed, 0)
        else:
            self.seed = int(generator().integers(2**63)) if shuffle else 0
        self._next_epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self.data), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self._next_epoch += 1
        return self.epoch(self._next_epoch - 1)

    def epoch(self, index: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of epoch `index`, from 0; does not advance the epoch counter of `for` loops."""
        index = _integer("batches", "epoch", index, 0)
        if not self.shuffle:
            return self._run(np.arange(len(self.data)))
        return self._run(np.random.default_rng((self.seed, index)).permutation(len(self.data)))

    def _run(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch in range(len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield self.data.x[chosen], self.data.y[chosen]

    def __repr__(self) -> str:
        order = f", shuffled with seed {self.seed}" if self.shuffle else ""
        return f"Batches({len(self)} of {self.batch_size} from {self.data!r}{order})"


def batches(
    data: Any,
    batch_size: int,
    shuffle: bool = False,
    seed: int | None = None,
    drop_last: bool = False,
) -> Batches:
    """Batches of a data set, as an object that can be iterated repeatedly.

    data        Dataset or (x, y) pair
    batch_size  samples per batch; the last batch of an epoch may have fewer
    shuffle     a different order in every epoch, given by seed and epoch; otherwise stored order
    seed        int from 0; None draws one from the generator seeded by `cnnx.manual_seed`
    drop_last   leave out an incomplete last batch

    Yields (x, y) as new copies. `len(...)` is the number of batches, `.epoch(i)` yields the batches
    of a given epoch. Raises ValueError/TypeError for a batch_size below 1, a negative seed, or
    drop_last with fewer samples than one batch.

    Example:
        for x, y in cnnx.data.batches(train, 32, shuffle=True, seed=0):
            ...
    """
    return Batches(data, batch_size, shuffle, seed, drop_last)


def train_test_split(
    data: Any,
    y: ArrayLike | None = None,
    *,
    test_size: float = 0.2,
    stratify: bool = True,
    seed: int | None = 0,
) -> tuple[Dataset, Dataset]:
    """Split a data set at random into training and test set.

    data, y    Dataset or (x, y) pair; or x and y as two arguments
    test_size  a fraction of the samples between 0 and 1 (rounded up), or their number
    stratify   keep the class proportions in the test set, to within one sample; y must then be
               integer labels (n,) or (n, 1), or one-hot rows, with at least two samples of each
               class
    seed       int from 0: the same seed gives the same split; None: `cnnx.manual_seed`'s generator

    returns    train, test: Datasets, copied, in random order

    Example:
        train, test = train_test_split((x, y), test_size=0.25)
        train, test = train_test_split(x, y, stratify=False)
    """
    op = "train_test_split"
    whole = as_dataset(data if y is None else (data, y))
    count = _test_count(op, test_size, len(whole))
    seed = None if seed is None else _integer(op, "seed", seed, 0)
    labels = _stratified_labels(op, whole.y, count) if stratify else None
    order = generator(seed).permutation(len(whole))
    test = np.zeros(len(whole), bool)  # indexed by position in `order`
    if labels is None:
        test[:count] = True
    else:
        shares = _shares(np.bincount(labels), count)
        for label, share in enumerate(shares):
            test[np.flatnonzero(labels[order] == label)[:share]] = True
    return whole[order[~test]], whole[order[test]]


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


def channel_stats(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel (axis 1) over all samples and pixels.

    data     Dataset or (x, y) pair, x (n, c, ...)
    returns  mean (c,), std (c,) float64; std is the population's (divided by the count)

    Example: `mean, std = cnnx.data.channel_stats(train)`
    """
    x = as_dataset(data).x
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"channel_stats: x has shape {x.shape}, expected samples (n, c, ...)")
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(x), _BLOCK):
        deviation = x[start : start + _BLOCK] - _along_channels(mean, x.ndim)
        squares += np.square(deviation, out=deviation).sum(axes)
    return mean, np.sqrt(squares / (x.size // x.shape[1]))


def normalize(*data: Any, mean: ArrayLike | None = None, std: ArrayLike | None = None) -> Any:
    """Standardise each channel: x -> (x - mean) / std, channels along axis 1.

    data       one or more Datasets or (x, y) pairs, x (n, c, ...)
    mean, std  numbers or arrays (c,), both or neither; by default those of the first data set
               (`channel_stats`), with std 1 for a constant channel

    returns    a new Dataset, or a tuple with one for each argument; float64 x stays float64, any
               other x becomes float32

    To apply the same transformation to later data, keep mean and std:

    Example:
        mean, std = channel_stats(train)
        train, test = normalize(train, test, mean=mean, std=std)    # = normalize(train, test)
        later = normalize(later, mean=mean, std=std)
    """
    if not data:
        raise TypeError("normalize: expected one or more data sets, got none")
    sets = [as_dataset(one, f"normalize: data set {i + 1}") for i, one in enumerate(data)]
    if (mean is None) != (std is None):
        raise ValueError("normalize: give both mean and std, or neither")
    if mean is None or std is None:
        mean, std = channel_stats(sets[0])
        std = np.where(std > 0, std, 1.0)
    unmasked("normalize", "mean", mean)
    unmasked("normalize", "std", std)
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError(f"normalize: mean must be finite and std positive, got {mean} and {std}")
    for i, one in enumerate(sets):
        channels = one.x.shape[1] if one.x.ndim > 1 else None
        if channels is None or any(v.shape not in ((), (1,), (channels,)) for v in (mean, std)):
            raise ValueError(
                f"normalize: data set {i + 1} has x {one.x.shape}, which does not fit "
                f"mean {mean.shape} and std {std.shape} along axis 1"
            )
    results = tuple(_standardised(one, mean, std) for one in sets)
    return results[0] if len(results) == 1 else results


def _standardised(data: Dataset, mean: np.ndarray, std: np.ndarray) -> Dataset:
    dtype = np.float64 if data.x.dtype == np.float64 else np.float32
    x = data.x.astype(dtype)
    np.subtract(x, _along_channels(mean, x.ndim), out=x, casting="same_kind")
    np.divide(x, _along_channels(std, x.ndim), out=x, casting="same_kind")
    return Dataset(x, data.y, data.classes, data.names)


def _along_channels(values: np.ndarray, ndim: int) -> np.ndarray:
    return values.reshape(-1, *(1,) * (ndim - 2))
