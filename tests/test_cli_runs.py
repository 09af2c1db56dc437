"""Interrupted runs: the contents of their directories, and what the user is told."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import ROOT, SHORT, failure, settings_of, usage_error

import cnnx
from cnnx import io, viz
from cnnx.cli import main, runs

pytestmark = pytest.mark.usefixtures("own_directory")

TWO = ("--epochs", "2", "--threads", "1", "--model", "mlp")


def whole_files(directory):
    """Every existing file of a run can be read; returns their names."""
    names = sorted(name for name in os.listdir(directory) if not name.startswith("."))
    for name in names:
        path = Path(directory, name)
        if name == "run.json":
            json.loads(path.read_text())
        elif name == "history.csv":
            cnnx.History.from_csv(path)
        elif name == "model.npz":
            cnnx.load(path)
        elif name.endswith(".png"):
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
    return names


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no fonts"), MemoryError()])
def test_a_failing_picture_does_not_lose_results(npz, capsys, monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(viz, "plot_filters", fails)
    code = main(["train", "--data", npz, *SHORT])
    settings, out = settings_of("runs/sides-1"), capsys.readouterr()
    assert settings["result"]["finished"] and settings["result"]["test_accuracy"] >= 0
    assert "test accuracy" in out.out
    names = whole_files("runs/sides-1")
    assert {"history.csv", "loss.png", "model.npz", "run.json"} <= set(names)
    if isinstance(error, KeyboardInterrupt):
        assert code == 130 and out.err.strip().count("\n") == 0
        assert "training was complete" in out.err and "runs/sides-1" in out.err
    else:
        assert code == 0 and out.err.startswith("cnnx train: warning: no filters.png")
        assert "confusion.png" in names


def test_ctrl_c_while_a_drawing_package_is_imported_leaves_the_result(npz, capsys, monkeypatch):
    """A half-imported package raises anything at its next use: it is not used again."""
    drawn = []

    def half_imported(*_, **__):
        drawn.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(viz, "plot_history", half_imported)
    assert main(["train", "--data", npz, *TWO]) == 130
    assert settings_of("runs/sides-1")["result"]["finished"] and drawn == [1]
    assert "scores of all 2 epochs are in runs/sides-1" in capsys.readouterr().err
    assert main(["evaluate", "runs/sides-1"]) == 0


def test_an_interrupt_at_any_write_leaves_complete_files_and_a_correct_message(
    npz, capsys, monkeypatch
):
    """One run for each place where the disk is written, interrupted there."""
    real, calls = os.fsync, []

    def stop(descriptor):
        calls.append(descriptor)
        if len(calls) == at:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", stop)
    monkeypatch.setattr(runs.Run, "draw", lambda *_: [])
    for at in range(1, 40):
        calls.clear()
        code = main(["train", "--data", npz, *TWO, "--out", f"run{at}"])
        said = capsys.readouterr().err
        if code == 0:
            break
        assert code == 130
        if not os.path.exists(f"run{at}"):
            assert "nothing" in said
            continue
        assert {"history.csv", "model.npz", "run.json"} <= set(whole_files(f"run{at}"))
        result = settings_of(f"run{at}")["result"]
        kept = cnnx.History.from_csv(f"run{at}/history.csv")
        assert result["epochs"] == len(kept) and f"run{at}" in said
        assert result["finished"] == ("training was complete" in said)
        assert result["test_accuracy"] == kept[-1]["val_accuracy"]
        assert not [name for name in os.listdir(f"run{at}") if name.startswith(".")]
    assert code == 0 and at > 10


KILLED = """
import os, sys
from cnnx.cli import main
real, calls = os.fsync, []
def die(descriptor):
    calls.append(descriptor)
    if len(calls) == int(sys.argv[1]):
        os._exit(9)
    real(descriptor)
