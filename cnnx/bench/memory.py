"""How much memory a training step takes at most, for what it computes: activations and scratch.

>>> print(format_memory(run_memory(peers=["torch"], filter="lenet5")))
"""

# Design:
# Weights, gradients and optimiser state are there before the step and after it, so what counts is
# how far the memory in use rises above its level at the start. For gradients to be there too, the
# step measured does not forget them: they add up, in place, as when gradients of several batches
# are collected. A gradient of one layer that is computed and then added is scratch, in both
# libraries. Two steps before make optimiser states and gradients.
# - cnnx: the peak of its memory pool, out of which outputs and scratch of all ops come. Blocks are
#   counted with their unused ends. The few kilobytes that Python code has from NumPy are not seen.
# - PyTorch: its profiler tells every piece that its CPU allocator gives and takes back; the peak is
#   the largest sum. What oneDNN takes from the system by itself is not seen.
# The batch itself was allocated before, and counts for nobody.

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
    """The most bytes that activations and scratch of a training step take, by contestant."""

    workload: str
    bytes: dict[str, int]
    threads: int


def run_memory(
    peers: Sequence[str] = (),
    filter: str | None = None,
    report: Callable[[MemoryRow], Any] = lambda row: None,
) -> list[MemoryRow]:
    """Measure a training step of every model at batch 64, and its twins in the peers.

    peers, filter, report  as in `run`. ValueError for an unknown peer, for a filter that fits
    nothing, and where the compiled backend is not there: NumPy does not tell its memory.

    Example: ``rows = cnnx.bench.run_memory(filter="lenet5")``
    """
    chosen = [workload for workload in MEMORY if (filter or "") in workload.name]
    if not chosen:
        names = ", ".join(workload.name for workload in MEMORY)
        raise ValueError(f"bench: no workload has {filter!r} in its name: {names}")
    if "compiled" not in config.available_backends():
        raise ValueError("bench: memory is measured on the compiled backend, which is not here")
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
    """How far the pool's memory in use rises in a call, after two that do not count."""
    for _ in range(2):
        call()
    gc.collect()
    before = config.memory_stats()["bytes_in_use"]
    config.reset_peak_memory_stats()
    call()
    return config.memory_stats()["peak_bytes_in_use"] - before
