"""`cnnx bench --onnx`: one network in cnnx and in other runtimes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import failure, usage_error

import cnnx
from cnnx import bench
from cnnx.bench import NetworkRow, Spread, run_network
from cnnx.cli import main

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("own_directory")
X = np.random.default_rng(0).normal(size=(2, 1, 6, 6)).astype(np.float32)


@pytest.fixture
def net(own_directory):
    """A network as net.onnx and, for cnnx, as plan.npz."""
    cnnx.manual_seed(0)
    model = cnnx.Sequential(cnnx.Conv2D(1, 4, 3), cnnx.ReLU(), cnnx.Flatten(), cnnx.Linear(64, 3))
    cnnx.onnx.save(model, "net.onnx", input_shape=(1, 6, 6))
    cnnx.compile(model, (1, 6, 6)).save("plan.npz")
    return model


def measured(peers=(), **options):
    return run_network("net.onnx", "plan.npz", {"input": X}, peers, 1, 0.01, **options)


def test_a_network_is_measured_in_turn_and_compared(net):
    pytest.importorskip("onnxruntime")
    row = measured(["onnxruntime"])
    assert (row.network, row.batch, row.threads) == ("net.onnx", 2, 1) and row.rounds >= 3
    assert row.versions["cnnx"] == cnnx.__version__
    assert set(row.milliseconds) == {"cnnx", "onnxruntime"}
    assert all(ms > 0 for ms in row.milliseconds.values())
    ratio = row.faster["onnxruntime"]
    assert 0 < ratio.low <= ratio.median <= ratio.high
    assert all(size is None or size > 1 << 20 for size in row.bytes.values())
    assert row.difference["onnxruntime"] < 1e-5
    net[3].bias.data += np.float32([100, 0, 0])  # of the plan only
    cnnx.compile(net, (1, 6, 6)).save("plan.npz")
    assert measured(["onnxruntime"]).difference["onnxruntime"] > 0.9


def test_a_library_that_cannot_run_the_network_is_one_clear_error(net):
    pytest.importorskip("onnxruntime")
    Path("net.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"bench: onnxruntime cannot run net.onnx: .*\w"):
        measured(["onnxruntime"])
    Path("plan.npz").write_bytes(b"no plan")
    with pytest.raises(ValueError, match=r"bench: cnnx cannot run net.onnx: .*plan.npz"):
        measured()


def test_a_peer_that_is_not_installed_is_named_before_any_work(net, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name)
    )
    error = failure(capsys, "bench", "--onnx", "gone.onnx", "--peers", "openvino")
    assert "openvino is not installed: pip install openvino" in error
    error = failure(capsys, "bench", "--onnx", "net.onnx", "--peers", "torch")
    assert "'torch' does not run ONNX files, expected onnxruntime or openvino" in error
    assert "give one with --onnx" in failure(capsys, "bench", "--peers", "onnxruntime")
    assert "'abacus' is not known" in usage_error(capsys, "bench", "--peers", "torch,abacus")
    assert "leave ops" in failure(capsys, "bench", "ops", "--onnx", "net.onnx")
    assert "ends in .onnx" in failure(capsys, "bench", "--onnx", "plan.npz")
    assert "for --onnx" in failure(capsys, "bench", "--input-shape", "3x4x4")


def row(batch, **changed):
    known = {
        "network": "net.onnx",
        "batch": batch,
        "threads": 2,
        "rounds": 7,
        "versions": {"cnnx": "0.1.0", "onnxruntime": "1.32.0"},
        "milliseconds": {"cnnx": 0.05, "onnxruntime": 0.08125},
        "faster": {"onnxruntime": Spread(1.625, 1.5, 1.75)},
        "bytes": {"cnnx": 30_400_000, "onnxruntime": None},
        "difference": {"onnxruntime": 2.04e-7},
    }
    return NetworkRow(**{**known, **changed})


def test_the_table():
    assert bench.format_network([row(1)]) == (
        "net.onnx, 2 threads each; cnnx 0.1.0, onnxruntime 1.32.0\n"
        "x: how many times as long as cnnx, the median of 7 rounds in turn\n"
        "\n"
        "batch                  ms     x  (quartiles)  peak MB  difference\n"
        "    1         cnnx  0.050                          30\n"
        "    1  onnxruntime  0.081  1.62  (1.50-1.75)        -       2e-07"
    )


def test_the_command_measures_one_sample_and_32_if_the_file_leaves_that_free(
    net, capsys, monkeypatch
):
    asked = []

    def noting(file, plan, inputs, peers, threads, seconds):
        y = cnnx.load_plan(plan)(*inputs.values())
        asked.append((file, list(inputs), y.shape, peers, threads, seconds))
        return row(len(y), faster={}, difference={}, milliseconds={"cnnx": 1.0})

    monkeypatch.setattr(bench, "run_network", noting)
    words = ("bench", "--onnx", "net.onnx", "--threads", "1", "--seconds", "3")
    assert main([*words, "--json", "net.json"]) == 0
    expected = ("net.onnx", ["input"], (1, 3), [], 1, 3.0)
    assert asked == [expected, (*expected[:2], (32, 3), *expected[3:])]
    assert [each["batch"] for each in json.loads(Path("net.json").read_text())] == [1, 32]
    assert "   32  cnnx  1.000" in capsys.readouterr().out
    model = onnx.load("net.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, "net.onnx")
    asked.clear()
    assert main(list(words)) == 0
    assert [each[2] for each in asked] == [(4, 3)]
