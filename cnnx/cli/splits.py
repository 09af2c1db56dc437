"""Which samples a run was trained on and which were held out: chosen by seed, and recorded."""

# Design:
# A split repeated from the seed changes as soon as a sample is added or removed, and then scores
# training samples. A run therefore records the content of every sample (a hash of its numbers as
# the model's input) and the names of the held-out ones. A sample is recognised by its content under
# another name, in another folder, or in another kind of file. Names only decide between samples of
# equal content on both sides of the split.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cnnx.cli.data import Parts, Samples, count, label_name
from cnnx.cli.folders import Images, digest
from cnnx.data import Subset, train_test_split

__all__ = ["Record", "Seen", "digests", "hold_out", "named", "rows"]


def named(part: Any) -> Any:
    """The data set with names: its own, or else the row numbers."""
    return part if part.names else replace(part, names=tuple(map(str, range(len(part)))))


def digests(part: Any) -> list[str]:
    """A hash of the content of each sample."""
    if isinstance(part, Subset):
        known = digests(part.dataset)
        return [known[row] for row in part.indices]
    return part.facts.digests if isinstance(part, Images) else list(map(digest, part.x))


def hold_out(source: str, whole: Samples, seed: int) -> Parts:
    """Hold out a fifth of every class, chosen by the seed, as the test part."""
    if whole.y.dtype.kind == "f":
        if len(whole) < 2:
            raise ValueError(
                f"{source}: {count(len(whole), 'sample', 'samples')}, and a fifth is held out to "
                "test on: 2 or more are needed"
            )
        return Parts(*train_test_split(whole, stratify=False, seed=seed))
    labels, sizes = np.unique(whole.y, return_counts=True)
    if sizes.size and sizes.min() < 2:
        name = label_name(whole.classes, int(labels[sizes.argmin()]))
        raise ValueError(
            f"{source}: class {name} has 1 sample, and a fifth is held out of every class to test "
            "on: 2 or more are needed"
        )
    held_out = math.ceil(len(whole) / 5)
    if held_out < max(len(labels), 1):
        raise ValueError(
            f"{source}: {len(whole)} samples are too few for {len(labels)} classes: the fifth held "
            f"out to test on would have {held_out}"
        )
    return Parts(*train_test_split(whole, test_size=held_out, seed=seed))


class Seen(NamedTuple):
    """The samples of a data set by their role in a run: row numbers, in order."""

    held_out: list[int]  # recorded as held out, in the order of the record
    trained: list[int]
    new: list[int]
    gone: int  # number of held-out samples that no longer exist


class Record(NamedTuple):
    """The samples of a run by content: names and hashes of the held-out ones, in order, and the
    hashes of the training samples. Nothing is held out if the data set had its own test set.
    """

    held_out: tuple[tuple[str, str], ...]
    trained: frozenset[str]

    @classmethod
    def of(cls, parts: Parts, own_test: bool) -> Record:
        """The record of a run; own_test: the data set has its own test set."""
        held_out: tuple[tuple[str, str], ...] = ()
        if not own_test:
            test = named(parts.test)
            held_out = tuple(zip(test.names, digests(test), strict=True))
        return cls(held_out, frozenset(digests(parts.train)))

    @property
    def doubles(self) -> int:
        """Number of held-out samples whose content is also among the training samples."""
        return sum(content in self.trained for _, content in self.held_out)

    def look(self, part: Samples, own: bool) -> Seen:
        """Which samples of a data set the run was trained on, and which it held out.

        own  whether this is the run's own data set: then names decide which of two samples of
             equal content was held out; in another data set both count as trained on
        """
        place = {content: k for k, (_, content) in enumerate(self.held_out)}
        by_name = {pair: k for k, pair in enumerate(self.held_out)}
        held_out: list[tuple[int, int]] = []
        trained, new = [], []
        for row, pair in enumerate(zip(named(part).names, digests(part), strict=True)):
            content = pair[1]
            if own and pair in by_name:
                held_out.append((by_name[pair], row))
            elif content in self.trained:
                trained.append(row)
            elif content in place:
                held_out.append((place[content], row))
            else:
                new.append(row)
        found = {self.held_out[k][1] for k, _ in held_out}
        gone = sum(content not in found for _, content in self.held_out)
        return Seen([row for _, row in sorted(held_out)], trained, new, gone)

    def to_json(self) -> dict[str, Any]:
        """The contents of split.json."""
        return {"held_out": [list(pair) for pair in self.held_out], "trained": sorted(self.trained)}

    @classmethod
    def from_json(cls, value: Any, path: str) -> Record:
        """The record in split.json; ValueError for anything that `to_json` does not produce."""
        try:
            held_out, trained = value["held_out"], value["trained"]
            if not (_are_strings(trained) and all(_are_strings(p, 2) for p in held_out)):
                raise TypeError
            return cls(tuple((name, content) for name, content in held_out), frozenset(trained))
        except (TypeError, KeyError, ValueError):
            raise ValueError(f"{path} is not what `cnnx train` wrote") from None


def _are_strings(value: Any, length: int | None = None) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(item, str) for item in value)
        and length in (None, len(value))
    )


def rows(part: Samples, indices: Sequence[int]) -> Samples:
    """Some of the samples, in the order given."""
    chosen: Samples = part[np.asarray(indices, np.intp)]
    return chosen
