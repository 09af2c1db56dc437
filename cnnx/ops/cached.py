"""`cached_by_shape`: checks of shapes and settings that run once for each combination."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["cached_by_shape"]

Result = TypeVar("Result")
_IMMUTABLE = (int, str, bool, type(None))
_MOST = 1024  # entries


def cached_by_shape(check: Callable[..., Result]) -> Callable[..., Result]:
    """Cache the result of a check, which depends only on shapes and settings: `check(shapes,
    *settings)`. A small op takes less time than its checks.

    # Design:
    # A setting counts as known if it is the same object, not an equal one: 1, True and 1.0 are
    # equal, but not all of them are valid. Layers pass the same objects at every call; others that
    # are equal get entries of their own. An entry holds its settings, so their ids stay taken.
    # Settings that can change, such as lists, are checked at every call, and so are those that
    # raise an error.
    """
    entries: dict[tuple[Any, ...], tuple[Result, tuple[Any, ...]]] = {}

    @wraps(check)
    def cached(shapes: Any, *settings: Any) -> Result:
        key = (shapes, *map(id, settings))
        entry = entries.get(key)
        if entry is None:
            entry = check(shapes, *settings), settings
            if all(map(_immutable, settings)):
                if len(entries) >= _MOST:
                    entries.clear()
                entries[key] = entry
        return entry[0]

    return cached


def _immutable(setting: Any) -> bool:
    if type(setting) is tuple:
        return all(map(_immutable, setting))
    return type(setting) in _IMMUTABLE
