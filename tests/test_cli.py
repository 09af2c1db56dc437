"""The command line except training: output, files, rejected input, and exit codes."""

from __future__ import annotations

import csv
import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT, SHORT, cnnx_process, failure, sides, usage_error

import cnnx
from cnnx.cli import _parser, main

pytestmark = pytest.mark.usefixtures("own_directory")


@pytest.fixture
def known_model(own_directory):
    """2x2 grey images -> logits (0, ln 3 * top left pixel), with probabilities known by hand."""
    model = cnnx.Sequential(cnnx.Flatten(), cnnx.Linear(4, 2))
    model[1].weight.data[...] = [[0, 0, 0, 0], [math.log(3), 0, 0, 0]]
    model[1].bias.data[...] = 0
    model.save("known.npz")
    return "known.npz"


# Evaluating and predicting


def test_evaluate_counts_per_class(known_model, capsys):
    x = np.zeros((5, 1, 2, 2), np.float32)
    x[:3, 0, 0, 0] = 1  # predicted as class 1; the others are a tie, which gives class 0
    np.savez("five.npz", x=x, y=[1, 1, 0, 0, 0], x_test=x, y_test=[1, 1, 0, 0, 2])
    message = failure(capsys, "evaluate", known_model, "--data", "five.npz")
    assert "2" in message  # the label without an output
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


def test_nan_outputs_are_a_one_line_error(known_model, capsys):
    x = np.zeros((4, 1, 2, 2), np.float32)
    x[2, 0, 1, 1] = math.nan
    np.savez("four.npz", x=x, y=[0, 0, 1, 1], x_test=x, y_test=[0, 0, 1, 1])
    np.save("four.npy", x)
    error = failure(capsys, "evaluate", known_model, "--data", "four.npz")
    assert "1 of 4 outputs are NaN, the first that of x[2]" in error
    error = failure(capsys, "predict", known_model, "four.npy")
    assert "four.npy[2]: the model's outputs are NaN" in error


def test_evaluate_needs_data_if_no_run_names_it(known_model, capsys):
    assert "use --data" in failure(capsys, "evaluate", known_model)
    Path("run.json").write_text("[]")
    assert "run.json" in failure(capsys, "evaluate", known_model)
    Path("run.json").write_text('{"seed"')
    assert "run.json is damaged" in failure(capsys, "evaluate", known_model)


def test_a_file_that_is_not_a_model_is_a_one_line_error(npz, capsys):
    Path("text.npz").write_text("no model")
    assert "text.npz" in failure(capsys, "evaluate", "text.npz", "--data", npz)
    assert "not a file of cnnx" in failure(capsys, "predict", npz, npz)


@pytest.mark.usefixtures("no_pictures")
def test_missing_data_of_the_run_is_named(npz, capsys):
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


@pytest.mark.usefixtures("no_pictures")
def test_images_of_another_size_are_rejected_without_resize(npz, capsys):
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


@pytest.mark.usefixtures("no_pictures")
def test_arrays_may_be_one_sample_or_many_with_or_without_a_channel_axis(npz, capsys):
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


def test_invalid_input_is_a_one_line_error(known_model, capsys):
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


def test_images_without_pillow_are_an_error_that_names_the_extra(
    own_directory, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "PIL", None)
    Path("a.png").write_bytes(b"")
    cnnx.models.digits_cnn().save("model.npz")
    assert "pip install 'cnnx[images]'" in failure(capsys, "predict", "model.npz", "a.png")


def test_a_closed_pipe_is_not_an_error(known_model):
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


@pytest.mark.parametrize(
    "command", ["train", "evaluate", "predict", "convert", "profile", "bench", "info"]
)
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
    words += ["--seconds", "0.5"]
    assert main(["bench", *words, "--json", "b.json"]) == 0
    assert asked == {
        **{"what": "ops", "peers": ["torch"], "filter": "relu", "quick": True, "threads": 2},
        "seconds": 0.5,
    }
    assert "table of ['rows']" in capsys.readouterr().out and Path("b.json").exists()


def test_an_unknown_benchmark_is_a_one_line_error(capsys):
    assert "no workload" in failure(capsys, "bench", "--filter", "there is none")
    assert "models" in usage_error(capsys, "bench", "everything")
    assert "--peers" in failure(capsys, "bench", "threads", "--peers", "torch")
    assert "--seconds" in failure(capsys, "bench", "memory", "--seconds", "1")
    assert "above 0" in usage_error(capsys, "bench", "--seconds", "0")
    assert "leave --seconds out" in failure(capsys, "bench", "memory", "--seconds", "1")


