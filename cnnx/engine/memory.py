"""Pass 9: the places of all blocks in one arena."""

# Design:
# Two values may share memory if one has its last reader before the other is made. A block is values
# at fixed distances (sharing.py), each with its own lifetime: what lies between two of them in
# memory, or before one of them in time, is free for others. Large blocks are placed first, each in
# the smallest gap that is large enough among those that live at the same time, or else at the end
# ("greedy by size, best fit": Y. Pisarchyk, J. Lee, "Efficient Memory Management for Deep Neural
# Net Inference", 2020). Memory is counted in cache lines, so every block begins at one.

from __future__ import annotations

from collections.abc import Sequence

from cnnx.tuples import NamedTuple

__all__ = ["Lifetime", "place"]

ALIGNMENT = 64  # bytes


class Lifetime(NamedTuple):
    """Some bytes at `offset` of a block, which are in use from step `first` to step `last`, both
    included.
    """

    size: int
    first: int
    last: int
    offset: int = 0

    def lines(self, at: int) -> tuple[int, int]:
        """Where its cache lines begin and end, if its block is at `at`."""
        begin = at + self.offset
        return begin // ALIGNMENT * ALIGNMENT, -(-(begin + self.size) // ALIGNMENT) * ALIGNMENT


def place(blocks: Sequence[Sequence[Lifetime]]) -> tuple[list[int], int]:
    """A place for each block, so that no two overlap in both memory and time; and the bytes of all.

    >>> place([[Lifetime(64, 0, 1)], [Lifetime(128, 1, 2)], [Lifetime(64, 2, 3)]])
    ([128, 0, 128], 192)
    """
    places = [0] * len(blocks)
    placed: list[tuple[int, int, Lifetime]] = []  # where the lines of each begin and end
    ends = [max(life.lines(0)[1] for life in block) for block in blocks]
    for i in sorted(range(len(blocks)), key=lambda i: -ends[i]):
        forbidden = []
        for own in blocks[i]:
            own_begin, own_end = own.lines(0)
            forbidden += [
                (begin - own_end, end - own_begin)
                for begin, end, other in placed
                if own.first <= other.last and other.first <= own.last
            ]
        places[i] = _best_gap(sorted(forbidden))
        placed += [(*life.lines(places[i]), life) for life in blocks[i]]
    return places, max((end for _, end, _ in placed), default=0)


def _best_gap(forbidden: list[tuple[int, int]]) -> int:
    """The first place of the shortest run of places that are not forbidden, from 0 on.

    forbidden  (a, b), by a: from a to b, but not a and b themselves
    """
    best, shortest, first = -1, 0, 0
    for before, behind in forbidden:
        length = before - first
        if length >= 0 and (best < 0 or length < shortest):
            best, shortest = first, length
        first = max(first, behind)
    return first if best < 0 else best
