"""Peak memory of a training step, for the values that it computes: activations and scratch.

>>> print(format_memory(run_memory(peers=["torch"], filter="lenet5")))
"""

# Design:
# Weights, gradients and optimiser state exist before and after the step, so the result is the rise
# of the memory in use above its level at the start. To keep the gradients allocated, the measured
# step does not reset them: they accumulate in place, as with gradients of several batches. A
# gradient of one layer that is computed and then added is scratch, in both libraries. Two steps
# beforehand create optimiser state and gradients.
# - cnnx: the peak of its memory pool, which provides outputs and scratch of all ops. Blocks are
#   counted including unused space at their ends. The few kilobytes that Python code allocates with
#   NumPy are not counted.
# - PyTorch: its profiler reports every allocation and release of its CPU allocator; the result is
#   the largest sum. Memory that oneDNN allocates from the system itself is not counted.
# The batch itself was allocated before and is not counted for either.

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnx import config

from . import peers as peer_modules
from .workloads import MEMORY

__all__ = ["MemoryRow", "format_memory", "run_memory"]


@dataclass(frozen=True)
class MemoryRow:
    """Peak bytes of activations and scratch in a training step, by contestant."""

    workload: str
    bytes: dict[str, int]
    threads: int


def run_memory(
    peers: Sequence[str] = (),
    filter: str | None = None,
    report: Callable[[MemoryRow], Any] = lambda row: None,
) -> list[MemoryRow]:
    """Measure a training step of every model at batch 64, and its twins in the peers.

    peers, filter, report  as in `run`. ValueError for an unknown peer, for a filter without a
    match, and without the compiled backend, because NumPy's memory cannot be measured.

    Example: ``rows = cnnx.bench.run_memory(filter="lenet5")``
    """
    chosen = [workload for workload in MEMORY if (filter or "") in workload.name]
    if not chosen:
        names = ", ".join(workload.name for workload in MEMORY)
        raise ValueError(f"bench: no workload has {filter!r} in its name: {names}")
    if "compiled" not in config.available_backends():
        raise ValueError("bench: memory is measured on the compiled backend, which is not built")
    loaded = [peer for name in dict.fromkeys(peers) for peer in peer_modules.load(name)]
    rows = []
    for workload in chosen:
        task = workload.prepare(np.random.default_rng(0))
        with config.use_backend("compiled"):
            peaks = {"compiled": _peak_bytes(task.run)}
        for peer in loaded:
            twin = peer.twin(task)
            if twin is not None:
                peaks[peer.name] = peer.peak_bytes(twin.run)
        rows.append(MemoryRow(str(workload.size), peaks, config.get_num_threads()))
        report(rows[-1])
    return rows


def format_memory(rows: Sequence[MemoryRow]) -> str:
    """The rows as text for a terminal, in megabytes.

    Example: ``print(format_memory(run_memory(filter="lenet5")))``
    """
    names = list(dict.fromkeys(name for row in rows for name in row.bytes))
    width = max(len(row.workload) for row in rows)
    lines = ["training step".ljust(width) + "".join(f"  {name} MB" for name in names)]
    for row in rows:
        cells = (f"{row.bytes[n] / 1e6:.2f}" if n in row.bytes else "-" for n in names)
        padded = (cell.rjust(len(name) + 5) for cell, name in zip(cells, names))
        lines.append(row.workload.ljust(width) + "".join(padded))
    return "\n".join(lines)


def _peak_bytes(call: Callable[[], Any]) -> int:
    """How far the pool's memory in use rises in a call, after two calls that are not counted."""
    for _ in range(2):
        call()
    gc.collect()
    before = config.memory_stats()["bytes_in_use"]
    config.reset_peak_memory_stats()
    call()
    return config.memory_stats()["peak_bytes_in_use"] - before
