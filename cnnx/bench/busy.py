"""Whether others used the machine while a row was measured: then its figures can not be trusted."""

# Design:
# Alternating blocks (timing.py) cancel what slows all contestants alike, and another process on our
# cores does not: a parallel region waits for its slowest thread, so of an op of 0.1 ms on two
# threads nearly every call takes a slice of the scheduler's time, while a contestant on one thread
# is slowed twofold. A softmax was 37 times slower than NumPy that way, with tight quartiles. The
# times themselves do not tell; so there are two witnesses. The kernel knows what all processes took
# of the cores that we may use, and what we took. And a gauge sees what the kernel does not tell (a
# virtual machine's neighbours, a container's quota): threads that slow one another down.

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

from cnnx import config

from .threads import slowdown

__all__ = ["Watch"]

LEAST_SECONDS = 0.1  # the kernel counts in hundredths
SPARE = 0.15  # of a core: what an idle system and its daemons take
WORSE = 1.25  # times as long on many threads as on one: noise is less


class Watch:
    """Looks on while something is measured on so many threads; then `reason` says what was wrong.

    reason  "" where nothing was, or words such as "other processes took 1.5 of 2 cores", where our
            threads found no core left, and "2 threads took 3.1 times as long as 1", in the gauge

    Systems that do not tell what other processes take (those without /proc/stat) have the gauge
    alone, and pure Python, which has no threads, nothing.
    """

    reason: str = ""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __enter__(self) -> Watch:
        self._slowdown = slowdown(self._threads) if self._gauged() else 0.0
        self._before = _wall(), _seconds_of_all(), _seconds_of_this_process()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reasons = [self._others()]
        if self._slowdown > WORSE:
            reasons.append(f"{self._threads} threads took {self._slowdown:.2g} times as long as 1")
        found = ", ".join(filter(None, reasons))
        if found:
            self.reason = found

    def _gauged(self) -> bool:
        return self._threads > 1 and "compiled" in config.available_backends()

    def _others(self) -> str:
        """What they took, if our threads had too little left."""
        start, all_before, own_before = self._before
        seconds, all_after = _wall() - start, _seconds_of_all()
        cores = _cores()
        if self._threads > cores:
            return f"{self._threads} threads on {cores} core{'s' if cores > 1 else ''}"
        if all_before is None or all_after is None or seconds < LEAST_SECONDS:
            return ""
        own = _seconds_of_this_process() - own_before
        others = (all_after - all_before - own) / seconds
        if others <= cores - self._threads + SPARE:
            return ""
        return f"other processes took {others:.2g} of {cores} core{'s' if cores > 1 else ''}"


def _usable() -> set[int] | None:
    """The cores that this process may run on, where the system tells."""
    affinity = getattr(os, "sched_getaffinity", None)
    return None if affinity is None else affinity(0)


def _cores() -> int:
    usable = _usable()
    return len(usable) if usable else os.cpu_count() or 1


def _wall() -> float:
    return time.perf_counter()


def _seconds_of_this_process() -> float:
    return time.process_time()


def _seconds_of_all() -> float | None:
    """What all processes, and other machines on this hardware, took of our cores so far."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        # cpu0 user nice system idle iowait irq softirq steal ...: in ticks
        rows = [line.split() for line in lines if line.startswith("cpu") and line[3] != " "]
        usable = _usable()
        ticks = sum(
            sum(map(int, (*row[1:4], *row[6:9])))
            for row in rows
            if usable is None or int(row[0][3:]) in usable
        )
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if rows else None
