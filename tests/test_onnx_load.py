"""ONNX files as graphs of cnnx."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from onnx_helpers import assert_close, runtime, saved, tolerance
from onnx_traps import TRAPS, floats, model_of, node
from test_onnx_export import CASES, filled

import cnnx
from cnnx import layers, models
from cnnx.onnx.emit_operators import OPERATOR_EMITTERS
from cnnx.onnx.layers import OPERATORS

onnx = pytest.importorskip("onnx")
helper = onnx.helper


@pytest.mark.parametrize("opset", (17, onnx.defs.onnx_opset_version()))
@pytest.mark.parametrize(("layer", "shape"), CASES, ids=[repr(layer)[:60] for layer, _ in CASES])
def test_a_layer_returns_from_a_file(layer, shape, opset):
    filled(layer)
    loaded = cnnx.onnx.load(saved(layer, shape, opset=opset))
    x = floats(3, *shape) * 3
    expected = layer.copy().astype(np.float64)(x.astype(np.float64))
    assert_close(loaded(x), expected, 2 * tolerance(layer, shape))


@pytest.mark.parametrize("name", models.names())
def test_a_model_returns_from_a_file_and_from_its_npz(name, tmp_path):
    shapes = {"digits_cnn": (1, 8, 8), "lenet5": (1, 28, 28), "mnist_cnn": (1, 28, 28)}
    shapes["vgg11"] = (3, 224, 224)  # pools of other images are matrices in the file
    shape = shapes.get(name, (3, 32, 32))
    cnnx.manual_seed(0)
    options = {"hidden": 16} if name == "vgg11" else {}  # not half a GB of weights
    model = models.build(name, shape, 10, **options)
    x = floats(2, *shape)
    model(x)
    model.eval()
    loaded = cnnx.onnx.load(saved(model, shape))
    np.testing.assert_array_equal(loaded(x), model(x))  # the same layers, with the same weights
    arrays = {value.tobytes() for value in loaded.state_dict().values() if value.size > 1}
    assert arrays == {v.tobytes() for v in model.state_dict().values() if v.size > 1}
    assert loaded.summary(shape).macs == model.summary(shape).macs
    loaded.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(cnnx.load(tmp_path / "net.npz")(x), model(x))


def test_an_npz_of_a_loaded_graph_needs_no_package(tmp_path):
    nodes = [
        node("Div", "x half", "a"),
        node("Erf", "a", "b"),
        node("Transpose", "b", perm=[0, 2, 1]),
    ]
    model = cnnx.onnx.load(model_of(nodes, {"x": ["n", 3, 4]}, arrays={"half": np.float32([2])}))
    model.save(tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", floats(2, 3, 4))
    program = (
        "import sys; sys.modules['onnx'] = None\n"
        "import cnnx, numpy\n"
        "y = cnnx.load('net.npz')(numpy.load('x.npy'))\n"
        "numpy.save('y.npy', y)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model(floats(2, 3, 4)))


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_has_a_docstring(name):
    assert OPERATORS[name].__doc__


@pytest.mark.parametrize("case", TRAPS)
def test_onnx_runtime_computes_the_same(case, tmp_path):
    """The traps of the format: defaults, and forms that changed from opset to opset."""
    nodes, arrays, opset = TRAPS[case]
    content = model_of(nodes, {"x": [2, 3, 6, 7]}, arrays=arrays, opset=opset)
    x = floats(2, 3, 6, 7)
    [expected] = runtime(content, x)
    model = cnnx.onnx.load(content)
    assert_close(model(x), expected, 2e-6)
    kinds = set(map(type, model.parts()))
    if kinds <= {*cnnx.onnx.EMITTERS, *OPERATOR_EMITTERS}:
        assert_close(runtime(saved(model, (3, 6, 7)), x)[0], expected, 2e-6)
    if "given size" not in case:
        free = model_of(nodes, {"x": ["n", 3, "h", "w"]}, arrays=arrays, opset=opset)
        assert_close(cnnx.onnx.load(free)(x), expected, 2e-6)
    model.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(cnnx.load(tmp_path / "net.npz")(x), model(x))


GEMMS = [
    ({}, (4, 5), (5,)),
    ({"transB": 1}, (5, 4), (1, 5)),
    ({"transB": 1, "alpha": 0.5, "beta": 2.0}, (5, 4), (5,)),
    ({"alpha": 0.5}, (4, 5), (3, 5)),
    ({"transA": 1}, (3, 5), ()),
    ({}, (4, 5), None),
]


@pytest.mark.parametrize(("options", "b", "c"), GEMMS)
def test_gemm(options, b, c):
    arrays = {"b": floats(*b)} | ({} if c is None else {"c": np.array(floats(*c))})
    content = model_of(
        [node("Gemm", " ".join(["x", *arrays]), **options)], {"x": [3, 4]}, arrays=arrays
    )
    x = floats(3, 4)
    assert_close(cnnx.onnx.load(content)(x), runtime(content, x)[0], 1e-6)


def test_shapes_that_are_computed_are_folded_where_they_are_known():
    """As PyTorch writes x.reshape(x.shape[0], x.shape[1], -1)."""
    nodes = [node("Shape", "x", "s")]
    for i in (0, 1):
        nodes += [node("Gather", f"s i{i}", f"d{i}"), node("Unsqueeze", f"d{i} zero", f"u{i}")]
    nodes += [node("Concat", "u0 u1 rest", "t", axis=0), node("Reshape", "x t")]
    arrays = {"i0": np.array(0), "i1": np.array(1), "zero": np.array([0]), "rest": np.array([-1])}
    model = cnnx.onnx.load(model_of(nodes, {"x": ["n", 3, 4, 5]}, arrays=arrays))
    assert model(floats(7, 3, 4, 5)).shape == (7, 3, 20)
    kinds = [type(layer).__name__ for layer in model.parts()]
    assert kinds.count("Gather") == 1  # of the batch's size only
    assert model.summary((3, 4, 5)).rows[-1].output_shape == (3, 20)
    known = cnnx.onnx.load(model_of(nodes, {"x": [2, 3, 4, 5]}, arrays=arrays))
    assert [type(layer).__name__ for layer in known.parts()] == ["ReshapeTo"]
    assert known(floats(7, 3, 4, 5)).shape == (7, 3, 20)  # and any batch


def test_constants_float16_and_initialisers_that_are_inputs():
    nodes = [
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]),
        node("Mul", "x half", "a"),
        node("Add", "a c"),
    ]
    content = model_of(nodes, {"x": ["n", 3], "half": [1]}, arrays={"half": np.float16([0.5])})
    model = cnnx.onnx.load(content)
    assert model.wiring().inputs == 1
    x = floats(2, 3)
    np.testing.assert_array_equal(model(x), x * np.float32(0.5) + np.float32([1, 2, 3]))


def test_several_inputs_and_outputs_and_a_constant_output():
    nodes = [node("Add", "a b", "y"), node("Relu", "a", "z"), node("Add", "c c", "w")]
    arrays = {"c": floats(2)}
    content = model_of(nodes, {"a": ["n", 3], "b": ["n", 3]}, ("y", "z", "w", "a"), arrays)
    a, b = floats(2, 3), floats(2, 3, seed=1)
    y, z, w, same = cnnx.onnx.load(content)(a, b)
    np.testing.assert_array_equal(y, a + b)
    np.testing.assert_array_equal(z, np.maximum(a, 0))
    np.testing.assert_array_equal(w, arrays["c"] * 2)
    np.testing.assert_array_equal(same, a)


def test_shared_weights_stay_shared(tmp_path):
    nodes = [node("Conv", "x w", "a", pads=[1] * 4), node("Conv", "a w", pads=[1] * 4)]
    model = cnnx.onnx.load(model_of(nodes, {"x": ["n", 3, 5, 5]}, arrays={"w": floats(3, 3, 3, 3)}))
    assert len(model.parameters()) == 1
    model.save(tmp_path / "net.npz")
    assert len(cnnx.load(tmp_path / "net.npz").parameters()) == 1


def test_a_loaded_graph_is_trained_like_the_model_it_was():
    """fit changes the same weights in the same way, also those held by operators."""
    cnnx.manual_seed(0)
    model = cnnx.Sequential(
        *(layers.Conv2D(1, 4, 3), layers.BatchNorm2D(4), layers.GELU("tanh")),
        *(layers.AvgPool2D(2), layers.Flatten(), layers.Linear(36, 3)),
    )
    x, y = floats(40, 1, 8, 8), np.random.default_rng(0).integers(0, 3, 40)
    loaded = cnnx.onnx.load(saved(model, (1, 8, 8))).train()
    for net in (model, loaded):
        optimizer = cnnx.SGD(net.parameters(), lr=0.1, momentum=0.9)
        net.fit(x, y, optimizer=optimizer, epochs=2, batch_size=10, seed=0, verbose=False)
    trained = {a.size: a for a in loaded.state_dict().values()}
    for name in ("0.weight", "5.weight", "5.bias"):
        array = model.state_dict()[name]
        np.testing.assert_allclose(
            trained[array.size].reshape(array.shape), array, rtol=1e-3, atol=1e-5
        )
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-3, atol=1e-4)


def test_the_weights_of_an_operator_learn_though_the_input_needs_no_gradient():
    factors = floats(1, 3, 2)
    content = model_of([node("Mul", "x c")], {"x": [2, 3, 2]}, arrays={"c": factors})
    model = cnnx.onnx.load(content)
    (parameter,) = model.parameters()
    x = floats(2, 3, 2)
    model(x)
    model.backward(np.ones_like(x), need_dx=False)
    np.testing.assert_allclose(parameter.grad, x.sum(0, keepdims=True), rtol=1e-6)
    model.freeze()
    model(x)
    model.backward(np.ones_like(x), need_dx=False)
    assert parameter.grad is None


def test_without_a_backward_training_is_an_error():
    model = cnnx.onnx.load(model_of([node("ReduceProd", "x")], {"x": ["n", 3]}))
    y = model(floats(2, 3))
    with pytest.raises(RuntimeError, match="Reduce has no backward"):
        model.backward(y)


def test_what_is_not_known_is_listed_in_one_error():
    nodes = [node("STFT", "x", "a"), node("Relu", "a", "b"), node("GridSample", "b x")]
    with pytest.raises(ValueError, match=r"GridSample, STFT; nodes 'STFT_0' .*; 'GridSample_2'"):
        cnnx.onnx.load(model_of(nodes, {"x": ["n", 3]}))
    nodes = [
        node("Resize", "x s s s", "a", coordinate_transformation_mode="tf_crop_and_resize"),
        node("Relu", "a", "b"),
        node("Softmax", "b", "y", name="last", power=3),
    ]
    content = model_of(nodes, {"x": ["n", 3]}, arrays={"s": np.float32([1, 1])})
    with pytest.raises(ValueError, match=r"'Resize_0' \(Resize\).*'last' \(Softmax\).*power"):
        cnnx.onnx.load(content)


def test_a_second_output_that_is_not_computed_is_named():
    nodes = [node("Dropout", "x", "a mask"), node("Not", "mask")]
    with pytest.raises(ValueError, match=r"'Not_1' \(Not\) needs 'mask'"):
        cnnx.onnx.load(model_of(nodes, {"x": ["n", 3]}))


def test_arrays_in_another_file(tmp_path):
    model = onnx.load_from_string(saved(models.lenet5().eval(), (1, 28, 28)))
    x = floats(2, 1, 28, 28)
    expected = cnnx.onnx.load(model.SerializeToString())(x)
    onnx.save(
        model,
        tmp_path / "net.onnx",
        save_as_external_data=True,
        location="net.bin",
        size_threshold=0,
    )
    assert (tmp_path / "net.bin").stat().st_size > 100_000
    np.testing.assert_array_equal(cnnx.onnx.load(tmp_path / "net.onnx")(x), expected)
    with pytest.raises(ValueError, match="pass the model's path"):
        cnnx.onnx.load((tmp_path / "net.onnx").read_bytes())


def test_a_missing_file_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        cnnx.onnx.load(tmp_path / "none.onnx")


def test_loading_and_saving_write_the_same_again():
    model = models.resnet20().eval()
    loaded = cnnx.onnx.load(saved(model, (3, 32, 32)))
    x = floats(2, 3, 32, 32)
    file = io.BytesIO()
    cnnx.onnx.save(loaded, file)
    np.testing.assert_array_equal(
        runtime(file.getvalue(), x)[0], runtime(saved(model, (3, 32, 32)), x)[0]
    )
    assert not re.search("Reshape", repr(loaded))
