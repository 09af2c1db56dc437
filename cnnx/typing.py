"""Types of arguments that have several forms, for annotations alone.

Other modules import it under TYPE_CHECKING, since `numpy.typing` takes time to import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, Protocol, TypeAlias

from numpy.typing import ArrayLike

__all__ = [
    "ArrayLike",
    "Colour",
    "Data",
    "File",
    "HasStep",
    "LossLike",
    "Losses",
    "Path",
    "Samples",
    "Source",
]

Path: TypeAlias = str | os.PathLike[str]
File: TypeAlias = Path | IO[bytes]


class Samples(Protocol):
    """Samples that can be asked for, such as a `Dataset` or an `ImageFolder`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class Takes(Protocol):
    """Samples of which a batch is read at once, such as a `WeightedDataset`."""

    def __len__(self) -> int: ...

    def take(self, indices: Any, /) -> Any: ...


class LossLike(Protocol):
    """A loss of cnnx, or one's own: a number, and its gradient."""

    def __call__(self, pred: Any, target: Any, /) -> Any: ...

    def backward(self) -> Any: ...


class HasStep(Protocol):
    """A schedule of cnnx, or one's own."""

    def step(self, *args: Any, **options: Any) -> Any: ...


Colour: TypeAlias = str | float | Sequence[float]  # a name or code; grey; red, green and blue

# Tuples of arrays (x, y) or (x, y, sample_weight) are iterable, too, and so are batches of these.
Source: TypeAlias = Samples | Takes
Data: TypeAlias = Source | Iterable[Any] | Callable[[], Iterable[Any]]
Losses: TypeAlias = LossLike | Sequence[LossLike | None]  # one, or one for each output
