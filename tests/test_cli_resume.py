"""`cnnx train --resume` and `cnnx train config.toml`: runs that go on, and runs repeated."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import failure, results, settings_of, sides, usage_error

import cnnx
from cnnx.cli import main

pytestmark = pytest.mark.usefixtures("own_directory", "no_pictures", "interruptible")

# 32 training samples: 4 batches per epoch. Everything that has a state is in use.
RUN = ("--threads", "1", "--model", "mnist_cnn", "--batch-size", "8", "--augment", "strong")
STATEFUL = (*RUN, "--schedule", "onecycle", "--ema", "0.9", "--early-stop", "9")


def interrupt(monkeypatch, step):
    """Press Ctrl-C in this step of the optimiser, counted from 1."""
    real, calls = cnnx.Adam.step, []

    def stepping(optimizer):
        calls.append(1)
        if len(calls) == step:
            signal.raise_signal(signal.SIGINT)
        real(optimizer)

    monkeypatch.setattr(cnnx.Adam, "step", stepping)


@pytest.mark.parametrize("step", [3, 8, 10])  # in the first epoch, at the end of one, within one
def test_a_resumed_run_ends_in_the_same_bits(npz, capsys, monkeypatch, step):
    words = ("train", "--data", npz, "--epochs", "4", *STATEFUL)
    assert main([*words, "--out", "whole"]) == 0
    with monkeypatch.context() as patch:
        interrupt(patch, step)
        assert main([*words, "--out", "cut"]) == 130
    assert "continue with: cnnx train --resume cut" in capsys.readouterr().err
    if step > 4:
        assert settings_of("cut")["result"]["finished"] is False
    assert main(["train", "--resume", "cut"]) == 0
    assert results("cut") == results("whole")
    assert Path("cut/config.toml").read_text() == Path("whole/config.toml").read_text()
    assert len(os.listdir("cut/checkpoints")) == 1


def test_a_longer_run_is_the_continuation_of_a_shorter_one(npz, capsys):
    words = ("train", "--data", npz, *RUN, "--schedule", "constant")
    assert main([*words, "--epochs", "3", "--out", "long"]) == 0
    assert main([*words, "--epochs", "2", "--out", "short"]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", "short"]) == 0
    assert "short is finished, after 2 epochs" in capsys.readouterr().out
    assert main(["train", "--resume", "short", "--epochs", "3", "--workers", "1"]) == 0
    assert results("short") == results("long")
    error = usage_error(capsys, "train", "--resume", "short", "--epochs", "1")
    assert "--epochs is 1, but short was started with 3" in error


def test_other_options_than_those_of_the_run_are_errors_with_both_values(npz, capsys):
    words = ("--data", npz, "--model", "mlp", "--epochs", "1", "--out", "run")
    assert main(["train", *words]) == 0
    for option, expected in {
        ("--model", "lenet5"): "--model is lenet5, but run was started with mlp",
        ("--lr", "0.5"): "--lr is 0.5, but run was started with 0.001",
        ("--seed", "1"): "--seed is 1, but run was started with 0",
        ("--ema", "0.9"): "--ema is 0.9, but run was started with none",
        ("--drop-last",): "--drop-last is True, but run was started with none",
        ("--data", "digits"): "--data is digits, but run was started with",
        ("--epochs", "2"): "for which its --schedule tenth is planned",
        ("--out", "new"): "--out is for a new run, but --resume continues run",
        ("run/config.toml",): "a config file is for a new run",
    }.items():
        assert expected in usage_error(capsys, "train", "--resume", "run", *option)
    same = ("--model", "mlp", "--lr", "1e-3", "--data", npz)
    assert main(["train", "--resume", "run", *same]) == 0


def test_changed_data_and_a_run_without_options_cannot_be_continued(npz, capsys, monkeypatch):
    words = ("--data", npz, "--model", "mlp", "--epochs", "2", "--out", "run")
    with monkeypatch.context() as patch:
        interrupt(patch, 2)
        assert main(["train", *words]) == 130
    x, y = sides()
    x[0] += 1
    np.savez(npz, x=x, y=y)
    capsys.readouterr()
    assert "has changed since run began" in failure(capsys, "train", "--resume", "run")
    Path("run/run.json").write_text('{"seed": 0}')
    assert "does not say how to continue" in failure(capsys, "train", "--resume", "run")


def test_the_config_file_of_a_run_repeats_it(npz):
    words = ("--data", npz, "--epochs", "2", *STATEFUL, "--val-split", "0.3", "--class-weights")
    assert main(["train", *words, "--seed", "3", "--drop-last", "--out", "first"]) == 0
    assert main(["train", "first/config.toml", "--out", "second"]) == 0
    assert results("second") == results("first")
    assert settings_of("second")["options"] == settings_of("first")["options"]


def test_the_command_line_takes_precedence_over_a_config_file(npz):
    Path("small.toml").write_text(
        f'data = "{npz}"\nmodel = "mlp"\nepochs = 1\nbatch-size = 20\nlr = 1e-2\ndrop-last = true\n'
    )
    assert main(["train", "small.toml", "--batch-size", "16", "--out", "run"]) == 0
    settings = settings_of("run")
    assert settings["model"] == "mlp" and settings["drop_last"] is True
    assert settings["batch_size"] == 16 and settings["optimizer"]["lr"] == 0.01


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs = 0", "small.toml: argument --epochs: '0' is not an integer of 1 or more"),
        ("model = 'lenet6'", "small.toml: argument --model: invalid choice: 'lenet6'"),
        ("learning-rate = 1", "small.toml: there is no option 'learning-rate'"),
        ("batch_size = 8", "there is no option 'batch_size': expected data, model"),
        ("drop-last = 1", "small.toml: drop-last is 1, expected true or false"),
        ("epochs = true", "small.toml: epochs is True, expected a number or text"),
        ("resize = [8, 8]", "small.toml: resize is [8, 8], expected a number or text"),
    ],
)
def test_a_wrong_config_file_is_a_usage_error_that_names_it(capsys, text, expected):
    Path("small.toml").write_text(text)
    assert expected in usage_error(capsys, "train", "small.toml")
    assert os.listdir() == ["small.toml"]


def test_a_config_file_that_cannot_be_read_is_a_one_line_error(capsys):
    assert "none.toml: No such file" in failure(capsys, "train", "none.toml")
    Path("bad.toml").write_text("epochs = ")
    assert "bad.toml is no TOML" in failure(capsys, "train", "bad.toml")
