"""bench/bench_recipes.py: cnnx and PyTorch train the same networks on the same batches, and the
programs of the pages train as it does. Not collected in a pure install: without the compiled
backend it takes minutes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.data import Dataset

ROOT = Path(__file__).parents[1]
PATH = ROOT / "bench" / "bench_recipes.py"
specification = importlib.util.spec_from_file_location("bench_recipes", PATH)
bench_recipes = importlib.util.module_from_spec(specification)
specification.loader.exec_module(bench_recipes)
RECIPES = bench_recipes.RECIPES

REAL = os.environ.get("CNNX_DATA", "")


@pytest.fixture
def images():
    """Images of clothing, as published, standardised in float64."""
    if not (Path(REAL) / "fashion-mnist").is_dir():
        pytest.skip("needs the real fashion-mnist files in CNNX_DATA")
    train, _ = cnnx.data.load_fashion_mnist(Path(REAL))
    return cnnx.data.normalize(Dataset(train.x[:6400].astype(np.float64), train.y[:6400]))


def _losses_of_both(recipe, data, steps, seed=0):
    """The first losses of cnnx and of PyTorch, in the dtype of the data."""

    def network():
        layers = recipe.network()
        kept = (layer for layer in layers if not isinstance(layer, cnnx.Dropout))  # random masks
        return cnnx.Sequential(*kept).astype(data.x.dtype)

    exact = recipe._replace(network=network)
    with cnnx.use_algorithm("direct"):
        runs = (
            bench_recipes.losses(library, exact, data, 1, 64, seed) for library in ("cnnx", "torch")
        )
        return [[loss for _, loss in islice(run, steps)] for run in runs]


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
    data = Dataset(images.x.astype(dtype), images.y)
    ours, theirs = _losses_of_both(RECIPES["tutorial"], data, steps, seed)
    error = np.abs(np.subtract(ours, theirs))
    assert len(error) == steps and ours[-1] < 0.8 * ours[0]  # they learn
    assert error.max() <= bound, f"step {error.argmax()}: off by {error.max():.2g}"


def bars(n, channels, size):
    """Images with a bright column, whose index is the label."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 8
    x = rng.random((n, channels, size, size), np.float32) / 2
    x[np.arange(n), :, :, 3 * y] += 1
    return Dataset(x, y)


@pytest.mark.parametrize(("name", "shape"), [("fashion", (1, 28)), ("cifar", (3, 32))])
def test_rates_and_gradients_of_a_recipe_equal_pytorchs(name, shape):
    pytest.importorskip("torch")
    drawn = bars(256, *shape)
    data = Dataset(drawn.x.astype(np.float64), drawn.y)
    ours, theirs = _losses_of_both(RECIPES[name], data, 4)  # all steps of the cycle
    assert len(ours) == 4 and np.ptp(ours) > 0.05
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


@pytest.fixture
def sets(monkeypatch):
    """Small sets in place of the real ones; returns the recipes."""
    for name, loader, shape in [
        ("fashion", "load_fashion_mnist", (1, 28)),
        ("cifar", "load_cifar10", (3, 32)),
    ]:
        data = bars(96, *shape)
        found = data[:64], data[64:]
        monkeypatch.setattr(cnnx.data, loader, lambda found=found: found)
        monkeypatch.setitem(RECIPES, name, RECIPES[name]._replace(sets=lambda found=found: found))
    return RECIPES


@pytest.mark.parametrize(
    ("page", "name"), [("docs/fashion_mnist.md", "fashion"), ("docs/cifar10.md", "cifar")]
)
def test_the_program_of_the_page_ends_in_the_same_bits(page, name, sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    recipe = sets[name]
    assert f"EPOCHS = 0, {recipe.epochs}\n" in program
    assert len(program.splitlines()) < 40 or name != "cifar"
    names = {"__name__": "page"}
    exec(program.replace(f"EPOCHS = 0, {recipe.epochs}\n", "EPOCHS = 0, 2\n"), names)
    steps = bench_recipes.losses("cnnx", recipe, recipe.sets()[0], 2, 64, 0)
    *_, (learner, _) = steps
    found = cnnx.load(next(tmp_path.glob("*.npz"))).state_dict()
    with learner.ema.averaged():
        expected = learner.model.state_dict()
        assert [v.tobytes() for v in found.values()] == [v.tobytes() for v in expected.values()]


def test_runs_of_both_libraries_are_printed_and_written(sets, tmp_path, capsys):
    pytest.importorskip("torch")
    file = tmp_path / "runs.json"
    options = ["--epochs", "12", "--seeds", "3", "--batch-size", "8", "--json", str(file)]
    bench_recipes.main(["tutorial", *options])
    runs = json.loads(file.read_text())["runs"]
    assert [(run["library"], run["seed"]) for run in runs] == [("cnnx", 3), ("torch", 3)]
    assert all(run["accuracy"] > 80 and run["seconds"] > 0 for run in runs)
    printed = capsys.readouterr().out
    for run in runs:
        assert f"{run['library']}: mean {run['accuracy']:.2f} %" in printed


def test_without_torch_there_is_an_error_before_any_training(monkeypatch, capsys):
    monkeypatch.setattr(bench_recipes.peers, "available", lambda: ())
    with pytest.raises(SystemExit):
        bench_recipes.main(["tutorial"])
    assert "torch is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--epochs", "--batch-size", "--samples", "--threads"])
def test_a_number_below_one_is_an_error(option, capsys):
    with pytest.raises(SystemExit):
        bench_recipes.main(["fashion", "--libraries", "cnnx", option, "0"])
    assert "'0' is not an integer of 1 or more" in capsys.readouterr().err


def test_a_recipe_with_mirrors_reports_both_accuracies(sets, capsys):
    options = ["--epochs", "1", "--seeds", "0", "--libraries", "cnnx", "--threads", "1"]
    bench_recipes.main(["fashion", *options])
    printed = capsys.readouterr().out
    assert "with its mirror" in printed and "cnnx: mean" in printed
