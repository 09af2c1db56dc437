"""Pass 8: which values are in the same memory, and in which part of it.

A view is the memory of what it is a view of. An elementwise step writes over its input. And where
the result of a concatenation is its inputs, one behind the other (a batch of one image, joined
along the channels), whoever computes an input writes it to its part of the result: then nothing is
left to copy. In the same way a slice that is contiguous is a part of what it is cut from.
"""

# Design:
# A block is one or several values, each at an offset. It begins as a single one, and blocks are
# joined as the steps demand, if every two of their values agree: they overlap nowhere; or, where
# they do, they have the same bytes, as a concatenation has those of its inputs; or one is no longer
# needed when the other is made. Bytes are known by the value that they were computed as (`Part`).
# So a dense block, in which each layer joins one more value to all before, is a single block.
# What the caller brings or gets, and what a step in Python returns, are arrays of their own: such a
# value must fill its block.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cnnx.tuples import NamedTuple

__all__ = ["Life", "Part", "Sharing"]


class Life(NamedTuple):
    """A value is in use from step `first` to step `last`, both included."""

    first: int
    last: int


class Part(NamedTuple):
    """`size` bytes at `offset` of a block, computed as those from `begin` on of value `made`."""

    offset: int
    size: int
    made: int
    begin: int = 0

    def cut(self, begin: int, end: int) -> Part:
        """What lies between two offsets, if any of it does."""
        first, last = max(self.offset, begin), min(self.offset + self.size, end)
        return Part(first, last - first, self.made, self.begin + first - self.offset)


class Sharing:
    """The blocks of all values.

    sizes    bytes of each value
    lives    the steps between which each is in use
    whole    the values that must fill their block
    block    of each value, a number
    offset   of each value in its block
    members  the values of each block

    >>> sharing = Sharing({0: 64, 1: 64, 2: 128}, {0: Life(0, 2), 1: Life(1, 2), 2: Life(2, 3)})
    >>> sharing.join(2, [0, 1], [0, 64])
    [True, True]
    >>> sharing.block[0] == sharing.block[1] == sharing.block[2], sharing.offset[1]
    (True, 64)
    """

    def __init__(
        self, sizes: Mapping[int, int], lives: Mapping[int, Life], whole: Iterable[int] = ()
    ) -> None:
        self._sizes, self.lives, self._whole = sizes, lives, frozenset(whole)
        self.block = {value: value for value in sizes}
        self.offset = dict.fromkeys(sizes, 0)
        self.members = {value: [value] for value in sizes}
        self._parts: dict[int, tuple[Part, ...]] = {
            value: (Part(0, size, value),) for value, size in sizes.items()
        }

    def view(self, y: int, x: int) -> None:
        """y is value x in another shape."""
        self._parts[y] = self._parts[x]
        self._merge(x, y, 0)

    def slice(self, y: int, x: int, offset: int) -> bool:
        """y is what lies at this offset of x: whether it can be there."""
        cut = [part.cut(offset, offset + self._sizes[y]) for part in self._parts[x]]
        self._parts[y] = tuple(
            part._replace(offset=part.offset - offset) for part in cut if part.size > 0
        )
        return self._try(x, y, offset)

    def write_over(self, y: int, x: int) -> bool:
        """Let y have the memory of x, of which each element is read before it is written. Whether
        that is possible.
        """
        return self._sizes[x] == self._sizes[y] and self._try(x, y, 0, source=x)

    def join(self, y: int, xs: Sequence[int], offsets: Sequence[int]) -> list[bool]:
        """y is the values xs one behind the other: which of them can be at their offset in y."""
        self._parts[y] = tuple(
            part._replace(offset=offset + part.offset)
            for x, offset in zip(xs, offsets, strict=True)
            for part in self._parts[x]
        )
        return [self._try(y, x, offset) for x, offset in zip(xs, offsets, strict=True)]

    def _try(self, a: int, b: int, offset: int, source: int | None = None) -> bool:
        """Put b at this offset of a, with all that is in their blocks, if they agree."""
        block, other = self.block[a], self.block[b]
        delta = self.offset[a] + offset - self.offset[b]  # of the block of b in that of a
        if block == other:
            return delta == 0
        pairs = [(u, v) for u in self.members[block] for v in self.members[other]]
        if not all(self._agree(u, v, delta, source) for u, v in pairs):
            return False
        self._merge(a, b, offset)
        return True

    def _merge(self, a: int, b: int, offset: int) -> None:
        block, other = self.block[a], self.block[b]
        delta = self.offset[a] + offset - self.offset[b]
        joined = self.members.pop(other)
        for value in joined:
            self.block[value] = block
            self.offset[value] += delta
        self.members[block] += joined
        lowest = min(self.offset[value] for value in self.members[block])
        for value in self.members[block]:
            self.offset[value] -= lowest

    def _agree(self, u: int, v: int, delta: int, source: int | None) -> bool:
        """Whether two values can be where they are, v moved by delta.

        source  the value that v is computed from, element by element, if it may write over it
        """
        first, second = self.offset[u], self.offset[v] + delta
        same_place = first == second and self._sizes[u] == self._sizes[v]
        if not same_place and (u in self._whole or v in self._whole):
            return False
        if first + self._sizes[u] <= second or second + self._sizes[v] <= first:
            return True
        mine, other = self.lives[u], self.lives[v]
        if mine.last < other.first or other.last < mine.first:
            return True
        if source is not None and same_place and self._parts[u] == self._parts[source]:
            return mine.last <= other.first
        return self._between(u, first, second, second + self._sizes[v]) == self._between(
            v, second, first, first + self._sizes[u]
        )

    def _between(self, value: int, at: int, begin: int, end: int) -> list[Part]:
        """The parts of a value at `at`, of bytes begin to end - 1."""
        parts = [part._replace(offset=at + part.offset) for part in self._parts[value]]
        return [cut for part in parts if (cut := part.cut(begin, end)).size > 0]
