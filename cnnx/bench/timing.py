"""`compare`: how the times of several functions relate, measured in alternating blocks.

>>> numbers = range(1000)
>>> timing = compare({"sum": lambda: sum(numbers), "len": lambda: len(numbers)}, seconds=0.1)
>>> timing.ratio("sum", "len").median > 1
True
"""

# Design:
# A single time says little on a machine that others use too: its speed moves by tens of percent
# within seconds. What lasts is a ratio of two times taken right after one another. So the functions
# take turns, a block of calls each (A B C A B C ...), and each round gives one ratio of two blocks
# that lie milliseconds apart. The median of these ratios is reported, with their quartiles.
# - Two thread pools in one process disturb each other: after a parallel region the threads of the
#   one go on spinning on the cores that the other wants: a convolution of 0.5 ms took 8 to 15 ms
#   for up to 90 ms after a matrix product of OpenBLAS. The first calls after a switch are therefore
#   made and not counted.
# - A block's time is the median of its calls. The minimum would leave out what a function pays in
#   most of its calls (page faults of fresh outputs), the mean would count the interruptions.
# - Results are dropped at once, so each call takes its outputs from the allocator, as in real use.
# - The garbage collector is off while a function is timed: its runs are not the function's.

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Spread", "Timing", "compare"]

Call = Callable[[], Any]
Clock = Callable[[], float]

SAMPLE = 20e-6  # seconds: calls faster than this are timed in groups, or the clock itself is timed
BLOCK = 50e-3  # seconds of counted calls before the next function takes over
SETTLE = 0.1  # seconds for the other thread pool to fall asleep
SLOW = (
    10 * SETTLE
)  # seconds of one call above which a disturbed start is 10 % at most: none dropped
LEAST_ROUNDS = 3  # quartiles of less mean nothing


class Spread(NamedTuple):
    """Median and quartiles of a number that was measured several times."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """What `compare` measured: by name, seconds per call of each block, round after round."""

    blocks: dict[str, list[float]]

    @property
    def rounds(self) -> int:
        """How many blocks each function had."""
        return len(next(iter(self.blocks.values())))

    def seconds(self, name: str) -> float:
        """Seconds of one call: the median of its blocks."""
        return statistics.median(self.blocks[name])

    def ratio(self, slow: str, fast: str) -> Spread:
        """How many times as long `slow` takes as `fast`: median and quartiles of the rounds."""
        ratios = [a / b for a, b in zip(self.blocks[slow], self.blocks[fast])]
        return spread(ratios)


def spread(numbers: list[float]) -> Spread:
    """Median and quartiles; of one number, three times the number."""
    if len(numbers) == 1:
        return Spread(*numbers * 3)
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(median, low, high)


def compare(
    contestants: Mapping[str, Call],
    seconds: float = 1.0,
    *,
    around: Callable[[str], AbstractContextManager[Any]] = lambda name: nullcontext(),
    clock: Clock = time.perf_counter,
) -> Timing:
    """Time functions against one another, in alternating blocks.

    contestants  name -> function without arguments
    seconds      how long it may take in all. At least three rounds are made if they fit into three
                 times that, and one round in any case: only a function that alone takes longer can
                 exceed it.
    around       name -> context manager that each turn of the function runs in; entering it does
                 not count: to switch to its backend, say
    clock        seconds as a float, for tests

    ValueError if there is nobody to compare, or no time.

    Example: ``compare({"a": f, "b": g}).ratio("a", "b").median``
    """
    if not contestants:
        raise ValueError("compare: contestants is empty, expected at least one function")
    if not seconds > 0:
        raise ValueError(f"compare: seconds={seconds}, expected more than 0")
    start = clock()
    blocks: dict[str, list[float]] = {name: [] for name in contestants}
    with _no_garbage_collection():
        plans = {}
        for name, call in contestants.items():
            with around(name):
                plans[name] = _plan(call, seconds, clock)
        first = clock()
        for done in itertools.count(1):
            for name, call in contestants.items():
                with around(name):
                    if plans[name].cost < SLOW:
                        _settle(call, clock)
                    blocks[name].append(_block(call, plans[name].group, clock))
            spent, a_round = clock() - start, (clock() - first) / done
            if spent + a_round > seconds * (1 if done >= LEAST_ROUNDS else 3):
                break
    return Timing(blocks)


class _Plan(NamedTuple):
    group: int  # calls between two looks at the clock
    cost: float  # seconds of one call


def _plan(call: Call, seconds: float, clock: Clock) -> _Plan:
    """Warm up, and find how many calls make a sample."""
    cost = _timed(call, 1, clock)
    if cost > seconds:  # no time for another call: a first call has to do
        return _Plan(1, cost)
    group = 1
    while True:
        cost = _timed(call, group, clock)
        if cost * group >= SAMPLE or group >= 1024:
            return _Plan(group, cost)
        group *= 2


def _settle(call: Call, clock: Clock) -> None:
    """The calls after a switch that do not count."""
    start = clock()
    call()
    while clock() - start < SETTLE:
        call()


def _block(call: Call, group: int, clock: Clock) -> float:
    """Seconds per call, the median of a block's samples."""
    start = clock()
    samples = [_timed(call, group, clock)]
    while clock() - start < BLOCK:
        samples.append(_timed(call, group, clock))
    return statistics.median(samples)


def _timed(call: Call, times: int, clock: Clock) -> float:
    """Seconds per call of so many calls in a row."""
    start = clock()
    for _ in range(times):
        call()
    return (clock() - start) / times


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
