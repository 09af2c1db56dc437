"""Threads of the compiled backend: as many as asked for, and whether they help one another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cnnx import config, ops

__all__ = ["slowdown", "with_threads"]

GAUGE = (256, 1000)  # of a softmax: 0.1 to 0.3 ms on one thread, most of it arithmetic
QUIET = 0.1  # seconds for the threads of another library to fall asleep
ROUNDS, CALLS = 7, 3


@contextmanager
def with_threads(n: int | None) -> Iterator[None]:
    """Compute with n threads inside the ``with``; None leaves the number alone."""
    before = config.get_num_threads()
    if n is not None:
        config.set_num_threads(n)
    try:
        yield
    finally:
        if n is not None:
            config.set_num_threads(before)


def slowdown(threads: int) -> float:
    """The gauge: how many times as long a short parallel op takes on so many threads as on one.

    Below 1 where each thread has a core. A region ends with its slowest thread, so one that lost
    its core to another process makes the region wait for a slice of the scheduler's time.
    """
    x = np.zeros(GAUGE, np.float32)
    times: dict[int, list[float]] = {threads: [], 1: []}
    with config.use_backend("compiled"):
        with with_threads(threads):
            _until(time.perf_counter() + QUIET, x)
        for _ in range(ROUNDS):
            for count, found in times.items():
                with with_threads(count):
                    ops.softmax(x, 1)  # wakes the threads
                    start = time.perf_counter()
                    for _ in range(CALLS):
                        ops.softmax(x, 1)
                    found.append(time.perf_counter() - start)
    return statistics.median(times[threads]) / statistics.median(times[1])


def _until(end: float, x: np.ndarray) -> None:
    while time.perf_counter() < end:
        ops.softmax(x, 1)
