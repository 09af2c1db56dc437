"""Samplers: which samples an epoch takes, and in which order."""

# Design:
# A sampler is a function of a generator: `indices(rng)` for one epoch. `Batches` gives it a
# generator made of (seed, epoch), so that any epoch can be repeated, in any order and by any number
# of workers. Iterating a sampler, as PyTorch's loaders do, draws from cnnx's own generator.

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..random import generator
from ..targets import is_one_hot
from .sources import _indices, as_source, labels_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cnnx.typing import Source

__all__ = [
    "ClassBalancedSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
    "class_numbers",
]


class Sampler:
    """Base class: `indices(rng)` gives the samples of one epoch, `len` how many these are.

    Example:
        class OddOnes(cnnx.data.Sampler):
            def __len__(self):
                return 5

            def indices(self, rng):
                return rng.permutation(5) * 2 + 1
    """

    def __len__(self) -> int:
        raise NotImplementedError

    def indices(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Indices (len(self),) of the samples of an epoch, in order."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices(generator()).tolist())


class SequentialSampler(Sampler):
    """All samples in stored order. `SequentialSampler(data)`, or of a number of samples."""

    def __init__(self, data_source: Sized | int) -> None:
        self.count = _count("SequentialSampler", data_source)

    def __len__(self) -> int:
        return self.count

    def indices(self, rng: np.random.Generator) -> NDArray[np.intp]:
        return np.arange(self.count)


class RandomSampler(Sampler):
    """Samples in random order.

    data_source  the data set, or its number of samples
    replacement  draw each sample independently, so that some come twice and some not at all
    num_samples  length of an epoch; None: that of the data set. Without replacement, a longer epoch
                 consists of several whole orders
    """

    def __init__(
        self, data_source: Sized | int, replacement: bool = False, num_samples: int | None = None
    ) -> None:
        op = "RandomSampler"
        self.count = _count(op, data_source)
        self.replacement = checks.flag(op, "replacement", replacement)
        wanted = self.count if num_samples is None else num_samples
        self.num_samples = checks.integer(op, "num_samples", wanted, 0)
        if self.num_samples and not self.count:
            raise ValueError(f"{op}: num_samples is {num_samples}, but there are 0 samples")

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, rng: np.random.Generator) -> NDArray[np.intp]:
        if self.replacement:
            return rng.integers(self.count, size=self.num_samples)
        orders = -(-self.num_samples // max(self.count, 1))
        found = [rng.permutation(self.count) for _ in range(orders)]
        return np.concatenate([np.empty(0, np.intp), *found])[: self.num_samples]


class SubsetRandomSampler(Sampler):
    """The samples of `indices`, in random order."""

    def __init__(self, indices: ArrayLike) -> None:
        largest = int(np.max(indices)) + 1 if np.size(indices) else 0
        self.chosen = _indices("SubsetRandomSampler", indices, largest)

    def __len__(self) -> int:
        return len(self.chosen)

    def indices(self, rng: np.random.Generator) -> NDArray[np.intp]:
        return self.chosen[rng.permutation(len(self.chosen))]


class WeightedRandomSampler(Sampler):
    """Samples drawn with probabilities proportional to weights: P(i) = weights[i] / sum(weights).

    weights      (n,) numbers of 0 or more, one for each sample
    num_samples  draws per epoch
    replacement  a sample may be drawn again; False: each at most once, so at least num_samples
                 weights must be positive

    Example: ``sampler = WeightedRandomSampler(np.where(y == 0, 0.1, 0.9), num_samples=len(y))``
    """

    def __init__(self, weights: ArrayLike, num_samples: int, replacement: bool = True) -> None:
        op = "WeightedRandomSampler"
        self.weights = checks.from_anything(op, "weights", weights).astype(np.float64)
        self.num_samples = checks.integer(op, "num_samples", num_samples, 1)
        self.replacement = checks.flag(op, "replacement", replacement)
        found = self.weights
        if found.ndim != 1 or not (np.isfinite(found).all() and (found >= 0).all()):
            raise ValueError(f"{op}: weights must be finite numbers (n,) of 0 or more")
        positive = np.count_nonzero(found)
        least = 1 if self.replacement else self.num_samples
        if positive < least:
            raise ValueError(f"{op}: {positive} weights are positive, but {least} are needed")

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, rng: np.random.Generator) -> NDArray[np.intp]:
        p = self.weights / self.weights.sum()
        return rng.choice(len(p), self.num_samples, replace=self.replacement, p=p)


class ClassBalancedSampler(Sampler):
    """As many samples of each class as of any other, to within one, in random order.

    labels       (n,) integers, one-hot rows, or a data set that has them as `y`
    num_samples  length of an epoch; None: that of the data set

    Each class contributes whole random orders of its samples, and then a part of one: a rare class
    comes again as often as needed, and no sample comes twice before all of its class came once.

    Example: ``batches = cnnx.data.batches(train, 32, sampler=ClassBalancedSampler(train), seed=0)``
    """

    def __init__(self, labels: ArrayLike | Source, num_samples: int | None = None) -> None:
        op = "ClassBalancedSampler"
        numbers = class_numbers(op, labels)
        wanted = len(numbers) if num_samples is None else num_samples
        self.num_samples = checks.integer(op, "num_samples", wanted, 1)
        self.members = [np.flatnonzero(numbers == k) for k in np.unique(numbers)]
        if not self.members:
            raise ValueError(f"{op}: there are 0 samples")

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, rng: np.random.Generator) -> NDArray[np.intp]:
        share, rest = divmod(self.num_samples, len(self.members))
        favoured = set(rng.permutation(len(self.members))[:rest].tolist())
        chosen = [
            members[RandomSampler(len(members), num_samples=share + (k in favoured)).indices(rng)]
            for k, members in enumerate(self.members)
        ]
        return rng.permutation(np.concatenate(chosen))


def class_numbers(op: str, labels: Any) -> np.ndarray:
    """Labels (n,) of an array of labels or one-hot rows, or of a data set."""
    if isinstance(labels, (list, np.ndarray)):
        y = np.asarray(labels)
    else:
        y = labels_of(op, as_source(labels, op))
    if y.shape[1:] in ((), (1,)) and y.dtype.kind in "iub":
        return y.reshape(-1)
    if y.ndim == 2 and is_one_hot(y):
        return y.argmax(axis=1)
    raise ValueError(
        f"{op}: needs integer labels (n,) or one-hot rows, but got {y.shape} {y.dtype}"
    )


def _count(op: str, data: Any) -> int:
    if isinstance(data, (int, np.integer)):
        return checks.integer(op, "data_source", data, 0)
    return len(as_source(data, op))