os.fsync = die
main(sys.argv[2:])
"""


@pytest.mark.parametrize("at", [1, 3, 9])
def test_a_kill_at_a_write_leaves_complete_files_and_a_usable_directory(npz, at, capsys):
    words = ("train", "--data", npz, *TWO, "--out", "run")
    command = [sys.executable, "-c", KILLED, str(at), *words]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=variables, capture_output=True, timeout=60)
    assert done.returncode == 9
    names = whole_files("run")
    assert any(re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", name) for name in os.listdir("run"))
    if not names:  # the run had only begun
        assert main(list(words)) == 0
    else:
        assert "run already contains files" in usage_error(capsys, *words)
        model = cnnx.models.build("mlp", (1, 8, 8), 2)
        model.save("run/model.npz")
        assert not [name for name in os.listdir("run") if name.startswith(".model.npz")]
        return
    assert not [name for name in os.listdir("run") if name.startswith(".")]


@pytest.mark.usefixtures("no_pictures")
def test_run_json_has_normal_permissions_and_is_never_empty(npz, monkeypatch):
    sizes, real = [], os.replace

    def watch(source, target):
        real(source, target)
        if os.path.exists("out/run.json"):
            sizes.append(os.path.getsize("out/run.json"))

    monkeypatch.setattr(os, "replace", watch)
    mask = os.umask(0o022)
    try:
        assert main(["train", "--data", npz, *SHORT, "--out", "out"]) == 0
    finally:
        os.umask(mask)
    for name in ("run.json", "model.npz", "history.csv"):
        assert stat.S_IMODE(os.stat(f"out/{name}").st_mode) == 0o644
    assert sizes and min(sizes) > 100


def test_the_second_of_two_runs_in_one_directory_is_an_error(npz, capsys, monkeypatch):
    """The other run begins between the check of the directory and the first file."""
    real = os.makedirs

    def other_run_is_faster(path, *args, **kwargs):
        real(path, *args, **kwargs)
        if path == "out":
            Path("out/run.json").write_text('{"the": "other\'s"}')

    monkeypatch.setattr(os, "makedirs", other_run_is_faster)
    assert "out: already contains files" in failure(capsys, "train", "--data", npz, "--out", "out")
    assert settings_of("out") == {"the": "other's"}


def test_a_full_disk_error_names_the_file(npz, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = failure(capsys, "train", "--data", npz, *SHORT, "--out", "out")
    assert "out/run.json: No space left on device" in error
    assert not os.path.exists("out")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "[]",
        "null",
        '{"seed": ' + "9" * 5000 + "}",
        '{"seed": 1e999, "data": {}}',
        "\x00\x01",
    ],
    ids=range(9),
)
def test_an_invalid_run_json_is_a_one_line_error(npz, capsys, text):
    model = cnnx.models.build("mlp", (1, 8, 8), 2)
    os.mkdir("run")
    model.save("run/model.npz")
    Path("run/run.json").write_text(text)
    for words in (("evaluate", "run"), ("predict", "run", npz)):
        assert "run/run.json" in failure(capsys, *words)


def test_a_run_json_of_any_size_takes_no_time_and_no_memory(capsys):
    model = cnnx.models.build("mlp", (1, 8, 8), 2)
    os.mkdir("run")
    model.save("run/model.npz")
    with open("run/run.json", "wb") as file:
        file.truncate(1 << 34)  # 16 GB of zeros, which use no disk space
    assert "run.json has 17,179,869,184 bytes" in failure(capsys, "evaluate", "run")
    os.remove("run/run.json")
    os.mkfifo("run/run.json")
    assert "run.json is not a regular file" in failure(capsys, "evaluate", "run")


def test_leftovers_are_recognised_for_all_files_of_a_run():
    os.mkdir("out")
    for name in runs.FILES:
        Path(f"out/.{name}.0123abcd.tmp").touch()
    assert len(io.leftovers("out", runs.FILES)) == len(runs.FILES)
    runs.check_out("out")
    Path("out/thesis.txt").touch()
    with pytest.raises(FileExistsError):
        runs.check_out("out")