def test_the_command_line_imports_no_slow_modules():
    code = (  # except modules that the interpreter itself imports, such as an editable finder
        "import sys; before = set(sys.modules); import cnnx.cli; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert not {"matplotlib", "tqdm", "PIL", "torch", "urllib"} & set(done.stdout.split())


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("words, rates", [((), [1, 1, 1, 1, 0.1]), (("--constant-lr",), [1] * 5)])
def test_the_last_fifth_of_the_epochs_runs_at_a_tenth_of_the_rate(
    words, rates, tmp_path, monkeypatch
):
    """Seen from the optimiser: the rate of its steps, per epoch."""
    x = np.zeros((8, 1, 8, 8), np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(8) % 2, x_test=x, y_test=np.arange(8) % 2)
    seen = []
    step = cnnx.optim.SGD.step
    monkeypatch.setattr(cnnx.optim.SGD, "step", lambda self: (seen.append(self.lr), step(self)))
    words = ("--optimizer", "sgd", "--lr", "1", "--epochs", "5", "--batch-size", "8", *words)
    assert main(["train", "--data", str(tmp_path / "a.npz"), *words]) == 0
    assert seen == pytest.approx(rates)


# Arguments in any order, and consoles of any kind


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--resize", "--top", "3", "a.jpg", "b.jpg"],
        ["--resize", "run", "a.jpg", "--top", "3", "b.jpg"],
        ["run", "a.jpg", "b.jpg", "--resize", "--top", "3"],
        ["--top", "3", "--resize", "run", "a.jpg", "b.jpg"],
        ["run", "--top=3", "--resize", "--", "a.jpg", "b.jpg"],
    ],
)
def test_options_and_files_may_be_in_any_order(words):
    args = _parser().parse_args(["predict", *words])
    assert args.model == "run" and args.files == ["a.jpg", "b.jpg"]
    assert args.resize and args.top == 3


def test_unknown_arguments_are_usage_errors(known_model, capsys):
    assert "--best" in usage_error(capsys, "predict", known_model, "--best", "3", "a.png")
    assert "MODEL" in usage_error(capsys, "predict", "--top", "3")
    assert "b.npz" in usage_error(capsys, "evaluate", "a.npz", "--data", "digits", "b.npz")
    assert "digits" in usage_error(capsys, "train", "--epochs", "1", "digits")
    assert _parser().parse_args(["bench", "--quick", "ops"]).what == "ops"


@pytest.fixture
def chinese_classes(own_directory, no_pictures):
    """A data set and a model whose class and file names few consoles can display."""
    image = pytest.importorskip("PIL.Image")
    x, y = sides(20)
    for index, (pixels, label) in enumerate(zip(x, y)):
        folder = Path("照片", ("猫", "dog")[label])
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(folder / f"{index}é.png")
    assert main(["train", "--data", "照片", *SHORT, "--out", "run"]) == 0


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_the_console_cannot_encode_are_escaped(chinese_classes, encoding, capsys):
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    files = sorted(str(path) for path in Path("照片").rglob("*.png"))
    done = cnnx_process("predict", "run", *files, text=encoding, **environment)
    assert done.returncode == 0 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 20
    done = cnnx_process("evaluate", "run", text=encoding, **environment)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("loss ")
    assert ("猫" if encoding == "utf-8" else r"\u732b") in done.stdout
    done = cnnx_process("predict", "run", "没有.png", text=encoding, **environment)
    assert done.returncode == 1 and "there is no such file" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fsencode") or os.name == "nt", reason="names are text there")
def test_undecodable_and_multi_line_names_are_escaped(known_model, capsys):
    x = np.zeros((1, 1, 2, 2), np.float32)
    for name in (b"\xff.npy", b"two\nlines\x1b[2J.npy"):
        np.save(os.fsdecode(name), x)
    files = sorted(os.fsdecode(name) for name in os.listdir(b".") if name.endswith(b".npy"))
    done = cnnx_process("predict", known_model, *files, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0 and done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        *(r"two\nlines\x1b[2J.npy", r"\udcff.npy")
    ]
    assert main(["predict", known_model, *files, "--csv", "out.csv"]) == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)] == [
            "name",
            "two\nlines\x1b[2J.npy",
            r"\udcff.npy",
        ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no such device")
def test_a_full_disk_for_standard_output_is_a_one_line_error(known_model):
    np.save("many.npy", np.zeros((2000, 1, 2, 2), np.float32))
    for words in (["predict", known_model, "many.npy"], ["info"]):
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "cnnx", *words]
            variables = os.environ | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, env=variables, timeout=60
            )
        assert done.returncode == 1
        assert done.stderr == f"cnnx {words[0]}: standard output: No space left on device\n"


def test_a_table_on_a_full_disk_names_its_file(known_model, capsys, monkeypatch):
    np.save("one.npy", np.zeros((1, 1, 2, 2), np.float32))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = failure(capsys, "predict", known_model, "one.npy", "--csv", "out.csv")
    assert error == "cnnx predict: out.csv: No space left on device\n"
    assert sorted(os.listdir()) == ["known.npz", "one.npy"]
