"""Lanes beside a column of boxes, for the lines that pass some of these by."""

from __future__ import annotations

import itertools
from typing import NamedTuple

__all__ = ["Edge", "edges_beside", "lanes"]


class Edge(NamedTuple):
    """What a row makes, and the rows further down that read it: one line, with arrows off it."""

    source: int
    targets: tuple[int, ...]


def edges_beside(
    reads: list[set[int]], makes: list[tuple[int, ...]]
) -> tuple[set[int], list[Edge]]:
    """The rows whose value the next row reads, and an edge for each value that others read.

    reads, makes  the numbers of the values that each row reads and makes, in an order that runs
    """
    arrows, edges = set(), []
    for row, values in enumerate(makes):
        for value in values:
            readers = [below for below in range(row + 1, len(reads)) if value in reads[below]]
            if row + 1 in readers:
                arrows.add(row)
                readers.remove(row + 1)
            if readers:
                edges.append(Edge(row, tuple(readers)))
    return arrows, edges


def lanes(edges: list[Edge]) -> list[int]:
    """The lane of each edge, 0 the innermost: short edges first, each in the first that is free.

    An edge may begin at the row where the one before it in the lane ends.
    """
    held: list[list[Edge]] = []
    found = [0] * len(edges)
    for number in sorted(range(len(edges)), key=lambda n: _length(edges[n])):
        edge = edges[number]
        for lane in itertools.count():
            if lane == len(held):
                held.append([])
            if not any(_overlap(edge, other) for other in held[lane]):
                break
        held[lane].append(edge)
        found[number] = lane
    return found


def _length(edge: Edge) -> int:
    return edge.targets[-1] - edge.source


def _overlap(a: Edge, b: Edge) -> bool:
    return a.source < b.targets[-1] and b.source < a.targets[-1]
