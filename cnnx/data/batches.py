"""Batches of a data set, epoch by epoch, with transforms and worker threads: `Batches`."""

# Design:
# A batch is a pure function of (seed, epoch, batch): its samples from a generator of (seed, epoch),
# its transform's numbers from one of (seed, epoch, batch). So the number of workers does not change
# a bit, and an epoch can be entered at any batch.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..random import generator
from .limits import integer
from .prefetch import in_order
from .samplers import Sampler
from .sources import _indices, as_source, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnx.typing import Source

__all__ = ["Batches", "DataLoader", "batches"]

Transform = Callable[..., tuple[np.ndarray, np.ndarray]]


class Batches:
    """The batches of a data set, epoch by epoch; returned by `batches(...)`.

    Iterating yields the next epoch's `(x, y)` pairs, `len` is the number of batches, `epoch(i)`
    yields the batches of epoch i (from 0), `epoch(i, start)` those from number `start` on. A batch
    depends on seed, epoch and its number only, not on `workers`.
    """

    def __init__(
        self,
        data: Source,
        batch_size: int,
        shuffle: bool = False,
        seed: int | None = None,
        drop_last: bool = False,
        *,
        transform: Transform | None = None,
        sampler: Collection[int] | None = None,
        workers: int = 0,
        prefetch: int = 2,
    ) -> None:
        self.data = as_source(data)
        self.batch_size = integer("batches", "batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.transform = _transform(transform)
        self.sampler = _sampler(sampler, self.shuffle)
        self.workers = integer("batches", "workers", workers, 0)
        self.prefetch = integer("batches", "prefetch", prefetch, 1)
        if drop_last and 0 < self._samples() < self.batch_size:
            raise ValueError(
                f"batches: drop_last=True leaves no batch of {self.batch_size}: "
                f"data has {self._samples()} samples"
            )
        random = self.shuffle or sampler is not None or transform is not None
        if seed is not None:
            self.seed = integer("batches", "seed", seed, 0)
        else:
            self.seed = int(generator().integers(2**63)) if random else 0
        self._next_epoch = 0

    def _samples(self) -> int:
        return len(self.data if self.sampler is None else self.sampler)

    def __len__(self) -> int:
        whole, rest = divmod(self._samples(), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        self._next_epoch += 1
        return self.epoch(self._next_epoch - 1)

    def epoch(self, index: int, start: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
        """Batches of epoch `index`, from 0; does not advance the epoch counter of `for` loops.

        start  number of the first batch, from 0: those before it are neither read nor made

        Worker threads run while the result is iterated, and end with it: when it is exhausted,
        closed or no longer referenced, and when an error occurs.
        """
        index = integer("batches", "epoch", index, 0)
        start = checks.integer("batches", "start", start, 0, len(self))
        order = self._order(index)

        def batch(number: int) -> tuple[np.ndarray, ...]:
            return self._batch(order, index, number)

        numbers = range(start, len(self))
        if self.workers == 0:
            return (batch(number) for number in numbers)
        return in_order(batch, numbers, self.workers, self.workers * self.prefetch)

    def _order(self, epoch: int) -> NDArray[np.intp]:
        """The samples of an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        if isinstance(self.sampler, Sampler):
            return _indices("batches: sampler", self.sampler.indices(rng), len(self.data))
        if self.sampler is not None:
            return _indices("batches: sampler", list(self.sampler), len(self.data))
        return rng.permutation(len(self.data)) if self.shuffle else np.arange(len(self.data))

    def _batch(self, order: NDArray[np.intp], epoch: int, number: int) -> tuple[np.ndarray, ...]:
        chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
        return self._made(chosen, epoch, number)

    def _made(self, chosen: NDArray[np.intp], epoch: int, number: int) -> tuple[np.ndarray, ...]:
        """A batch of these samples, transformed with the random numbers of (epoch, number)."""
        parts = take(self.data, chosen)
        if self.transform is None:
            return parts
        # A spawn key, because the tuple (seed, epoch, 0) would repeat the numbers of (seed, epoch).
        root = np.random.SeedSequence(self.seed, spawn_key=(epoch, number))
        x, y = self.transform(parts[0], parts[1], np.random.default_rng(root))
        return (x, y, *parts[2:])

    def __repr__(self) -> str:
        order = f", shuffled with seed {self.seed}" if self.shuffle else ""
        order += f", sampler {type(self.sampler).__name__}" if self.sampler is not None else ""
        order += f", transform {self.transform!r}" if self.transform is not None else ""
        order += f", {self.workers} workers" if self.workers else ""
        return f"Batches({len(self)} of {self.batch_size} from {self.data!r}{order})"


def batches(
    data: Source,
    batch_size: int,
    shuffle: bool = False,
    seed: int | None = None,
    drop_last: bool = False,
    *,
    transform: Transform | None = None,
    sampler: Collection[int] | None = None,
    workers: int = 0,
    prefetch: int = 2,
) -> Batches:
    """Batches of a data set, as an object that can be iterated repeatedly.

    data        Dataset, (x, y) or (x, y, sample_weight) arrays, `ImageFolder`, or any object with
                `__len__` and `__getitem__(i) -> (x, y)`, as PyTorch's data sets
    batch_size  samples per batch; the last batch of an epoch may have fewer
    shuffle     a different order in every epoch, given by seed and epoch; otherwise stored order
    seed        int from 0; None draws one from the generator seeded by `cnnx.manual_seed`
    drop_last   leave out an incomplete last batch
    transform   function (x, y, rng) -> (x, y) of whole batches (`cnnx.data.transforms`); `rng` is a
                NumPy generator that depends on seed, epoch and number of the batch only
    sampler     which samples an epoch takes, instead of shuffle: a `Sampler`, or an iterable of
                indices with a length
    workers     threads that prepare batches in advance; 0: each when it is asked for. The same
                bits for any number. They share the data set, whose reading must be thread-safe
    prefetch    batches that each worker may be ahead: at most workers * prefetch are in memory in
                addition to the one in use

    Yields (x, y), or (x, y, sample_weight), as new copies. `len(...)` is the number of batches,
    `.epoch(i, start=0)` yields the batches of a given epoch. An error in a worker is raised by the
    iterator, with its traceback. Raises ValueError/TypeError for a batch_size below 1, a negative
    seed, sampler with shuffle, or drop_last with fewer samples than one batch.

    Example:
        for x, y in cnnx.data.batches(train, 32, shuffle=True, seed=0):
            ...
    """
    return Batches(
        data,
        batch_size,
        shuffle,
        seed,
        drop_last,
        transform=transform,
        sampler=sampler,
        workers=workers,
        prefetch=prefetch,
    )


class DataLoader(Batches):
    """`Batches` with the names and defaults of `torch.utils.data.DataLoader`.

    num_workers      threads, not processes: nothing is pickled
    prefetch_factor  batches that each worker may be ahead
    transform, seed  as in `batches`

    Example: ``for x, y in DataLoader(train, batch_size=32, shuffle=True): ...``
    """

    def __init__(
        self,
        dataset: Source,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Collection[int] | None = None,
        *,
        num_workers: int = 0,
        drop_last: bool = False,
        prefetch_factor: int = 2,
        transform: Transform | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            dataset,
            batch_size,
            shuffle,
            seed,
            drop_last,
            transform=transform,
            sampler=sampler,
            workers=num_workers,
            prefetch=prefetch_factor,
        )

    @property
    def dataset(self) -> Source:
        return self.data

    @property
    def num_workers(self) -> int:
        return self.workers


def _transform(transform: Any) -> Transform | None:
    if transform is not None and not callable(transform):
        raise TypeError(
            f"batches: transform is a {type(transform).__name__}, expected a function "
            "(x, y, rng) -> (x, y), or one of cnnx.data.transforms"
        )
    return transform


def _sampler(sampler: Any, shuffle: bool) -> Any:
    if sampler is None:
        return None
    if shuffle:
        raise ValueError("batches: give shuffle=True or a sampler, not both")
    if not (hasattr(sampler, "__len__") and hasattr(sampler, "__iter__")):
        raise TypeError(
            f"batches: sampler is a {type(sampler).__name__}, expected a Sampler, or indices with "
            "a length"
        )
    return sampler
