"""The command line: what it prints, writes and refuses, and the exit codes."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.cli import data as cli_data
from cnnx.cli import main, runs

ROOT = Path(__file__).parents[1]
SHORT = ("--epochs", "1", "--threads", "1")


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNX_DATA", raising=False)
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path / "cache"))


def cnnx_process(*words, **environment):
    variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-W", "error", "-m", "cnnx", *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)


def sides(n=40, classes=2):
    """Images of 8x8 bytes whose class is the band of columns that is bright."""
    y = np.arange(n) % classes
    x = np.random.default_rng(0).integers(0, 60, (n, 8, 8), np.uint8)
    for image, label in zip(x, y):
        image[:, label * 8 // classes : (label + 1) * 8 // classes] += 150
    return x, y


@pytest.fixture
def npz():
    x, y = sides()
    np.savez("sides.npz", x=x, y=y)
    return "sides.npz"


@pytest.fixture
def known_model():
    """2x2 grey images -> logits (0, ln 3 * top left pixel): probabilities that paper can tell."""
    model = cnnx.Sequential(cnnx.Flatten(), cnnx.Linear(4, 2))
    model[1].weight.data[...] = [[0, 0, 0, 0], [math.log(3), 0, 0, 0]]
    model[1].bias.data[...] = 0
    model.save("known.npz")
    return "known.npz"


def settings_of(directory):
    return json.loads(Path(directory, "run.json").read_text())


def usage_error(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    return capsys.readouterr().err


def failure(capsys, *words):
    """The one line of stderr of a command that fails with exit code 1."""
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"cnnx {words[0]}: ")
    return error


# Training


def test_training_on_the_digits_prints_its_progress_and_writes_four_files(capsys):
    assert main(["train", *SHORT]) == 0
    out = capsys.readouterr().out
    assert "1,437 train, 360 test" in out and "epoch 1/1" in out and "test accuracy" in out
    assert sorted(os.listdir("runs/digits-1")) == [
        *("history.csv", "loss.png", "model.npz", "run.json"),
    ]
    assert Path("runs/digits-1/loss.png").read_bytes().startswith(b"\x89PNG")
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


def test_the_same_seed_gives_the_same_weights_on_one_thread_and_on_two(npz):
    for number, threads in (("1", "1"), ("2", "2")):
        words = ("--data", npz, "--epochs", "2", "--seed", "5", "--threads", threads)
        assert main(["train", *words, "--out", number]) == 0
    first, second = (cnnx.load(f"{n}/model.npz").state_dict() for n in "12")
    assert all(np.array_equal(first[name], second[name]) for name in first)


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


def test_a_directory_that_holds_files_is_refused_before_anything_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(cli_data, "load", lambda *_: pytest.fail("loaded"))
    Path("full").mkdir()
    Path("full", "thesis.txt").write_text("mine")
    Path("file").write_text("mine")
    assert "full holds files" in usage_error(capsys, "train", "--out", "full")
    assert "file is not a directory" in usage_error(capsys, "train", "--out", "file")
    assert Path("full", "thesis.txt").read_text() == "mine"


def test_an_empty_directory_is_taken(npz):
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
        (("--optimizer", "adamw"), "adagrad"),
        (("--backend", "gpu"), "reference"),
        (("--dtype", "float16"), "float64"),
        (("--data", "mnits"), "digits, mnist, fashion-mnist, cifar10"),
        (("--data", "notes.txt"), "neither a folder of class folders nor an .npz file"),
        (("--resume", "x"), "--resume"),
    ],
)
def test_wrong_arguments_are_usage_errors_that_leave_nothing_behind(capsys, words, expected):
    Path("notes.txt").write_text("no data")
    assert expected in usage_error(capsys, "train", *words)
    assert os.listdir() == ["notes.txt"]


def test_data_that_can_not_be_trained_on_is_one_line_and_makes_no_directory(capsys):
    x, y = sides(6)
    np.savez("one.npz", x=x, y=np.array([0, 0, 0, 0, 0, 1]))
    np.savez("few.npz", x=x, y=np.arange(6) // 2)
    np.savez("flat.npz", x=np.ones((40, 64)), y=np.arange(40) % 2)
    np.savez("empty.npz", x=x, y=y, x_test=x[:0], y_test=y[:0])
    Path("cut.npz").write_bytes(Path("one.npz").read_bytes()[:300])
    Path("pictures").mkdir()
    for source, expected in {
        "one.npz": "class 1 has 1 sample",
        "few.npz": "6 samples are too few for 3 classes",
        "flat.npz": "(64,)",
        "empty.npz": "x_test has 0 samples",
        "cut.npz": "cut.npz",
        "pictures": "found no folder",
    }.items():
        assert expected in failure(capsys, "train", "--data", source)
    assert not Path("runs").exists()


def test_a_data_set_that_can_not_be_had_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("CNNX_DATA", "nowhere")
    assert "nowhere is not a directory" in failure(capsys, "train", "--data", "cifar10")


def test_a_loss_that_is_not_finite_names_epoch_and_batch_and_leaves_nothing(capsys):
    x, y = sides()
    broken = x.astype(np.float32)
    broken[3, 0, 0] = np.inf
    np.savez("broken.npz", x=broken, y=y, x_test=x, y_test=y)
    with np.errstate(invalid="ignore"):
        error = failure(capsys, "train", "--data", "broken.npz", *SHORT, "--model", "mnist_cnn")
    assert "epoch 1" in error and "nothing is kept" in error
    assert os.listdir("runs") == []


def refuse_after(epochs, error, monkeypatch):
    """Let a run write the model of so many epochs, then raise."""
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
    assert settings_of("runs/sides-1")["result"] == {"finished": False, "epochs": 2}
    assert cnnx.load("runs/sides-1/model.npz")


def test_a_disk_that_is_full_from_the_start_leaves_no_directory(npz, capsys, monkeypatch):
    refuse_after(0, OSError(errno.ENOSPC, "No space left on device", "model.npz"), monkeypatch)
    assert "No space left" in failure(capsys, "train", "--data", npz, *SHORT)
    assert os.listdir("runs") == []


@pytest.mark.parametrize(("epochs", "kept"), [(0, "nothing is kept"), (1, "of epoch 1 are in")])
def test_ctrl_c_says_in_one_line_what_is_kept(npz, capsys, monkeypatch, epochs, kept):
    refuse_after(epochs, KeyboardInterrupt(), monkeypatch)
    assert main(["train", "--data", npz, "--epochs", "3", "--threads", "1"]) == 130
    error = capsys.readouterr().err
    assert error.strip().count("\n") == 0 and "stopped" in error and kept in error
    assert len(os.listdir("runs")) == epochs


@pytest.mark.parametrize("module", ["matplotlib", "tqdm"])
def test_training_does_without_the_packages_of_the_cli_extra(npz, capsys, monkeypatch, module):
    for name in [*sys.modules, module]:
        if name.split(".")[0] == module:
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["train", "--data", npz, *SHORT]) == 0
    out = capsys.readouterr().out
    assert "epoch 1/1" in out
    assert ("pip install 'cnnx[cli]'" in out) == (module == "matplotlib")
    assert Path("runs/sides-1/loss.png").exists() == (module == "tqdm")


def test_a_terminal_sees_a_bar_within_the_epoch(npz, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["train", "--data", npz, *SHORT]) == 0
    assert "epoch 1" in capsys.readouterr().err


def test_traceback_shows_where_an_error_came_up():
    for words in (["--traceback", "evaluate", "none.npz"], ["evaluate", "none.npz", "--traceback"]):
        with pytest.raises(FileNotFoundError):
            main(words)


# Evaluating and predicting


def test_evaluate_counts_class_by_class(known_model, capsys):
    x = np.zeros((5, 1, 2, 2), np.float32)
    x[:3, 0, 0, 0] = 1  # these are said to be of class 1, the others are a draw: class 0
    np.savez("five.npz", x=x, y=[1, 1, 0, 0, 0], x_test=x, y_test=[1, 1, 0, 0, 2])
    message = failure(capsys, "evaluate", known_model, "--data", "five.npz")
    assert "2" in message  # the label that the model has no output for
    np.savez("five.npz", x=x, y=[1, 1, 0, 0, 0], x_test=x, y_test=[1, 1, 0, 0, 0])
    assert main(["evaluate", known_model, "--data", "five.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line[0] in "01" or line.startswith("all")]
    assert rows == [
        ["0", "3", "2", "66.67", "%"],
        ["1", "2", "2", "100.00", "%"],
        ["all", "5", "4", "80.00", "%"],
    ]
    loss = (2 * math.log(4 / 3) + math.log(4) + 2 * math.log(2)) / 5
    assert lines[-1] == f"loss {loss:.4f}, accuracy 80.00 %"


def test_evaluate_needs_data_where_no_run_names_it(known_model, capsys):
    assert "use --data" in failure(capsys, "evaluate", known_model)
    Path("run.json").write_text("[]")
    assert "run.json" in failure(capsys, "evaluate", known_model)
    Path("run.json").write_text('{"seed"')
    assert "run.json is damaged" in failure(capsys, "evaluate", known_model)


def test_a_file_that_is_no_model_is_one_line(npz, capsys):
    Path("text.npz").write_text("no model")
    assert "text.npz" in failure(capsys, "evaluate", "text.npz", "--data", npz)
    assert "not a file of cnnx" in failure(capsys, "predict", npz, npz)


def test_the_run_s_data_that_has_gone_is_named(npz, capsys):
    assert main(["train", "--data", npz, *SHORT]) == 0
    capsys.readouterr()
    os.remove(npz)
    error = failure(capsys, "evaluate", "runs/sides-1")
    assert "sides.npz" in error and "--data" in error


def test_predict_prints_a_line_per_sample_and_the_k_most_probable(known_model, capsys):
    x = np.zeros((3, 1, 2, 2))
    x[1, 0, 0, 0], x[2, 0, 0, 0] = 1, -1
    np.save("three.npy", x)
    np.savez("one.npz", anything=x[1:2])
    assert main(["predict", known_model, "three.npy", "one.npz", "--top", "2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["three.npy[0]", "0", "0.5000", "1", "0.5000"],
        ["three.npy[1]", "1", "0.7500", "0", "0.2500"],
        ["three.npy[2]", "0", "0.7500", "1", "0.2500"],
        ["one.npz", "1", "0.7500", "0", "0.2500"],
    ]


def test_predict_writes_a_table(known_model, capsys):
    x = np.zeros((2, 1, 2, 2), np.uint8)
    x[1] = 255
    np.savez("two.npz", x=x, y=[0, 1], x_test=x, y_test=[0, 1])
    words = ["--data", "two.npz", "--csv", "out.csv", "--top", "2", "--batch-size", "1"]
    assert main(["predict", known_model, *words]) == 0
    with open("out.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["name", "label", "probability", "label_2", "probability_2"],
        ["two.npz[0]", "0", "0.500000", "1", "0.500000"],
        ["two.npz[1]", "1", "0.750000", "0", "0.250000"],
    ]
    assert "2 predictions are in out.csv" in capsys.readouterr().out


def test_images_of_another_size_are_refused_unless_resize_is_given(npz, capsys):
    image = pytest.importorskip("PIL.Image")
    assert main(["train", "--data", npz, "--epochs", "4", "--threads", "1"]) == 0
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, :12] = 200
    image.fromarray(pixels).save("big.png")
    capsys.readouterr()
    error = failure(capsys, "predict", "runs/sides-1", "big.png")
    assert "24 x 16 pixels" in error and "8 x 8" in error and "--resize" in error
    assert main(["predict", "runs/sides-1", "big.png", "--resize"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["big.png", "0"]


def test_arrays_come_as_one_sample_or_many_with_or_without_the_grey_axis(npz, capsys):
    assert main(["train", "--data", npz, *SHORT]) == 0
    x = sides()[0]
    capsys.readouterr()
    for array, lines in ((x[:3], 3), (x[0], 1), (x[:1], 1), (x[:2, None], 2), (x[:0], 0)):
        np.save("a.npy", array)
        assert main(["predict", "runs/sides-1", "a.npy"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == lines
    np.save("a.npy", x[:, :7])
    error = failure(capsys, "predict", "runs/sides-1", "a.npy")
    assert "(40, 7, 8)" in error and "(1, 8, 8)" in error


def test_input_that_can_not_be_predicted_is_one_line(known_model, capsys):
    np.savez("two.npz", a=np.ones(2), b=np.ones(2))
    np.save("objects.npy", np.array([None]), allow_pickle=True)
    np.save("text.npy", np.array(["a"]))
    Path("cut.npy").write_bytes(b"\x93NUMPY")
    Path("nothing.npy").write_bytes(b"")
    for name in ("two.npz", "objects.npy", "text.npy", "cut.npy", "nothing.npy"):
        assert name in failure(capsys, "predict", known_model, name)
    assert "gone.png: there is no such file" in failure(capsys, "predict", known_model, "gone.png")
    np.save("one.npy", np.ones((1, 1, 2, 2)))
    error = failure(capsys, "predict", known_model, "one.npy", "--top", "3")
    assert "--top 3" in error and "2 classes" in error
    assert "either files or --data" in usage_error(capsys, "predict", known_model)
    words = ("predict", known_model, "one.npy", "--data", "digits")
    assert "either files or --data" in usage_error(capsys, *words)


def test_pictures_without_pillow_name_what_to_install(known_model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    Path("a.png").write_bytes(b"")
    assert "pip install 'cnnx[images]'" in failure(capsys, "predict", known_model, "a.png")


def test_a_reader_that_goes_away_is_no_error(known_model):
    np.save("many.npy", np.zeros((20000, 1, 2, 2), np.float32))
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cnnx", "predict", known_model, "many.npy"]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, env=variables, timeout=60
    )
    os.close(write)
    assert done.stderr == ""


# The rest


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "bench", "info"])
def test_help_shows_an_example(capsys, command):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"example:\n  cnnx {command}" in capsys.readouterr().out


def test_no_command_shows_the_commands(capsys):
    assert main([]) == 2
    assert "evaluate" in capsys.readouterr().err


def test_info_names_backend_and_data_sets(capsys, monkeypatch):
    os.makedirs("sets/mnist")
    monkeypatch.setenv("CNNX_DATA", os.path.abspath("sets"))
    for kind in ("train", "t10k"):
        Path(f"sets/mnist/{kind}-images-idx3-ubyte.gz").touch()
        Path(f"sets/mnist/{kind}-labels-idx1-ubyte.gz").touch()
    os.makedirs("sets/fashion-mnist")
    Path("sets/fashion-mnist/t10k-labels-idx1-ubyte.gz").touch()
    assert main(["info", "--backend", "reference", "--threads", "1"]) == 0
    rows = {line[:20].strip(): line[21:] for line in capsys.readouterr().out.splitlines()}
    assert rows["backend"] == "reference" and rows["digits"] == "bundled"
    assert rows["MNIST"] == os.path.abspath("sets/mnist")
    assert "lacks" in rows["Fashion-MNIST"] and "downloaded" in rows["CIFAR-10"]


def test_bench_passes_its_arguments_on_and_prints_the_table(capsys, monkeypatch):
    asked = {}

    def run(what, **options):
        options.pop("report")
        asked.update(what=what, **options)
        return ["rows"]

    monkeypatch.setattr(cnnx.bench, "run", run)
    monkeypatch.setattr(cnnx.bench, "format_table", lambda rows: f"table of {rows}")
    monkeypatch.setattr(cnnx.bench, "write_json", lambda rows, path: Path(path).write_text("{}"))
    words = ["ops", "--peers", "torch", "--filter", "relu", "--quick", "--threads", "2"]
    assert main(["bench", *words, "--json", "b.json"]) == 0
    assert asked == {
        **{"what": "ops", "peers": ["torch"], "filter": "relu", "quick": True, "threads": 2},
    }
    assert "table of ['rows']" in capsys.readouterr().out and Path("b.json").exists()


def test_a_benchmark_that_is_not_there_is_one_line(capsys):
    assert "no workload" in failure(capsys, "bench", "--filter", "there is none")
    assert "models" in usage_error(capsys, "bench", "everything")


def test_the_command_line_imports_nothing_heavy():
    code = (  # without what the interpreter itself starts with: an editable install's finder, say
        "import sys; before = set(sys.modules); import cnnx.cli; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert not {"matplotlib", "tqdm", "PIL", "torch", "urllib"} & set(done.stdout.split())


@pytest.mark.parametrize("words, rates", [((), [1, 1, 1, 1, 0.1]), (("--constant-lr",), [1] * 5)])
def test_the_last_fifth_of_the_epochs_runs_at_a_tenth_of_the_rate(
    words, rates, tmp_path, monkeypatch
):
    """Seen from the optimiser: the rate of its steps, by epoch."""
    x = np.zeros((8, 1, 8, 8), np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(8) % 2, x_test=x, y_test=np.arange(8) % 2)
    seen = []
    step = cnnx.optim.SGD.step
    monkeypatch.setattr(cnnx.optim.SGD, "step", lambda self: (seen.append(self.lr), step(self)))
    words = ("--optimizer", "sgd", "--lr", "1", "--epochs", "5", "--batch-size", "8", *words)
    assert main(["train", "--data", str(tmp_path / "a.npz"), *words]) == 0
    assert seen == pytest.approx(rates)
