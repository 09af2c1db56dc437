"""Speed-up of a call on several threads over one, measured in the same alternating blocks.

>>> print(format_table(run_threads("train lenet5", threads=2)))
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from cnnx import config

from .busy import Watch
from .table import Row, seconds_per_row, select
from .task import Workload
from .threads import with_threads
from .timing import compare

__all__ = ["run_threads", "threads_to_measure"]


def run_threads(
    filter: str | None = None,
    quick: bool = False,
    threads: int | None = None,
    report: Callable[[Row], Any] = lambda row: None,
    seconds: float | None = None,
) -> list[Row]:
    """Measure every training step on one thread and on several.

    threads  of the compiled backend; None: the number in use. ValueError for one, and for more than
             are available, with the reason.
    filter, quick, report, seconds  as in `run`

    The row's contestants are "2 threads" and "1 thread" (or the respective number), its ratio is
    the speed-up.

    Example: ``rows = cnnx.bench.run_threads("train lenet5", quick=True, threads=2)``
    """
    seconds = seconds_per_row(seconds, quick)
    chosen = [w for w in select("models", filter, quick) if w.op == "train"]
    if not chosen:
        raise ValueError(f"bench: no training step has {filter!r} in its name")
    many = threads_to_measure(threads)
    rows = []
    with config.use_backend("compiled"):
        for workload in chosen:
            rows.append(_measure(workload, many, seconds))
            report(rows[-1])
    return rows


def threads_to_measure(threads: int | None) -> int:
    """The number of threads to measure. ValueError if that many are not available."""
    if "compiled" not in config.available_backends():
        raise ValueError(
            "bench: threads need the compiled backend, which is not built: install a C "
            "compiler, then cnnx again, without CNNX_PURE=1"
        )
    if config.config_dict()["OpenMP"].startswith("no"):
        raise ValueError(
            "bench: this build of cnnx has one thread, because OpenMP was missing: install it (gcc "
            "includes it, clang needs libomp), then cnnx again, without CNNX_OPENMP=0"
        )
    many = config.get_num_threads() if threads is None else threads
    if many < 2:
        raise ValueError(f"bench: threads is {many}, expected 2 or more to measure a speed-up")
    with with_threads(many):
        had = config.get_num_threads()
    if had < many:
        raise ValueError(f"bench: threads is {many}, but this process has {had} at most")
    return many


def _measure(workload: Workload, threads: int, seconds: float) -> Row:
    task = workload.prepare(np.random.default_rng(0))
    numbers = {f"{threads} threads": threads, "1 thread": 1}

    def around(name: str) -> AbstractContextManager[None]:
        return with_threads(numbers[name])

    with Watch(threads) as watch:
        timing = compare({name: task.run for name in numbers}, seconds, around=around)
    many, one = numbers
    return Row(
        workload=workload.name,
        milliseconds={name: 1e3 * timing.seconds(name) for name in numbers},
        faster={one: timing.ratio(one, many)},
        gflops=workload.flops / timing.seconds(many) / 1e9,
        gbytes_per_s=None,
        matrix=workload.matrix,
        rounds=timing.rounds,
        threads=threads,
        busy=watch.reason,
    )
