"""What forward keeps for backward, and whether it still is what it was."""

# Design:
# A layer keeps arrays, not copies: the batch that the user gave it, or the output that the user
# got. Writing into one of these before backward gives wrong gradients. PyTorch counts the writes of
# a tensor; NumPy does not. So the bytes of some entries are kept too, and compared when backward
# asks for the array: small arrays whole, others by a sample. A batch that was written over is
# found, one number that was changed in a large array mostly not; what did not change never is.
# What is compared is what was kept: a layer that cast its input, or does not need it, lets the
# user write into it. Between the layers of a container arrays are out of the user's reach, and
# nobody looks (`unwatched`): the cost is some microseconds for a model, not for a layer.

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["Watched", "keep", "share_memory", "unwatched"]

_WHOLE = 4096  # bytes: up to here comparing all costs no more than a sample
_SAMPLE = 64  # entries
_GOLDEN = (5**0.5 - 1) / 2

_watching: ContextVar[bool] = ContextVar("cnnx_watching", default=True)


class Watched(tuple[Any, ...]):
    """The values that a layer keeps, with a print of every array among them."""

    prints: tuple[bytes | None, ...]

    def check(self, layer: str) -> None:
        """RuntimeError if an array has other values than it had when it was kept."""
        for value, before in zip(self, self.prints, strict=True):
            if before is not None and _print_of(value) != before:
                raise RuntimeError(
                    f"{layer}.backward: an array that the gradient needs, of shape {value.shape}, "
                    "was modified in place since forward. Leave the input and the output of a "
                    "layer as they are until backward is done: write the next batch into another "
                    "array (or give the layer x.copy()), and y = 2 * y rather than y *= 2"
                )


def keep(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values; watched, where they are arrays that the user may have in hand."""
    if not _watching.get():
        return values
    prints = tuple([_print_of(v) if isinstance(v, np.ndarray) else None for v in values])
    if not any(prints):
        return values
    watched = Watched(values)
    watched.prints = prints
    return watched


class unwatched:
    """``with unwatched():`` layers stand between others: their arrays come from and go to layers.

    A class, since it is entered for every layer: a generator takes three times as long.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _watching.set(False)

    def __exit__(self, *error: object) -> None:
        _watching.reset(self._token)


def share_memory(one: Any, other: Any) -> bool:
    """Whether both are arrays, and may be parts of one."""
    arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return arrays and np.may_share_memory(one, other)


def _print_of(array: np.ndarray) -> bytes:
    if array.nbytes <= _WHOLE:
        return array.tobytes()
    if array.flags.c_contiguous:
        return array.reshape(-1).take(_positions(array.size)).tobytes()
    return array.flat[_positions(array.size)].tobytes()


@lru_cache(maxsize=256)
def _positions(size: int) -> np.ndarray:
    """Where to look, by the golden ratio: evenly spread, but at no distance that rows, channels or
    images could have.
    """
    fractions = np.arange(1, _SAMPLE + 1) * _GOLDEN % 1.0
    return (fractions * size).astype(np.intp)
