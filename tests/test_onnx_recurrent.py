"""LSTM and If of ONNX files: ONNX Runtime computes the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from onnx_helpers import assert_close, runtime
from onnx_traps import FLOAT, floats, helper, model_of, node, onnx

import cnnx

pytest.importorskip("onnxruntime")
STEPS, BATCH, FEATURES, HIDDEN = 6, 3, 5, 4


def lstm(inputs, outputs=("y", "h", "c"), **attributes):
    """The bytes of a file of one LSTM. inputs: names among x w r b l h0 c0 p, in this order."""
    sides = 2 if attributes.get("direction") == "bidirectional" else 1
    states = (BATCH, sides, HIDDEN) if attributes.get("layout") else (sides, BATCH, HIDDEN)
    arrays = {
        "w": floats(sides, 4 * HIDDEN, FEATURES, seed=1),
        "r": floats(sides, 4 * HIDDEN, HIDDEN, seed=2),
        "b": floats(sides, 8 * HIDDEN, seed=3),
        "l": np.array([4, 6, 1], np.int32),
        "h0": floats(*states, seed=4),
        "c0": floats(*states, seed=5),
        "p": floats(sides, 3 * HIDDEN, seed=6),
    }
    names = [name if name in inputs else "" for name in ("x", *arrays)]
    made = helper.make_node("LSTM", names, list(outputs), hidden_size=HIDDEN, **attributes)
    used = {name: array for name, array in arrays.items() if name in inputs}
    ends = [name for name in outputs if name]
    return model_of([made], {"x": [None, None, FEATURES]}, ends, used)


LSTMS = [
    (inputs, options)
    for direction in ("forward", "reverse", "bidirectional")
    for inputs, options in [
        ("x w r", {}),
        ("x w r b", {"clip": 0.7}),
        ("x w r b h0 c0", {}),
        ("x w r c0", {"activations": ["Sigmoid", "Tanh", "Tanh"]}),
        ("x w r b l", {}),
        ("x w r b l h0 c0", {}),
        ("x w r b p", {}),
        ("x w r b l h0 c0 p", {"clip": 0.7}),
        ("x w r b", {"input_forget": 1}),
        ("x w r b c0 p", {"input_forget": 1}),
    ]
    for options in [{**options, "direction": direction}]
]


@pytest.mark.parametrize(("inputs", "options"), LSTMS)
def test_lstm(inputs, options, tmp_path):
    if "activations" in options and options["direction"] == "bidirectional":
        options = {**options, "activations": options["activations"] * 2}
    content = lstm(inputs, **options)
    x = floats(STEPS, BATCH, FEATURES)
    model = cnnx.onnx.load(content)
    expected = runtime(content, x)
    for y, right in zip(model(x), expected, strict=True):
        assert_close(y, right, 1e-6)
    model.save(tmp_path / "net.npz")
    for y, same in zip(cnnx.load(tmp_path / "net.npz")(x), model(x), strict=True):
        np.testing.assert_array_equal(y, same)


@pytest.mark.parametrize("outputs", [("y",), ("", "h"), ("", "", "c"), ("y", "", "c")])
def test_some_outputs_of_an_lstm(outputs):
    content = lstm("x w r b", outputs)
    x = floats(STEPS, BATCH, FEATURES)
    found = cnnx.onnx.load(content)(x)
    found = found if isinstance(found, tuple) else (found,)
    for y, right in zip(found, runtime(content, x), strict=True):
        assert_close(y, right, 1e-6)


def test_an_lstm_with_the_batch_first():
    """ONNX Runtime lacks this form: it is the other one with swapped axes."""
    x = floats(STEPS, BATCH, FEATURES)
    names = "x w r b"
    y, h, c = runtime(lstm(names, direction="bidirectional"), x)
    found = cnnx.onnx.load(lstm(names, direction="bidirectional", layout=1))(x.swapaxes(0, 1))
    right = y.transpose(2, 0, 1, 3), h.swapaxes(0, 1), c.swapaxes(0, 1)
    for one, other in zip(found, right, strict=True):
        assert_close(one, other, 1e-6)


def test_states_that_are_inputs(tmp_path):
    names = ["x", "w", "r", "", "", "h0", "c0"]
    made = helper.make_node("LSTM", names, ["y", "h", "c"], hidden_size=HIDDEN)
    arrays = {
        "w": floats(1, 4 * HIDDEN, FEATURES, seed=1),
        "r": floats(1, 4 * HIDDEN, HIDDEN, seed=2),
    }
    state = [1, "n", HIDDEN]
    content = model_of(
        [made], {"x": ["t", "n", FEATURES], "h0": state, "c0": state}, ("y", "h", "c"), arrays
    )
    model = cnnx.onnx.load(content)
    given = floats(1, BATCH, HIDDEN), floats(1, BATCH, HIDDEN, seed=8)
    for steps in (1, 4):
        x = floats(steps, BATCH, FEATURES)
        expected = runtime(content, x, *given)
        plan = cnnx.compile(model, [(BATCH, FEATURES), (BATCH, HIDDEN), (BATCH, HIDDEN)])
        plan.save(tmp_path / "plan.npz")
        found = [f(x, *given) for f in (model, plan, cnnx.load_plan(tmp_path / "plan.npz"))]
        for ys in found:
            for y, right in zip(ys, expected, strict=True):
                assert_close(y, right, 1e-6)


def test_multiply_adds_of_an_lstm():
    model = cnnx.onnx.load(lstm("x w r b", direction="bidirectional"))
    per_step = 2 * 4 * HIDDEN * (FEATURES + HIDDEN) * BATCH
    assert model.summary((BATCH, FEATURES)).macs == per_step


def test_lstm_without_backward_says_so():
    model = cnnx.onnx.load(lstm("x w r b", ("y",)))
    y = model(floats(STEPS, BATCH, FEATURES))
    with pytest.raises(RuntimeError, match="LSTM has no backward"):
        model.backward(y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activations": ["Relu", "Tanh", "Tanh"]}, "activations relu, tanh, tanh"),
        ({"direction": "backward"}, "direction is 'backward'"),
        ({"speed": 3}, "its attributes speed are not known"),
    ],
)
def test_what_an_lstm_lacks_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        cnnx.onnx.load(lstm("x w r", **options))


@pytest.mark.parametrize(("name", "shape"), [("w", (1, 15, 5)), ("r", (1, 16, 5)), ("b", (1, 31))])
def test_weights_of_another_shape_are_an_error(name, shape):
    model = onnx.load_from_string(lstm("x w r b"))
    array = next(each for each in model.graph.initializer if each.name == name)
    array.CopyFrom(onnx.numpy_helper.from_array(np.zeros(shape, "f4"), name))
    with pytest.raises(ValueError, match=f"its {name.upper()} has shape"):
        cnnx.onnx.load(model.SerializeToString())


# -- If --------------------------------------------------------------------------------------------


def graph(name, nodes, outputs, arrays=None):
    """A branch."""
    return helper.make_graph(
        nodes,
        name,
        [],
        [helper.make_tensor_value_info(output, FLOAT, None) for output in outputs],
        [onnx.numpy_helper.from_array(array, key) for key, array in (arrays or {}).items()],
    )


def choice(then, otherwise, outputs=("y",)):
    """The nodes of: if the sum of x is positive, then, else otherwise."""
    return [
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum zero", "positive"),
        helper.make_node(
            "If", ["positive"], list(outputs), then_branch=then, else_branch=otherwise
        ),
    ]


ZERO = {"zero": np.array(0, np.float32)}
X = np.abs(floats(2, 3)), -np.abs(floats(2, 3, seed=1))


def check(content):
    """ONNX Runtime's results, of the model, its plan and its copy from a file."""
    model = cnnx.onnx.load(content)
    plan = cnnx.compile(model, (3,), batch=2)
    for x in X:
        expected = runtime(content, x)
        for net in (model, plan):
            found = net(x)
            found = found if isinstance(found, tuple) else (found,)
            for y, right in zip(found, expected, strict=True):
                assert_close(y, right, 1e-6)
    return model


