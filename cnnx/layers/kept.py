"""The values that forward saves for backward, and the check that they were not modified."""

# Design:
# A layer saves references, not copies: of the user's batch, or of the output that the user got.
# Writing into one of these before backward gives wrong gradients. PyTorch counts the writes to a
# tensor; NumPy does not. So the bytes of some entries are saved too, and compared when backward
# reads the array: all of a small array, a sample of a large one. A batch that was overwritten is
# detected; a single changed element of a large array mostly is not; there are no false alarms.
# Only saved arrays are compared: an input that a layer cast, or does not need, may be overwritten.
# Users cannot reach the arrays between the layers of a container, so these are not checked
# (`unwatched`): the cost is some microseconds for each model, not for each layer.

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["Watched", "keep", "share_memory", "unwatched"]

_WHOLE = 4096  # bytes: up to here comparing all of them costs no more than a sample
_SAMPLE = 64  # entries
_GOLDEN = (5**0.5 - 1) / 2

_watching: ContextVar[bool] = ContextVar("cnnx_watching", default=True)


class Watched(tuple[Any, ...]):
    """The values that a layer saves, with a fingerprint of every array among them."""

    prints: tuple[bytes | None, ...]

    def check(self, layer: str) -> None:
        """RuntimeError if an array has changed since it was saved."""
        for value, before in zip(self, self.prints, strict=True):
            if before is not None and _print_of(value) != before:
                raise RuntimeError(
                    f"{layer}.backward: an array that the gradient needs, of shape {value.shape}, "
                    "was modified in place since forward. Leave the input and the output of a "
                    "layer as they are until backward is done: write the next batch into another "
                    "array (or give the layer x.copy()), and y = 2 * y rather than y *= 2"
                )


def keep(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values; `Watched` if some are arrays that the user may have access to."""
    if not _watching.get():
        return values
    prints = tuple([_print_of(v) if isinstance(v, np.ndarray) else None for v in values])
    if not any(prints):
        return values
    watched = Watched(values)
    watched.prints = prints
    return watched


class unwatched:
    """Inside ``with unwatched():`` the arrays of a layer come from and go to other layers only.

    A class, as it is entered for every layer: a `contextmanager` takes three times as long.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _watching.set(False)

    def __exit__(self, *error: object) -> None:
        _watching.reset(self._token)


def share_memory(one: Any, other: Any) -> bool:
    """Whether both are arrays that may share memory."""
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
    """The sampled positions, by the golden ratio: evenly spread, but not at a fixed stride, which
    could coincide with rows, channels or images.
    """
    fractions = np.arange(1, _SAMPLE + 1) * _GOLDEN % 1.0
    return (fractions * size).astype(np.intp)
