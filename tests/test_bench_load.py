"""`cnnx bench busy`: its processes run while a row is measured, and never longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_bench_table import many_threads

import cnnx
from cnnx.bench import format_table, load, run_busy, under_load
from cnnx.bench.table import select
from cnnx.bench.timing import Timing

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process ids as in POSIX")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid, seconds=20):
    """Whether a process that is not our child ends within this time."""
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


@pytest.mark.parametrize(
    "kind, count",
    [(load.LOADS[0], 0), (load.LOADS[1], 1), (load.LOADS[2], None), (load.LOADS[3], 1)],
)
def test_a_load_runs_in_its_context_only(kind, count):
    with load.load(kind) as pids:
        assert len(pids) == (load.usable_cores() if count is None else count)
        assert all(map(alive, pids))
    assert not any(map(alive, pids))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_process_remains_after_an_error(error):
    with pytest.raises(error), load.load("one burning process") as pids:
        raise error
    assert not alive(*pids)


def test_a_process_ends_when_its_parent_was_killed():
    code = "from cnnx.bench.load import load\nwith load('one burning process') as pids:"
    code += "\n    print(*pids, flush=True)\n    while True: pass"
    root = str(Path(cnnx.__file__).parents[1])
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        child = int(parent.stdout.readline())
        assert alive(child)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
    assert ends(child)


def test_a_process_ends_when_its_time_is_over_which_is_an_error(monkeypatch):
    monkeypatch.setattr(load, "LIMIT", 0.2)
    words = "one burning process ended before"
    with pytest.raises(RuntimeError, match=words), load.load("one burning process"):
        time.sleep(3)


def test_an_unknown_load_is_an_error():
    words = "load is 'rain', expected one of nothing, one burning"
    with pytest.raises(ValueError, match=words), load.load("rain"):
        pass


def test_a_process_that_cannot_start_is_an_error(monkeypatch):
    monkeypatch.setattr(load.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"), load.load("one burning process"):
        pass


@pytest.fixture
def fast(monkeypatch):
    """Small workloads and no processes; gives the loads that were in use."""
    used = []

    @contextmanager
    def note(kind):
        used.append(kind)
        yield []

    def small(*arguments):
        return [workload.reduced() for workload in select(*arguments)]

    monkeypatch.setattr(under_load, "select", small)
    monkeypatch.setattr(under_load, "load", note)
    return used


@many_threads
def test_there_is_a_row_for_each_model_and_load(fast):
    reported, before = [], cnnx.get_num_threads()
    rows = run_busy(filter="train", quick=True, threads=2, seconds=0.01, report=reported.append)
    assert rows == reported and len(rows) == 3 * len(load.LOADS)
    assert fast == 3 * list(load.LOADS) and cnnx.get_num_threads() == before
    assert rows[1].workload == "train lenet5 batch 3 beside one burning process"
    assert list(rows[0].milliseconds) == ["2 threads", "1 thread"]
    assert list(rows[0].faster) == ["1 thread"] and rows[0].gflops > 0
    assert "beside a second cnnx" in format_table(rows)


@many_threads
def test_the_figure_is_the_mean_of_the_steps_of_a_turn(fast, monkeypatch):
    seen = []

    def turns(calls, seconds, around):
        for name, call in calls.items():
            with around(name):
                call()
                seen.append((name, cnnx.get_num_threads()))
        return Timing({name: [0.5] for name in calls})

    monkeypatch.setattr(under_load, "compare", turns)
    monkeypatch.setattr(under_load, "_steps", lambda call, seconds: 5)
    rows = run_busy(filter="train lenet5", quick=True, threads=2)
    assert seen == [("2 threads", 2), ("1 thread", 1)] * len(load.LOADS)
    assert all(row.milliseconds["1 thread"] == 100 for row in rows)


@many_threads
def test_only_a_row_without_load_is_marked_as_busy(fast, monkeypatch):
    monkeypatch.setattr(
        under_load.Watch, "__exit__", lambda self, *_: setattr(self, "reason", "busy")
    )
    rows = run_busy(filter="train lenet5", quick=True, threads=2, seconds=0.01)
    assert [row.busy for row in rows] == ["busy", "", "", ""]


@pytest.mark.parametrize(
    "arguments, words",
    [
        pytest.param({"threads": 1}, "threads is 1", marks=many_threads),
        ({"filter": "vgg"}, "no training step of lenet5, mnist_cnn, resnet20 has 'vgg'"),
        ({"seconds": 0}, "seconds is 0"),
    ],
)
def test_invalid_arguments_are_an_error(arguments, words):
    with pytest.raises(ValueError, match=words):
        run_busy(**{"threads": 2} | arguments)
