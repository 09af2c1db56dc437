"""Parameters, state dicts, copies, model files, shapes and summaries."""

from __future__ import annotations

import copy
import io as text_io
import pickle

import numpy as np
import pytest
from layer_helpers import Plain, Scale, images

from cnnx import io, random
from cnnx.layers import (
    Activation,
    AdaptiveAvgPool2D,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    LeakyReLU,
    Linear,
    MaxPool2D,
    Parameter,
    ReLU,
    ReLU6,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
    ZeroPad2D,
    load,
)

# -- Parameter, state, files -----------------------------------------------------------------------


def test_parameter_data_stays_contiguous_and_of_its_shape():
    parameter = Parameter(np.zeros((2, 3), np.float32), "weight")
    own = np.ones((2, 3))
    parameter.data = own
    assert parameter.data is own
    parameter.data = np.arange(6, dtype=">f4").reshape(3, 2).T
    assert parameter.dtype == np.float32
    assert parameter.data.flags.c_contiguous
    assert parameter.data.tolist() == [[0, 2, 4], [1, 3, 5]]
    parameter.data = [[1, 2, 3], [4, 5, 6]]
    assert parameter.dtype == np.float32
    frozen = np.ones((2, 3))
    frozen.flags.writeable = False
    parameter.data = frozen
    assert parameter.data.flags.writeable
    with pytest.raises(ValueError, match=r"'weight'.*\(3, 2\).*\(2, 3\)"):
        parameter.data = np.zeros((3, 2))
    with pytest.raises(TypeError, match="complex128"):
        parameter.data = np.zeros((2, 3), complex)
    with pytest.raises(ValueError, match="grad has shape"):
        parameter.grad = np.zeros(3)


def test_load_state_dict_lists_all_errors_and_changes_nothing():
    model = Sequential(Linear(2, 3), BatchNorm1D(3))
    before = model.state_dict()
    state = {**before, "9.weight": np.ones(1), "1.bias": np.ones(4)}
    del state["0.bias"]
    state["0.weight"] = state["0.weight"] + 1
    with pytest.raises(ValueError, match="load_state_dict") as caught:
        model.load_state_dict(state)
    for words in (
        "1 keys are missing",
        "1 unexpected of 7",
        "missing: 0.bias",
        "unexpected: 9.weight",
        "1.bias has shape (4,), expected (3,)",
    ):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match=r"1\.bias has shape"):
        model.load_state_dict(state, strict=False)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    del state["1.bias"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["0.bias", "1.bias"], ["9.weight"])
    assert np.array_equal(model[0].weight.data, before["0.weight"] + 1)


def test_a_state_dict_is_a_copy_and_loading_copies():
    model = Linear(2, 2)
    state = model.state_dict()
    state["weight"][...] = 9
    assert not np.any(model.weight.data == 9)
    model.load_state_dict(state)
    state["weight"][...] = 8
    assert np.all(model.weight.data == 9)


