"""Shared by the two suites: a workload on one contestant, timed, with its rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx.bench import Workload, peers

Time = Callable[[Workload, str], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every benchmark runs on every backend, and on every peer that is installed."""
    if "contestant" in metafunc.fixturenames:
        others = [way for name in peers.available() for way in peers.CONTESTANTS[name]]
        metafunc.parametrize("contestant", (*cnnx.available_backends(), *others))


@pytest.fixture
def time_workload(benchmark: Any) -> Iterator[Time]:
    """A function that times a workload on a contestant, or skips it if a peer has no twin."""
    with ExitStack() as stack:

        def time(workload: Workload, contestant: str) -> None:
            task = workload.prepare(np.random.default_rng(0))
            moved = task.bytes(task.run())
            call: Callable[[], Any] | None = task.run
            if contestant in cnnx.available_backends():
                stack.enter_context(cnnx.use_backend(contestant))
            else:
                peer = peers.Torch(contestant)
                stack.enter_context(peer.threads(cnnx.get_num_threads()))
                twin = peer.twin(task)
                call = None if twin is None else twin.run
            if call is None:
                pytest.skip(f"{contestant} has no twin of {workload.op}")
            benchmark.group = workload.name
            benchmark(call)
            benchmark.extra_info.update(_extra(benchmark, workload, moved))

        yield time


def _extra(benchmark: Any, workload: Workload, moved: int | None) -> dict[str, Any]:
    """Rates from the median time, and the settings under which it was measured."""
    extra: dict[str, Any] = {
        "threads": cnnx.get_num_threads(),
        "ISA": cnnx.config_dict().get("kernel set (ISA)", "none"),
    }
    if benchmark.stats is not None:  # there are no times with --benchmark-disable
        seconds = benchmark.stats.stats.median
        extra["GFLOP/s"] = workload.flops / seconds / 1e9
        extra["GB/s"] = moved / seconds / 1e9 if moved else None
    return extra
