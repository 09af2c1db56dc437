"""Models of cnnx as ONNX files: ONNX Runtime computes the same."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from layer_helpers import OWN, Scale
from onnx_helpers import assert_close, runtime, saved, tolerance

import cnnx
from cnnx import layers, models

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OPSETS = (17, 20, onnx.defs.onnx_opset_version())  # 20 has Gelu
ROW, SIGNAL, IMAGE = (6,), (6, 11), (6, 11, 9)
CASES = [
    (layers.Identity(), IMAGE),
    (layers.Dropout(), IMAGE),
    (layers.Dropout2D(), IMAGE),
    (layers.Conv1D(6, 4, 3, stride=2, padding=1), SIGNAL),
    (layers.Conv1D(6, 4, 4, padding="same", bias=False), SIGNAL),
    (layers.Conv2D(6, 4, 3), IMAGE),
    (layers.Conv2D(6, 4, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=2), IMAGE),
    (layers.Conv2D(6, 6, 4, padding="same", groups=6, bias=False), IMAGE),
    (layers.Conv2D(6, 4, 3, padding=((0, 1), (2, 1))), IMAGE),
    (layers.ConvTranspose1D(6, 4, 3, 2, 1, 1), SIGNAL),
    (layers.ConvTranspose2D(6, 4, 3, stride=2, padding=1, output_padding=1), IMAGE),
    (layers.ConvTranspose2D(6, 4, 3, stride=(1, 3), groups=2, dilation=2, bias=False), IMAGE),
    (layers.Linear(6, 5), ROW),
    (layers.Linear(6, 5, bias=False), ROW),
    (layers.Linear(9, 5), IMAGE),
    (layers.Linear(9, 5, bias=False), IMAGE),
    (layers.MaxPool1D(3, 2, 1), SIGNAL),
    (layers.MaxPool2D(2), IMAGE),
    (layers.MaxPool2D((3, 2), stride=2, padding=1, ceil_mode=True), IMAGE),
    (layers.MaxPool2D(3, stride=2, padding="same"), IMAGE),
    (layers.MaxPool2D(3, stride=1, dilation=(2, 1)), IMAGE),
    (layers.AvgPool1D(3, 2, 1), SIGNAL),
    (layers.AvgPool1D(3, 2, 1, ceil_mode=True), (6, 12)),
    (layers.AvgPool2D(2), IMAGE),
    (layers.AvgPool2D(3, stride=2, padding=1), IMAGE),
    (layers.AvgPool2D(3, stride=2, padding=1, count_include_pad=False), IMAGE),
    (layers.AvgPool2D(3, stride=2, padding=1, ceil_mode=True), (6, 12, 8)),
    (layers.AvgPool2D(3, 2, 1, ceil_mode=True, count_include_pad=False), (6, 12, 8)),
    (layers.AvgPool2D(3, stride=2, padding="same"), IMAGE),
    (layers.AvgPool2D(3, stride=2, padding=1, ceil_mode=True, divisor_override=4), (6, 12, 8)),
    (layers.AdaptiveAvgPool1D(4), SIGNAL),
    (layers.AdaptiveAvgPool2D(1), IMAGE),
    (layers.AdaptiveAvgPool2D((11, 3)), IMAGE),
    (layers.AdaptiveAvgPool2D((4, None)), IMAGE),
    (layers.GlobalAvgPool1D(), SIGNAL),
    (layers.GlobalAvgPool2D(), IMAGE),
    (layers.BatchNorm1D(6), ROW),
    (layers.BatchNorm1D(6, affine=False), SIGNAL),
    (layers.BatchNorm2D(6, eps=0.1), IMAGE),
    (layers.BatchNorm2D(6, track_running_stats=False), IMAGE),
    (layers.InstanceNorm2D(6), IMAGE),
    (layers.InstanceNorm2D(6, affine=True, track_running_stats=True), IMAGE),
    (layers.GroupNorm(3, 6), IMAGE),
    (layers.GroupNorm(2, 6, affine=False), SIGNAL),
    (layers.LayerNorm(9), IMAGE),
    (layers.LayerNorm((11, 9), bias=False), IMAGE),
    (layers.LayerNorm(6, elementwise_affine=False), ROW),
    (layers.LocalResponseNorm(5, alpha=0.1, k=2.0), IMAGE),
    (layers.LocalResponseNorm(4, alpha=0.1), IMAGE),
    (layers.ReLU(), IMAGE),
    (layers.ReLU6(), IMAGE),
    (layers.LeakyReLU(0.2), IMAGE),
    (layers.PReLU(), IMAGE),
    (layers.PReLU(6), SIGNAL),
    (layers.ELU(0.7), IMAGE),
    (layers.GELU(), IMAGE),
    (layers.GELU("tanh"), IMAGE),
    (layers.SiLU(), IMAGE),
    (layers.Mish(), IMAGE),
    (layers.Sigmoid(), IMAGE),
    (layers.Tanh(), IMAGE),
    (layers.Hardsigmoid(), IMAGE),
    (layers.Hardswish(), IMAGE),
    (layers.Softplus(), IMAGE),
    (layers.Softplus(beta=2.0, threshold=1.0), IMAGE),
    (layers.Softmax(), ROW),
    (layers.Softmax(-1), IMAGE),
    (layers.LogSoftmax(), IMAGE),
    (layers.Flatten(), IMAGE),
    (layers.Flatten(2), IMAGE),
    (layers.Reshape((11, -1)), IMAGE),
    (layers.ZeroPad1D((1, 2)), SIGNAL),
    (layers.ZeroPad2D((1, 2, 3, -1)), IMAGE),
    (layers.Upsample(scale_factor=2), IMAGE),
    (layers.Upsample(scale_factor=(1.5, 2.25)), IMAGE),
    (layers.Upsample(size=(7, 20)), IMAGE),
    (layers.Upsample(size=(7, 20), mode="bilinear"), IMAGE),
    (layers.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    (layers.Upsample(scale_factor=1.3, mode="bilinear"), IMAGE),
    (layers.Upsample(scale_factor=2, mode="bilinear", align_corners=True), IMAGE),
    (layers.Concat(layers.Identity(), layers.ReLU()), IMAGE),
    (layers.Concat(layers.Identity(), layers.ReLU(), axis=-1), IMAGE),
    (layers.Residual(layers.Tanh()), IMAGE),
]


def filled(model):
    """The model in eval mode, its weights and statistics drawn at random."""
    rng = np.random.default_rng(1)
    for parameter in model.parameters():
        low = 0.5 if parameter.data.ndim == 1 else -0.5
        parameter.data = rng.uniform(low, low + 1, parameter.shape).astype(np.float32)
    for layer in model.modules():
        for name in layer.buffer_names:
            buffer = getattr(layer, name)
            if buffer is not None and buffer.ndim:
                setattr(layer, name, rng.uniform(0.5, 1.5, buffer.shape).astype(np.float32))
    return model.eval()


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("layer", "shape"), CASES, ids=[repr(layer)[:60] for layer, _ in CASES])
def test_onnx_runtime_computes_what_a_layer_does(layer, shape, opset):
    filled(layer)
    content = saved(layer, shape, opset=opset)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32) * 3
    expected = layer.copy().astype(np.float64)(x.astype(np.float64))
    [y] = runtime(content, x)
    assert_close(y, expected, 2 * tolerance(layer, shape))
    [y] = runtime(content, x[:1])  # the size of the batch is free
    if layer.__class__ is not layers.BatchNorm2D or layer.running_mean is not None:
        assert_close(y, expected[:1], 2 * tolerance(layer, shape))


def test_the_table_has_every_layer_of_cnnx():
    containers = {layers.Sequential, layers.Residual, cnnx.Graph}  # flattened
    functions = {layers.Activation}  # Python functions have no ONNX form
    assert set(cnnx.onnx.EMITTERS) | containers | functions == set(OWN.values())
    several = {layers.Add, layers.Multiply, layers.Embedding}  # below
    assert {type(layer) for layer, _ in CASES} | several >= set(cnnx.onnx.EMITTERS)


@pytest.mark.parametrize("opset", OPSETS[::2])
@pytest.mark.parametrize("name", models.names())
def test_onnx_runtime_computes_what_a_model_does(name, opset):
    shape = {"digits_cnn": (1, 8, 8), "lenet5": (1, 28, 28), "mnist_cnn": (1, 28, 28)}.get(
        name, (3, 32, 32)
    )
    cnnx.manual_seed(0)
    options = {"hidden": 16} if name == "vgg11" else {}  # not half a GB of weights
    model = models.build(name, shape, 10, **options)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    model(x)  # running statistics that are not those of the start
    model.eval()
    [y] = runtime(saved(model, shape, opset=opset), x)
    expected = model.copy().astype(np.float64)(x.astype(np.float64))
    assert_close(y, expected, tolerance(model, shape))
    assert np.array_equal(y.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("opset", OPSETS)
def test_several_inputs_and_outputs(opset):
    a, b, gate = cnnx.Input((6, 4, 4)), cnnx.Input((6, 4, 4)), cnnx.Input((6, 1, 1))
    y = layers.Add()(a, b, a) * gate
    model = cnnx.Graph((a, b, gate), (y, layers.Concat()(y, a), a))
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in model.input_shapes]
    for actual, expected in zip(runtime(saved(model, opset=opset), *xs), model(*xs), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_integers_for_an_embedding():
    model = cnnx.Sequential(layers.Embedding(7, 3), layers.Linear(3, 2))
    x = np.random.default_rng(0).integers(0, 7, (2, 5))
    [y] = runtime(saved(model, (5,)), x)
    np.testing.assert_allclose(y, model(x), rtol=1e-6, atol=1e-6)


def test_weights_have_the_names_of_state_dict_and_shared_ones_are_written_once():
    conv = layers.Conv2D(2, 2, 3, padding=1)
    model = cnnx.Sequential(("a", conv), ("norm", layers.BatchNorm2D(2)), ("b", conv)).eval()
    graph = onnx.load_from_string(saved(model, (2, 5, 5))).graph
    names = [array.name for array in graph.initializer]
    assert sorted(names) == sorted(
        ["a.weight", "a.bias"]
        + [f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    )
    for array in graph.initializer:
        np.testing.assert_array_equal(
            onnx.numpy_helper.to_array(array), model.state_dict()[array.name]
        )


def test_a_model_in_float64_or_train_mode_is_written_as_one_in_float32_and_eval_mode():
    model = cnnx.Sequential(layers.Linear(6, 4), layers.Dropout(), layers.BatchNorm1D(4))
    expected = saved(model.eval(), (6,))
    assert saved(model.copy().astype(np.float64).train(), (6,)) == expected


def test_a_layer_of_ones_own_is_named_and_can_be_added():
    model = cnnx.Sequential(layers.Linear(6, 4), ("mine", Scale()), ("curve", Scale()))
    with pytest.raises(TypeError, match=r"mine \(Scale\).*custom=\{Scale: function\}"):
        saved(model, (6,))

    def scale(place, layer, x):
        return place.add("Mul", x, place.weight("weight"))

    x = np.ones((2, 6), np.float32)
    [y] = runtime(saved(model, (6,), custom={Scale: scale}), x)
    np.testing.assert_allclose(y, model(x), rtol=1e-5)


def test_a_layer_with_functions_or_a_replaced_forward_is_an_error():
    with pytest.raises(TypeError, match="Activation"):
        saved(layers.Activation(np.sin, np.cos), (6,))
    layer = layers.ReLU()
    layer.forward = lambda x: x
    with pytest.raises(TypeError, match="ReLU"):
        saved(cnnx.Sequential(layer), (6,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 16}, "opset=16"),
        ({"opset": 1000}, "opset=1000"),
        ({"input_shape": None}, "pass input_shape"),
        ({"input_shape": ((6,), (6,))}, "2 shapes, but the model has 1"),
        ({"input_shape": (0,)}, "input_shape is"),
        ({"input_shape": (5,)}, "x has"),
    ],
)
def test_invalid_arguments(options, message):
    model = cnnx.Sequential(layers.Linear(6, 4))
    with pytest.raises(ValueError, match=message):
        saved(model, **({"input_shape": (6,)} | options))
    with pytest.raises(ValueError, match="joins samples"):
        saved(layers.Flatten(0), (6,))


def test_a_file_is_written_completely_or_not_at_all(tmp_path):
    path = tmp_path / "net.onnx"
    cnnx.onnx.save(layers.ReLU(), path, 6)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        cnnx.onnx.save(layers.Activation(np.sin, np.cos), path, 6)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


def test_without_the_package_the_advice_is_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[onnx\]'"):
        cnnx.onnx.save(layers.ReLU(), io.BytesIO(), 6)


def test_the_programs_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8")
    names = {"__name__": "page"}
    for program in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(compile(program, "docs/onnx.md", "exec"), names)
    [y] = runtime((tmp_path / "swish.onnx").read_bytes(), np.ones((2, 8), np.float32))
    np.testing.assert_allclose(y, names["model"](np.ones((2, 8), np.float32)), rtol=1e-5)
