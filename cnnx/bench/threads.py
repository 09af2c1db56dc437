"""Threads of the compiled backend: setting their number, and measuring whether they help."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cnnx import config, ops

__all__ = ["slowdown", "with_threads"]

GAUGE = (256, 1000)  # of a softmax: 0.1 to 0.3 ms on one thread, mostly arithmetic
QUIET = 0.1  # seconds until the threads of another library are asleep
ROUNDS, CALLS = 7, 3


@contextmanager
def with_threads(n: int | None) -> Iterator[None]:
    """Context in which n threads compute; None leaves the number unchanged."""
    before = config.get_num_threads()
    if n is not None:
        config.set_num_threads(n)
    try:
        yield
    finally:
        if n is not None:
            config.set_num_threads(before)


def slowdown(threads: int) -> float:
    """The gauge: time of a short parallel op on this many threads, relative to one thread.

    Below 1 if each thread has a core. A parallel region ends with its slowest thread, so a thread
    that lost its core to another process delays the region by a time slice of the scheduler.
    """
    x = np.zeros(GAUGE, np.float32)
    times: dict[int, list[float]] = {threads: [], 1: []}
    with config.use_backend("compiled"):
        with with_threads(threads):
            _until(time.perf_counter() + QUIET, x)
        for _ in range(ROUNDS):
            for count, found in times.items():
                with with_threads(count):
                    ops.softmax(x, 1)  # wakes up the threads
                    start = time.perf_counter()
                    for _ in range(CALLS):
                        ops.softmax(x, 1)
                    found.append(time.perf_counter() - start)
    return statistics.median(times[threads]) / statistics.median(times[1])


def _until(end: float, x: np.ndarray) -> None:
    while time.perf_counter() < end:
        ops.softmax(x, 1)
