"""How the command line interprets users' data: units, classes by name, images of all kinds."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import SHORT, failure, settings_of, sides, usage_error

import cnnx
from cnnx.cli import main

image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.usefixtures("own_directory", "no_pictures")

TRAIN = ("--epochs", "6", "--threads", "1", "--model", "mnist_cnn")


def write_folder(root, x, y, names, start=0):
    """Write images (n, h, w) or (n, h, w, c) of bytes as root/<class>/<number>.png."""
    for number, (pixels, label) in enumerate(zip(x, y), start=start):
        folder = Path(root, names[label])
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(folder / f"{number}.png")


def labels_said(capsys, *words):
    """The label in each line of `cnnx predict`."""
    capsys.readouterr()
    assert main(["predict", *words]) == 0
    return [line.split()[1] for line in capsys.readouterr().out.splitlines()]


def accuracy_said(capsys, *words):
    capsys.readouterr()
    assert main(["evaluate", *words]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    return float(last.split("accuracy ")[1].split()[0])


# Classes by name


@pytest.fixture
def animals(own_directory):
    """A run on folders cat, dog and horse, which it classifies correctly."""
    x, y = sides(90, 3)
    write_folder("animals", x, y, ("cat", "dog", "horse"))
    assert main(["train", "--data", "animals", *TRAIN, "--out", "run"]) == 0
    assert settings_of("run")["result"]["test_accuracy"] == 1
    return "run"


def test_classes_are_matched_by_name(animals, capsys):
    x, y = sides(30, 3)
    some = y > 0
    write_folder("new", x[some][::-1], y[some][::-1], ("cat", "dog", "horse"))
    assert accuracy_said(capsys, "run", "--data", "new") == 100
    assert set(labels_said(capsys, "run", "--data", "new")) == {"dog", "horse"}
    shutil.copytree("new/dog", "other/dog")
    shutil.copytree("new/horse", "other/zebra")
    error = failure(capsys, "evaluate", "run", "--data", "other")
    assert "zebra" in error and "cat, dog, horse" in error and "dog, zebra" in error
    error = failure(capsys, "predict", "run", "--data", "other")
    assert "zebra" in error


def test_a_folder_of_another_size_is_scaled_on_request(animals, capsys):
    x, y = sides(30, 3)
    write_folder("large", x.repeat(2, 1).repeat(3, 2), y, ("cat", "dog", "horse"))
    error = failure(capsys, "evaluate", "run", "--data", "large")
    assert "24 x 16 pixels" in error and "8 x 8: --resize" in error
    assert accuracy_said(capsys, "run", "--data", "large", "--resize") == 100


def test_the_model_file_contains_its_class_names(animals, capsys):
    x, y = sides(30, 3)
    write_folder("new", x, y, ("cat", "dog", "horse"))
    shutil.copy("run/model.npz", "alone.npz")
    assert labels_said(capsys, "alone.npz", "new/dog/1.png", "new/horse/2.png") == ["dog", "horse"]
    assert cnnx.load("alone.npz").preprocessing.classes == ("cat", "dog", "horse")


def test_numbers_are_class_indices_if_the_data_have_no_names(animals, capsys):
    x, y = sides(30, 3)
    np.savez("numbered.npz", x=x, y=y)
    assert accuracy_said(capsys, "run", "--data", "numbered.npz") == 100
    np.savez("numbered.npz", x=x, y=y + 2)
    error = failure(capsys, "evaluate", "run", "--data", "numbered.npz")
    assert "3, 4" in error and "cat, dog, horse" in error


def test_a_model_of_some_digits_knows_them_by_their_names(capsys):
    x, y = sides(60, 2)
    write_folder("digits37", x, y, ("3", "7"))
    assert main(["train", "--data", "digits37", *TRAIN, "--out", "run"]) == 0
    np.savez("sevens.npz", x=x[:20], y=np.where(y[:20] == 1, 7, 3))
    assert accuracy_said(capsys, "run", "--data", "sevens.npz") == 100
    np.savez("sevens.npz", x=x[:20], y=y[:20])
    assert "knows 3, 7" in failure(capsys, "evaluate", "run", "--data", "sevens.npz")


def test_data_of_a_single_class_is_a_one_line_error_before_training(capsys):
    x, _ = sides(20)
    write_folder("one", x, np.zeros(20, int), ("cat",))
    np.savez("one.npz", x=x, y=np.ones(20, int))
    Path("one.csv").write_text("x0,x1,label\n" + "0.5,1,0\n" * 20)
    for source, name in (("one", "cat"), ("one.npz", "1"), ("one.csv", "0")):
        error = failure(capsys, "train", "--data", source)
        assert f"all 20 samples are of class {name}" in error
    assert not os.path.exists("runs")


# Units


@pytest.mark.parametrize(
    ("make", "high"),
    [
        (lambda x: x, 1),
        (lambda x: x.astype(np.float32), 255),
        (lambda x: x.astype(np.int64), 255),
        (lambda x: (x // 16).astype(np.int64), 13),
        (lambda x: x / 255, 1),
        (lambda x: x / 127.5 - 1, 1),
    ],
    ids=["uint8", "float", "int", "16", "unit", "signed"],
)
def test_arrays_in_any_units_train_a_model_that_reads_image_files(capsys, make, high):
    x, y = sides(60)
    np.savez("mine.npz", x=make(x), y=y)
    assert main(["train", "--data", "mine.npz", *TRAIN, "--out", "run"]) == 0
    said = capsys.readouterr().out
    assert settings_of("run")["result"]["test_accuracy"] == 1
    assert (f"{high} scaled to 0 to 1" in said) == (high > 1 or "-1 to 1" in said)
    assert cnnx.load("run/model.npz").preprocessing.value_range[1] == high
    write_folder("new", x[:8], y[:8], ("0", "1"))
    files = [str(next(Path("new").rglob(f"{n}.png"))) for n in range(8)]
    shutil.copy("run/model.npz", "alone.npz")  # without run.json
    assert labels_said(capsys, "alone.npz", *files) == list("01010101")
    assert accuracy_said(capsys, "alone.npz", "--data", "new") == 100
    np.save("new.npy", make(x[:8]))
    assert labels_said(capsys, "run", "new.npy") == list("01010101")
    more, labels = sides(90)
    np.savez("more.npz", x=make(more[60:]), y=labels[60:])
    assert accuracy_said(capsys, "run", "--data", "more.npz") == 100


def test_numbers_without_a_scale_are_rejected_as_images_and_accepted_as_arrays(capsys):
    x, y = sides(60)
    z = (x - x.mean()) / x.std()
    np.savez("mine.npz", x=z, y=y)
    assert main(["train", "--data", "mine.npz", *TRAIN, "--out", "run"]) == 0
    assert "unknown scale" in capsys.readouterr().out
    write_folder("new", x[:8], y[:8], ("0", "1"))
    assert "give an .npy file" in failure(capsys, "predict", "run", "new/0/0.png")
    assert "give an .npy file" in failure(capsys, "evaluate", "run", "--data", "new")
    np.save("bytes.npy", x[:4])
    assert "scale is not known" in failure(capsys, "predict", "run", "bytes.npy")
    np.save("new.npy", z[:8])
    assert labels_said(capsys, "run", "new.npy") == list("01010101")


def test_a_model_of_16_levels_rejects_bytes_and_fractions(capsys):
    x, y = sides(60)
    np.savez("mine.npz", x=(x // 16).astype(int), y=y)
    assert main(["train", "--data", "mine.npz", *TRAIN, "--out", "run"]) == 0
    shutil.copy("run/model.npz", "alone.npz")
    np.save("bytes.npy", x[:4])
    np.save("unit.npy", x[:4] / 255)
    for name in ("bytes.npy", "unit.npy"):
        error = failure(capsys, "predict", "run", name)
        assert name in error and "13 (white)" in error
    np.savez("bytes.npz", x=x, y=y)
    assert "13 (white)" in failure(capsys, "evaluate", "run", "--data", "bytes.npz")
    np.savez("small.npz", x=x // 16, y=y)  # the units of training, as bytes
    assert accuracy_said(capsys, "alone.npz", "--data", "small.npz") == 100


def test_info_shows_the_input_of_a_model(animals, capsys):
    capsys.readouterr()
    for name in ("run", "run/model.npz"):
        assert main(["info", name]) == 0
        out = capsys.readouterr().out
        rows = {line[:20].strip(): line[21:] for line in out.splitlines()}
        assert rows["input"] == "1 x 8 x 8" and rows["classes"] == "cat, dog, horse"
        assert rows["range of arrays"] == "0 (black) to 1 (white)"
        assert rows["arrays"] == "channels_first" and "Conv2D" in out
        assert (
            rows["trained on"] == os.path.abspath("animals") and "finished True" in rows["result"]
        )
    cnnx.models.lenet5().save("plain.npz")
    assert main(["info", "plain.npz"]) == 0
    assert "the file says none" in capsys.readouterr().out
    assert "gone.npz" in failure(capsys, "info", "gone.npz")


def test_channels_last_is_requested_recorded_and_used(capsys):
    x, y = sides(60)
    colour = np.stack([x, x // 2, x // 3], axis=-1)
    np.savez("last.npz", x=colour, y=y)
    assert "layout" in failure(capsys, "train", "--data", "last.npz")
    words = ("--data", "last.npz", "--layout", "channels_last")
    assert main(["train", *words, *TRAIN, "--out", "run"]) == 0
    model = cnnx.load("run/model.npz")
    assert model.preprocessing.input_shape == (3, 8, 8)
    assert model.preprocessing.layout == "channels_last"
    np.save("new.npy", colour[:4])
    assert labels_said(capsys, "run", "new.npy") == list("0101")
    np.save("first.npy", colour[:4].transpose(0, 3, 1, 2))
    assert labels_said(capsys, "run", "first.npy", "--layout", "channels_first") == list("0101")
    assert accuracy_said(capsys, "run") == 100


# Images of all kinds


def test_negatives_are_detected_and_inverted(capsys):
    assert main(["train", *SHORT, "--out", "run"]) == 0
    x = cnnx.data.load_digits()[1].x[:6, 0]
    for number, pixels in enumerate(x):
        image.fromarray((255 - pixels * 255).astype(np.uint8)).save(f"{number}.png")
        image.fromarray((pixels * 255).astype(np.uint8)).save(f"right{number}.png")
    files = [f"{number}.png" for number in range(6)]
    right = labels_said(capsys, "run", *(f"right{name}" for name in files))
    assert main(["predict", "run", *files]) == 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--invert" in error
    assert "0.png, 1.png, 2.png, 3.png, 4.png and 1 more" in error
    assert labels_said(capsys, "run", "--invert", *files) == right
    assert capsys.readouterr().err == ""


def test_negatives_in_training_are_negatives_in_predict(capsys):
    x, y = sides(60)
    write_folder("dark", 255 - x, y, ("left", "right"))
    assert main(["train", "--data", "dark", *TRAIN, "--invert", "--out", "run"]) == 0
    assert "inverted" in capsys.readouterr().out
    assert labels_said(capsys, "run", "dark/left/0.png", "dark/right/1.png") == ["left", "right"]
    assert accuracy_said(capsys, "run") == 100
    shutil.rmtree("dark")
    write_folder("dark", x[:4], y[:4], ("left", "right"))
    words = ("run", "--invert", "dark/left/0.png", "dark/right/1.png")
    assert labels_said(capsys, *words) == ["left", "right"]
    np.savez("vectors.npz", x=x.reshape(60, 64).astype(float), y=y)
    assert "--invert" in failure(capsys, "train", "--data", "vectors.npz", "--invert")


def test_transparent_images_are_composited_and_empty_ones_are_named(capsys):
    x, y = sides(60)
    write_folder("bright", x, y, ("left", "right"))
    assert main(["train", "--data", "bright", *TRAIN, "--out", "run"]) == 0
    for number in range(2):
        levels = np.full((8, 8, 4), 255, np.uint8)
        levels[..., 3] = x[number]  # white, with its brightness in the alpha channel
        image.fromarray(levels).save(f"{number}.png")
    words = ("run", "0.png", "1.png")
    assert labels_said(capsys, *words, "--background", "black") == ["left", "right"]
    assert main(["predict", *words]) == 0
    error = capsys.readouterr().err
    assert "all pixels have the same value in 0.png, 1.png" in error and "--background" in error


def test_photos_of_several_sizes_train_with_resize_and_are_resized_from_then_on(capsys):
    x, y = sides(60)
    for number, (pixels, label) in enumerate(zip(x, y)):
        folder = Path("photos", ("left", "right")[label])
        folder.mkdir(parents=True, exist_ok=True)
        size = (16 + number % 3 * 8, 24)
        image.fromarray(pixels).resize(size).save(
            folder / f"{number}.{['png', 'jpg', 'bmp'][number % 3]}"
        )
    assert "--resize" in failure(capsys, "train", "--data", "photos")
    words = ("--data", "photos", "--resize", "8x10")
    assert main(["train", *words, *TRAIN, "--out", "run"]) == 0
    assert settings_of("run")["data"]["sample_shape"] == [1, 8, 10]
    files = ("photos/left/0.png", "photos/right/1.jpg", "photos/left/2.bmp")
    assert labels_said(capsys, "run", *files) == ["left", "right", "left"]
    assert accuracy_said(capsys, "run") == 100
    for wrong in ("0", "8x", "8x8x8", "-4", "a", "1e3"):
        assert "--resize" in usage_error(capsys, "train", "--data", "photos", "--resize", wrong)


def test_flags_that_do_not_apply_to_the_data_are_usage_errors(npz, capsys):
    assert "--resize" in usage_error(capsys, "train", "--data", npz, "--resize", "8")
    assert "--background" in usage_error(capsys, "train", "--background", "black")
    assert "--layout" in usage_error(capsys, "train", "--layout", "channels_last")
    words = ("train", "--data", ".", "--background", "2")
    assert "2" in usage_error(capsys, *words)


# Folders to predict


def test_predict_accepts_a_folder_and_names_files_relative_to_it(animals, capsys):
    x, y = sides(6, 3)
    write_folder("new", x, y, ("a", "b", "c"))
    Path("new/notes.txt").write_text("mine")
    capsys.readouterr()
    assert main(["predict", animals, "new"]) == 0
    out, error = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [
        *("new/a/0.png", "new/a/3.png", "new/b/1.png", "new/b/4.png", "new/c/2.png", "new/c/5.png")
    ]
    assert [line.split()[1] for line in out.splitlines()] == ["cat"] * 2 + ["dog"] * 2 + [
        *("horse", "horse")
    ]
    assert "left out, not images: new/notes.txt" in error
    assert main(["predict", animals, "new/", "--csv", "out.csv"]) == 0
    with open("out.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "label", "probability"]
    assert [row[:2] for row in rows[1:3]] == [["a/0.png", "cat"], ["a/3.png", "cat"]]
    os.mkdir("empty")
    capsys.readouterr()
    assert "empty: found no file, expected images" in failure(capsys, "predict", animals, "empty")
    os.mkfifo("pipe.npy")
    assert "pipe.npy: neither a regular file" in failure(capsys, "predict", animals, "pipe.npy")


def test_the_last_batch_can_be_dropped(capsys):
    """41 samples: 32 for training, and batches of 31 leave one, too few for batch norm."""
    x, y = sides(40)
    np.savez("mine.npz", x=x.reshape(40, 64), y=y)
    words = ("train", "--data", "mine.npz", *SHORT, "--batch-size", "31")
    assert main([*words, "--drop-last"]) == 0
    assert settings_of("runs/mine-1")["drop_last"] is True


def test_nan_outputs_have_no_class(animals, capsys):
    model = cnnx.load("run/model.npz")
    model.parameters()[-1].data[0] = np.nan
    model.save("broken.npz")
    x, y = sides(30, 3)
    np.savez("animals.npz", x=x, y=y, x_test=x, y_test=y)
    capsys.readouterr()
    error = failure(capsys, "predict", "broken.npz", "animals/cat/0.png")
    assert "animals/cat/0.png: the model's outputs are NaN" in error
    error = failure(capsys, "evaluate", "broken.npz", "--data", "animals.npz")
    assert "outputs are NaN" in error


def test_models_without_preprocessing_use_their_run_json(animals, capsys):
    model = cnnx.load("run/model.npz")
    model.preprocessing = None
    model.save("run/model.npz")
    assert labels_said(capsys, "run", "animals/dog/1.png", "animals/horse/2.png") == [
        "dog",
        "horse",
    ]
    assert accuracy_said(capsys, "run") == 100
    assert main(["info", "run"]) == 0
    assert "cat, dog, horse" in capsys.readouterr().out
    os.remove("run/run.json")  # now only the channels of its first convolution are known
    assert labels_said(capsys, "run", "animals/dog/1.png") == ["1"]
    assert "--resize needs" in failure(capsys, "predict", "run", "--resize", "animals/dog/1.png")
