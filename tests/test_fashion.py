"""bench/bench_fashion.py: cnnx and PyTorch train the same network on the same batches. Not
collected in a pure install: without the compiled backend it takes minutes."""

from __future__ import annotations

import importlib.util
import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.data import Dataset

PATH = Path(__file__).parents[1] / "bench" / "bench_fashion.py"
specification = importlib.util.spec_from_file_location("bench_fashion", PATH)
bench_fashion = importlib.util.module_from_spec(specification)
specification.loader.exec_module(bench_fashion)
RECIPES = bench_fashion.RECIPES

REAL = os.environ.get("CNNX_DATA", "")


@pytest.fixture
def images():
    """Images of clothing, as published, standardised in float64."""
    if not (Path(REAL) / "fashion-mnist").is_dir():
        pytest.skip("needs the real fashion-mnist files in CNNX_DATA")
    train, _ = cnnx.data.load_fashion_mnist(Path(REAL))
    return cnnx.data.normalize(Dataset(train.x[:6400].astype(np.float64), train.y[:6400]))


# Why "direct" in float32: if a unit's sum is nearly 0, rounding decides whether its ReLU passes it,
# and from that step on two trainings differ by 1e-5 to 1e-3, whatever their libraries. PyTorch's
# own two memory formats do so for some seeds. Winograd's larger rounding error meets such a sum
# sooner (docs/fashion_mnist.md).
@pytest.mark.parametrize(
    ("dtype", "steps", "bound", "seed"),
    [
        ("float64", 100, 1e-8, 0),
        ("float32", 20, 1e-5, 0),
        ("float32", 20, 1e-5, 1),
        ("float32", 20, 1e-5, 2),
    ],
)
def test_losses_equal_pytorchs_on_the_real_images(images, dtype, steps, bound, seed):
    pytest.importorskip("torch")
    recipe, data = RECIPES["plain"], Dataset(images.x.astype(dtype), images.y)
    found = []
    for make in (bench_fashion.Ours, bench_fashion.Torch):
        learner = make(_without_dropout(recipe, seed).astype(dtype), recipe)
        with cnnx.use_algorithm("direct"):
            run = bench_fashion.losses(learner, data, recipe, 1, 64, seed)
            found.append([*islice(run, steps)])
    ours, theirs = found
    error = np.abs(np.subtract(ours, theirs))
    assert len(error) == steps and ours[-1] < 0.8 * ours[0]  # they learn
    assert error.max() <= bound, f"step {error.argmax()}: off by {error.max():.2g}"


def _without_dropout(recipe, seed):
    """The network with the same weights each time, without random elements."""
    cnnx.manual_seed(seed)
    return cnnx.Sequential(
        *(layer for layer in recipe.network() if not isinstance(layer, cnnx.Dropout))
    )


def test_moved_images_are_mirrored_and_shifted_by_a_pixel_at_most():
    rng = np.random.default_rng(0)
    x = rng.random((200, 2, 6, 5), np.float32)
    found = bench_fashion.moved(x, rng)
    seen = set()
    for image, result in zip(x, found, strict=True):
        ways = [
            (mirrored, down, right)
            for mirrored in (False, True)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if np.array_equal(_by_hand(image, mirrored, down, right), result)
        ]
        assert len(ways) == 1
        seen.update(ways)
    assert len(seen) == 18


def _by_hand(image, mirrored, down, right):
    rows, columns = (np.arange(n) + d for n, d in zip(image.shape[1:], (down, right), strict=True))
    if mirrored:
        image = image[:, :, ::-1]
    rows, columns = rows.clip(0, image.shape[1] - 1), columns.clip(0, image.shape[2] - 1)
    return image[:, rows][:, :, columns]


def test_the_rate_rises_and_falls():
    shares = np.linspace(0, 1, 101)
    rates = [bench_fashion.one_cycle(share) for share in shares]
    assert rates[0] == 0 and rates[10] == pytest.approx(0.5) and rates[20] == 1
    assert rates[60] == pytest.approx(0.5) and rates[100] == pytest.approx(0)
    assert (np.diff(rates[:21]) > 0).all() and (np.diff(rates[20:]) < 0).all()


@pytest.fixture
def bars(monkeypatch):
    """A data set of images with a bright column, whose index is the label."""
    rng = np.random.default_rng(0)
    y = np.arange(96) % 8
    x = rng.random((96, 1, 28, 28), np.float32) / 2
    x[np.arange(96), :, :, 3 * y] += 1
    monkeypatch.setattr(
        cnnx.data, "load_fashion_mnist", lambda: (Dataset(x[:64], y[:64]), Dataset(x[64:], y[64:]))
    )


def test_runs_of_both_libraries_are_printed_and_written(bars, tmp_path, capsys):
    pytest.importorskip("torch")
    file = tmp_path / "runs.json"
    options = ["--epochs", "12", "--seeds", "3", "--batch-size", "8", "--json", str(file)]
    bench_fashion.main(["plain", *options])
    runs = json.loads(file.read_text())["runs"]
    assert [(run["library"], run["seed"]) for run in runs] == [("cnnx", 3), ("torch", 3)]
    assert all(run["accuracy"] > 80 and run["seconds"] > 0 for run in runs)
    printed = capsys.readouterr().out
    for run in runs:
        assert f"{run['library']}: mean {run['accuracy']:.2f} %" in printed


def test_without_torch_there_is_an_error_before_any_training(monkeypatch, capsys):
    monkeypatch.setattr(bench_fashion.peers, "available", lambda: ())
    with pytest.raises(SystemExit):
        bench_fashion.main(["plain"])
    assert "torch is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--epochs", "--batch-size", "--samples"])
def test_a_number_below_one_is_an_error(option, capsys):
    with pytest.raises(SystemExit):
        bench_fashion.main(["best", "--libraries", "cnnx", option, "0"])
    assert "'0' is not an integer of 1 or more" in capsys.readouterr().err


def test_the_best_recipe_trains(bars, capsys):
    bench_fashion.main(["best", "--epochs", "1", "--seeds", "0", "--libraries", "cnnx"])
    assert "cnnx: mean" in capsys.readouterr().out
