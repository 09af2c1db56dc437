"""Networks of other packages, from the file to the outputs: those of ONNX Runtime."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")
import zoo

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
