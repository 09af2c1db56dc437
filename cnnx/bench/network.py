"""One network of an ONNX file in cnnx and in other runtimes: time, memory, and whether they agree.

>>> rows = run_network("net.onnx", "plan.npz", {"input": x}, peers=["onnxruntime"])
>>> print(format_network(rows))
"""

# Design:
# Each library has a process of its own, as its peak of memory is that of a process, and two pools
# of threads in one process disturb each other. The processes live side by side and take turns, with
# a block of calls each, like the functions of timing.py; while one computes, the others wait for a
# line of input. cnnx runs the plan that `cnnx convert --plan` makes of the file, as a user would.

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnx import config

from . import contestant
from .timing import LEAST_ROUNDS, Spread, spread

__all__ = ["NETWORK_PEERS", "NetworkRow", "check_peers", "format_network", "run_network"]

NETWORK_PEERS = ("onnxruntime", "openvino")
SECONDS = 10.0  # of measurement for a batch size


@dataclass(frozen=True)
class NetworkRow:
    """A network at one batch size, by library.

    faster      how many times as long the peer takes as cnnx, over the rounds
    bytes       peak memory of the process, if known
    difference  of the outputs from cnnx's, relative to the largest output
    """

    network: str
    batch: int
    threads: int
    rounds: int
    versions: dict[str, str]
    milliseconds: dict[str, float]
    faster: dict[str, Spread]
    bytes: dict[str, int | None]
    difference: dict[str, float]


def check_peers(peers: Sequence[str]) -> None:
    """ValueError for a peer that is not known, ImportError for one that is not installed."""
    for name in peers:
        if name not in NETWORK_PEERS:
            raise ValueError(
                f"bench: peer {name!r} does not run ONNX files, expected "
                f"{' or '.join(NETWORK_PEERS)}"
            )
        if importlib.util.find_spec(name) is None:
            raise ImportError(f"bench: {name} is not installed: pip install {name}")


def run_network(
    file: str,
    plan: str,
    inputs: Mapping[str, np.ndarray],
    peers: Sequence[str] = (),
    threads: int | None = None,
    seconds: float | None = None,
) -> NetworkRow:
    """Measure one batch size.

    file     the ONNX file, for the peers
    plan     the same network as a file of `plan.save`, for cnnx
    inputs   arrays by the names of the inputs
    peers    names out of `NETWORK_PEERS`
    threads  of each library; None: those of cnnx here
    seconds  how long to measure, but three rounds at least

    ValueError for a network that a peer cannot run, with its reason.

    Example: ``run_network("net.onnx", "plan.npz", {"input": x}, ["onnxruntime"])``
    """
    check_peers(peers)
    names = ["cnnx", *dict.fromkeys(peers)]
    threads = config.get_num_threads() if threads is None else threads
    seconds = SECONDS if seconds is None else seconds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        given = os.path.join(folder, "inputs.npz")
        np.savez(given, *inputs.values())
        job: dict[str, Any] = {"file": os.path.abspath(file), "plan": os.path.abspath(plan)}
        job |= {"inputs": given, "names": list(inputs), "threads": threads, "path": sys.path}
        processes = {}
        for name in names:
            made = os.path.join(folder, f"{name}.npz")
            own = {**job, "library": name, "outputs": made}
            processes[name] = stack.enter_context(_process(file, name, own))
        outputs = {name: _arrays(os.path.join(folder, f"{name}.npz")) for name in names}
        blocks = _rounds(processes, seconds)
        versions = {name: process.first["version"] for name, process in processes.items()}
    times = {name: [block["seconds"] for block in blocks[name]] for name in names}
    return NetworkRow(
        os.path.basename(file),
        len(next(iter(inputs.values()))),
        threads,
        len(blocks["cnnx"]),
        versions,
        {name: 1e3 * spread(times[name]).median for name in names},
        {
            name: spread([a / b for a, b in zip(times[name], times["cnnx"], strict=True)])
            for name in names[1:]
        },
        {name: blocks[name][-1]["bytes"] for name in names},
        {name: _difference(file, name, outputs[name], outputs["cnnx"]) for name in names[1:]},
    )


def format_network(rows: Sequence[NetworkRow]) -> str:
    """The rows as text for a terminal.

    Example: ``print(format_network([row]))``
    """
    first = rows[0]
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    lines: list[Sequence[str]] = [
        ("batch", "", "ms", "x", "(quartiles)", "peak MB", "difference"),
    ]
    for row in rows:
        for name, time_ in row.milliseconds.items():
            ratio, size = row.faster.get(name), row.bytes[name]
            lines.append(
                (
                    str(row.batch),
                    name,
                    f"{time_:.3f}",
                    f"{ratio.median:.2f}" if ratio else "",
                    f"({ratio.low:.2f}-{ratio.high:.2f})" if ratio else "",
                    "-" if size is None else f"{size / 1e6:.0f}",
                    f"{row.difference[name]:.0e}" if ratio else "",
                )
            )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    plural = "" if first.threads == 1 else "s"
    return "\n".join(
        [
            f"{first.network}, {first.threads} thread{plural} each; {versions}",
            f"x: how many times as long as cnnx, the median of {first.rounds} rounds in turn",
            "",
            *("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines),
        ]
    )


class _Process:
    """A contestant; `first` is what it said when the network was loaded."""

    def __init__(self, file: str, name: str, process: Any, errors: Any) -> None:
        self._file, self._name, self._process, self._errors = file, name, process, errors
        self.first = self._answer()

    def block(self) -> dict[str, Any]:
        """Let it compute for a while: its seconds per call, and its peak memory."""
        with suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        for line in self._process.stdout:
            if line.startswith(contestant.MARK):
                return json.loads(line.removeprefix(contestant.MARK))
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "its process ended"
        raise ValueError(f"bench: {self._name} cannot run {self._file}: {reason}")


@contextmanager
def _process(file: str, name: str, job: dict[str, Any]) -> Iterator[_Process]:
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, contestant.__file__, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        )
        try:
            yield _Process(file, name, process, errors)
        finally:
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]  # as stdin


def _rounds(processes: Mapping[str, _Process], seconds: float) -> dict[str, list[dict[str, Any]]]:
    """What each process says after each of its blocks, which they run in turn."""
    blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in processes}
    start = time.perf_counter()
    for done in itertools.count(1):
        for name, process in processes.items():
            blocks[name].append(process.block())
        if done >= LEAST_ROUNDS and time.perf_counter() - start >= seconds:
            return blocks
    raise AssertionError


def _arrays(path: str) -> list[np.ndarray]:
    with np.load(path) as archive:
        return [archive[name] for name in archive.files]


def _difference(
    file: str, name: str, found: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> float:
    """The largest difference, relative to the largest number of the same output."""
    shapes = [[y.shape for y in ys] for ys in (found, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"bench: {file}: outputs of {name} have shapes {shapes[0]}, of cnnx {shapes[1]}"
        )
    parts = [
        float(np.max(np.abs(y - z), initial=0) / max(np.max(np.abs(z), initial=0), 1e-30))
        for y, z in zip(found, expected, strict=True)
    ]
    return max(parts, default=0.0)
