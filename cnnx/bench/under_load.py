"""Training steps beside processes that want the same cores, on one thread and on several.

>>> print(format_table(run_busy("train lenet5", quick=True)))
"""

# Design:
# A suspended thread delays few steps, but those by many times their length: the median step would
# hide it. So a contestant's turn is one long call of many steps, and the figure is their mean.
# After a few regions that waited, cnnx computes on fewer threads and tries more again after a pause
# (csrc/busy.pyx). The pause passes while others have their turn, so every turn starts with such a
# try: turns must be long for its share to be that of a real run.

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np

from cnnx import config

from . import peers as peer_modules
from .busy import Watch
from .load import LOADS, load
from .scaling import threads_to_measure
from .table import Row, seconds_per_row, select
from .task import Workload
from .threads import with_threads
from .timing import Timing, compare

__all__ = ["MEASURED", "run_busy"]

MEASURED = ("lenet5", "mnist_cnn", "resnet20")
TURNS = 12  # that fit into the time of a row, on an idle machine


def run_busy(
    peers: Sequence[str] = (),
    filter: str | None = None,
    quick: bool = False,
    threads: int | None = None,
    report: Callable[[Row], Any] = lambda row: None,
    seconds: float | None = None,
) -> list[Row]:
    """Measure training steps of `MEASURED` on several threads and on one, beside each load.

    threads  of the compiled backend and the peers; None: the number in use. ValueError for one, and
             for more than are available, with the reason.
    peers, filter, quick, report, seconds  as in `run`

    The row's contestants are "2 threads", "1 thread" (or the respective number) and the peers; the
    milliseconds of a step are a mean. The machine is meant to be busy: a row is marked only if
    "nothing" should have been beside it.

    Example: ``rows = cnnx.bench.run_busy(filter="train lenet5", quick=True)``
    """
    seconds = seconds_per_row(seconds, quick)
    chosen = [
        workload
        for workload in select("models", filter, quick)
        if workload.op == "train" and str(workload.size).split()[0] in MEASURED
    ]
    if not chosen:
        raise ValueError(f"bench: no training step of {', '.join(MEASURED)} has {filter!r} in it")
    many = threads_to_measure(threads)
    loaded = [peer for name in dict.fromkeys(peers) for peer in peer_modules.load(name)]
    rows = []
    with config.use_backend("compiled"), ExitStack() as stack:
        for peer in loaded:
            stack.enter_context(peer.threads(many))
        for workload in chosen:
            for kind in LOADS:
                rows.append(_measure(workload, kind, many, loaded, seconds))
                report(rows[-1])
    return rows


def _measure(
    workload: Workload,
    kind: str,
    threads: int,
    peers: Sequence[peer_modules.Torch],
    seconds: float,
) -> Row:
    task = workload.prepare(np.random.default_rng(0))
    many, one = f"{threads} threads", "1 thread"
    numbers = {many: threads, one: 1}
    calls: dict[str, Callable[[], Any]] = {name: task.run for name in numbers}
    twins = {peer.name: peer.twin(task) for peer in peers}
    calls |= {name: twin.run for name, twin in twins.items() if twin is not None}

    def around(name: str) -> AbstractContextManager[None]:
        return with_threads(numbers[name]) if name in numbers else nullcontext()

    steps = {}
    for name, call in calls.items():
        with around(name):
            steps[name] = _steps(call, seconds / TURNS)
    turns = {name: _turn(call, steps[name]) for name, call in calls.items()}
    watch = Watch(threads)
    with load(kind), watch if kind == "nothing" else nullcontext():
        turn = compare(turns, seconds, around=around)
    timing = Timing({name: [t / steps[name] for t in turn.blocks[name]] for name in calls})
    return Row(
        workload=f"{workload.name} beside {kind}",
        milliseconds={name: 1e3 * timing.seconds(name) for name in calls},
        faster={name: timing.ratio(name, many) for name in calls if name != many},
        gflops=workload.flops / timing.seconds(many) / 1e9,
        gbytes_per_s=None,
        matrix=workload.matrix,
        rounds=timing.rounds,
        threads=threads,
        busy=watch.reason,
    )


def _steps(call: Callable[[], Any], seconds: float) -> int:
    """How many calls take about so long."""
    call()
    start = time.perf_counter()
    call()
    return max(1, math.ceil(seconds / (time.perf_counter() - start)))


def _turn(call: Callable[[], Any], steps: int) -> Callable[[], None]:
    """A function that makes several calls."""

    def turn() -> None:
        for _ in range(steps):
            call()

    return turn