def test_a_computed_condition_runs_one_branch(tmp_path):
    then = graph("then", [node("MatMul", "x w", "a"), node("Relu", "a", "b")], ["b"])
    otherwise = graph(
        "otherwise",
        [node("MatMul", "x v", "a"), node("Tanh", "a", "b")],
        ["b"],
        {"v": floats(3, 3)},
    )
    arrays = {"w": floats(3, 3, seed=2), **ZERO}
    model = check(model_of(choice(then, otherwise), {"x": ["n", 3]}, arrays=arrays))
    model.save(tmp_path / "net.npz")
    for x in X:
        np.testing.assert_array_equal(cnnx.load(tmp_path / "net.npz")(x), model(x))


def test_a_branch_that_only_passes_a_value_on():
    """The result is a copy: a plan reuses the memory of x after its last reader."""
    then = graph("then", [node("Identity", "h", "a")], ["a"])
    otherwise = graph("otherwise", [node("Relu", "h", "a")], ["a"])
    nodes = [node("MatMul", "x w", "h"), *choice(then, otherwise, ["z"])]
    nodes += [node("MatMul", "z w", "k"), node("MatMul", "k w", "l"), node("Add", "l z")]
    check(model_of(nodes, {"x": ["n", 3]}, arrays={"w": floats(3, 3), **ZERO}))