@pytest.mark.parametrize(
    "duplicate", [lambda m: m.copy(), copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_and_pickles_are_independent_and_start_clean(duplicate):
    shared = Linear(3, 3)
    model = Sequential(shared, BatchNorm1D(3), shared, Dropout(0.5)).astype("f8").eval()
    x = images(4, 3)
    y = model(x)
    model.backward(np.ones_like(y))
    twin = duplicate(model)
    assert np.array_equal(twin(x), y)
    assert twin[0] is twin[2] is not shared
    assert all(parameter.grad is None for parameter in twin.parameters())
    twin[0].weight.data += 1
    assert np.array_equal(model(x), y)
    with pytest.raises(RuntimeError):
        duplicate(model).backward(y)


def whole_model():
    shared = Linear(6, 6)
    return Sequential(
        ("conv", Conv2D(1, 2, (3, 2), padding="same", bias=False)),
        ("norm", BatchNorm2D(2, momentum=None)),
        ("pool", MaxPool2D((2, 1), ceil_mode=True)),
        ("mean", AvgPool2D(1, count_include_pad=False)),
        ("larger", Upsample(scale_factor=(2, 1.5), mode="bilinear", align_corners=True)),
        ("zeros", ZeroPad2D((1, 0, -1, 2))),
        ("smaller", AdaptiveAvgPool2D((3, None))),
        ("nearest", Upsample(4)),
        ("around", Residual(Conv2D(2, 2, 3, padding=1), Sequential(Conv2D(2, 2, 1), ReLU6()))),
        ("rest", Sequential(GlobalAvgPool2D(), Reshape((2, -1)), Flatten(), Linear(2, 6))),
        ("one", shared),
        ("leaky", LeakyReLU(0.2)),
        ("two", shared),
        ("drop", Dropout(0.3)),
        ("norm1", BatchNorm1D(6, affine=False)),
        ("sigmoid", Sigmoid()),
        ("tanh", Tanh()),
        ("relu", ReLU()),
        ("same", Identity()),
        ("soft", Softmax(-1)),
    )


def test_a_saved_model_is_restored_completely(tmp_path):
    random.manual_seed(0)
    model = whole_model().astype("f8")
    x = images(5, 1, 6, 4)
    model(x)
    model["norm"].eval()
    model["conv"].freeze()
    model.save(tmp_path / "model")
    state = random.get_state()
    twin = load(tmp_path / "model")
    assert random.get_state() == state  # loading draws no random numbers
    assert repr(twin) == repr(model)
    assert twin["one"] is twin["two"]
    assert [layer.training for layer in twin.modules()] == [
        layer.training for layer in model.modules()
    ]
    assert not twin["conv"].weight.requires_grad
    assert twin["one"].weight.requires_grad
    for (name, one), (other, two) in zip(
        model.state_dict().items(), twin.state_dict().items(), strict=True
    ):
        assert name == other
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)
    assert np.array_equal(twin.eval()(x), model.eval()(x))


def test_tied_parameters_stay_tied(tmp_path):
    model = Sequential(Linear(3, 3), Linear(3, 3))
    model[1].weight = model[0].weight
    model.save(tmp_path / "model")
    twin = load(tmp_path / "model")
    assert twin[1].weight is twin[0].weight
    assert len(twin.parameters()) == 3


def test_a_users_class_is_restored_through_custom(tmp_path):
    model = Sequential(Linear(2, 2), Scale(4.0))
    model[1].weight.data = np.array([5.0])
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"custom.*'Scale'"):
        load(tmp_path / "model")
    twin = load(tmp_path / "model", custom={"Scale": Scale})
    assert twin[1].factor == 4.0
    assert twin[1].weight.data.tolist() == [5.0]


def test_layers_that_cannot_be_described_are_rejected_before_writing(tmp_path):
    with pytest.raises(TypeError, match="Activation holds Python functions"):
        Sequential(Linear(2, 2), Activation(np.sin, np.cos)).save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"'size'.*config"):
        Plain(3).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_inconsistent_model_files_are_rejected(tmp_path):
    path = tmp_path / "model"
    Sequential(Linear(2, 3), BatchNorm1D(3)).save(path)
    arrays, meta = io.load_npz(path)

    def refused(message, arrays=arrays, **changes):
        io.save_npz(path, arrays, {**meta, **changes})
        with pytest.raises(ValueError, match=message) as caught:
            load(path)
        assert "model" in str(caught.value)

    def layer(**changes):
        return [{**meta["layers"][0], **changes}, *meta["layers"][1:]]

    refused("no file of", format="other")
    refused("format 99", version=99)
    refused("larger than any array", layers=layer(config={"in_features": 10**9, "out_features": 9}))
    refused("has shape", layers=layer(config={"in_features": 3, "out_features": 2}))
    refused("missing: 0.bias", {k: a for k, a in arrays.items() if k != "0.bias"})
    refused("unexpected: x", {**arrays, "x": np.ones(2)})
    refused("'os.system'", layers=layer(**{"class": "os.system"}))
    refused("'Layer'", layers=layer(**{"class": "Layer"}))
    refused("custom.*'Linear'", layers=layer(custom=True))
    refused("unexpected keyword", layers=layer(config={"speed": 3}))
    refused("cannot be loaded", layers=[])
    refused("cannot be loaded", layers=None)
    refused("cannot be loaded", frozen=["nothing"])
    refused("cannot be loaded", tied={"a": "b"})
    io.save_npz(path, arrays, None)
    with pytest.raises(ValueError, match="not a model"):
        load(path)


