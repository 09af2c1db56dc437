"""`Feed`: the data of `fit` and `evaluate` in any form, as batches epoch by epoch."""

# Design:
# Samples (arrays, or an object whose samples can be asked for) become `data.Batches`; anything else
# that can be iterated already consists of batches. Which of the two a tuple is cannot be guessed
# from its contents, so a tuple is always arrays, and a list is batches if its items are tuples.
# Whether a tuple of arrays is one x or several is decided by the model: only a Graph of several
# inputs (or outputs) takes them apart.
# With steps_per_epoch the epochs are cut from one endless sequence of batches: the position in it
# is all that a checkpoint needs.

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import chain, count, islice
from typing import Any

import numpy as np

from cnnx import checks
from cnnx.data import Batches, Dataset, WeightedDataset, as_source

__all__ = ["Arrays", "Feed", "feed", "inputs_of", "is_batches", "samples_of"]

Batch = tuple[Any, ...]  # (x, y) or (x, y, sample_weight)


class Arrays:
    """Samples of several inputs or targets: tuples of arrays of the same length."""

    def __init__(self, name: str, x: Any, y: Any, sample_weight: Any = None) -> None:
        self.x, self.y = _arrays(f"{name}: x", x), _arrays(f"{name}: y", y)
        sizes = [len(part) for part in (*_tuple(self.x), *_tuple(self.y))]
        if len(set(sizes)) > 1:
            raise ValueError(f"{name}: the arrays of x and y have {sizes} samples")
        self._count = sizes[0]
        self.sample_weight = None
        if sample_weight is not None:
            first = _tuple(self.x)[0]
            weighted = WeightedDataset(first, np.zeros(len(first)), sample_weight, name)
            self.sample_weight = weighted.sample_weight

    def __len__(self) -> int:
        return self._count

    def take(self, chosen: Any) -> Batch:
        """Copies of some samples, or with a slice views."""
        parts = [_taken(self.x, chosen), _taken(self.y, chosen)]
        if self.sample_weight is not None:
            parts.append(self.sample_weight[chosen])
        return tuple(parts)


