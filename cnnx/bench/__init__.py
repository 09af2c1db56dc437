"""Benchmarks: how fast each op and each whole training step is, as ratios measured in one process.

>>> rows = cnnx.bench.run("ops", filter="max_pool2d", quick=True)
>>> print(cnnx.bench.format_table(rows))
"""

# Design:
# `cnnx bench` must work from an installed wheel, so what is measured (workloads.py), how
# (timing.py) and against whom (peers.py) ship in the package. The top-level bench/ of the source
# tree holds the pytest-benchmark suites, which take the same workloads and twins: a row of the
# table and a benchmark of the suite measure the same call on the same numbers.
# This package may import everything of cnnx; nothing but the command line imports it. A peer is
# imported inside the functions of peers.py, and so only when somebody asks for it.

from __future__ import annotations

from .memory import MemoryRow, format_memory, run_memory
from .scaling import run_threads
from .table import Row, format_table, measure, run, write_json
from .task import Task, Workload
from .timing import Spread, Timing, compare
from .workloads import LAYERS, MODELS, OPS

__all__ = [
    "LAYERS",
    "MODELS",
    "OPS",
    "MemoryRow",
    "Row",
    "Spread",
    "Task",
    "Timing",
    "Workload",
    "compare",
    "format_memory",
    "format_table",
    "measure",
    "run",
    "run_memory",
    "run_threads",
    "write_json",
]