def test_several_outputs_constants_and_values_around():
    then = graph("then", [node("Add", "x one", "a")], ["a", "one"], {"one": np.array(1, "f4")})
    otherwise = graph("otherwise", [node("Sub", "x sum", "a"), node("Neg", "sum", "b")], ["a", "b"])
    nodes = [*choice(then, otherwise, ["p", "q"]), node("Mul", "p q")]
    check(model_of(nodes, {"x": ["n", 3]}, ("y", "p"), arrays=ZERO))


def test_a_choice_in_a_choice():
    inner = choice(
        graph("a", [node("Exp", "x", "e")], ["e"]),
        graph("b", [node("Neg", "x", "e")], ["e"]),
        ["f"],
    )[-1]
    then = graph("then", [inner, node("Mul", "f x", "g")], ["g"])
    otherwise = graph("otherwise", [node("Neg", "x", "g")], ["g"])
    check(model_of(choice(then, otherwise), {"x": ["n", 3]}, arrays=ZERO))


def test_a_known_condition_leaves_the_nodes_of_one_branch():
    then = graph("then", [node("Squeeze", "x first", "a")], ["a"], {"first": np.array([0])})
    otherwise = graph("otherwise", [node("Relu", "x", "a")], ["a"])
    nodes = [
        node("Shape", "x", "s"),
        node("Size", "s", "rank"),
        node("Equal", "rank three", "is_three"),
        helper.make_node("If", ["is_three"], ["z"], then_branch=then, else_branch=otherwise),
        node("Tanh", "z"),
    ]
    content = model_of(nodes, {"x": ["n", 3]}, arrays={"three": np.array(3)})
    model = cnnx.onnx.load(content)
    assert [type(part).__name__ for part in model.parts()] == ["ReLU", "Tanh"]
    assert_close(model(X[0]), runtime(content, X[0])[0], 1e-6)


def test_a_graph_is_trained_through_a_branch():
    then = graph("then", [node("MatMul", "x w", "a")], ["a"])
    otherwise = graph("otherwise", [node("Neg", "x", "a")], ["a"])
    content = model_of(choice(then, otherwise), {"x": ["n", 3]}, arrays={"w": floats(3, 3), **ZERO})
    model = cnnx.onnx.load(content)
    for x, weight in zip(X, (floats(3, 3), -np.eye(3, dtype="f4")), strict=True):
        y = model(x)
        assert_close(model.backward(y), y @ weight.T, 1e-6)
    [parameter] = model.parameters()
    assert_close(parameter.grad, (X[0].T @ (X[0] @ floats(3, 3))).T, 1e-6)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda each: each.attribute.pop(), "expected two branches"),
        (lambda each: each.output.append("other"), "expected two branches of 2 outputs"),
        (lambda each: each.attribute[0].g.input.add(name="x"), "has inputs"),
        (lambda each: each.attribute[0].g.node[0].input.append("none"), "reads 'none'"),
        (lambda each: each.attribute[0].g.node[0].output.append("x"), "makes 'x' again"),
        (lambda each: each.attribute[0].g.initializer.add(name="sum", data_type=1), "'sum'"),
        (lambda each: each.attribute[0].g.output.add(name="none"), "output 'none'"),
        (lambda each: setattr(each.attribute[0].g.node[0], "op_type", "Loop"), "not known: Loop"),
        (
            lambda each: each.attribute[0].g.node[0].attribute.add(name="q", i=1, type=2),
            "attributes q are not",
        ),
    ],
)
def test_a_damaged_branch_is_an_error(edit, message):
    then = graph("then", [node("Relu", "x", "a")], ["a"])
    otherwise = graph("otherwise", [node("Neg", "x", "a")], ["a"])
    model = onnx.load_from_string(model_of(choice(then, otherwise), {"x": ["n", 3]}, arrays=ZERO))
    edit(model.graph.node[2])
    with pytest.raises(ValueError, match=message):
        cnnx.onnx.load(model.SerializeToString())


