"""Denormal numbers count as zero in compiled ops and cost no time; outside they are unaffected."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path

import cases
import numpy as np
import pytest

import cnnx
from cnnx.backends.compiled import parallel
from cnnx.bench import OPS, compare

SOURCES = sorted((Path(__file__).parents[1] / "csrc").glob("**/*.pyx"))
CAN_FLUSH = platform.machine().lower() in ("x86_64", "amd64", "arm64", "aarch64")
RICHEST = [cases.richest(op) for op in cases.CASES]


@pytest.fixture(autouse=True)
def _compiled():
    with cnnx.use_backend("compiled"):
        yield


def test_only_parallel_starts_threads():
    found = {
        path.name
        for path in SOURCES
        if re.search(r"\b(parallel|prange)\(|pragma omp", path.read_text(encoding="utf-8"))
    }
    assert found == {"parallel.pyx"} and len(SOURCES) > 25


def test_every_loop_over_tasks_sets_and_restores_flushing():
    (source,) = (path.read_text(encoding="utf-8") for path in SOURCES if path.stem == "parallel")
    loops = [f for f in re.split(r"\n(?=cdef |def )", source) if re.search(r"\btask\(", f)]
    assert len(loops) == 3  # on one thread, with equal shares, on demand
    for loop in loops:
        order = re.findall(r"\b(flush_denormals|task|restore_denormals)\(", loop)
        assert order == ["flush_denormals", "task", "restore_denormals"], loop


def _halves_denormals():
    small = np.full(100, 1e-39, np.float32)
    return (small * np.float32(0.5) != 0).all()


@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_an_op_restores_the_floating_point_mode_of_all_threads(case, all_threads):
    for threads in (1, 3):
        cnnx.set_num_threads(threads)
        getattr(cnnx.ops, case.op)(**case.arguments(np.float32))
        assert _halves_denormals()
        assert parallel.flushing_threads(threads) == 0


def _faint(*shape):
    """Denormal numbers of both signs."""
    return (np.random.default_rng(0).uniform(1, 9, shape) * 1e-39).astype(np.float32)


ONES = np.ones((4, 32, 14, 14), np.float32)
FLUSHED = {
    "conv2d in tiles": lambda x: cnnx.ops.conv2d(x, ONES[:, :, :3, :3]),
    "conv2d in Winograd's tiles": lambda x: cnnx.ops.conv2d(
        x, np.tile(ONES, (8, 1, 1, 1))[:, :, :3, :3], padding=1
    ),
    "conv2d of pixels": lambda x: cnnx.ops.conv2d(x, ONES[:, :, :1, :1]),
    "conv2d depthwise": lambda x: cnnx.ops.conv2d(x, np.ones((32, 1, 3, 3), np.float32), groups=32),
    "linear": lambda x: cnnx.ops.linear(x, ONES[0, 0]),
    "tanh_backward": lambda x: cnnx.ops.tanh_backward(x, np.full_like(x, 0.5)),
    "dropout": lambda x: cnnx.ops.dropout(x, 0.5, 1, 2),
    "avg_pool2d": lambda x: cnnx.ops.avg_pool2d(x, 2),
}


@pytest.mark.skipif(not CAN_FLUSH, reason="this CPU has no switch that cnnx knows")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("op", FLUSHED)
def test_denormal_numbers_give_zero(op, threads, all_threads):
    cnnx.set_num_threads(threads)
    assert not FLUSHED[op](_faint(4, 32, 14, 14)).any()


@pytest.mark.parametrize("op", ["conv2d", "linear"])
def test_denormal_input_takes_at_most_twice_as_long(op):
    """Compares two rows of the benchmark. Some CPUs never slow down, such as recent ones by AMD."""
    rows = {row.name: row for row in OPS[op]}
    denormal = next(name for name in rows if name.endswith(" denormal"))
    names = {"faint": denormal, "plain": denormal.removesuffix(" denormal")}
    tasks = {key: rows[name].prepare(np.random.default_rng(0)) for key, name in names.items()}
    assert 0 < np.abs(tasks["faint"].arguments["x"]).max() < np.finfo(np.float32).tiny
    cnnx.set_num_threads(1)  # and CPU time: other processes do not count
    calls = {key: task.run for key, task in tasks.items()}
    timing = compare(calls, 0.5, clock=time.process_time)
    assert timing.ratio("faint", "plain").low < 2
