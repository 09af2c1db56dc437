"""docs/many_files.md: shards of a list of files, and plans in other processes."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import failure, usage_error
from engine_helpers import trained

import cnnx
from cnnx.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "many_files.md"


class Doubled(cnnx.Layer):
    def forward(self, x):
        return 2 * np.asarray(x)


@pytest.fixture
def arrays(own_directory):
    """A model of two numbers, and eleven files of them in a folder's order."""
    cnnx.manual_seed(0)
    cnnx.Sequential(cnnx.Linear(2, 3)).save("model.npz")
    rng = np.random.default_rng(0)
    names = [f"{number:02}.npy" for number in range(11)]
    for name in names:
        np.save(name, rng.normal(size=(3, 2)).astype(np.float32))
    return names


@pytest.mark.parametrize("count", [1, 4, 11, 13])
def test_the_tables_of_all_parts_are_that_of_one_run(arrays, count):
    assert main(["predict", "model.npz", *arrays, "--csv", "all.csv", "--top", "2"]) == 0
    for number in range(1, count + 1):
        part = ["--csv", f"part-{number:02}.csv", "--shard", f"{number}/{count}"]
        assert main(["predict", "model.npz", *arrays, *part, "--top", "2"]) == 0
    parts = [Path(f"part-{number:02}.csv").read_text() for number in range(1, count + 1)]
    lines = [part.splitlines()[1:] for part in parts]
    assert max(map(len, lines)) - min(map(len, lines)) <= 3  # rows of a file
    if shutil.which("awk"):
        [command] = re.findall(r"^awk .*(?= > photos\.csv$)", PAGE.read_text(), re.M)
        merged = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
        assert merged == Path("all.csv").read_text() and merged.count("\n") == 34


def test_images_in_a_folder_are_divided_in_their_order(own_directory, capsys):
    image = pytest.importorskip("PIL.Image")
    Path("photos/inside").mkdir(parents=True)
    for number, name in enumerate(("b", "a", "inside/c", "d", "inside/e")):
        image.fromarray(np.full((4, 4), 40 * number, np.uint8)).save(f"photos/{name}.png")
    model = cnnx.Sequential(cnnx.Flatten(), cnnx.Linear(16, 2))
    x = np.random.default_rng(0).random((8, 1, 4, 4), np.float32)
    model.preprocessing = cnnx.Preprocessing.from_data((x, np.arange(8) % 2))
    model.save("model.npz")
    capsys.readouterr()
    found = []
    for number in (1, 2):
        assert main(["predict", "model.npz", "photos", "--shard", f"{number}/2"]) == 0
        found.append(capsys.readouterr().out.splitlines())
    assert main(["predict", "model.npz", "photos"]) == 0
    together = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line.split() for part in found for line in part] == together
    assert [len(part) for part in found] == [3, 2]


def test_parts_that_are_none_are_refused(arrays, capsys):
    for part in ("0/4", "5/4", "4", "1/2/3", "-1/4", "a/4", "1/0"):
        words = usage_error(capsys, "predict", "model.npz", arrays[0], f"--shard={part}")
        assert f"'{part}' is not a part: expected K/N" in words
    words = usage_error(capsys, "predict", "model.npz", "--data", "digits", "--shard", "1/2")
    assert "--shard divides files, not --data" in words
    assert "gone.npy" in failure(capsys, "predict", "model.npz", "gone.npy", "--shard", "1/2")


def test_a_plan_is_pickled_as_its_file(tmp_path):
    model = trained(cnnx.models.lenet5())
    model.preprocessing = cnnx.Preprocessing((1, 28, 28), classes=tuple("abcdefghij"))
    plan = cnnx.compile(model, (1, 28, 28), batch=1)
    plan.save(tmp_path / "plan.npz")
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    content = pickle.dumps(plan)
    assert (tmp_path / "plan.npz").read_bytes() in content
    assert len(content) < (tmp_path / "plan.npz").stat().st_size + 1000
    for other in (pickle.loads(content), copy.deepcopy(plan)):
        assert np.array_equal(other(x), plan(x)) and repr(other) == repr(plan)
        assert other.preprocessing == plan.preprocessing


def test_a_plan_of_user_defined_layers_is_pickled_with_their_classes():
    plan = cnnx.compile(cnnx.Sequential(cnnx.Linear(3, 2), Doubled()), 3)
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(pickle.loads(pickle.dumps(plan))(x), plan(x))


def test_plans_and_models_compute_in_other_processes():
    model = trained(cnnx.models.lenet5()).eval()
    plan = cnnx.compile(model, (1, 28, 28))
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert np.array_equal(pool.submit(plan, x).result(), plan(x))
        assert np.array_equal(pool.submit(cnnx.predict, model, x).result(), model.predict(x))
