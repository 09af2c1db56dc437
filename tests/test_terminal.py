"""Programs without a console, and incomplete stream objects: printing must never fail."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from training_helpers import blobs, mlp

from cnnx import terminal
from cnnx.cli import main
from cnnx.data import download
from cnnx.training import fit


class Half:
    """Stream replacements used by notebooks, loggers and graphical programs."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, Half(), closed()], ids=["None", "half", "closed"])
def test_training_works_with_any_replacement_of_standard_error(stream, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", stream)
    assert not terminal.is_terminal(stream)
    fit(mlp(), blobs(9))
    assert capsys.readouterr().out.startswith("epoch 1/1")


def test_training_works_without_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert len(fit(mlp(), blobs(9))) == 1
    half = Half()
    monkeypatch.setattr(sys, "stdout", half)
    fit(mlp(), blobs(9))
    assert half.text.startswith("epoch 1/1")


def test_only_the_terminal_module_calls_isatty():
    package = Path(terminal.__file__).parent
    asking = [file.name for file in package.rglob("*.py") if "isatty" in file.read_text("utf-8")]
    assert asking == ["terminal.py"]


@pytest.mark.parametrize("stream", [None, Half(), closed()], ids=["None", "half", "closed"])
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_download_works_with_any_replacement_of_standard_error(stream, with_tqdm, monkeypatch):
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", stream)
    bar = download._bar(download.RemoteFile("mnist", 100, "", ()))
    if bar is not False:  # pooch draws none for False
        bar.update(60)
        bar.update(40)
        bar.close()


@pytest.mark.parametrize("stream", [None, Half()], ids=["None", "half"])
def test_commands_run_without_a_console(stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["info"]) == 0
    assert main(["evaluate", "there-is-no-such-model.npz"]) == 1
