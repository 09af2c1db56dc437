"""Plots: their content, their files, and rejected arguments."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from cnnx.history import History

pytest.importorskip("matplotlib")
from cnnx import viz

ROWS = [
    {"epoch": 1, "loss": 1.5, "accuracy": 0.5, "val_loss": 1.25, "val_accuracy": 0.625},
    {"epoch": 2, "loss": 0.5, "accuracy": 0.75, "val_loss": 0.75, "val_accuracy": 0.875},
]


def test_loss_and_accuracy_are_side_by_side_with_training_and_validation():
    loss, accuracy = viz.plot_history(History(ROWS)).axes
    curves = [list(map(tuple, line.get_xydata())) for line in loss.lines]
    assert curves == [[(1, 1.5), (2, 0.5)], [(1, 1.25), (2, 0.75)]]
    curves = [list(map(tuple, line.get_xydata())) for line in accuracy.lines]
    assert curves == [[(1, 50), (2, 75)], [(1, 62.5), (2, 87.5)]]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("Epoch", "Loss")
    assert accuracy.get_ylabel() == "Accuracy (%)"
    words = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert words == ["training 75.0 %", "validation 87.5 %"]


def test_a_notebook_shows_the_figure_at_the_end_of_a_cell():
    shown = viz.plot_history(History(ROWS))._repr_png_()
    width, height = struct.unpack(">II", shown[16:24])
    assert shown.startswith(b"\x89PNG") and (width, height) == (960, 380)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".SVG", b"<?xml")])
def test_the_suffix_selects_the_file_format(tmp_path, suffix, start):
    viz.plot_history(History(ROWS), tmp_path / f"curves{suffix}")
    assert (tmp_path / f"curves{suffix}").read_bytes().startswith(start)
    assert len(os.listdir(tmp_path)) == 1


def test_a_single_epoch_and_columns_without_accuracy_are_drawn(tmp_path):
    figure = viz.plot_history({"loss": [2.0]}, tmp_path / "a.png")
    (axes,) = figure.axes
    assert axes.lines[0].get_marker() == "o" and list(axes.lines[0].get_xdata()) == [1]


def test_curves_are_drawn_on_the_users_own_axes():
    from matplotlib.figure import Figure

    figure = Figure()
    pair = figure.subplots(1, 2)
    assert viz.plot_history(History(ROWS), ax=pair) is figure
    assert [len(axes.lines) for axes in pair] == [2, 2]
    alone = Figure().subplots()
    viz.plot_history(History(ROWS), ax=alone)
    assert len(alone.lines) == 2 and alone.get_ylabel() == "Loss"


def test_no_window_is_opened():
    viz.plot_history(History(ROWS))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_histories_that_cannot_be_drawn_are_named(tmp_path):
    with pytest.raises(ValueError, match="0 epochs"):
        viz.plot_history(History())
    with pytest.raises(ValueError, match="no loss"):
        viz.plot_history({"epoch": [1, 2]})
    with pytest.raises(ValueError, match=r"a\.txt.*png"):
        viz.plot_history(History(ROWS), tmp_path / "a.txt")
    assert os.listdir(tmp_path) == []


def test_a_plot_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    old = tmp_path / "a.png"
    old.write_bytes(b"old")

    def full(figure, file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OSError, match="No space"):
        viz.plot_history(History(ROWS), old)
    assert old.read_bytes() == b"old" and len(os.listdir(tmp_path)) == 1


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    for name in [*sys.modules, "matplotlib", "matplotlib.figure"]:
        if name.split(".")[0] == "matplotlib":
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[viz\]'"):
        viz.plot_history(History(ROWS))


def test_importing_viz_does_not_import_matplotlib():
    import subprocess

    code = "import sys, cnnx.viz; print('matplotlib' in sys.modules)"
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
