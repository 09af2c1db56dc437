"""Pass 6: the offsets of all values in one arena."""

# Design:
# Two values may share memory if one has its last reader before the other is made. Large ones are
# placed first, each in the smallest gap that is large enough among those that live at the same
# time, or else at the end ("greedy by size, best fit": Y. Pisarchyk, J. Lee, "Efficient Memory
# Management for Deep Neural Net Inference", 2020). Memory is counted in cache lines, so every value
# begins at one.

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Lifetime", "place"]

ALIGNMENT = 64  # bytes


class Lifetime(NamedTuple):
    """Some bytes that are in use from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int


def place(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """An offset for each, so that no two overlap in both memory and time; and the bytes of all.

    >>> place([Lifetime(64, 0, 1), Lifetime(128, 1, 2), Lifetime(64, 2, 3)])
    ([128, 0, 128], 192)
    """
    offsets = [0] * len(lifetimes)
    placed: list[tuple[int, int, Lifetime]] = []  # (first byte, end, lifetime), by first byte
    for i in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i].size):
        own = lifetimes[i]
        size = -(-own.size // ALIGNMENT) * ALIGNMENT
        others = [
            (begin, end)
            for begin, end, other in placed
            if own.first <= other.last and other.first <= own.last
        ]
        offsets[i] = _best_gap(size, others)
        placed.append((offsets[i], offsets[i] + size, own))
        placed.sort()
    return offsets, max((end for _, end, _ in placed), default=0)


def _best_gap(size: int, taken: list[tuple[int, int]]) -> int:
    """Where the smallest gap of at least `size` bytes begins, or the end of all.

    taken  (first byte, end) of what cannot be used, by first byte
    """
    best, best_size, end = -1, 0, 0
    for begin, behind in taken:
        gap = begin - end
        if gap >= size and (best < 0 or gap < best_size):
            best, best_size = end, gap
        end = max(end, behind)
    return end if best < 0 else best
