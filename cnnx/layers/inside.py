"""Find the objects of one type among attributes, and in lists, tuples and dicts among them."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["held"]

Kind = TypeVar("Kind")
_HOLDERS = (list, tuple, dict)
_LONG = 16  # entries: above this, a pass over the types, in C, comes first


def held(holder: Any, kind: type[Kind]) -> list[tuple[str, Kind]]:
    """("blocks.0.1", object) of one type in a list, tuple or dict, at any depth, in order."""
    found: list[tuple[str, Kind]] = []
    _collect(holder, kind, "", (), found)
    return found


def _collect(
    holder: Any, kind: type, prefix: str, around: tuple[int, ...], found: list[tuple[str, Any]]
) -> None:
    if len(holder) > _LONG and not _may_hold(holder, kind):
        return
    for key, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
        if isinstance(item, kind):
            found.append((f"{prefix}{key}", item))
        elif isinstance(item, _HOLDERS) and item and id(item) not in around:
            # A holder that contains itself is visited once.
            _collect(item, kind, f"{prefix}{key}.", (*around, id(item)), found)


def _may_hold(holder: Any, kind: type) -> bool:
    types = set(map(type, holder.values() if isinstance(holder, dict) else holder))
    return any(issubclass(each, (kind, *_HOLDERS)) for each in types)