def with_scalar():
    """Speech at a rate: a scalar decides between branches; the state has the batch second."""
    value = helper.make_tensor_value_info("a", FLOAT, None)
    double = helper.make_graph([node("Add", "x x", "a")], "double", [], [value])
    same = helper.make_graph([node("Identity", "x", "a")], "same", [], [value])
    nodes = [
        node("Equal", "rate known", "found"),
        helper.make_node("If", ["found"], ["z"], then_branch=double, else_branch=same),
        node("ReduceSum", "state", "sum", keepdims=0),
        node("Add", "z sum"),
    ]
    return model_of(
        nodes,
        {"x": ["n", 3], "state": [2, "n", 4], "rate": []},
        arrays={"known": np.array(16, np.float32)},
        opset=13,
    )


def test_a_plan_of_scalars_and_of_inputs_with_other_first_axes(tmp_path):
    model, x, state = cnnx.onnx.load(with_scalar()), floats(1, 3), floats(2, 1, 4)
    plan = cnnx.compile(model, {"x": (1, 3), "state": (2, 1, 4), "rate": ()})
    plan.save(tmp_path / "plan.npz")
    for each in (plan, cnnx.load_plan(tmp_path / "plan.npz")):
        assert "state (2, 1, 4), rate ()" in repr(each)
        assert "output" in each.explain()
        for rate, factor in ((16, 2), (8, 1), (16, 2)):  # the branch is taken anew at each call
            assert_close(each(x, state, np.array(rate)), factor * x + state.sum(), 1e-6)
        many = floats(5, 3), floats(2, 5, 4)
        assert_close(each(*many, 16.0), 2 * many[0] + many[1].sum(), 1e-6)
        named = each.run({"state": state, "x": x, "rate": np.float32(16)})
        assert_close(named["y"], 2 * x + state.sum(), 1e-6)
        with pytest.raises(ValueError, match=r"rate has shape \(1,\), expected \(\)"):
            each(x, state, np.array([16]))
        with pytest.raises(ValueError, match=r"batch=2, but its inputs have no common batch axis"):
            each.prepare(2)
        each.prepare([(3, 3), (2, 3, 4), ()])


@pytest.mark.parametrize("shapes", [5, [[1, 3]], [[1, 3], [2, 1, 5], []], [[0, 3], [2, 1, 4], []]])
def test_other_shapes_in_a_file_of_such_a_plan_are_refused(shapes, tmp_path):
    path = tmp_path / "plan.npz"
    model = cnnx.onnx.load(with_scalar())
    cnnx.compile(model, {"x": (1, 3), "state": (2, 1, 4), "rate": ()}).save(path)
    arrays, meta = cnnx.io.load_npz(path)
    cnnx.io.save_npz(path, arrays, meta | {"shapes": shapes})
    with pytest.raises(ValueError, match=r"plan\.npz.*its inputs have shapes"):
        cnnx.load_plan(path)


def test_an_operator_of_several_outputs_says_that_it_cannot_be_trained():
    model = cnnx.onnx.load(lstm("x w r b", ("y", "h")))
    y, h = model(floats(STEPS, BATCH, FEATURES))
    with pytest.raises(RuntimeError, match="LSTM has no backward"):
        model.backward((y, h))
    with pytest.raises(TypeError, match=r"no ONNX form is known of .* \(LSTM\)"):
        cnnx.onnx.save(model, io.BytesIO(), input_shape=(BATCH, FEATURES))
