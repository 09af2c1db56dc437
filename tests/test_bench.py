"""The benchmarks measure what they say: method, workloads, twins and table."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import contextmanager

import cases
import numpy as np
import pytest

import cnnx
from cnnx.backends import OP_NAMES
from cnnx.bench import (
    LAYERS,
    MODELS,
    OPS,
    Spread,
    compare,
    format_table,
    memory,
    peers,
    run,
    table,
    write_json,
)
from cnnx.bench.sizes import Windows
from cnnx.bench.table import Row, select
from cnnx.bench.timing import LEAST_ROUNDS, spread
from cnnx.bench.workloads import all_workloads

SMALL = {workload.name: workload.reduced() for workload in all_workloads()}


# ------------------------------------------------------------------------------------ the method


SETTLE, BLOCK, SLOW = 5e-3, 10e-3, 0.1  # the method is the same at any scale


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """A twentieth of the real times: the fake clock is moved by real calls."""
    for name, value in (("SETTLE", SETTLE), ("BLOCK", BLOCK), ("SLOW", SLOW)):
        monkeypatch.setattr(f"cnnx.bench.timing.{name}", value)


class Machine:
    """A clock that only work moves, and functions that cost what they are told."""

    def __init__(self, look=0.0):
        self.now, self.look = 0.0, look
        self.calls: list[str] = []
        self.turn_began = 0.0
        self.speed = lambda now: 1.0
        self.disturbed = 0.0  # seconds after a switch in which everything takes ten times as long

    def clock(self):
        self.now += self.look
        return self.now

    def function(self, name, seconds):
        def call():
            if not self.calls or self.calls[-1] != name:
                self.turn_began = self.now
            slow = 10 if self.now - self.turn_began < self.disturbed else 1
            self.calls.append(name)
            self.now += seconds * slow / self.speed(self.now)

        return call

    def compare(self, seconds=1.0, **costs):
        calls = {name: self.function(name, cost) for name, cost in costs.items()}
        return compare(calls, seconds, clock=self.clock)

    def turns(self):
        """Names in order, repetitions dropped."""
        return [a for a, b in zip(self.calls, [*self.calls[1:], None]) if a != b]


def test_a_ratio_of_known_costs_is_their_ratio():
    timing = Machine().compare(a=4e-3, b=1e-3)
    assert timing.ratio("a", "b") == pytest.approx((4, 4, 4))
    assert timing.seconds("a") == pytest.approx(4e-3)
    assert timing.ratio("b", "a").median == pytest.approx(0.25)


def test_functions_take_turns():
    machine = Machine()
    timing = machine.compare(a=1e-3, b=1e-3, c=1e-3)
    assert machine.turns() == ["a", "b", "c"] * (timing.rounds + 1)  # the first to warm up
    assert timing.rounds >= 10


def test_a_machine_that_changes_its_speed_does_not_change_the_ratio():
    machine = Machine()
    machine.speed = lambda now: 3.0 if now > 0.4 else 1.0
    timing = machine.compare(a=2e-3, b=1e-3)
    assert timing.ratio("a", "b") == pytest.approx((2, 2, 2), rel=1e-6)
    assert max(timing.blocks["a"]) > 2.9 * min(timing.blocks["a"])


def test_the_first_calls_after_a_switch_do_not_count():
    machine = Machine()
    machine.disturbed = 3e-3
    timing = machine.compare(a=4e-4, b=1e-4)
    assert timing.ratio("a", "b") == pytest.approx((4, 4, 4))
    assert timing.seconds("b") == pytest.approx(1e-4)


def test_reading_the_clock_costs_a_fast_function_less_than_a_percent():
    timing = Machine(look=1e-7).compare(seconds=0.2, a=2e-6, b=1e-6)
    assert timing.seconds("b") == pytest.approx(1e-6, rel=0.01)
    assert timing.ratio("a", "b").median == pytest.approx(2, rel=0.01)


def test_a_first_call_that_loads_a_library_is_not_taken_for_a_slow_function():
    machine = Machine()
    machine.disturbed = 3e-3
    machine.speed = lambda now: 1e-4 if now == 0 else 1.0
    timing = machine.compare(a=4e-5, b=1e-5)
    assert timing.ratio("a", "b") == pytest.approx((4, 4, 4))


def test_a_call_in_many_that_is_interrupted_does_not_count():
    machine = Machine()
    machine.speed = lambda now: 0.01 if int(now * 1e3) % 40 == 7 else 1.0
    assert machine.compare(a=2e-4, b=1e-4).ratio("a", "b").median == pytest.approx(2)


def test_a_slow_function_is_called_a_few_times_and_nothing_of_it_is_dropped():
    machine = Machine()
    timing = machine.compare(seconds=1.0, a=0.5, b=1e-3)
    assert machine.calls.count("a") == timing.rounds + 2 == LEAST_ROUNDS + 2
    assert machine.now < 3


def test_time_is_bounded_even_if_one_call_takes_longer_than_all_may():
    machine = Machine()
    timing = machine.compare(seconds=1.0, a=10.0, b=1e-3)
    assert timing.rounds == 1
    assert machine.calls.count("a") == 2
    assert timing.ratio("a", "b") == pytest.approx((1e4, 1e4, 1e4))


@pytest.mark.parametrize("cost", [1e-6, 1e-4, 1e-2, 0.9 * SLOW, 1.1 * SLOW])
def test_a_row_takes_no_longer_than_it_may(cost):
    machine = Machine(look=1e-7)
    machine.compare(seconds=0.5, a=cost, b=cost)
    assert machine.now <= (0.52 if cost < SLOW / 2 else 1.5)


def test_each_turn_runs_in_its_own_context():
    machine, entered = Machine(), []

    @contextmanager
    def around(name):
        entered.append(name)
        machine.now += 1e-3  # not counted
        yield
        assert machine.calls[-1] == name

    calls = {name: machine.function(name, 1e-3) for name in "ab"}
    timing = compare(calls, 0.2, around=around, clock=machine.clock)
    assert entered == ["a", "b"] * (timing.rounds + 1)
    assert timing.seconds("a") == pytest.approx(1e-3)


def test_real_functions_are_ranked():
    timing = compare({"long": lambda: sum(range(9000)), "short": lambda: sum(range(9))}, 0.05)
    assert timing.ratio("long", "short").low > 1


def test_the_garbage_collector_comes_back_after_an_error():
    def fails():
        assert not gc.isenabled()
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError, match="no"):
        compare({"a": fails})
    assert gc.isenabled()


@pytest.mark.parametrize("calls, seconds, words", [({}, 1, "empty"), ({"a": int}, 0, "seconds=0")])
def test_compare_says_what_is_missing(calls, seconds, words):
    with pytest.raises(ValueError, match=words):
        compare(calls, seconds)


def test_a_spread_is_median_and_quartiles():
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


# --------------------------------------------------------------------------------- the workloads


def prepared(name, dtype=np.float64):
    return SMALL[name].prepare(np.random.default_rng(0), dtype)


def arrays(name, backend):
    task = prepared(name)
    if task.op in ("train", "predict"):
        cnnx.manual_seed(1)  # the same dropout
    with cnnx.use_backend(backend):
        return task.arrays(task.run())


def test_every_op_has_workloads_and_every_model_a_training_step():
    assert set(OPS) == set(OP_NAMES)
    assert set(MODELS) == set(cnnx.models.names())
    for rows in MODELS.values():
        assert {"train", "predict"} == {row.op for row in rows}


def test_names_are_unique():
    names = [workload.name for workload in all_workloads()]
    assert len(set(names)) == len(names)
    assert "conv2d 64,16,14,14->32 3x3" in names


@pytest.mark.parametrize("name", SMALL)
def test_a_workload_computes_the_same_on_every_backend(name):
    expected = arrays(name, "reference")
    assert expected and all(np.isfinite(array).all() for array in expected)
    for backend in cnnx.available_backends():
        for actual, wanted in zip(arrays(name, backend), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", SMALL)
def test_a_workload_takes_float32_and_can_run_again_and_again(name):
    task = prepared(name, np.float32)
    for _ in range(3):
        result = task.run()
    assert all(np.isfinite(array).all() for array in task.arrays(result))
    floats = [a for a in cases.arrays(task.arguments).values() if a.dtype.kind == "f"]
    assert all(array.dtype == np.float32 for array in floats)


def test_a_reduced_workload_is_small():
    for name, workload in SMALL.items():
        given = cases.arrays(prepared(name).arguments).values()
        assert sum(array.size for array in given) < 20_000, workload.name


def test_flops_of_matrix_products_count_every_multiplication():
    """With ones everywhere, an output is the number of products behind it."""
    for workload in map(Windows.small, (row.size for row in OPS["conv2d"])):
        x = np.ones((workload.n, workload.c, workload.h, workload.w))
        weight = np.ones((workload.oc, workload.c // workload.groups, workload.k, workload.k))
        options = {**workload.options(), "groups": workload.groups}
        products = cnnx.ops.conv2d(x, weight, **options).sum()
        assert products <= workload.macs  # those with zeros around the image count too
        assert workload.padding or products == workload.macs
    assert OPS["linear"][0].flops == 2 * 256 * 4096 * 1000
    assert OPS["linear_backward"][0].flops == 4 * 256 * 4096 * 1000


def test_flops_of_a_training_step_are_three_forwards():
    macs = cnnx.models.lenet5().summary((1, 28, 28)).macs
    train, half, *predict = MODELS["lenet5"]
    assert train.flops == 2 * half.flops == 3 * 2 * 64 * macs
    assert [row.flops for row in predict] == [2 * macs, 2 * 32 * macs]


@pytest.mark.parametrize(
    "name, arrays_moved",
    [("relu", 2), ("relu_backward", 3), ("adam_step", 7), ("sgd_step", 5), ("mse", 3)],
)
def test_bytes_are_every_array_in_and_out_once(name, arrays_moved):
    workload = OPS[name][0].reduced()
    task = workload.prepare(np.random.default_rng(0), np.float32)
    moved = task.bytes(task.run())
    scalar = 8 if name == "mse" else 0
    assert moved == arrays_moved * 4 * workload.size.elements + scalar


def test_argmax_counts_as_one_byte_a_window():
    workload = OPS["max_pool2d"][0].reduced()
    task = workload.prepare(np.random.default_rng(0), np.float32)
    y, argmax = result = task.run()
    assert task.bytes(result) == 4 * (task.arguments["x"].size + y.size) + argmax.size


def test_a_training_step_leaves_the_weights_where_they_are():
    task = prepared("train lenet5 batch 64", np.float32)
    before = task.arguments["model"].state_dict()
    losses = [task.run() for _ in range(20)]
    assert losses == pytest.approx([losses[0]] * 20, rel=1e-4)
    for name, value in task.arguments["model"].state_dict().items():
        np.testing.assert_allclose(value, before[name], atol=1e-6)


# ------------------------------------------------------------------------------------- the peers


@pytest.fixture
def torch():
    pytest.importorskip("torch")
    peer = peers.load("torch")[0]
    with peer.threads(1):
        yield peer


@pytest.fixture(params=peers.CONTESTANTS["torch"])
def layout(request, torch):
    return peers.Torch(request.param)


def without_dropout(task):
    """The library that draws a mask draws its own: compare the rest of the network."""
    for layer in task.arguments["model"].modules():
        if isinstance(layer, cnnx.Dropout):
            layer.p = 0.0


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("dropout ")])
def test_the_twin_of_a_workload_computes_the_same(name, layout):
    task = prepared(name)
    if "model" in task.arguments:
        without_dropout(task)
    twin = layout.twin(task)
    if twin is None:
        assert layout.name != "torch"
        assert all(array.ndim < 4 for array in cases.arrays(task.arguments).values())
        return
    actual, expected = twin.read(twin.run()), task.arrays(task.run())
    for theirs, ours in zip(actual, expected, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-7, atol=1e-10)


def test_images_and_weights_of_the_second_layout_lie_channels_last(torch):
    channels_last = peers.Torch("torch channels_last")
    seen = []
    hook = torch._torch.nn.modules.module.register_module_forward_hook(
        lambda module, given, result: seen.append((type(module).__name__, given[0], result))
    )
    with hook:
        channels_last.twin(prepared("predict resnet20 batch 32")).run()
    images = [t for name, x, y in seen for t in (x, y) if name == "Conv2d"]
    assert len(images) == 2 * 21
    assert all(t.is_contiguous(memory_format=torch._torch.channels_last) for t in images)


def test_the_twin_of_dropout_drops_as_many(torch):
    task = OPS["dropout"][1].prepare(np.random.default_rng(0))
    twin = torch.twin(task)
    for y in (*twin.read(twin.run()), task.run()):
        assert np.mean(y == 0) == pytest.approx(0.5, abs=0.01)
        np.testing.assert_allclose(y[y != 0], 2 * task.arguments["x"][y != 0])


def test_a_twin_does_not_change_the_arrays_of_the_task(torch):
    task = prepared(OPS["adam_step"][1].name)
    before = task.arguments["params"][0].copy()
    torch.twin(task).run()
    np.testing.assert_array_equal(task.arguments["params"][0], before)


def test_a_model_with_a_layer_that_torch_has_not_has_no_twin(torch):
    task = prepared("predict lenet5 batch 1")

    class Own(cnnx.Layer):
        def forward(self, x):
            return x

    task.arguments["model"].append(Own())
    assert torch.twin(task) is None


def test_an_op_without_a_twin_says_so(torch, monkeypatch):
    monkeypatch.delitem(peers.TWINS, "relu")
    assert torch.twin(prepared("relu 64,64,32,32")) is None


def test_threads_of_a_peer_come_back(torch):
    before = torch._torch.get_num_threads()
    with torch.threads(3):
        assert torch._torch.get_num_threads() == 3
    assert torch._torch.get_num_threads() == before


def test_a_peer_that_is_missing_is_an_error_with_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(peers, "available", tuple)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[peers\]'"):
        run("ops", peers=["torch"], filter="relu")


def test_a_peer_that_nobody_knows_is_an_error():
    with pytest.raises(ValueError, match=r"'abacus' is not known, expected one of torch"):
        run("ops", peers=["abacus"], filter="relu")


def test_importing_the_benchmarks_imports_no_peer():
    code = (
        "import sys, cnnx.bench; print('torch' in sys.modules, 'cnnx.bench.table' in sys.modules)"
    )
    root = cnnx.__file__.rpartition("cnnx")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


# ------------------------------------------------------------------------------------- the table


@pytest.fixture
def fast(monkeypatch):
    """Small workloads, and a single round for each."""

    def small(*arguments):
        return [workload.reduced() for workload in select(*arguments)]

    monkeypatch.setattr(table, "select", small)
    monkeypatch.setattr(table, "QUICK_SECONDS", 1e-3)


def test_run_measures_every_backend_and_reports_each_row(fast):
    reported, kinds = [], ("relu_max_pool2d", "relu", "relu6", "leaky_relu")
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


def test_run_gives_threads_back(fast):
    before = cnnx.get_num_threads()
    rows = run("ops", filter="mse", quick=True, threads=3)
    if "compiled" in cnnx.available_backends():
        assert rows[0].threads == 3
    assert cnnx.get_num_threads() == before


def test_select_takes_what_was_asked_for():
    assert len(select()) == len(all_workloads())
    assert len(select("all", quick=True)) == len(OPS) + len(MODELS)
    assert {w.op for w in select("models")} == {"train", "predict", "conv2d", "conv2d_backward"}
    assert len(select("models", quick=True)) == len(MODELS) + 3
    assert all("weight" in w.name for w in LAYERS["weight"])
    assert [len(rows) for rows in LAYERS.values()] == 3 * [
        len(OPS["conv2d"]) - 1
    ]  # all but the denormal one
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
def test_what_fits_nothing_is_an_error_that_lists_what_there_is(what, filter, words):
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
    """torch stands in the rows: its description must not need it."""

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
def test_memory_of_a_step_is_what_it_takes_beyond_weights_and_gradients(monkeypatch, torch):
    small_memory(monkeypatch)
    (row,) = memory.run_memory(peers=["torch"])
    assert row.workload == "lenet5 batch 3"
    # 3 images of 6x12x12 behind the first convolution are alive with what is saved of them
    for size in row.bytes.values():
        assert 3 * 6 * 12 * 12 * 4 < size < 1_000_000
    assert set(row.bytes) == {"compiled", "torch", "torch channels_last"}
    text = memory.format_memory([row]).splitlines()
    assert text[0].split()[:2] == ["training", "step"] and "torch channels_last MB" in text[0]
    assert text[1].startswith("lenet5 batch 3") and f"{row.bytes['torch'] / 1e6:.2f}" in text[1]


def test_the_peak_of_torch_is_the_largest_sum_of_living_tensors(torch):
    zeros = torch._torch.zeros

    def call():
        first = zeros(1000)
        second = zeros(2000)
        del first
        return second, zeros(500)

    assert torch.peak_bytes(call) == 4 * 3000


def test_memory_of_nothing_is_an_error_that_lists_what_there_is():
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
