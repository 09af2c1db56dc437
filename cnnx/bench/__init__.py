"""Benchmarks of ops and complete training steps, reported as ratios measured in one process.

>>> rows = cnnx.bench.run("ops", filter="max_pool2d", quick=True)
>>> print(cnnx.bench.format_table(rows))
"""

# Design:
# `cnnx bench` must work from an installed wheel, so the workloads (workloads.py), the method
# (timing.py) and the peers to compare with (peers.py) are part of the package. The top-level bench/
# of the source tree contains the pytest-benchmark suites, which use the same workloads and twins: a
# row of the table and a benchmark of the suite time the same call on the same numbers.
# This package may import all of cnnx; only the command line imports it. A peer is imported inside
# the functions of peers.py, and therefore only on request.

from __future__ import annotations

from .memory import MemoryRow, format_memory, run_memory
from .network import NetworkRow, check_peers, format_network, run_network
from .scaling import run_threads
from .table import Row, format_table, measure, run, write_json
from .task import Task, Workload
from .timing import Spread, Timing, compare
from .under_load import run_busy
from .workloads import LAYERS, MODELS, OPS

__all__ = [
    "LAYERS",
    "MODELS",
    "OPS",
    "MemoryRow",
    "NetworkRow",
    "Row",
    "Spread",
    "Task",
    "Timing",
    "Workload",
    "check_peers",
    "compare",
    "format_memory",
    "format_network",
    "format_table",
    "measure",
    "run",
    "run_busy",
    "run_memory",
    "run_network",
    "run_threads",
    "write_json",
]
