"""`Images`: a folder of images as a model's input, which may be larger than memory."""

# Design:
# Training, scoring and pictures read a folder batch by batch, through the cache of `ImageFolder`.
# What must be known of every image before training (its hash for the record of the run, its
# brightness, whether it is damaged) is found in one pass, which also fills the cache.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from cnnx.cli.images import prepare
from cnnx.data import Batches, ImageFolder, Subset
from cnnx.data.images import uniform
from cnnx.preprocessing import Preprocessing

__all__ = ["Facts", "Images", "digest"]

_HASH_BYTES = 8  # per sample: two of a million collide once in 37 million data sets
_AT_ONCE = 32  # images in memory during the pass over all of them, times 2 for each worker


def digest(sample: np.ndarray) -> str:
    """A hash of a sample's numbers, as float32."""
    numbers = np.asarray(sample, np.float32) + np.float32(0)  # turns -0.0 into 0.0
    return blake2b(numbers.tobytes(), digest_size=_HASH_BYTES).hexdigest()


class Facts(NamedTuple):
    """What a pass over all images finds."""

    digests: list[str]
    means: np.ndarray  # (n,) float64: the mean of each image
    plain: list[str]  # names of images of one colour


@dataclass(frozen=True, eq=False)
class Images:
    """Samples (x, y) of a folder, x as a model takes it; a data set for `fit` and `predict`.

    folder   the images from 0 to 1
    how      their preprocessing; None: none
    y        (n,) labels; those of the folder, or of another numbering of classes
    classes  names of these labels
    workers  threads that read images ahead in the pass over all of them
    """

    folder: ImageFolder
    how: Preprocessing | None
    y: np.ndarray
    classes: tuple[str, ...]
    workers: int = 0

    @classmethod
    def of(
        cls, folder: ImageFolder, how: Preprocessing | None, name: str, workers: int = 0
    ) -> Images:
        """ValueError, with the name of the folder, if the model does not take such images."""
        if how is not None:
            prepare(how, np.empty((0, *folder.shape), np.float32), True, name)
        return cls(folder, how, folder.y, folder.classes, workers)

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the images, relative to the folder."""
        return self.folder.names

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a sample."""
        return self.folder.shape

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, index: Any) -> Any:
        return Subset(self, np.arange(len(self)))[index]

    def take(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The batch of some samples."""
        x, _ = self.folder.take(indices)
        return (x if self.how is None else self.how.from_unit(x)), self.y[indices]

    @cached_property
    def facts(self) -> Facts:
        """Read all images once; ValueError for a damaged one."""
        found = Facts([], np.empty(len(self)), [])
        for row, x in enumerate(self._each()):
            found.digests.append(digest(x))
            found.means[row] = x.mean(dtype=np.float64)
            if uniform(x):
                found.plain.append(self.names[row])
        return found

    def _each(self) -> Iterator[np.ndarray]:
        for x, _ in Batches(self, _AT_ONCE, workers=self.workers):
            yield from x
