"""A large batch as groups of samples, which run one after the other."""

# Design:
# A network of which every step computes each sample by itself may run on a few samples at a time:
# its values then stay in the cache from one step to the next, and each thread runs groups of its
# own, without meeting the others. What is lost is that the weights are read again for each group.
# So a group has work that is worth a call, and as many values as an eighth of the weights; and
# there are groups only if the weights may stay in a cache that cores share. With two threads of an
# EPYC (Zen 3) 32 images of 32x32 by squeezenet, densenet and mobilenet_v2 took 0.7 to 0.8 of the
# time, by resnet20 and unet 0.85; with groups vgg, of 13 MB packed weights, would take 1.3.
# The size of a group depends on the network alone: the bits are the same for any number of threads,
# and where a group is one sample, in batches of any size.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from cnnx.engine.program import Program

__all__ = ["Groups", "group_size", "grouped", "one_group"]

_GROUP = 500_000  # nanoseconds that a group takes at least, on one thread
_MAC, _BYTE = 1 / 30, 0.15  # nanoseconds, roughly
_MOST_WEIGHTS = 10_000_000  # bytes
_NEVER = 1 << 62  # samples: no batch is so large

Make = Callable[[int], Program]  # for so many samples


class Groups:
    """A program for a few samples, which runs for each group of them; what is left has its own.

    program  for the samples of a group
    count    of groups
    rest     for the samples after the last of them, or None
    """

    def __init__(self, program: Program, count: int, rest: Program | None) -> None:
        self.program, self.count, self.rest = program, count, rest

    def __str__(self) -> str:
        """ "8 groups of 4 samples" """
        left = "" if self.rest is None else f", and {self.rest.batch} more"
        return f"{self.count} groups of {self.program.batch} samples{left}"

    def run(self, xs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs. xs: C-contiguous arrays of all samples."""
        if self.rest is None:
            return self.program.run(xs, self.count)
        end = self.count * self.program.batch
        parts = [self.program.run([x[:end] for x in xs], self.count)]
        parts.append(self.rest.run([x[end:] for x in xs]))
        return tuple([np.concatenate(each) for each in zip(*parts, strict=True)])


def one_group(program: Program | Groups) -> Program:
    """What runs for a group, or for the whole batch if there is one alone."""
    return program.program if isinstance(program, Groups) else program


def grouped(make: Make, batch: int, size: int) -> Program | Groups:
    """What runs for a batch, in groups of so many samples."""
    if 2 * size > batch or not (program := make(size)).by_sample:
        return make(batch)
    rest = make(batch % size) if batch % size else None
    return Groups(program, batch // size, rest)


def group_size(make: Make, batch: int, weights: int) -> int:
    """How many samples a group has; more than any batch if there should be none.

    weights  bytes of the network's weights
    """
    if batch < 2 or weights > _MOST_WEIGHTS:
        return _NEVER
    program = make(2)  # of one sample, a sum over all samples would not be known as such
    values = program.value_bytes / 2
    if not program.by_sample or program.weight_bytes > _MOST_WEIGHTS or values == 0:
        return _NEVER
    nanoseconds = sum(each.macs for each in program.entries) / 2 * _MAC + values * _BYTE
    least = max(program.weight_bytes / (8 * values), _GROUP / nanoseconds, 1)
    return 1 << math.ceil(math.log2(least))