class Feed:
    """Batches, epoch by epoch.

    name      how the user calls the data, for messages
    source    the batches: `Batches`, or a user's iterable
    samples   the samples, if the batches are made from them; else None
    steps     batches per epoch, of an endless sequence; None: an epoch is one pass
    """

    def __init__(self, op: str, name: str, source: Any, samples: Any, steps: int | None) -> None:
        self.op, self.name, self.source, self.samples, self.steps = op, name, source, samples, steps
        self._once = iter(source) is source if hasattr(source, "__iter__") else False
        self._endless: Iterator[Batch] | None = None
        self._at = 0

    @property
    def batches(self) -> int | None:
        """The number of batches of an epoch, if it is known."""
        if self.steps is not None:
            return self.steps
        return len(self.source) if hasattr(self.source, "__len__") else None

    @property
    def whole(self) -> Any:
        """The samples, if all of their targets are in memory."""
        known = isinstance(self.samples, (Dataset, WeightedDataset, Arrays))
        return self.samples if known else None

    def check_epochs(self, epochs: int) -> None:
        """ValueError for an iterator that cannot give more than one epoch."""
        if self._once and self.steps is None and epochs > 1:
            also = "steps_per_epoch, " if self.name == "train" else ""
            raise ValueError(
                f"{self.op}: {self.name} is a {type(self.source).__name__}, which can be iterated "
                f"only once, but epochs is {epochs}: give {also}a list, or a function that returns "
                "a new one for each epoch"
            )

    def epoch(self, index: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from 0, from batch number `start` on."""
        if self.steps is None:
            if type(self.source) is Batches:
                return self.source.epoch(index, start)
            return self._checked(self._pass(index, start), index, start)
        position = index * self.steps + start
        if self._endless is None or self._at != position:
            self._endless, self._at = self._from(position), position
        return self._checked(self._counted(self.steps - start), index, start)

    def _pass(self, index: int, start: int) -> Iterator[Batch]:
        """One pass over the source."""
        source = self.source
        if hasattr(source, "epoch"):
            if not start:
                return iter(source.epoch(index))
            if "start" in inspect.signature(source.epoch).parameters:
                return iter(source.epoch(index, start))
            return islice(source.epoch(index), start, None)
        return islice(source() if callable(source) else source, start, None)

    def _from(self, position: int) -> Iterator[Batch]:
        """The endless sequence of batches, from a position on."""
        if self._once:
            return islice(self.source, position - self._at, None)
        if hasattr(self.source, "epoch") and hasattr(self.source, "__len__"):
            first, start = divmod(position, max(len(self.source), 1))
            return chain(
                self._pass(first, start),
                chain.from_iterable(self._whole_pass(i) for i in count(first + 1)),
            )
        every = chain.from_iterable(self._whole_pass(i) for i in count())
        return islice(every, position, None)

    def _whole_pass(self, index: int) -> Iterator[Batch]:
        empty = True
        for batch in self._pass(index, 0):
            empty = False
            yield batch
        if empty:
            raise ValueError(f"{self.op}: {self.name} has no batches")

    def _counted(self, most: int) -> Iterator[Batch]:
        assert self._endless is not None
        for batch in islice(self._endless, most):
            self._at += 1
            yield batch

    def _checked(self, batches: Iterator[Batch], index: int, start: int) -> Iterator[Batch]:
        number = start
        for number, batch in enumerate(batches, start=start + 1):
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                size = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
                raise TypeError(
                    f"{self.op}: {self.name}: batch {number} is a {type(batch).__name__}{size}, "
                    "expected (x, y) or (x, y, sample_weight)"
                )
            names = ("x", "y", "sample_weight")
            yield tuple(
                _member(f"{self.op}: {self.name}: batch {number}", name, part)
                for name, part in zip(names, batch, strict=False)
            )
        if self.steps is not None and number < self.steps:
            raise ValueError(
                f"{self.op}: {self.name} ended after {number} of {self.steps} batches of epoch "
                f"{index + 1}: it must give epochs * steps_per_epoch batches"
            )
        if number == 0:
            what = "has no batches" if index == 0 else f"has no more batches in epoch {index + 1}"
            raise ValueError(f"{self.op}: {self.name} {what}, expected at least one")


def feed(
    op: str,
    name: str,
    data: Any,
    ways: tuple[int, int] = (1, 1),
    *,
    sample_weight: Any = None,
    steps: int | None = None,
    **options: Any,
) -> Feed:
    """The `Feed` of data in any form.

    ways     the numbers of the model's inputs and outputs
    options  of `Batches`: ValueError for transform or workers if the data are batches already
    """
    if not is_batches(data):
        samples = samples_of(name, data, ways, sample_weight)
        if len(samples) == 0:
            raise ValueError(f"{op}: {name} has 0 samples, expected at least one")
        return Feed(op, name, Batches(samples, **options), samples, steps)
    for option, value in (
        ("augment", options.get("transform")),
        ("workers", options.get("workers")),
        ("sample_weight", sample_weight),
    ):
        if value is not None and not (option == "workers" and value == 0):
            raise ValueError(
                f"{op}: {option} is for arrays and data sets, and {name} is a "
                f"{type(data).__name__} of batches: apply it there"
            )
    return Feed(op, name, data, None, steps)


def is_batches(data: Any) -> bool:
    """Whether data consist of batches rather than samples."""
    if isinstance(data, list):
        return bool(data) and all(isinstance(item, tuple) for item in data)
    if isinstance(data, (tuple, dict, set, str, bytes, np.ndarray, Dataset)):
        return False
    if hasattr(data, "epoch"):
        return True
    samples = hasattr(data, "__len__") and (hasattr(data, "take") or hasattr(data, "__getitem__"))
    return not samples and (hasattr(data, "__iter__") or inspect.isfunction(data))


def samples_of(name: str, data: Any, ways: tuple[int, int] = (1, 1), weight: Any = None) -> Any:
    """The samples that a user means: what `Batches` takes.

    ways  the numbers of the model's inputs and outputs: x, or y, may be a tuple of as many arrays
    """
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        several = [_several(part, n) for part, n in zip(data, ways, strict=False)]
        if any(several):
            _one_weight(name, len(data), weight)
            return Arrays(name, data[0], data[1], data[2] if len(data) == 3 else weight)
    source = as_source(data, name)
    if weight is None:
        return source
    _one_weight(name, 3 if isinstance(source, WeightedDataset) else 2, weight)
    if not isinstance(source, Dataset):
        raise ValueError(
            f"{name}: sample_weight is for arrays: a {type(source).__name__} gives (x, y, weight)"
        )
    return WeightedDataset(source.x, source.y, weight, name)


def inputs_of(data: Any, inputs: int) -> Any:
    """The inputs among the arguments of `predict`: x of a pair, or the arrays of a Graph of
    several inputs as a tuple.
    """
    if inputs > 1 and isinstance(data, (tuple, list)):
        given = data if len(data) == inputs and not isinstance(data[0], (tuple, list)) else data[0]
        return tuple(np.asarray(part) for part in given)
    return data


def _one_weight(name: str, members: int, weight: Any) -> None:
    if members == 3 and weight is not None:
        raise ValueError(f"{name}: it has weights already, so sample_weight cannot be given, too")


def _several(part: Any, ways: int) -> bool:
    return ways > 1 and isinstance(part, (tuple, list)) and len(part) == ways


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _arrays(name: str, given: Any) -> Any:
    if isinstance(given, (tuple, list)) and np.ndim(given[0]) > 0:
        return tuple(_array(f"{name}[{i}]", part) for i, part in enumerate(given))
    return _array(name, given)


def _member(where: str, name: str, given: Any) -> Any:
    """x, y or sample_weight of a user's batch as an array; a tuple of arrays as one of NumPy's."""
    if isinstance(given, tuple) and given and np.ndim(given[0]) > 0:
        return tuple(_member(where, name, part) for part in given)
    return checks.from_anything(where, name, given)


def _array(name: str, given: Any) -> np.ndarray:
    array = checks.from_anything(name, "array", given)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise TypeError(f"{name} has dtype {array.dtype} and shape {array.shape}, expected numbers")
    return array


def _taken(part: Any, chosen: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(array[chosen] for array in part)
    return part[chosen]
