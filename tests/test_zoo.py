"""Networks of other packages, from the file to the outputs: those of ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")
import zoo
from onnx_helpers import runtime

import cnnx


@pytest.mark.parametrize("file", zoo.FILES, ids=lambda file: f"{file.package}/{file.pattern}")
def test_outputs_are_those_of_onnx_runtime(file):
    """For each shape, of the model and of its plan."""
    path = zoo.find(file)
    if path is None:
        pytest.skip(f"no file {file.pattern} of {file.package}: pip install 'cnnx[zoo]'")
    for setting, what, error in zoo.errors(file, path):
        assert error <= file.relative, f"{what}, {setting}: {error:.1e}"


def test_a_network_of_another_package_returns_from_an_npz(tmp_path):
    """The one with branches and recurrent layers in branches."""
    file = next(each for each in zoo.FILES if each.pattern.endswith("silero_vad.onnx"))
    path = zoo.find(file)
    if path is None:
        pytest.skip("no silero_vad: pip install 'cnnx[zoo]'")
    model = cnnx.onnx.load(path)
    model.save(tmp_path / "net.npz")
    again = cnnx.load(tmp_path / "net.npz")
    for setting in file.settings:
        xs = file.inputs(*setting)
        for y, same in zip(again(*xs), model(*xs), strict=True):
            assert (y == same).all()


def test_a_network_of_another_package_learns_a_new_task(tmp_path, monkeypatch):
    """The program of docs/fine_tuning.md that the tests of pages do not run."""
    if zoo.find(zoo.File("rapidocr_onnxruntime", "models/*_cls_*.onnx", zoo.line, ())) is None:
        pytest.skip("no rapidocr_onnxruntime: pip install 'cnnx[zoo]'")
    page = Path(__file__).parents[1] / "docs" / "fine_tuning.md"
    [program] = re.findall(r"^```py\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    exec(compile(program, "docs/fine_tuning.md", "exec"), names)
    net, (x, y) = names["net"], names["test"]
    scores = cnnx.predict(net, x)
    assert (scores.argmax(1) == y).mean() > 0.85  # 0.9 in the page
    [exported] = runtime("capitals.onnx", x[:8])
    np.testing.assert_allclose(exported, scores[:8], rtol=1e-4, atol=1e-4)
