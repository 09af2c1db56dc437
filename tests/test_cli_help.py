"""Every example in the help of the command line runs as it is printed."""

from __future__ import annotations

import glob
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import sides

import cnnx
from cnnx.cli import _parser, data, main

COMMANDS = ("train", "runs", "evaluate", "predict", "convert", "profile", "bench", "info")


def examples(command):
    """The lines of a command's help that begin with `cnnx`, without their comments."""
    (actions,) = (action for action in _parser()._actions if action.dest == "command")
    epilog = actions.choices[command].epilog
    lines = [line for line in epilog.splitlines() if re.match(r"  (\w+=\S+ )*cnnx ", line)]
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines]


ALL = [example for command in COMMANDS for example in examples(command)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with everything that the examples name."""
    image = pytest.importorskip("PIL.Image")
    root = tmp_path_factory.mktemp("help")
    before = os.getcwd()
    os.chdir(root)
    try:
        x, y = sides(60, 3)
        for number, (pixels, label) in enumerate(zip(x, y)):
            for root_name in ("photos", "new"):
                folder = Path(root_name, ("cat", "dog", "horse")[label])
                folder.mkdir(parents=True, exist_ok=True)
                image.fromarray(pixels + (root_name == "new")).save(folder / f"{number}.png")
        os.mkdir("holiday")
        for name in ("holiday/a.jpg", "holiday/b.jpg", "seven.png", "three.png", "scan.png"):
            size = (48, 36) if name.startswith("holiday") else (8, 8)
            image.fromarray(x[0]).resize(size).save(name)
        colour = np.stack([x, x, x], axis=-1)
        np.savez("scans.npz", x=colour, y=y)
        np.savez("new.npz", x=x, y=y)
        np.save("points.npy", np.zeros((2, 2), np.float32))
        for source in ("digits", "photos", "spiral"):
            words = ["--data", source, "--epochs", "1", "--out", f"runs/{source}-1"]
            words += ["--resize", "8"] if source == "photos" else []
            assert main(["train", *words]) == 0
        cnnx.models.lenet5().save("model.npz")
        pytest.importorskip("onnx")
        cnnx.onnx.save(cnnx.models.resnet20(), "net.onnx", input_shape=(3, 32, 32))
        image.fromarray(colour[0]).save("cat.jpg")
        Path("names.txt").write_text("cat\ndog\n" + "horse\n" * 8)
    finally:
        os.chdir(before)
    return root


def test_each_command_has_examples():
    assert all(len(examples(command)) >= 2 for command in COMMANDS)


@pytest.mark.parametrize("example", ALL)
def test_an_example_of_the_help_runs(example, place, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path))
    monkeypatch.setattr("cnnx.cli.runs.Run.draw", lambda *_: [])
    tiny = cnnx.data.Dataset(
        np.zeros((4, 1, 28, 28), np.float32), np.arange(4) % 2, tuple("0123456789")
    )
    monkeypatch.setitem(data._LOADERS, "mnist", lambda: (tiny, tiny))
    # The benchmarks themselves are tested elsewhere.
    monkeypatch.setattr("cnnx.cli.bench.run", lambda args: print(args.what) or 0)
    words = shlex.split(example)
    while "=" in words[0]:  # CNNX_ISA=baseline selects kernels when cnnx is imported
        name, value = words.pop(0).split("=")
        if name == "CNNX_DATA":
            os.makedirs(tmp_path / "datasets", exist_ok=True)
            value = str(tmp_path / "datasets")
        monkeypatch.setenv(name, value)
    if words[1] == "convert":  # beside the files that other examples need
        words[3] = str(tmp_path / words[3])
    found = [sorted(glob.glob(word)) if "*" in word else [word] for word in words[1:]]
    words = [word for group in found for word in group]
    if words[0] == "train":
        words += ["--epochs", "1"]
        if "--out" in words:
            words[words.index("--out") + 1] = str(tmp_path / "out")
    assert main(words) == 0, capsys.readouterr().err
    assert capsys.readouterr().out
