"""`compare`: ratios of the run times of several functions, measured in alternating blocks.

>>> numbers = range(1000)
>>> timing = compare({"sum": lambda: sum(numbers), "len": lambda: len(numbers)}, seconds=0.1)
>>> timing.ratio("sum", "len").median > 1
True
"""

# Design:
# A single time means little on a shared machine, whose speed varies by tens of percent within
# seconds. A ratio of two times measured immediately after each other is stable. The functions
# therefore take turns, with a block of calls each (A B C A B C ...), and each round gives one ratio
# of two blocks that are milliseconds apart. The median of these ratios is reported, with quartiles.
# - Two thread pools in one process disturb each other: after a parallel region, the threads of one
#   keep spinning on the cores that the other needs. A convolution of 0.5 ms took 8 to 15 ms for up
#   to 90 ms after a matrix product of OpenBLAS. The first calls after a switch are therefore not
#   counted.
# - A block's time is the median of its calls. The minimum would hide costs that occur in most calls
#   (page faults of new outputs), the mean would include interruptions.
# - Results are freed at once, so each call takes its outputs from the allocator, as in real use.
# - The garbage collector is off while a function is timed, since its runs do not belong to it.

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

SAMPLE = 20e-6  # seconds: faster calls are timed in groups, to exceed the clock's own cost
BLOCK = 50e-3  # seconds of counted calls before the next function takes over
SETTLE = 0.1  # seconds until the other thread pool is asleep
SLOW = (
    10 * SETTLE
)  # seconds per call above which a disturbed start is at most 10 %, so that no call is dropped
LEAST_ROUNDS = 3  # quartiles of fewer are meaningless


class Spread(NamedTuple):
    """Median and quartiles of a number that was measured several times."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """The result of `compare`: by name, seconds per call of each block, round by round."""

    blocks: dict[str, list[float]]

    @property
    def rounds(self) -> int:
        """Number of blocks per function."""
        return len(next(iter(self.blocks.values())))

    def seconds(self, name: str) -> float:
        """Seconds per call: the median of the blocks."""
        return statistics.median(self.blocks[name])

    def ratio(self, slow: str, fast: str) -> Spread:
        """How many times as long `slow` takes as `fast`: median and quartiles over the rounds."""
        ratios = [a / b for a, b in zip(self.blocks[slow], self.blocks[fast])]
        return spread(ratios)


def spread(numbers: list[float]) -> Spread:
    """Median and quartiles; for a single number, that number three times."""
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
    """Time functions against each other, in alternating blocks.

    contestants  name -> function without arguments
    seconds      total time limit. At least three rounds are made if they fit into three times this
                 limit, and one round in any case, so only a function that alone takes longer can
                 exceed it.
    around       name -> context manager in which each turn of the function runs, for instance to
                 switch to its backend; entering it is not timed
    clock        seconds as a float, for tests

    ValueError if there are no functions, or no time.

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
    group: int  # calls between two readings of the clock
    cost: float  # seconds per call


def _plan(call: Call, seconds: float, clock: Clock) -> _Plan:
    """Warm up, and determine how many calls make a sample."""
    cost = _timed(call, 1, clock)
    if cost > seconds:  # no time for another call: use the first one
        return _Plan(1, cost)
    group = 1
    while True:
        cost = _timed(call, group, clock)
        if cost * group >= SAMPLE or group >= 1024:
            return _Plan(group, cost)
        group *= 2


def _settle(call: Call, clock: Clock) -> None:
    """The calls after a switch, which are not counted."""
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
    """Seconds per call of this many consecutive calls."""
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
