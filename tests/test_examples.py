"""The examples on small data: output, results and errors; importing one runs nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT
from data_helpers import write_idx

import cnnx
from cnnx.data import make_shapes, make_zone, save_csv
from cnnx.examples import (
    cs231n_convnet,
    fashion_mnist,
    fine_tuning,
    mnist_conv,
    mnist_mlp,
    segmentation,
    spiral,
    xor,
)

NAMES = (
    *("cs231n_convnet", "fashion_mnist", "fine_tuning", "mnist_conv", "mnist_mlp"),
    *("read_text", "segmentation", "spiral", "xor"),
)
PARTS = {"__init__", "arguments", "text_regions"}  # of the programs
REAL = os.environ.get("CNNX_DATA", "")


@pytest.fixture(autouse=True)
def own(own_directory):
    """A directory for their output, without any data except that of the test."""
    cnnx.set_num_threads(1)


def bands(n, seed):
    """(images, labels): noise with three bright rows whose position is the label; bytes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n).astype(np.uint8)
    images = rng.integers(0, 80, (n, 28, 28), np.uint8)
    for image, label in zip(images, labels):
        image[2 * label + 2 : 2 * label + 5] += 150
    return images, labels


@pytest.fixture
def mnist(tmp_path):
    """A directory with small files in MNIST's format, for both data sets."""
    for name in ("mnist", "fashion-mnist"):
        write_idx(tmp_path / "sets" / name, arrays=[*bands(600, 0), *bands(200, 1)])
    return str(tmp_path / "sets")


@pytest.mark.parametrize(
    ("program", "epochs", "least"),
    [(mnist_mlp, 4, 0.9), (mnist_conv, 6, 0.9), (fashion_mnist, 3, 0.9)],
)
def test_an_example_on_images_learns_from_a_directory(program, epochs, least, mnist, capsys):
    accuracy = program.main(["--data", mnist, "--epochs", str(epochs)])
    out = capsys.readouterr().out
    assert least < accuracy <= 1
    assert f"test accuracy {100 * accuracy:.2f} %" in out
    assert out.count("\nepoch") == epochs


def test_the_network_of_the_course_learns_from_a_directory(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 200), ("test_batch.bin", 100)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 80, (count, 3, 32, 32), np.uint8)
        for image, label in zip(images, labels):
            image[:, 3 * label : 3 * label + 3] += 150
        (tmp_path / name).write_bytes(np.c_[labels, images.reshape(count, -1)].tobytes())
    accuracy = cs231n_convnet.main(["--data", str(tmp_path), "--epochs", "3"])
    out = capsys.readouterr().out
    assert accuracy > 0.8 and f"test accuracy {100 * accuracy:.2f} %" in out
    assert "200 training images, 100 test images" in out and "(Epoch 3 / 3)" in out


def test_the_data_are_searched_in_cnnx_data(mnist, monkeypatch, capsys):
    monkeypatch.setenv("CNNX_DATA", mnist)
    mnist_conv.main(["--epochs", "1"])
    labels = bands(200, 1)[1]
    assert f"{(labels < 2).sum()} test images" in capsys.readouterr().out


