"""Plans in files, and as text."""

from __future__ import annotations

import io

import numpy as np
import pytest
from engine_helpers import SMALL, Halves, assert_close, compiled_only, drawn, small

import cnnx
from cnnx import BatchNorm2D, Conv2D, Dropout, Flatten, Linear, ReLU, Sequential


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def test_a_saved_plan_gives_the_same_bits(tmp_path, dtype):
    model = small().astype(dtype)
    plan = cnnx.compile(model, {"image": (1, *SMALL)})
    plan.save(tmp_path / "net.npz")
    loaded = cnnx.load_plan(tmp_path / "net.npz", batch=1)
    assert loaded.inputs == ("image",) and loaded.input_shapes == (SMALL,)
    x = drawn((1, *SMALL), dtype)
    assert loaded(x).tobytes() == plan(x).tobytes()
    with cnnx.use_backend("reference"):
        assert_close(model, cnnx.load_plan(tmp_path / "net.npz")(x), plan(x))


def saved(model, shape):
    file = io.BytesIO()
    cnnx.compile(model, shape).save(file)
    return file.getvalue()


def test_users_layers_are_saved_with_their_names():
    content = saved(Sequential(Conv2D(3, 8, 3), Halves()), (3, 9, 9))
    with pytest.raises(ValueError, match="class 'Halves', which is unknown"):
        cnnx.load_plan(io.BytesIO(content))
    plan = cnnx.load_plan(io.BytesIO(content), custom={"Halves": Halves})
    assert plan(drawn((1, 3, 9, 9))).shape == (1, 4, 7, 7)


def test_models_and_plans_are_not_confused(tmp_path):
    Linear(3, 2).save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="not a plan of cnnx"):
        cnnx.load_plan(tmp_path / "model.npz")
    (tmp_path / "plan.npz").write_bytes(saved(Linear(3, 2), 3))
    with pytest.raises(ValueError, match="not a model of cnnx"):
        cnnx.load(tmp_path / "plan.npz")


def test_a_damaged_file_is_one_clear_error():
    content = saved(Sequential(Conv2D(1, 2, 3), ReLU(), Flatten(), Linear(8, 3)), (1, 4, 4))
    x = drawn((1, 1, 4, 4))
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), rng.integers(1, 5)):
            damaged[position] = rng.integers(256)
        try:
            cnnx.load_plan(io.BytesIO(bytes(damaged)))(x)
        except ValueError as error:
            assert str(error)
    for end in range(0, len(content), 97):
        with pytest.raises(ValueError):
            cnnx.load_plan(io.BytesIO(content[:end]))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"x"', '"" ', "inputs are named"),
        ('"version": 1,\n  "inputs"', '"version": 2,\n  "inputs"', "plan format 2"),
    ],
)
def test_a_file_with_other_entries_is_refused(old, new, words):
    import zipfile

    content = saved(Linear(3, 2), 3)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    text = entries["meta.json"].decode()
    assert old in text
    entries["meta.json"] = text.replace(old, new, 1).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
    with pytest.raises(ValueError, match=words):
        cnnx.load_plan(io.BytesIO(file.getvalue()))


@compiled_only
def test_a_plan_explains_itself():
    model = Sequential(
        Conv2D(3, 4, 3), BatchNorm2D(4), ReLU(), Dropout(0.5), Flatten(), Linear(16, 2)
    )
    plan = cnnx.compile(model, (3, 4, 4), batch=2)
    lines = plan.explain().splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["pass", "nodes"],
        ["all", "layers", "6"],
        ["simplify", "5"],
        ["fold", "4"],
        ["fuse", "3"],
    ]
    assert [line.split()[1:] for line in lines[7:]] == [
        ["0", "Conv2D", "+", "2", "ReLU", "direct", "(2,", "4,", "2,", "2)"],
        ["4", "Flatten", "view", "(2,", "16)"],
        ["5", "Linear", "linear", "(2,", "2)"],
    ]
    memory = plan.memory()
    assert "128    0-2  0 Conv2D + 2 ReLU" in memory and "arena 128 bytes" in memory
    rows = plan.profile(drawn((2, 3, 4, 4)), repeat=2)
    assert [row.computed_by for row in rows] == ["direct", "linear"]
    flops = [row.gflops * row.ms * 1e6 for row in rows]  # multiply-adds of two images, twice
    np.testing.assert_allclose(flops, [2 * 2 * 4 * 4 * 27, 2 * 2 * 16 * 2])
    floats = [row.gbs * row.ms * 1e6 / 4 for row in rows]
    np.testing.assert_allclose(floats, [2 * 48 + 4 * 27 + 4 + 32, 32 + 34 + 4])
    assert "GFLOP/s" in str(rows) and repr(plan) == "Plan(x (n, 3, 4, 4): 3 steps)"
