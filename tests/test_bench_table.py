"""Output of the benchmarks: rows of times, of memory, and their JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import cnnx
from cnnx.bench import (
    LAYERS,
    MODELS,
    OPS,
    Spread,
    Timing,
    format_table,
    memory,
    peers,
    run,
    run_threads,
    scaling,
    table,
    write_json,
)
from cnnx.bench.table import Row, select
from cnnx.bench.workloads import all_workloads

# Without OpenMP, or in pure Python, there is one thread whatever is requested.
THREADED = cnnx.config_dict().get("OpenMP", "no").startswith("yes")
many_threads = pytest.mark.skipif(not THREADED, reason="a build with one thread")


@pytest.fixture
def fast(monkeypatch):
    """Small workloads, with a single round each."""

    def small(*arguments):
        return [workload.reduced() for workload in select(*arguments)]

    for module in (table, scaling):
        monkeypatch.setattr(module, "select", small)
    monkeypatch.setattr(table, "QUICK_SECONDS", 1e-3)


def test_run_measures_every_backend_and_reports_each_row(fast):
    reported, kinds = [], ("relu_max_pool2d", "relu", "relu6", "leaky_relu", "prelu")
    rows = run("ops", filter="relu", quick=True, threads=1, report=reported.append)
    ops = [row.workload.split()[0] for row in rows]
    assert ops == [f"{op}{way}" for op in kinds for way in ("", "_backward")]
    assert reported == rows
    for row in rows:
        assert set(row.milliseconds) == set(cnnx.available_backends())
        assert set(row.faster) == set(cnnx.available_backends()[1:])
        assert all(value > 0 for value in row.milliseconds.values())
        assert row.threads == 1 and row.rounds >= 1
        assert row.gbytes_per_s > 0 and row.gflops > 0 and not row.matrix


def test_run_measures_a_peer_when_asked(fast, torch):
    rows = run("models", peers=["torch"], filter="lenet5", quick=True)
    assert [row.workload for row in rows] == ["train lenet5 batch 3"]
    assert rows[0].faster["torch"].median > 0
    assert rows[0].gbytes_per_s is None
    text = format_table(rows)
    assert "x torch" in text and "eager, NCHW" in text


def test_the_seconds_of_a_row_can_be_asked_for(fast, monkeypatch):
    seen = []

    def listen(calls, seconds, around):
        seen.append(seconds)
        return Timing({name: [0.25] for name in calls})

    monkeypatch.setattr(table, "compare", listen)
    run("ops", filter="mse", seconds=7)
    run("ops", filter="mse")
    assert {7, 2.0} == set(seen)
    for measure in (run, run_threads):
        with pytest.raises(ValueError, match="seconds is 0, expected more than 0"):
            measure(threads=2, seconds=0)


def test_run_restores_the_number_of_threads(fast):
    before = cnnx.get_num_threads()
    rows = run("ops", filter="mse", quick=True, threads=3)
    assert rows[0].threads == (3 if THREADED else before)
    assert cnnx.get_num_threads() == before


def test_select_returns_the_requested_workloads():
    assert len(select()) == len(all_workloads())
    assert len(select("all", quick=True)) == len(OPS) + len(MODELS)
    assert {w.op for w in select("models")} == {"train", "predict", "conv2d", "conv2d_backward"}
    assert len(select("models", quick=True)) == len(MODELS) + 3
    assert all("weight" in w.name for w in LAYERS["weight"])
    assert [len(rows) for rows in LAYERS.values()] == 3 * [
        len(OPS["conv2d"]) - 1
    ]  # all except the denormal one
    assert [w.name for w in select("models", "train lenet5")] == [
        "train lenet5 batch 64",
        "train lenet5 batch 32",
    ]
    assert all("depthwise" in workload.name for workload in select("ops", "depthwise"))


@pytest.mark.parametrize(
    "what, filter, words",
    [
        ("ops", "conv9d", "'conv9d' in its name: conv2d, .*relu, .*adam_step"),
        ("models", "relu", "'relu' in its name: lenet5, mnist_cnn, digits_cnn"),
        ("layers", None, "what is 'layers', expected one of all, ops, models"),
    ],
)
def test_a_filter_without_a_match_is_an_error_that_lists_the_workloads(what, filter, words):
    with pytest.raises(ValueError, match=words):
        run(what, filter=filter)


ROWS = [
    Row(
        "conv2d 64,3,32,32->64 3x3",
        {"compiled": 1.2345, "reference": 61.7, "torch": 9.87},
        {"reference": Spread(50.0, 48.76, 51.2), "torch": Spread(8.0, 7.5, 8.25)},
        gflops=183.46,
        gbytes_per_s=12.0,
        matrix=True,
        rounds=9,
        threads=2,
    ),
    Row(
        "im2col 2,2,2,2 1x1",
        {"compiled": 0.00123, "reference": 1234.5},
        {"reference": Spread(0.9, 0.85, 0.951)},
        gflops=None,
        gbytes_per_s=3.25,
        matrix=False,
        rounds=9,
        threads=2,
    ),
]


@pytest.fixture
def described(monkeypatch):
    """torch is in the rows: its description must not require it."""

    class Described:
        description = "torch 9.9"

    monkeypatch.setattr(peers, "load", lambda name: [Described])


def test_the_table_has_a_line_for_each_row_below_its_header(described):
    first, versions, method, blank, head, rule, conv, im2col = format_table(ROWS).splitlines()
    assert "2 threads" in first and "kernel set" in first
    assert f"cnnx {cnnx.__version__}, numpy {np.__version__}" in versions
    assert versions.endswith("torch 9.9") and "how many times faster compiled is" in method
    assert blank == "" and set(rule) == {"-", " "}
    titles = ["workload", "reference ms", "compiled ms", "x reference", "(quartiles)", "rate"]
    assert [head.index(title) for title in titles] == sorted(head.index(t) for t in titles)
    cells = ["61.7", "1.23", "50.0", "(48.8-51.2)", "183", "GFLOP/s", "9.87", "8.00", "(7.50-8.25)"]
    assert conv.removeprefix("conv2d 64,3,32,32->64 3x3").split() == cells
    cells = ["1234", "0.00123", "0.900", "(0.850-0.951)", "3.25", "GB/s", "-", "-"]
    assert im2col.removeprefix("im2col 2,2,2,2 1x1").split() == cells
    assert {len(line) for line in (head, rule, conv)} == {len(rule)}


def test_a_table_without_rows_is_its_header():
    assert format_table([]).splitlines()[-2].startswith("workload")


def test_json_holds_rows_and_environment(described, tmp_path):
    write_json(ROWS, tmp_path / "bench.json")
    content = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert content["environment"]["threads"] == 2
    assert {"processor", "cores", "cnnx", "numpy", "python", "torch"} <= set(content["environment"])
    first, second = content["rows"]
    assert first["workload"] == ROWS[0].workload
    assert first["milliseconds"] == ROWS[0].milliseconds
    assert first["faster"]["torch"] == {"median": 8.0, "low": 7.5, "high": 8.25}
    assert second["gflops"] is None and second["matrix"] is False


# ------------------------------------------------------------------------------------- the memory


def small_memory(monkeypatch):
    rows = [workload.reduced() for workload in memory.MEMORY if "lenet5" in workload.name]
    monkeypatch.setattr(memory, "MEMORY", rows)


@pytest.mark.skipif("compiled" not in cnnx.available_backends(), reason="the pool is compiled")
def test_memory_of_a_step_excludes_weights_and_gradients(monkeypatch, torch):
    small_memory(monkeypatch)
    (row,) = memory.run_memory(peers=["torch"])
    assert row.workload == "lenet5 batch 3"
    # 3 images of 6x12x12 after the first convolution are alive together with its cached values
    for size in row.bytes.values():
        assert 3 * 6 * 12 * 12 * 4 < size < 1_000_000
    assert set(row.bytes) == {"compiled", "torch", "torch channels_last"}
    text = memory.format_memory([row]).splitlines()
    assert text[0].split()[:2] == ["training", "step"] and "torch channels_last MB" in text[0]
    assert text[1].startswith("lenet5 batch 3") and f"{row.bytes['torch'] / 1e6:.2f}" in text[1]


def test_the_peak_of_torch_is_the_largest_sum_of_live_tensors(torch):
    zeros = torch._torch.zeros

    def call():
        first = zeros(1000)
        second = zeros(2000)
        del first
        return second, zeros(500)

    assert torch.peak_bytes(call) == 4 * 3000


def test_memory_of_an_unknown_model_is_an_error_that_lists_the_models():
    with pytest.raises(ValueError, match=r"'lenet6' in its name: .*lenet5 batch 64"):
        memory.run_memory(filter="lenet6")


def test_json_holds_memory(described, tmp_path):
    row = memory.MemoryRow("lenet5 batch 64", {"compiled": 5, "torch": 9}, 2)
    write_json([row], tmp_path / "memory.json")
    content = json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))
    assert content["memory"] == [
        {"workload": "lenet5 batch 64", "bytes": {"compiled": 5, "torch": 9}, "threads": 2}
    ]
    assert content["rows"] == [] and content["environment"]["torch"] == "torch 9.9"


# ------------------------------------------------------------------------------------ the threads


@many_threads
def test_steps_on_one_thread_and_on_several(fast):
    before = cnnx.get_num_threads()
    (row,) = run_threads("lenet5", quick=True, threads=3)
    assert row.workload == "train lenet5 batch 3" and row.threads == 3
    assert list(row.milliseconds) == ["3 threads", "1 thread"] and list(row.faster) == ["1 thread"]
    assert row.faster["1 thread"].low > 0 and row.gflops > 0
    assert cnnx.get_num_threads() == before
    assert "x 1 thread" in format_table([row])


@many_threads
def test_a_step_runs_with_the_threads_of_its_contestant(fast, monkeypatch):
    seen = []

    def listen(calls, seconds, around):
        assert seconds == 0.25 and cnnx.get_backend() == "compiled"
        for name, call in calls.items():
            with around(name):
                call()
                seen.append((name, cnnx.get_num_threads()))
        return Timing({name: [0.25 if name == "1 thread" else 0.125] for name in calls})

    monkeypatch.setattr(scaling, "compare", listen)
    with cnnx.use_backend("reference"):
        (row,) = run_threads("lenet5", quick=True, threads=2, seconds=0.25)
    assert seen == [("2 threads", 2), ("1 thread", 1)]
    assert row.faster["1 thread"].median == 2.0 and row.milliseconds["1 thread"] == 250.0


@pytest.mark.parametrize(
    "arguments, words",
    [
        pytest.param({"threads": 1}, r"threads is 1", marks=many_threads),
        pytest.param({"threads": 1025}, r"n=1025", marks=many_threads),
        ({"filter": "lenet6", "threads": 2}, r"'lenet6'"),
        ({"filter": "conv2d", "threads": 2}, r"no training step has 'conv2d'"),
    ],
)
def test_invalid_threads_or_filter_are_an_error(arguments, words):
    with pytest.raises(ValueError, match=words):
        run_threads(**arguments)


@pytest.mark.parametrize(
    "backends, openmp, words",
    [
        (("reference",), "no", r"the compiled backend, .* install a C compiler"),
        (
            ("compiled", "reference"),
            "no: built",
            r"has one thread, .* OpenMP was missing: install it",
        ),
    ],
)
@pytest.mark.parametrize("threads", [None, 2])
def test_a_build_with_one_thread_is_an_error(threads, backends, openmp, words, monkeypatch):
    monkeypatch.setattr(cnnx.config, "available_backends", lambda: backends)
    monkeypatch.setattr(cnnx.config, "config_dict", lambda: {"OpenMP": openmp})
    with pytest.raises(ValueError, match=words):
        run_threads(threads=threads)


def test_more_threads_than_available_are_an_error():
    """In any build; in one with OpenMP, by its own limit."""
    code = "import cnnx.cli; raise SystemExit(cnnx.cli.main())"
    command = [sys.executable, "-c", code, "bench", "threads", "--quick", "--threads", "3"]
    variables = os.environ | {"OMP_THREAD_LIMIT": "2"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    words = "threads is 3, but this process has 2 at most" if THREADED else "then cnnx again"
    assert done.returncode == 1 and done.stdout == "" and words in done.stderr
    assert len(done.stderr.splitlines()) == 1