def test_a_confused_class_is_named(mnist, capsys, monkeypatch):
    """Everything is predicted as class 3, so every other class is confused with it."""
    monkeypatch.setattr(cnnx, "predict_labels", lambda model, test: np.full(len(test), 3))
    fashion_mnist.main(["--data", mnist, "--epochs", "1"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "confused with" in line]
    assert len(lines) == 10
    assert lines[3].split() == ["Dress", "100.0", "%", "most", "often", "confused", "with:", "none"]
    others = lines[:3] + lines[4:]
    assert all("  0.0 %" in line and line.endswith("confused with: Dress") for line in others)


def test_zeros_and_ones_of_mnist_are_classified_beyond_99_percent():
    if not os.path.isdir(os.path.join(REAL, "mnist")):
        pytest.skip("needs the real mnist files in CNNX_DATA")
    assert mnist_conv.main(["--data", REAL, "--epochs", "1"]) > 0.99


def test_xor_needs_its_hidden_units(capsys):
    assert xor.main([]) == 1.0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0 hidden units: loss 0.69")
    assert [line.split()[:3] for line in lines[-4:]] == [
        ["0.00", "0.00", "0"],
        ["0.00", "1.00", "1"],
        ["1.00", "0.00", "1"],
        ["1.00", "1.00", "0"],
    ]
    said = [float(line.split()[3]) > 0.5 for line in lines[-4:]]
    assert said == [False, True, True, False]


def test_the_spiral_draws_its_boundary_and_learns(capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert spiral.main(["--epochs", "40", "--picture", "arms.png"]) > 0.85
    out = capsys.readouterr().out
    assert "240 training points of 3 classes, 60 test points" in out
    assert "cnnx trains alone" in out and "torch " not in out
    assert Path("arms.png").read_bytes().startswith(b"\x89PNG")


def test_the_spiral_and_its_torch_twin_show_the_same_losses(torch, capsys):
    spiral.main(["--epochs", "20"])
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line[:5].strip().isdigit()]
    assert len([row for row in rows if len(row) == 3]) == 10
    for _, ours, theirs in (row for row in rows if len(row) == 3):
        assert float(ours) == pytest.approx(float(theirs), rel=1e-4)
    assert "the losses differ by at most" in out


def test_points_come_from_a_table(capsys):
    save_csv("two.csv", make_zone(points=25, classes=2, seed=0))
    assert spiral.main(["--data", "two.csv", "--epochs", "20"]) > 0.7
    assert "40 training points of 2 classes" in capsys.readouterr().out
    assert xor.main(["--data", "two.csv", "--epochs", "100"]) > 0.7


def test_the_segmentation_learns_masks_from_a_file_and_draws_them(capsys):
    pytest.importorskip("matplotlib")
    shapes = make_shapes(360, 16, shapes=1, noise=0, seed=0)
    np.savez("shapes.npz", x=shapes.x, y=(shapes.y > 0).astype(np.uint8))
    words = ["--data", "shapes.npz", "--epochs", "6", "--picture", "masks.png"]
    score = segmentation.main(words)
    out = capsys.readouterr().out
    assert 0.8 < score <= 1  # all background would be 0.4
    assert "320 images of 16x16 to train on, 40 to test" in out
    assert out.count("\nepoch") == 6 and f"mean IoU {score:.3f}" in out
    assert "\n0            IoU " in out and "\n1            IoU " in out
    assert Path("masks.png").read_bytes().startswith(b"\x89PNG")


def test_what_a_network_knew_helps_it_to_learn_new_classes_from_few_images(capsys):
    means = fine_tuning.main(["--many", "1500", "--draws", "2", "--epochs", "20"])
    out = capsys.readouterr().out
    assert means["head"] > means["scratch"] + 0.15
    assert means["two rates"] > means["scratch"] + 0.15
    rows = [line.rsplit(maxsplit=5) for line in out.splitlines() if "+-" in line]
    assert [name for name, *_ in rows] == list(means) == list(fine_tuning.WAYS)
    for name, mean, _, spread, one, two in rows:
        assert float(mean) == pytest.approx(100 * means[name], abs=0.051)
        assert float(mean) == pytest.approx((float(one) + float(two)) / 2, abs=0.11)
        assert float(spread) == pytest.approx(abs(float(one) - float(two)) / 2**0.5, abs=0.13)


def test_fine_tuning_takes_a_directory_of_images(mnist, capsys):
    words = ["--many", "20", "--draws", "1", "--epochs", "1", "--images", "2", "--data", mnist]
    assert fine_tuning.main(words).keys() == set(fine_tuning.WAYS)
    assert "5 to 9 from 2 images of each, 1 draws" in capsys.readouterr().out


def test_files_without_masks_are_usage_errors(capsys):
    x = np.zeros((2, 3, 16, 16), np.float32)
    for name, arrays, expected in (
        ("labels.npz", {"x": x, "y": np.zeros(2, int)}, "y (2,) of int64, expected images"),
        ("grey.npz", {"x": x[:, 0], "y": np.zeros((2, 16, 16), int)}, "x (2, 16, 16)"),
        ("numbers.npz", {"x": x, "y": np.zeros((2, 16, 16))}, "of float64"),
        ("below.npz", {"x": x, "y": np.full((2, 16, 16), -1)}, "the class -1, below 0"),
        ("x.npz", {"x": x}, "y"),
    ):
        np.savez(name, **arrays)
        with pytest.raises(SystemExit) as left:
            segmentation.main(["--data", name])
        assert left.value.code == 2
        assert expected in capsys.readouterr().err
    Path("text.npz").write_text("no arrays")
    for name in ("text.npz", "gone.npz"):
        with pytest.raises(SystemExit):
            segmentation.main(["--data", name])
        assert name in capsys.readouterr().err


def test_wrong_words_are_usage_errors(capsys):
    save_csv("three.csv", make_zone(points=2, classes=3, seed=0))
    save_csv("space.csv", (np.ones((4, 3)), np.array([0, 1, 0, 1])))
    save_csv("numbers.csv", (np.ones((4, 2)), np.ones(4)))
    for program, words, expected in (
        (mnist_mlp, ["--data", "nowhere"], "'nowhere' is not a directory"),
        (mnist_conv, ["--epochs", "0"], "'0' is not an integer of 1 or more"),
        (fashion_mnist, ["--speed", "2"], "--speed"),
        (xor, ["--data", "three.csv"], "labels up to 2"),
        (xor, ["--data", "space.csv"], "x (4, 3)"),
        (spiral, ["--data", "numbers.csv"], "y (4, 1)"),
        (spiral, ["--data", "gone.csv"], "gone.csv"),
    ):
        with pytest.raises(SystemExit) as left:
            program.main(words)
        assert left.value.code == 2
        assert expected in capsys.readouterr().err


def test_importing_an_example_runs_nothing(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program", "--no-such-option"])
    for name in NAMES:
        importlib.reload(importlib.import_module(f"cnnx.examples.{name}"))
    assert capsys.readouterr() == ("", "")


def test_every_file_of_the_package_is_an_example_that_is_tested_here_and_listed():
    files = {path.stem for path in Path(cnnx.examples.__file__).parent.glob("*.py")}
    assert files - PARTS == set(NAMES)
    for name in NAMES:
        assert f"python -m cnnx.examples.{name}``" in cnnx.examples.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_the_example_shows(name):
    command = [sys.executable, "-W", "error", "-m", f"cnnx.examples.{name}", "--help"]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    text = importlib.import_module(f"cnnx.examples.{name}").__doc__
    assert text.splitlines()[0] in done.stdout
    if name != "read_text":  # tests/test_read_text.py
        assert "--data" in done.stdout and "--epochs" in done.stdout
