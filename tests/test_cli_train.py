"""`cnnx train`: output, files, rejected input, and exit codes."""

from __future__ import annotations

import csv
import errno
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import SHORT, cnnx_process, failure, settings_of, sides, usage_error

import cnnx
from cnnx.cli import data as cli_data
from cnnx.cli import main, pictures, runs

pytestmark = pytest.mark.usefixtures("own_directory")


def test_training_on_the_digits_prints_its_progress_and_writes_its_files(capsys):
    assert main(["train", *SHORT]) == 0
    out = capsys.readouterr().out
    assert "1,437 train, 360 test" in out and "epoch 1/1" in out and "test accuracy" in out
    assert sorted(os.listdir("runs/digits-1")) == [
        *("checkpoints", "config.toml", "confusion.png", "feature_maps.png", "filters.png"),
        *("history.csv", "loss.png", "model.npz", "probabilities.png", "run.json", "split.json"),
    ]
    for picture in Path("runs/digits-1").glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.name in out
    with open("runs/digits-1/history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= set(row)
    settings = settings_of("runs/digits-1")
    assert settings["epochs"] == 1 and settings["batch_size"] == 32 and settings["seed"] == 0
    assert settings["optimizer"] == {"name": "adam", "lr": 0.001, "lowered_to": 0.0001}
    assert settings["result"]["test_accuracy"] == float(row["val_accuracy"]) > 0.5
    model = cnnx.load("runs/digits-1/model.npz")
    assert not model.training
    x, y = cnnx.data.load_digits()[1]
    assert (model(x).argmax(axis=1) == y).mean() == settings["result"]["test_accuracy"]


@pytest.mark.usefixtures("no_pictures")
def test_the_default_mnist_recipe_is_lenet_with_adam_and_batches_of_64(monkeypatch):
    tiny = cnnx.data.Dataset(np.zeros((4, 1, 28, 28), np.float32), np.arange(4) % 2, ("0", "1"))
    monkeypatch.setitem(cli_data._LOADERS, "mnist", lambda: (tiny, tiny))
    assert main(["train", "--data", "mnist", "--threads", "1"]) == 0
    settings = settings_of("runs/mnist-1")
    chosen = {name: settings[name] for name in ("model", "epochs", "batch_size", "dtype")}
    assert chosen == {"model": "lenet5", "epochs": 5, "batch_size": 64, "dtype": "float32"}
    assert settings["optimizer"] == {"name": "adam", "lr": 0.001, "lowered_to": 0.0001}


def test_the_process_behaves_as_the_function(npz):
    done = cnnx_process("train", "--data", npz, "--epochs", "2", "--model", "mnist_cnn")
    assert done.returncode == 0 and done.stderr == ""
    assert "epoch 2/2" in done.stdout and "runs/sides-1" in done.stdout
    done = cnnx_process("evaluate", "runs/sides-2")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr == "cnnx evaluate: runs/sides-2: No such file or directory\n"
    assert cnnx_process("train", "--epochs", "none").returncode == 2
    assert cnnx_process().returncode == 2


@pytest.mark.usefixtures("no_pictures")
def test_the_same_seed_gives_the_same_weights_on_one_thread_and_on_two(npz):
    for number, threads in (("1", "1"), ("2", "2")):
        words = ("--data", npz, "--epochs", "2", "--seed", "5", "--threads", threads)
        assert main(["train", *words, "--out", number]) == 0
    first, second = (cnnx.load(f"{n}/model.npz").state_dict() for n in "12")
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.usefixtures("no_pictures")
def test_every_optimiser_dtype_and_backend_that_help_offers_trains(npz):
    before = cnnx.get_backend(), cnnx.get_num_threads()
    for number, name in enumerate(("sgd", "rmsprop", "adagrad", "adam"), start=1):
        words = ["train", "--data", npz, *SHORT, "--optimizer", name, "--dtype", "float64"]
        assert main([*words, "--backend", "reference"]) == 0
        settings = settings_of(f"runs/sides-{number}")
        assert settings["optimizer"]["name"] == name and settings["dtype"] == "float64"
        assert settings["cnnx"]["backend"] == "reference"
        assert cnnx.load(f"runs/sides-{number}/model.npz")[0].weight.data.dtype == np.float64
    assert (cnnx.get_backend(), cnnx.get_num_threads()) == before


@pytest.mark.parametrize("name", ["densenet", "squeezenet", "se_resnet20", "inception_small"])
def test_models_with_branches_train(name, npz, no_pictures, capsys):
    assert main(["train", "--data", npz, "--model", name, "--epochs", "1", "--out", "run"]) == 0
    assert settings_of("run")["model"] == name
    assert main(["evaluate", "run"]) == 0
    assert "accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_data_without_a_test_set_is_split_in_equal_shares_by_the_seed(npz, capsys):
    assert main(["train", "--data", npz, *SHORT, "--seed", "3"]) == 0
    settings = settings_of("runs/sides-1")
    assert (settings["data"]["train"], settings["data"]["test"]) == (32, 8)
    capsys.readouterr()
    assert main(["evaluate", "runs/sides-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if line[:3] in ("0  ", "1  ", "all")]
    assert [row[1] for row in table] == ["4", "4", "8"]
    accuracy = 100 * settings["result"]["test_accuracy"]
    assert lines[-1].endswith(f"accuracy {accuracy:.2f} %")


@pytest.mark.usefixtures("no_pictures")
def test_a_folder_of_class_folders_trains_and_its_names_are_predicted(capsys):
    image = pytest.importorskip("PIL.Image")
    x, y = sides(20)
    for index, (pixels, label) in enumerate(zip(x, y)):
        folder = Path("photos", ("left", "right")[label])
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(folder / f"{index}.png")
    assert main(["train", "--data", "photos/", "--epochs", "4", "--threads", "1"]) == 0
    capsys.readouterr()
    assert main(["predict", "runs/photos-1", "photos/left/0.png", "photos/right/1.png"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [
        ["photos/left/0.png", "left"],
        ["photos/right/1.png", "right"],
    ]


def test_runs_count_up_from_the_highest_and_never_share_a_directory():
    os.makedirs("runs/digits-7")
    os.makedirs("runs/digits-old")
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(runs._next_directory("digits")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(os.path.join("runs", f"digits-{n}") for n in range(8, 16))


def test_a_directory_with_files_is_rejected_before_anything_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(cli_data, "load", lambda *_: pytest.fail("loaded"))
    Path("full").mkdir()
    Path("full", "thesis.txt").write_text("mine")
    Path("file").write_text("mine")
    assert "full already contains files" in usage_error(capsys, "train", "--out", "full")
    assert "file is not a directory" in usage_error(capsys, "train", "--out", "file")
    assert Path("full", "thesis.txt").read_text() == "mine"


@pytest.mark.usefixtures("no_pictures")
def test_an_empty_directory_is_accepted(npz):
    Path("empty").mkdir()
    assert main(["train", "--data", npz, *SHORT, "--out", "empty"]) == 0
    assert main(["train", "--data", npz, *SHORT, "--out", "deep/er"]) == 0
    assert Path("empty/model.npz").exists() and Path("deep/er/model.npz").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--epochs", "0"), "'0' is not an integer of 1 or more"),
        (("--batch-size", "2.5"), "'2.5' is not an integer of 1 or more"),
        (("--lr", "-1"), "'-1' is not a number above 0"),
        (("--lr", "nan"), "'nan' is not a number above 0"),
        (("--seed", "-3"), "'-3' is not an integer of 0 or more"),
        (("--threads", "1025"), "'1025' is not an integer from 1 to 1024"),
        (("--model", "lenet6"), "lenet5"),
        (("--model", "unet"), "invalid choice: 'unet'"),  # no classifier
        (("--optimizer", "adamw"), "adagrad"),
        (("--backend", "gpu"), "reference"),
        (("--dtype", "float16"), "float64"),
        (("--data", "mnits"), "digits, mnist, fashion-mnist, cifar10, spiral"),
        (("--data", "notes.txt"), "neither a folder of class folders nor an .npz or .csv"),
        (("--resume", "x"), "--resume: x is not the directory of a run"),
        (("--schedule", "linear"), "onecycle"),
        (("--augment", "heavy"), "randaugment"),
        (("--ema", "1"), "'1' is not a number between 0 and 1"),
        (("--val-split", "2"), "'2' is not a number between 0 and 1"),
        (("--early-stop", "0"), "'0' is not an integer of 1 or more"),
        (("--workers", "-1"), "'-1' is not an integer from 0 to 64"),
        (("notes.txt",), "'notes.txt' is not the name of a .toml file"),
    ],
)
def test_wrong_arguments_are_usage_errors_that_leave_nothing_behind(capsys, words, expected):
    Path("notes.txt").write_text("no data")
    assert expected in usage_error(capsys, "train", *words)
    assert os.listdir() == ["notes.txt"]


def test_invalid_data_is_a_one_line_error_and_creates_no_directory(capsys):
    x, y = sides(6)
    np.savez("one.npz", x=x, y=np.array([0, 0, 0, 0, 0, 1]))
    np.savez("few.npz", x=x, y=np.arange(6) // 2)
    np.savez("empty.npz", x=x, y=y, x_test=x[:0], y_test=y[:0])
    Path("cut.npz").write_bytes(Path("one.npz").read_bytes()[:300])
    Path("pictures").mkdir()
    for source, expected in {
        "one.npz": "class 1 has 1 sample",
        "few.npz": "6 samples are too few for 3 classes",
        "empty.npz": "x_test has 0 samples",
        "cut.npz": "cut.npz",
        "pictures": "found no folder",
    }.items():
        assert expected in failure(capsys, "train", "--data", source)
    assert not Path("runs").exists()


def test_an_unavailable_data_set_is_a_one_line_error(capsys, monkeypatch):
    monkeypatch.setenv("CNNX_DATA", "nowhere")
    assert "nowhere is not a directory" in failure(capsys, "train", "--data", "cifar10")


def test_a_loss_that_is_not_finite_names_epoch_and_batch_and_leaves_nothing(capsys):
    x, y = sides()
    broken = x.astype(np.float32)
    broken[3, 0, 0] = np.inf
    np.savez("broken.npz", x=broken, y=y, x_test=x, y_test=y)
    with np.errstate(invalid="ignore"):
        error = failure(capsys, "train", "--data", "broken.npz", *SHORT, "--model", "mnist_cnn")
    assert "epoch 1" in error and "nothing was saved" in error
    assert os.listdir("runs") == []


def refuse_after(epochs, error, monkeypatch):
    """Let a run write the model of this many epochs, then raise."""
    save = cnnx.Layer.save
    calls = []

    def limited(layer, path):
        calls.append(path)
        if len(calls) > epochs:
            raise error
        save(layer, path)

    monkeypatch.setattr(cnnx.Layer, "save", limited)


def test_a_full_disk_keeps_the_epochs_that_were_written(npz, capsys, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device", "model.npz")
    refuse_after(2, full, monkeypatch)
    error = failure(capsys, "train", "--data", npz, "--epochs", "5", "--threads", "1")
    assert "No space left on device" in error and "2 epochs are in" in error
    assert cnnx.History.from_csv("runs/sides-1/history.csv")["epoch"] == [1, 2]
    assert settings_of("runs/sides-1")["result"]["epochs"] == 2
    assert cnnx.load("runs/sides-1/model.npz")


def test_a_disk_that_is_full_from_the_start_leaves_no_directory(npz, capsys, monkeypatch):
    refuse_after(0, OSError(errno.ENOSPC, "No space left on device", "model.npz"), monkeypatch)
    assert "No space left" in failure(capsys, "train", "--data", npz, *SHORT)
    assert os.listdir("runs") == []


@pytest.mark.parametrize(("epochs", "kept"), [(0, "nothing was saved"), (1, "of epoch 1 are in")])
def test_ctrl_c_prints_in_one_line_what_was_saved(npz, capsys, monkeypatch, epochs, kept):
    refuse_after(epochs, KeyboardInterrupt(), monkeypatch)
    assert main(["train", "--data", npz, "--epochs", "3", "--threads", "1"]) == 130
    error = capsys.readouterr().err
    assert error.strip().count("\n") == 0 and "stopped" in error and kept in error
    assert len(os.listdir("runs")) == epochs


@pytest.mark.parametrize("module", ["matplotlib", "tqdm"])
def test_training_works_without_the_packages_of_the_cli_extra(npz, capsys, monkeypatch, module):
    for name in [*sys.modules, module]:
        if name.split(".")[0] == module:
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["train", "--data", npz, *SHORT]) == 0
    out, error = capsys.readouterr()
    assert "epoch 1/1" in out
    assert ("pip install 'cnnx[viz]'" in error) == (module == "matplotlib")
    drawn = len(list(Path("runs/sides-1").glob("*.png")))
    assert drawn == (5 if module == "tqdm" else 0)


def test_the_pictures_show_wrong_samples_first():
    right = np.arange(9)
    said = np.array([0, 1, 2, 3, 0, 5, 0, 7, 8])
    assert pictures._worth_a_look(said, right).tolist() == [4, 6, 0, 1, 2, 3]
    assert pictures._worth_a_look(np.zeros(9), right + 1).tolist() == [0, 1, 2]


@pytest.mark.usefixtures("no_pictures")
def test_a_terminal_shows_a_progress_bar_within_the_epoch(npz, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["train", "--data", npz, *SHORT]) == 0
    assert "epoch 1" in capsys.readouterr().err


def test_traceback_shows_where_an_error_came_up():
    for words in (["--traceback", "evaluate", "none.npz"], ["evaluate", "none.npz", "--traceback"]):
        with pytest.raises(FileNotFoundError):
            main(words)


@pytest.mark.usefixtures("no_pictures")
def test_one_hot_labels_train_and_score_as_labels_do(capsys):
    x, y = sides()
    said = []
    for name, target in (("labels", y), ("rows", np.eye(2, dtype=np.uint8)[y]), ("f", 1.0 * y)):
        np.savez(f"{name}.npz", x=x, y=target)
        words = ["--data", f"{name}.npz", "--model", "mlp", "--out", name, *SHORT]
        assert main(["train", *words]) == 0
        capsys.readouterr()
        assert main(["evaluate", name]) == 0
        said.append(capsys.readouterr().out.splitlines()[1:])
    assert said[0] == said[1] == said[2]
