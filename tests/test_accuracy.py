"""bench/bench_accuracy.py: pairs of runs that differ only in the convolution algorithm. Not
collected in a pure-Python install, which has one algorithm."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.data import Dataset

PATH = Path(__file__).parents[1] / "bench" / "bench_accuracy.py"
specification = importlib.util.spec_from_file_location("bench_accuracy", PATH)
bench_accuracy = importlib.util.module_from_spec(specification)
specification.loader.exec_module(bench_accuracy)


@pytest.fixture
def bars(monkeypatch):
    """A data set of 8x8 images with a bright column, whose index is the label."""
    rng = np.random.default_rng(0)
    y = np.arange(96) % 8
    x = rng.random((96, 1, 8, 8), np.float32) / 2
    x[np.arange(96), :, :, y] += 1
    parts = Dataset(x[:64], y[:64]), Dataset(x[64:], y[64:])
    monkeypatch.setitem(bench_accuracy.LOADERS, "cifar10", lambda: parts)
    return parts


def test_all_convolutions_except_the_first_use_winograd():
    found = [
        bench_accuracy.algorithms(layer, shape)
        for layer, shape in bench_accuracy.convolutions(
            bench_accuracy.network(3, 32), (64, 3, 32, 32)
        )
    ]
    assert found == [["direct"] * 3, ["winograd"] * 3, ["winograd"] * 3]


def test_errors_are_those_of_float32():
    """Direct summation of some hundred terms; Winograd's error is a few times larger."""
    layer = cnnx.Conv2D(32, 32, 3, padding=1)
    found = bench_accuracy.errors(layer, (4, 32, 8, 8))
    for name in bench_accuracy.RESULTS:
        assert 2**-26 < found["direct"][name] < found["auto"][name] < 3e-6


def test_the_error_of_an_outlier_is_printed_for_both_algorithms(capsys, monkeypatch):
    monkeypatch.setattr(bench_accuracy, "OUTLIERS", (1e3,))
    bench_accuracy.main(["--outliers"])
    words = capsys.readouterr().out.split()
    found = dict(zip(words[1::2], map(float, words[2::2])))
    assert float(words[0]) == 1e3 and found["direct"] < 4e-6
    assert 5e-5 < found["auto"] < 64 * 2**-23 * 1e3 * found["weight"]


def test_both_runs_of_a_pair_start_with_the_same_weights_batches_and_masks(bars, monkeypatch):
    """If both use the direct algorithm, both runs are identical to the last bit."""
    trained, scores = [], []
    evaluate = cnnx.evaluate

    def keep(model, test):
        trained.append(model.state_dict())
        scores.append(evaluate(model, test))
        return scores[-1]

    monkeypatch.setattr(cnnx, "evaluate", keep)
    for way in ("direct", "direct", "auto"):
        found = bench_accuracy.accuracy(*bars, way, seed=3, epochs=1, batch_size=16)
        assert found == 100 * scores[-1]["accuracy"]  # per cent
    first, second, other = trained
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["3.weight"], other["3.weight"])


def test_the_difference_is_its_mean_with_its_standard_deviation():
    pairs = [{"auto": 91.0, "direct": 90.0}, {"auto": 88.0, "direct": 90.0}]
    assert bench_accuracy.difference(pairs) == pytest.approx({"mean": -0.5, "deviation": 4.5**0.5})
    assert bench_accuracy.difference(pairs[:1]) == {"mean": 1.0, "deviation": 0.0}


def test_a_run_prints_and_writes_each_pair(bars, tmp_path, capsys):
    path = tmp_path / "accuracy.json"
    words = ["--data", "cifar10", "--epochs", "2", "--seeds", "4", "7", "--batch-size", "16"]
    bench_accuracy.main([*words, "--json", str(path)])
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert [pair["seed"] for pair in figures["pairs"]] == [4, 7]
    assert figures["difference"] == bench_accuracy.difference(figures["pairs"])
    assert (figures["train"], figures["test"]) == (64, 32)
    printed = capsys.readouterr().out
    for pair in figures["pairs"]:
        shown = f"seed {pair['seed']}  auto {pair['auto']:.2f} %  direct {pair['direct']:.2f} %"
        assert shown in printed


def test_a_network_without_a_winograd_convolution_is_an_error(bars, monkeypatch):
    monkeypatch.setattr(bench_accuracy, "is_winograd", lambda name: False)
    with pytest.raises(SystemExit, match="no convolution uses Winograd"):
        bench_accuracy.main(["--data", "cifar10"])
