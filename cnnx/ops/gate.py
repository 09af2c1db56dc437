"""The gate in front of a backend: all checks of a call, those that can be in advance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from .. import checks
from ..checks import FLOATS

__all__ = ["gate"]

# Design:
# A small op takes less time than its checks. What depends only on shapes and settings is checked
# once for each combination, and the result is cached; the arrays are checked at every call.
# A setting counts as known if it is the same object, not an equal one: 1, True and 1.0 are equal,
# but not all of them are valid. Layers pass the same objects at every call; others that are equal
# get entries of their own. An entry holds its settings, so their ids stay taken. Settings that can
# change, such as lists, are checked at every call, and so are those that raise an error.

Result = TypeVar("Result")
_ndarray = np.ndarray
Gate = Callable[..., tuple[Sequence[Any], Result]]
_IMMUTABLE = (int, float, str, bool, type(None))
_MOST = 1024  # entries of a gate


def gate(
    *names: str, optional: tuple[str, ...] = ()
) -> Callable[[Callable[..., Result]], Gate[Result]]:
    """Make a gate of `check(op, shapes, *settings)`: a function of (op, arrays, *settings) that
    returns the arrays as the backends accept them, and what `check` returned.

    names     of the arrays; they get one dtype, and are converted as in `checks.array`
    optional  those that may be None, and whose shape is None then
    shapes    further shapes that `check` gets after those of the arrays, tuples of integers
    """

    def decorate(check: Callable[..., Result]) -> Gate[Result]:
        entries: dict[tuple[Any, ...], tuple[Result, tuple[Any, ...]]] = {}

        @wraps(check)
        def passed(
            op: str, arrays: Sequence[Any], *settings: Any, shapes: tuple[Any, ...] = ()
        ) -> tuple[Sequence[Any], Result]:
            key: list[Any] = [op, shapes, *map(id, settings)]
            dtype = None
            for x in arrays:
                if x is None:
                    key.append(None)
                    continue
                if type(x) is not _ndarray or not x.flags.carray:
                    break
                if x.dtype is not dtype:
                    if dtype is not None or x.dtype not in FLOATS:
                        break
                    dtype = x.dtype
                key.append(x.shape)
            else:
                entry = entries.get(tuple(key))
                if entry is not None:
                    return arrays, entry[0]
            arrays = checks.arrays(op, optional, dict(zip(names, arrays)))
            given = tuple([None if x is None else x.shape for x in arrays])
            known = op, shapes, *map(id, settings), *given
            entry = entries.get(known)
            if entry is None:
                entry = check(op, given + shapes, *settings), settings
                if all(map(_immutable, settings)):
                    if len(entries) >= _MOST:
                        entries.clear()
                    entries[known] = entry
            return arrays, entry[0]

        return passed

    return decorate


def _immutable(setting: Any) -> bool:
    if type(setting) is tuple:
        return all(map(_immutable, setting))
    return type(setting) in _IMMUTABLE
