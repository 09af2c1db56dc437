"""Operators of ONNX files as Jobs of a plan, with the results of ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_helpers import assert_close, runtime
from onnx_traps import floats, helper, model_of, node

import cnnx

pytest.importorskip("onnxruntime")
if "compiled" not in cnnx.available_backends():
    pytest.skip("prepared ops are compiled", allow_module_level=True)

PER_CHANNEL = floats(3, 1, 1, seed=1)
NUMBERS = {"two": 2.0, "half": 0.5, "least": -0.4, "most": 0.6}
ARRAYS = {
    "w": np.abs(floats(4, 5, seed=2)) + 1,
    "channel": PER_CHANNEL,
    **{name: np.array(value, np.float32) for name, value in NUMBERS.items()},
    "pads": np.array([0, 0, 1, 2, 0, 0, 0, 3], np.int64),
    "crop": np.array([0, 0, -1, 0, 0, 0, 0, -2], np.int64),
    "axes": np.array([2, 3], np.int64),
}
# The nodes, and the algorithms of their steps.
NETWORKS = [
    ([node("Sub", "x w")], ["subtract"]),
    ([node("Sub", "w x")], ["subtract"]),
    ([node("Div", "x w", "a"), node("Div", "two a")], ["divide", "divide"]),
    ([node("Max", "x channel", "a"), node("Min", "a half")], ["maximum", "minimum"]),
    ([node("Add", "x w", "a"), node("Mul", "a a")], ["add", "multiply"]),
    ([node("Pow", "x two", "a"), node("Sqrt", "a")], ["multiply", "sqrt"]),
    ([node("Exp", "x", "a"), node("Log", "a")], ["exp", "log"]),
    ([node("Abs", "x", "a"), node("Neg", "a")], ["abs", "negative"]),
    ([node("Exp", "x", "a"), node("Reciprocal", "a")], ["exp", "reciprocal"]),
    ([node("Clip", "x least most")], ["clip"]),
    ([node("Mul", "x two", "a"), node("Add", "a half")], ["affine"]),
    ([node("ReduceSum", "x axes", "y", keepdims=0)], ["reduce_sum"]),
    ([helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=1)], ["reduce_max"]),
    ([helper.make_node("ReduceMin", ["x"], ["y"], axes=[-1, 1, 2])], ["reduce_min"]),
    ([helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])], ["reduce_mean"]),
    ([helper.make_node("ReduceL2", ["x"], ["y"], axes=[2, 3])], ["reduce_l2"]),
    ([helper.make_node("ReduceSumSquare", ["x"], ["y"])], ["reduce_sum_square"]),
    ([node("GlobalMaxPool", "x")], ["reduce_max"]),
    ([node("Pad", "x pads", mode="reflect")], ["pad"]),
    ([node("Pad", "x pads half")], ["pad"]),
    ([node("Pad", "x crop", mode="edge")], ["pad"]),
]


def steps(plan, *xs):
    """The algorithms, without views."""
    return [row.computed_by for row in plan.profile(*xs) if row.computed_by != "view"]


@pytest.mark.parametrize(("nodes", "kinds"), NETWORKS, ids=lambda value: str(value)[:40])
def test_operators_are_jobs(nodes, kinds, tmp_path):
    used = {name for each in nodes for name in each.input}
    content = model_of(
        nodes,
        {"x": ["n", 3, 4, 5]},
        arrays={name: array for name, array in ARRAYS.items() if name in used},
        opset=15 if any("axes" in [a.name for a in each.attribute] for each in nodes) else 17,
    )
    model = cnnx.onnx.load(content)
    plan = cnnx.compile(model, (3, 4, 5), batch=2)
    x = floats(2, 3, 4, 5, seed=9)
    (expected,) = runtime(content, x)
    assert steps(plan, x) == kinds
    plan.save(tmp_path / "plan.npz")
    for each in (plan, cnnx.load_plan(tmp_path / "plan.npz"), model):
        assert_close(each(x), expected, 2e-6)


def test_an_lstm_is_one_job():
    arrays = {"w": floats(1, 64, 5, seed=1), "r": floats(1, 64, 16, seed=2)}
    arrays["b"] = floats(1, 128, seed=3)
    made = helper.make_node("LSTM", ["x", "w", "r", "b", "", "h"], ["y", "", "c"], hidden_size=16)
    content = model_of([made], {"x": [4, 1, 5], "h": [1, 1, 16]}, ("y", "c"), arrays)
    x, h = floats(4, 1, 5), floats(1, 1, 16, seed=4)
    plan = cnnx.compile(cnnx.onnx.load(content), {"x": x.shape, "h": h.shape})
    assert "lstm" in steps(plan, x, h)
    for y, right in zip(plan(x, h), runtime(content, x, h), strict=True):
        assert_close(y, right, 1e-6)


def test_a_border_that_is_computed_at_run_time_is_not_kept():
    """Its numbers are an input: those of the first run are not those of the next."""
    nodes = [node("Cast", "p", "q", to=7), node("Pad", "x q")]
    content = model_of(nodes, {"x": [2, 3], "p": [4]})
    x, plan = floats(2, 3), cnnx.compile(cnnx.onnx.load(content), {"x": (2, 3), "p": (4,)})
    for pads in ([0, 0, 0, 0], [1, 0, -1, 0], [0, -1, 0, 1]):  # the shape stays
        p = np.array(pads, np.float32)
        assert_close(plan(x, p), runtime(content, x, p)[0], 0.0)