def test_a_model_is_saved_to_and_loaded_from_a_file_object(tmp_path):
    model = whole_model()
    stream = text_io.BytesIO()
    model.save(stream)
    stream.seek(0)
    twin = load(stream)
    assert repr(twin) == repr(model)
    model.save(tmp_path / "model")
    assert stream.getvalue() == (tmp_path / "model").read_bytes()
    with pytest.raises(ValueError, match="BytesIO"):
        load(text_io.BytesIO(b"PK" + bytes(100)))


def test_a_file_whose_layers_double_at_each_level_is_rejected_quickly(tmp_path):
    """40 rows that each contain the previous one twice: 2**40 places, too many to visit."""
    Sequential(ReLU()).save(tmp_path / "model")
    arrays, meta = io.load_npz(tmp_path / "model")
    plain, pair = meta["layers"]
    rows = [plain]
    key = next(iter(pair["config"]))
    for number in range(40):
        twice = [{"layer": number}, {"layer": number}]
        rows.append({**pair, "config": {key: [["a", twice[0]], ["b", twice[1]]]}})
    io.save_npz(tmp_path / "model", arrays, {**meta, "layers": rows})
    with pytest.raises(ValueError, match=r"cannot be loaded.*layers"):
        load(tmp_path / "model")


# -- shapes and text -------------------------------------------------------------------------------


def test_output_shape_changes_nothing():
    model = Sequential(Conv2D(1, 2, 3), BatchNorm2D(2), Dropout(0.5), Flatten())
    x = images(2, 1, 5, 5)
    y = model(x)
    before, state = model.state_dict(), random.get_state()
    assert model.output_shape((1, 5, 5)) == (18,)
    assert random.get_state() == state
    assert all(np.array_equal(before[k], a) for k, a in model.state_dict().items())
    assert all(layer.training for layer in model.modules())
    model.backward(np.ones_like(y))


def test_a_summary_counts_shapes_parameters_and_multiply_adds():
    shared = Linear(4, 4)
    model = Sequential(
        ("conv", Conv2D(2, 4, 3, padding=1, groups=2)),
        ("rest", Sequential(GlobalAvgPool2D(), Flatten())),
        ("a", shared),
        ("b", shared.freeze()),
    )
    summary = model.summary((2, 5, 6))
    assert [(row.name, row.output_shape) for row in summary.rows] == [
        ("conv", (4, 5, 6)),
        ("rest.0", (4, 1, 1)),
        ("rest.1", (4,)),
        ("a", (4,)),
        ("b", (4,)),
    ]
    assert [row.parameters for row in summary.rows] == [4 * 9 + 4, 0, 0, 20, 0]
    assert [row.macs for row in summary.rows] == [4 * 9 * 30, 0, 0, 16, 16]
    assert (summary.parameters, summary.trainable, summary.macs) == (60, 40, 1112)
    text = str(summary)
    assert "(4, 5, 6)" in text
    assert "1,112" in text
    assert len({len(line) for line in text.splitlines()[3:-3]}) == 1


def test_reprs_look_like_torch():
    assert repr(Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)"
    assert repr(Conv2D(1, 2, 3, padding=1)) == (
        "Conv2D(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=1)"
    )
    assert repr(Sequential(ReLU(), Sequential(Dropout(0.2)))) == (
        "Sequential(\n  (0): ReLU()\n  (1): Sequential(\n    (0): Dropout(p=0.2)\n  )\n)"
    )


def test_an_integer_is_the_shape_of_a_feature_vector():
    model = Sequential(Linear(64, 10))
    for shape in (64, np.int64(64), (64,), [64], np.array([64])):
        assert str(model.summary(shape)) == str(model.summary((64,)))
    for wrong in (None, "64", 6.5, (3, None), (0,), (-1, 4), ()):
        with pytest.raises(ValueError, match=r"summary: input_shape is .*without the batch"):
            model.summary(wrong)
