"""Rows measured on a busy machine are marked in the table, the JSON and the generated tables."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from test_bench_table import ROWS, THREADED, described, many_threads  # noqa: F401
from test_report import MODELS, report

import cnnx
from cnnx.bench import busy, format_table, measure, run, threads, write_json
from cnnx.bench.workloads import OPS

WORKLOAD = OPS["relu"][0].reduced()


@pytest.fixture
def cores(monkeypatch):
    """Two cores with a fake clock: wall seconds, CPU seconds of all processes, and of this one."""
    state = {"wall": 0.0, "all": 5.0, "own": 1.0}
    monkeypatch.setattr(busy, "usable_cores", lambda: 2)
    monkeypatch.setattr(busy, "_seconds_of_all", lambda: state["all"])
    monkeypatch.setattr(busy, "_seconds_of_this_process", lambda: state["own"])
    monkeypatch.setattr(busy, "_wall", lambda: state["wall"])
    monkeypatch.setattr(busy, "slowdown", lambda threads: 0.5)

    def spend(**seconds):
        for name, amount in seconds.items():
            state[name] = None if amount is None else state[name] + amount

    return spend


def watched(threads, spend, **seconds):
    with busy.Watch(threads) as watch:
        spend(**seconds)
    return watch.reason


@pytest.mark.parametrize(
    ("threads", "seconds", "reason"),
    [
        (2, {"wall": 2, "all": 4.1, "own": 4}, ""),  # 0.05 of a core: usual for any system
        (2, {"wall": 2, "all": 4, "own": 1}, "other processes took 1.5 of 2 cores"),
        (2, {"wall": 2, "all": 1, "own": 0}, "other processes took 0.5 of 2 cores"),
        (1, {"wall": 2, "all": 3.8, "own": 2}, ""),  # the others use the other core
        (1, {"wall": 2, "all": 4, "own": 1.2}, "other processes took 1.4 of 2 cores"),
        (4, {"wall": 2, "all": 4, "own": 4}, "4 threads on 2 cores"),
        (2, {"wall": 0.01, "all": 0.02, "own": 0}, ""),  # shorter than the clock's resolution
        (2, {"wall": 2, "all": None, "own": 2}, ""),  # a system that does not report it
    ],
)
def test_other_processes_count_if_our_threads_lack_cores(threads, seconds, reason, cores):
    assert watched(threads, cores, **seconds) == reason


def test_threads_that_slow_each_other_down_are_a_reason(cores, monkeypatch):
    monkeypatch.setattr(busy, "slowdown", lambda threads: 0.8)
    assert watched(2, cores, wall=1, all=1, own=1) == ""
    monkeypatch.setattr(busy, "slowdown", lambda threads: 37.4)
    reason = "2 threads took 37 times as long as 1"
    assert watched(2, cores, wall=1, all=1, own=1) == reason
    assert watched(1, cores, wall=1, all=1, own=1) == ""
    assert watched(2, cores, wall=1, all=1, own=0) == f"other processes took 1 of 2 cores, {reason}"


@many_threads
def test_the_gauge_compares_several_threads_with_one(monkeypatch):
    seen = []
    softmax, count = cnnx.ops.softmax, cnnx.get_num_threads()

    def slow_on_many(x, axis):
        seen.append(cnnx.get_num_threads())
        time.sleep(3e-3 if seen[-1] > 1 else 1e-3)
        return softmax(x, axis)

    monkeypatch.setattr(cnnx.ops, "softmax", slow_on_many)
    assert threads.slowdown(3) > 1.5
    assert set(seen) == {1, 3} and cnnx.get_num_threads() == count


def test_the_kernel_reports_the_cpu_time_of_all_processes():
    """Linux: a process that spins for a while is in the total, and not in ours."""
    if busy._seconds_of_all() is None:
        pytest.skip("the system does not tell")
    ours, all_ = busy._seconds_of_this_process(), busy._seconds_of_all()
    code = "import time; s = time.process_time()\nwhile time.process_time() - s < 0.5: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert busy._seconds_of_all() - all_ > 0.45
    assert busy._seconds_of_this_process() - ours < 0.4


def says(monkeypatch, reason):
    """Every measurement ends with this reason."""
    monkeypatch.setattr(busy.Watch, "__exit__", lambda self, *_: setattr(self, "reason", reason))


def test_a_row_measured_on_a_busy_machine_is_marked(monkeypatch):
    for reason in ("other processes took 1.5 of 2 cores", ""):
        says(monkeypatch, reason)
        assert measure(WORKLOAD, seconds=1e-3).busy == reason


@many_threads
def test_a_row_of_threads_is_marked_too(monkeypatch):
    from cnnx.bench import scaling

    says(monkeypatch, "busy")
    small = next(iter(cnnx.bench.MODELS.values()))[0].reduced()
    assert scaling._measure(small, 2, 1e-3).busy == "busy"


BUSY = [ROWS[0], replace(ROWS[1], busy="other processes took 1.5 of 2 cores")]


def test_the_table_marks_the_row_and_states_the_reason(described):  # noqa: F811
    plain, marked = format_table(ROWS).splitlines(), format_table(BUSY).splitlines()
    assert not any("!" in line for line in plain)
    rows = [line for line in marked if line.startswith(("conv2d", "im2col"))]
    assert "!" not in rows[0] and rows[1].startswith("im2col 2,2,2,2 1x1 !")
    assert marked[-1].startswith("! 1 of 2 rows cannot be trusted, the machine was busy: other")
    assert "1.5 of 2 cores" in marked[-1] and "again" in marked[-1]


def test_the_json_holds_the_reason(described, tmp_path):  # noqa: F811
    write_json(BUSY, tmp_path / "bench.json")
    content = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert [row["busy"] for row in content["rows"]] == ["", "other processes took 1.5 of 2 cores"]


def test_the_command_reports_a_busy_machine_immediately(monkeypatch, capsys):
    from cnnx.cli import main

    def run(*_, report, **__):
        for row in (BUSY[1], ROWS[0], BUSY[1]):
            report(row)
        return [BUSY[1]]

    monkeypatch.setattr(cnnx.bench, "run", run)
    monkeypatch.setattr(cnnx.bench, "format_table", lambda rows: "table")
    assert main(["bench", "ops"]) == 0
    out, err = capsys.readouterr()
    assert out == "table\n"
    assert err.count("the machine is busy: other processes took 1.5 of 2 cores") == 1


def test_the_generated_tables_mark_the_row_and_leave_it_out_of_means():
    figures = json.loads(json.dumps(MODELS))
    plain = report.report([figures])
    assert "busy" not in plain and "forward 3.00" in plain
    for row in figures["rows"]:
        if row["workload"] in ("train lenet5 batch 64", "conv2d 1x1"):
            row["busy"] = "other processes took 1.5 of 2 cores"
    text = report.report([figures])
    assert "| train lenet5 batch 64 (!) |" in text and "| conv2d 3x3 | " in text
    assert "forward 4.50" in text
    assert text.count("(!): the machine was busy, these figures cannot be trusted.") == 2


@pytest.mark.skipif(not THREADED, reason="a build with one thread")
def test_a_machine_with_all_cores_in_use_is_detected_as_busy():
    """With real processes: two of them use all cores while a row is measured."""
    if busy._seconds_of_all() is None:
        pytest.skip("the system does not tell")
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(busy.usable_cores())]
    try:
        (row,) = run("ops", filter="log_softmax_backward", quick=True, threads=2, seconds=0.5)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert "other processes took" in row.busy
