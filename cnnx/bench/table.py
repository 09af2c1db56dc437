"""The table of times: `run` measures, `format_table` formats, `write_json` saves.

>>> print(format_table(run("models", peers=["torch"], quick=True)))
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnx import config
from cnnx.io import write_text_atomic

from . import peers as peer_modules
from .busy import Watch
from .memory import MemoryRow
from .task import Workload
from .threads import with_threads
from .timing import Spread, compare
from .workloads import LAYERS, MODELS, OPS

__all__ = [
    "Row",
    "environment",
    "format_table",
    "measure",
    "run",
    "select",
    "write_json",
]

SECONDS = 2.0  # of measuring per row: about 4 rounds with three contestants
QUICK_SECONDS = 0.5
REFERENCE_FLOPS = 5e9  # beyond it NumPy takes seconds per call: it is left out if there are peers
WHAT = ("all", "ops", "models")


@dataclass(frozen=True)
class Row:
    """The measurements of one workload.

    milliseconds  per call, by contestant: the backends and the peers that have a twin
    faster        how many times faster the first backend is than each other, with quartiles
    gflops, gbytes_per_s  of the first backend; None if the number is meaningless
    matrix        whether GFLOP/s is the rate to show (matrix products) instead of GB/s
    rounds        number of blocks per contestant       threads  of cnnx and the peers
    busy          why the figures are unreliable, or "": see `Watch`
    """

    workload: str
    milliseconds: dict[str, float]
    faster: dict[str, Spread]
    gflops: float | None
    gbytes_per_s: float | None
    matrix: bool
    rounds: int
    threads: int
    busy: str = ""


def run(
    what: str = "all",
    peers: Sequence[str] = (),
    filter: str | None = None,
    quick: bool = False,
    threads: int | None = None,
    report: Callable[[Row], Any] = lambda row: None,
    seconds: float | None = None,
) -> list[Row]:
    """Measure the backends against each other, and against peers, on the selected workloads.

    what     "ops"; "models": training steps and inference, and the convolutions in them layer by
             layer; or "all"
    peers    names of other libraries to measure too: "torch"
    filter   only workloads with this text in their name ("conv2d", "64,3,32,32", "train lenet5")
    quick    only the first size of each op and model, for a fifth of the time
    threads  of cnnx and the peers; None leaves them unchanged. The reference is NumPy, whose
             matrix product has its own threads.
    report   called with each row as soon as it is measured
    seconds  of measuring per row: None means 2, or half a second with `quick`. More time gives more
             rounds, and a steadier median on a machine whose speed varies.

    ValueError for an unknown `what` or peer, a filter without a match, and seconds that are not
    above 0; ImportError for a peer that is not installed; all before anything is measured.

    Example: ``rows = cnnx.bench.run("ops", filter="relu", quick=True)``
    """
    chosen = select(what, filter, quick)
    seconds = seconds_per_row(seconds, quick)
    loaded = [peer for name in dict.fromkeys(peers) for peer in peer_modules.load(name)]
    rows = []
    with with_threads(threads), ExitStack() as stack:
        for peer in loaded:
            stack.enter_context(peer.threads(config.get_num_threads()))
        for workload in chosen:
            rows.append(measure(workload, loaded, seconds))
            report(rows[-1])
    return rows


def select(what: str = "all", filter: str | None = None, quick: bool = False) -> list[Workload]:
    """The workloads that `run` measures, with the same errors."""
    if what not in WHAT:
        raise ValueError(f"bench: what is {what!r}, expected one of {', '.join(WHAT)}")
    tables = {"ops": [OPS], "models": [MODELS, LAYERS], "all": [OPS, MODELS]}[what]
    groups = [rows for table in tables for rows in table.values()]
    wanted = filter or ""
    groups = [[row for row in rows if wanted in row.name] for rows in groups]
    chosen = [row for rows in groups for row in (rows[:1] if quick else rows)]
    if not chosen:
        names = [name for table in tables for name in table]
        raise ValueError(f"bench: no workload has {filter!r} in its name: {', '.join(names)}")
    return chosen


def seconds_per_row(seconds: float | None, quick: bool) -> float:
    """The time that `run` and `run_threads` spend on one row."""
    if seconds is None:
        return QUICK_SECONDS if quick else SECONDS
    if not seconds > 0:
        raise ValueError(f"bench: seconds is {seconds}, expected more than 0")
    return seconds


def measure(
    workload: Workload, peers: Iterable[peer_modules.Torch] = (), seconds: float = SECONDS
) -> Row:
    """One row: the workload on every backend, and its twin in every peer that has one.

    If there are peers, the reference is left out when it would take seconds per call.
    """
    peers = list(peers)
    task = workload.prepare(np.random.default_rng(0))
    backends = config.available_backends()
    if peers and workload.flops > REFERENCE_FLOPS:
        backends = backends[:1]
    twins = {peer.name: peer.twin(task) for peer in peers}
    calls: dict[str, Callable[[], Any]] = {name: task.run for name in backends}
    calls |= {name: twin.run for name, twin in twins.items() if twin is not None}
    for twin in twins.values():
        if twin is not None:
            twin.run()  # the first call of its kind loads and compiles parts of the library

    def around(name: str) -> Any:
        return config.use_backend(name) if name in backends else nullcontext()

    with Watch(config.get_num_threads()) as watch:
        timing = compare(calls, seconds, around=around)
    first = backends[0]
    moved = task.bytes(task.run())
    in_seconds = timing.seconds(first)
    return Row(
        workload=workload.name,
        milliseconds={name: 1e3 * timing.seconds(name) for name in calls},
        faster={name: timing.ratio(name, first) for name in calls if name != first},
        gflops=workload.flops / in_seconds / 1e9 if workload.flops else None,
        gbytes_per_s=moved / in_seconds / 1e9 if moved else None,
        matrix=workload.matrix,
        rounds=timing.rounds,
        threads=config.get_num_threads(),
        busy=watch.reason,
    )


def environment(rows: Sequence[Row | MemoryRow] = ()) -> dict[str, Any]:
    """Machine, versions and settings under which the figures were measured."""
    found = {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        **{name: value for name, value in config.config_dict().items() if name != "backend"},
    }
    if rows:
        found["threads"] = rows[0].threads
    contestants = {
        name for row in rows for name in (row.milliseconds if isinstance(row, Row) else row.bytes)
    }
    for name in peer_modules.NAMES:
        if name in contestants:
            found[name] = peer_modules.load(name)[0].description
    return found


def format_table(rows: Sequence[Row]) -> str:
    """The rows as text for a terminal, below a header with the conditions of the measurement.

    A row with `busy` has a "!" after its name, and a line below the table states the reason.

    Example: ``print(format_table(run(filter="relu", quick=True)))``
    """
    names = list(dict.fromkeys(name for row in rows for name in row.milliseconds))
    first = _first(rows)
    peers = [name for name in names if peer_modules.is_peer(name)]
    others = [name for name in names if name != first and name not in peers]
    columns: list[tuple[str, Callable[[Row], str]]] = [("workload", _name)]
    columns += [_time(name) for name in (*others, first)]
    columns += [column for name in others for column in _ratio(name)]
    columns += [("rate", _rate)]
    columns += [column for name in peers for column in (_time(name), *_ratio(name))]
    head = [title for title, _ in columns]
    body = [[cell(row) for _, cell in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *body)]
    lines = [_line(cells, widths) for cells in (head, ["-" * w for w in widths], *body)]
    return "\n".join([*_header(rows, first), "", *lines, *_footer(rows)])


def write_json(rows: Sequence[Row | MemoryRow], path: str | os.PathLike[str]) -> None:
    """Write the rows and their environment to a file, completely or not at all.

    ``{"environment": {...}, "rows": [{"workload": ..., "milliseconds": {...}, "faster": {name:
    {"median": ..., "low": ..., "high": ...}}, ..., "busy": ""}], "memory": [...]}``; rows of
    `run_memory` are under "memory".

    Example: ``write_json(rows, "bench.json")``
    """
    table = [
        asdict(row) | {"faster": {name: s._asdict() for name, s in row.faster.items()}}
        for row in rows
        if isinstance(row, Row)
    ]
    memory = [asdict(row) for row in rows if isinstance(row, MemoryRow)]
    content = {"environment": environment(rows), "rows": table, "memory": memory}
    write_text_atomic(Path(path), json.dumps(content, indent=2) + "\n")


def _first(rows: Sequence[Row]) -> str:
    """The contestant that the others are compared with: the fastest backend."""
    return next(iter(rows[0].milliseconds)) if rows else config.available_backends()[0]


def _header(rows: Sequence[Row], first: str) -> list[str]:
    known = environment(rows)
    plural = "" if known["threads"] == 1 else "s"
    versions = [f"{name} {known[name]}" for name in ("cnnx", "numpy", "python")]
    versions += [known[name] for name in peer_modules.NAMES if name in known]
    return [
        f"{known['processor']}, {known['cores']} cores, {known['threads']} thread{plural}, "
        f"kernel set {known.get('kernel set (ISA)', 'none')}",
        ", ".join(versions),
        f"x: how many times faster {first} is, the median over alternating blocks",
    ]


def _footer(rows: Sequence[Row]) -> list[str]:
    """Explanation of the marks, if there are any."""
    reasons = [row.busy for row in rows if row.busy]
    if not reasons:
        return []
    return [
        "",
        f"! {len(reasons)} of {len(rows)} rows cannot be trusted, the machine was busy: "
        f"{reasons[0]}. Measure again when it is idle.",
    ]


def _name(row: Row) -> str:
    return f"{row.workload} !" if row.busy else row.workload


def _time(name: str) -> tuple[str, Callable[[Row], str]]:
    """Heading and cell for the time of a contestant."""
    return f"{name} ms", lambda row: _number(row.milliseconds.get(name))


def _ratio(name: str) -> list[tuple[str, Callable[[Row], str]]]:
    """Headings and cells for a ratio and its quartiles."""

    def median(row: Row) -> str:
        return _number(row.faster[name].median) if name in row.faster else "-"

    def quartiles(row: Row) -> str:
        ratio = row.faster.get(name)
        return f"({_number(ratio.low)}-{_number(ratio.high)})" if ratio else ""

    return [(f"x {name}", median), ("(quartiles)", quartiles)]


def _rate(row: Row) -> str:
    if row.matrix:
        return f"{_number(row.gflops)} GFLOP/s"
    return f"{_number(row.gbytes_per_s)} GB/s"


def _number(value: float | None) -> str:
    """Three significant digits; a dash if there is no number."""
    if value is None:
        return "-"
    if value <= 0 or not math.isfinite(value):
        return str(value)
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def _line(cells: list[str], widths: list[int]) -> str:
    name, *rest = zip(cells, widths)
    padded = [name[0].ljust(name[1]), *(cell.rjust(width) for cell, width in rest)]
    return "  ".join(padded).rstrip()


def _processor() -> str:
    """The processor's name, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
