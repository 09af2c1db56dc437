"""The parts of each global batch, and which of them a rank has."""

# Design:
# The order of the samples is that of one process: a global batch is the batch that `cnnx.fit` would
# take, and shard s is its rows [s*m, (s+1)*m), m = batch_size / shards. So shard s of batch b is
# batch b*shards + s of a `fit` with batches of m, and its transform draws the same random numbers.
# The last batch of an epoch may be short: its first shards are full, one is smaller, and the others
# are empty. Cutting it evenly would save a little time in one batch of an epoch, and make shards of
# one or two samples, whose batch statistics are worthless. With synchronised batch norm they are of
# the whole batch, and every rank needs samples: so there it is cut evenly.

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cnnx.data import Batches
from cnnx.distributed.comm import part
from cnnx.feed import Feed

__all__ = ["Shards", "shards_of", "split", "too_few"]


class Shards(NamedTuple):
    """A global batch as a rank sees it.

    own     the batches (x, y) or (x, y, sample_weight) of its shards; None: without samples
    filled  how many of all shards, the first ones, have samples
    """

    own: list[Any]
    filled: int


def split(
    data: Feed, epoch: int, start: int, own: range, shards: int, even: bool
) -> Iterator[Shards]:
    """The global batches of an epoch from number `start` on, both from 0.

    own     the numbers of this rank's shards
    shards  of all ranks
    even    whether a short batch is cut evenly
    """
    if isinstance(data.source, Batches) and data.steps is None:
        sharded: Any = _Sharded(data.source, own, shards, even)  # whose batches are Shards
        return sharded.epoch(epoch, start)
    return (_rows(batch, own, shards, even) for batch in data.epoch(epoch, start))


class _Sharded(Batches):
    """Batches of which only the own shards are read."""

    def __init__(self, source: Batches, own: range, shards: int, even: bool) -> None:
        vars(self).update(vars(source))
        self._own, self._shards, self._even = own, shards, even

    def _batch(self, order: Any, epoch: int, number: int) -> Any:
        rows = order[number * self.batch_size : (number + 1) * self.batch_size]
        size = self.batch_size // self._shards
        places, filled = _cuts(len(rows), size, self._shards, self._even)
        made: list[Any] = []
        for shard in self._own:
            first, stop = places[shard]
            as_number = number * self._shards + shard
            made.append(self._made(rows[first:stop], epoch, as_number) if stop > first else None)
        return Shards(made, filled)


def _rows(batch: Any, own: range, shards: int, even: bool) -> Shards:
    """The own shards of a batch of a user's iterable, which every rank reads whole."""
    first = batch[0][0] if isinstance(batch[0], tuple) else batch[0]
    count = len(first)
    places, filled = _cuts(count, max(-(-count // shards), 1), shards, even)
    made = [_cut(batch, *places[s]) if places[s][1] > places[s][0] else None for s in own]
    return Shards(made, filled)


def _cuts(count: int, size: int, shards: int, even: bool) -> tuple[list[tuple[int, int]], int]:
    """(first, stop) of each shard of a batch, and how many of them have samples."""
    if even:
        return [part(count, shard, shards) for shard in range(shards)], min(count, shards)
    edges = [min(shard * size, count) for shard in range(shards + 1)]
    return list(pairwise(edges)), -(-count // size)


def _cut(value: Any, first: int, stop: int) -> Any:
    if isinstance(value, tuple):
        return tuple([_cut(inner, first, stop) for inner in value])
    return np.ascontiguousarray(value[first:stop])


def shards_of(rank: int, size: int, shards: int) -> range:
    """The numbers of a rank's shards."""
    return range(*part(shards, rank, size))


def too_few(op: str, count: int, ranks: int) -> ValueError:
    """The error of a batch that does not have a sample for each rank, where all need one."""
    samples = "1 sample" if count == 1 else f"{count} samples"
    return ValueError(
        f"{op}: a batch has {samples}, but with synchronised batch norm each of the {ranks} ranks "
        "needs one: use drop_last=True, or another batch_size"
    )
