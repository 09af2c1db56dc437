"""The command line on points: an MLP, regressions, and their plots."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import SHORT, failure, settings_of, sides

import cnnx
from cnnx.cli import data as cli_data
from cnnx.cli import main, splits
from cnnx.data import Dataset, save_csv

pytestmark = pytest.mark.usefixtures("own_directory")

ALWAYS = {
    "checkpoints",
    "config.toml",
    "history.csv",
    "loss.png",
    "model.npz",
    "run.json",
    "split.json",
}


def held_out(name, seed):
    """Synthetic points, split as a run splits them."""
    return splits.hold_out(name, splits.named(cli_data.load(name, seed).train), seed)


@pytest.mark.parametrize(
    ("name", "features", "pictures"),
    [
        *((name, 2, {"boundary.png", "confusion.png"}) for name in ("spiral", "circle", "line")),
        ("zone", 2, {"boundary.png", "confusion.png"}),
        ("zone-3d", 3, {"confusion.png"}),
        ("polynomial", 1, {"fit.png"}),
    ],
)
def test_synthetic_points_train_an_mlp_and_draw_their_plots(name, features, pictures, capsys):
    assert main(["train", "--data", name, *SHORT]) == 0
    assert set(os.listdir(f"runs/{name}-1")) == {*ALWAYS, *pictures}
    out = capsys.readouterr().out
    assert all(picture in out for picture in pictures)
    settings = settings_of(f"runs/{name}-1")
    assert settings["model"] == "mlp" and settings["data"]["sample_shape"] == [features]
    assert settings["data"]["source"] == name
    assert cnnx.load(f"runs/{name}-1/model.npz")[1].in_features == features


def test_the_arms_of_a_spiral_are_learnt_and_evaluated_on_the_same_held_out_points(capsys):
    assert main(["train", "--data", "spiral", "--seed", "2", "--threads", "1"]) == 0
    trained = settings_of("runs/spiral-1")["result"]
    assert trained["test_accuracy"] > 0.9
    assert "% of 60 points" in capsys.readouterr().out
    assert main(["evaluate", "runs/spiral-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = f"loss {trained['test_loss']:.4f}, accuracy {100 * trained['test_accuracy']:.2f} %"
    assert lines[-1] == expected
    assert [line.split()[1] for line in lines if line[0] in "012"] == ["20", "20", "20"]
    points = cnnx.data.make_spiral(seed=2)
    model = cnnx.load("runs/spiral-1/model.npz")
    np.save("points.npy", points.x[:2])
    assert main(["predict", "runs/spiral-1", "points.npy", "--top", "2"]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    for k, row in enumerate(cnnx.predict_proba(model, points.x[:2])):
        first, second = np.argsort(-row)[:2]
        pairs = [str(first), f"{row[first]:.4f}", str(second), f"{row[second]:.4f}"]
        assert words[k] == [f"points.npy[{k}]", *pairs]


def test_the_seed_draws_the_points_and_splits_them():
    parts = held_out("spiral", 3)
    found = np.concatenate([np.column_stack([*part]) for part in (parts.train, parts.test)])
    expected = np.column_stack([*cnnx.data.make_spiral(seed=3)])
    assert sorted(found.tolist()) == sorted(expected.tolist())


def test_a_regression_prints_its_squared_error_and_predicts_numbers(capsys):
    assert main(["train", "--data", "polynomial", *SHORT]) == 0
    out = capsys.readouterr().out
    assert "1 feature, 1 regression target" in out and "accuracy" not in out
    settings = settings_of("runs/polynomial-1")
    assert settings["loss"] == "mean squared error" and settings["data"]["classes"] == []
    model = cnnx.load("runs/polynomial-1/model.npz")
    test = held_out("polynomial", 0).test
    y = model(test.x)
    error = float(((y - test.y).astype(np.float64) ** 2).mean())
    assert settings["result"]["test_loss"] == pytest.approx(error, rel=1e-5)
    assert f"test loss {error:.4f} (mean squared error of 40 points)" in out
    assert main(["evaluate", "runs/polynomial-1"]) == 0
    assert f"loss {error:.4f} (mean squared error" in capsys.readouterr().out
    assert main(["predict", "runs/polynomial-1", "--data", "polynomial"]) == 0
    line = f"polynomial[{test.names[3]}]  y0 {y[3, 0]:.4f}"
    assert capsys.readouterr().out.splitlines()[3] == line
    np.save("x.npy", test.x)
    assert main(["predict", "runs/polynomial-1", "x.npy", "--csv", "y.csv"]) == 0
    with open("y.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["name", "y0"] and len(rows) == 40
    assert [float(row[1]) for row in rows] == pytest.approx(y[:, 0].tolist(), rel=1e-6)
    error = failure(capsys, "predict", "runs/polynomial-1", "x.npy", "--top", "1")
    assert "--top 1: the model predicts numbers" in error


def test_a_model_without_its_run_predicts_numbers_for_regression_data(capsys):
    cnnx.manual_seed(0)
    model = cnnx.models.mlp(1, (4,), 1)
    model.save("alone.npz")
    assert main(["predict", "alone.npz", "--data", "polynomial"]) == 0
    test = held_out("polynomial", 0).test
    y = float(model(test.x[:1])[0, 0])
    assert capsys.readouterr().out.splitlines()[0] == f"polynomial[{test.names[0]}]  y0 {y:.4f}"


def test_points_can_come_from_a_table(capsys):
    save_csv("mine.csv", cnnx.data.make_zone(points=10, classes=2, seed=0))
    assert main(["train", "--data", "mine.csv", *SHORT]) == 0
    assert settings_of("runs/mine-1")["data"]["classes"] == ["0", "1"]
    rng = np.random.default_rng(0)
    save_csv("two.csv", (rng.normal(size=(20, 3)), rng.normal(size=(20, 2))))
    assert main(["train", "--data", "two.csv", *SHORT]) == 0
    assert "3 features, 2 regression targets" in capsys.readouterr().out
    assert set(os.listdir("runs/two-1")) == ALWAYS
    assert main(["evaluate", "runs/two-1"]) == 0
    error = failure(capsys, "evaluate", "runs/mine-1", "--data", "two.csv")
    assert "two.csv contains regression targets, but the model was trained on classes" in error
    error = failure(capsys, "evaluate", "runs/two-1", "--data", "mine.csv")
    assert "mine.csv contains classes, but the model was trained on regression" in error


def test_vectors_of_an_npz_file_train_an_mlp():
    x, y = sides()
    np.savez("flat.npz", x=x.reshape(len(x), 64), y=y)
    assert main(["train", "--data", "flat.npz", *SHORT]) == 0
    assert settings_of("runs/flat-1")["model"] == "mlp"
    assert set(os.listdir("runs/flat-1")) == {*ALWAYS, "confusion.png"}


def test_an_mlp_on_images_has_no_filters_to_show(npz):
    assert main(["train", "--data", npz, *SHORT, "--model", "mlp"]) == 0
    assert set(os.listdir("runs/sides-1")) == {*ALWAYS, "confusion.png", "probabilities.png"}


def test_invalid_points_are_a_one_line_error_and_create_no_directory(capsys):
    save_csv("one.csv", (np.ones((1, 2)), np.ones((1, 1))))
    save_csv("no.csv", Dataset(np.ones((0, 2)), np.ones(0, np.int64)))
    Path("other.csv").write_text("height,width\n1,2\n")
    for words, expected in {
        ("spiral", "--model", "lenet5"): "lenet5 takes images",
        ("polynomial", "--model", "digits_cnn"): "shape (1,): mlp takes any",
        ("one.csv",): "one.csv: 1 sample",
        ("no.csv",): "0 samples are too few",
        ("other.csv",): "expected a header as x0,x1,label",
    }.items():
        assert expected in failure(capsys, "train", "--data", *words)
    assert not Path("runs").exists()


def test_an_evaluation_of_other_shapes_is_a_one_line_error(capsys):
    assert main(["train", "--data", "polynomial", *SHORT]) == 0
    save_csv("two.csv", (np.ones((20, 1)), np.ones((20, 2))))
    error = failure(capsys, "evaluate", "runs/polynomial-1", "--data", "two.csv")
    assert "(20, 1)" in error and "(20, 2)" in error
