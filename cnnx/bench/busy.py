"""Detects that a machine was busy while a row was measured, so that its figures are unreliable."""

# Design:
# Alternating blocks (timing.py) cancel anything that slows all contestants alike. Another process
# on our cores does not: a parallel region waits for its slowest thread, so nearly every call of a
# 0.1 ms op on two threads loses a time slice of the scheduler, while a contestant on one thread is
# slowed by a factor of two. In such a run a softmax was 37 times slower than NumPy, with narrow
# quartiles. The times alone do not show this, so two indicators are used. The kernel reports how
# much of our cores all processes used, and how much we used. And a gauge detects what the kernel
# does not report (neighbours of a virtual machine, a container quota): threads that do not help.

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

from cnnx import config

from .threads import slowdown

__all__ = ["Watch", "usable_cores"]

LEAST_SECONDS = 0.1  # the kernel counts in hundredths
SPARE = 0.15  # of a core: used by an idle system and its daemons
# Ratio of the time on several threads to that on one. Where threads have to wait, cnnx soon uses
# fewer (csrc/busy.pyx), so that the ratio is about 1; if each has a core, it is far below.
WORSE = 0.95


class Watch:
    """Watches the machine while something is measured on some threads; `reason` is the result.

    reason  "" if nothing disturbed, or e.g. "other processes took 1.5 of 2 cores" if our threads
            had too few cores, or "2 threads took 3.1 times as long as 1" from the gauge

    Systems that do not report the time of other processes (no /proc/stat) rely on the gauge alone;
    pure Python, which has no threads, has no indicator.
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
        """What other processes used, if too little was left for our threads."""
        start, all_before, own_before = self._before
        seconds, all_after = _wall() - start, _seconds_of_all()
        cores = usable_cores()
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
    """The cores that this process may run on, if the system reports them."""
    affinity = getattr(os, "sched_getaffinity", None)
    return None if affinity is None else affinity(0)


def usable_cores() -> int:
    """Cores that this process may run on."""
    usable = _usable()
    return len(usable) if usable else os.cpu_count() or 1


def _wall() -> float:
    return time.perf_counter()


def _seconds_of_this_process() -> float:
    return time.process_time()


def _seconds_of_all() -> float | None:
    """CPU time that all processes, and other virtual machines, have used on our cores so far."""
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
