"""Subclasses of cnnx's layers with their own constructors, and assignments to layer attributes."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import images

import cnnx
from cnnx.layers import (
    BatchNorm1D,
    Conv2D,
    ConvTranspose2D,
    Dropout,
    Identity,
    Layer,
    Linear,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    load,
)


class Net(Sequential):
    """Its constructor takes no layers, and stores only layers."""

    def __init__(self, width):
        super().__init__(Linear(2, width), ReLU(), BatchNorm1D(width), Linear(width, 3))


class Scaled(Sequential):
    """It stores more than layers, and its forward needs that."""

    def __init__(self, width, factor=2.0):
        super().__init__()
        self.width, self.factor = width, factor
        self.head = Linear(width, 3)
        self.append(Linear(2, width)).append(self.head)

    def forward(self, x):
        return super().forward(x * np.float32(self.factor))


class Named(Sequential):
    """Its arguments are layers and something else."""

    def __init__(self, *layers, classes):
        super().__init__(*layers, ReLU())
        self.classes = classes


class Plain(Sequential):
    pass


class Described(Sequential):
    """It defines its own config."""

    def __init__(self, width):
        super().__init__(Linear(2, width))

    def config(self):
        return {"width": self[0].out_features}


CUSTOM = {cls.__name__: cls for cls in (Net, Scaled, Named, Plain, Described)}


def trained(model):
    for parameter in model.parameters():
        parameter.data = parameter.data + np.float32(0.125)
    return model


def there_and_back(model, path, custom=CUSTOM):
    model.save(path)
    twin = load(path, custom=custom)
    x = images(5, 2, dtype=np.float32)
    assert type(twin) is type(model)
    assert repr(twin) == repr(model)
    assert [layer.training for layer in twin.modules()] == [
        layer.training for layer in model.modules()
    ]
    assert np.array_equal(twin(x), model(x))
    return twin


@pytest.mark.parametrize(
    "make",
    [
        lambda: Net(4),
        lambda: Scaled(4, 3.0),
        lambda: Named(Linear(2, 4), classes=("a", "b")),
        lambda: Plain(Linear(2, 4)),
        lambda: Described(7),
        lambda: Sequential(Sequential(Net(4)), Linear(3, 2)),
    ],
    ids=["layers alone", "attributes", "layers as arguments", "plain", "own config", "inside"],
)
def test_a_subclass_of_sequential_is_saved_and_loaded(make, tmp_path):
    there_and_back(trained(make()), tmp_path / "model.npz")


def test_a_replaced_layer_is_restored_from_the_file(tmp_path):
    for model in (Net(4), Scaled(4)):
        model[-1] = Linear(4, 7)
        model[0].eval()
        model.append(Dropout(0.0).eval())
        twin = there_and_back(model, tmp_path / "model.npz")
        assert twin(images(5, 2)).shape == (5, 7)


def test_a_layer_with_two_names_stays_shared(tmp_path):
    twin = there_and_back(trained(Scaled(4)), tmp_path / "model.npz")
    assert twin.head is twin[1] and twin.factor == 2.0 and twin.width == 4


def test_layers_that_cannot_be_restored_are_rejected_before_writing(tmp_path):
    class Forgets(Sequential):
        def __init__(self, width):
            super().__init__(Linear(2, width))
            self.factor = 3

    path = tmp_path / "model.npz"
    with pytest.raises(TypeError, match=r"Forgets cannot be described: .* no attribute 'width'"):
        Forgets(4).save(path)
    assert not path.exists()
    Net(4).save(path)
    with pytest.raises(ValueError, match=r"class 'Net'.*pass custom=\{'Net': ...\}"):
        load(path)


@pytest.mark.parametrize("base", [Linear, Conv2D, ConvTranspose2D])
@pytest.mark.parametrize("bias", [True, False])
def test_a_subclass_of_a_layer_with_a_bias_is_saved_and_loaded(base, bias, tmp_path):
    class Own(base):
        def __init__(self):
            super().__init__(2, 3, *(() if base is Linear else (3,)), bias=bias)

    class Choice(base):
        def __init__(self, bias):
            super().__init__(2, 3, *(() if base is Linear else (3,)), bias=bias)

    x = images(*((4, 2) if base is Linear else (4, 2, 5, 5)), dtype=np.float32)
    for model in (Own(), Choice(bias)):
        model.save(tmp_path / "model.npz")
        twin = load(tmp_path / "model.npz", custom={"Own": Own, "Choice": Choice})
        assert np.array_equal(twin(x), model(x))


# -- assignments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.ones((3, 2)), np.ones((3, 2), "f"), 3.0, [1, 2], "w"])
def test_an_array_in_place_of_a_parameter_is_a_type_error(value):
    model = Sequential(Linear(2, 3))
    before = model[0].weight
    with pytest.raises(TypeError, match=r"Linear.weight is a Parameter.*\.weight\.data = "):
        model[0].weight = value
    assert model[0].weight is before
    model[0].weight = other = Parameter(np.ones((3, 2)))
    assert model[0].weight is other and other.name == "weight"


@pytest.mark.parametrize(
    "layer",
    [Linear(2, 3, bias=False), Conv2D(1, 1, 1, bias=False), ConvTranspose2D(1, 1, 1, bias=False)],
)
def test_an_array_in_place_of_a_missing_bias_is_a_type_error_too(layer):
    with pytest.raises(TypeError, match=r"bias is a Parameter or None"):
        layer.bias = np.ones(3)
    assert layer.bias is None
    layer.bias = Parameter(np.ones(layer.weight.shape[0]))
    layer.bias = None
    with pytest.raises(TypeError, match=r"bias is a Parameter or None"):
        layer.bias = np.ones(3)


def test_an_array_for_batch_norm_without_weights_is_a_type_error_too():
    norm = BatchNorm1D(3, affine=False)
    with pytest.raises(TypeError, match=r"BatchNorm1D.weight is a Parameter or None"):
        norm.weight = np.ones(3)


def test_user_defined_layers_are_treated_in_the_same_way():
    class Own(Layer):
        def __init__(self):
            self.scale = Parameter(np.ones(1))
            self.body = Linear(2, 2)
            self.free = np.ones(3)

    layer = Own()
    with pytest.raises(TypeError, match=r"Own.scale is a Parameter.*\.scale\.data = "):
        layer.scale = np.ones(1)
    for value in (np.ones(2), len, Linear, 3):
        with pytest.raises(TypeError, match=r"Own.body is a layer.*expected a layer or None"):
            layer.body = value
    layer.body = ReLU()
    layer.body = None  # as in PyTorch
    layer.scale = Linear(1, 1)
    layer.scale = Parameter(np.ones(1))
    layer.free = 7
    del layer.scale
    layer.scale = np.ones(1)


@pytest.mark.parametrize(
    ("container", "name"),
    [(Residual(Identity(), Identity()), "body"), (Residual(Identity(), Identity()), "shortcut")],
)
def test_a_path_of_a_residual_is_a_layer(container, name):
    with pytest.raises(TypeError, match=f"Residual.{name} is a layer"):
        setattr(container, name, np.ones(3))


def test_a_buffer_accepts_only_arrays():
    norm = BatchNorm1D(3)
    for value in ([0, 0, 0], 0.0, "mean"):
        with pytest.raises(TypeError, match=r"BatchNorm1D.running_mean is a buffer.*an array"):
            norm.running_mean = value
    norm.running_mean = np.ones(3)
    norm.running_mean = None


def test_copies_and_files_of_changed_layers_still_work(tmp_path):
    model = Sequential(Linear(2, 3), BatchNorm1D(3))
    model[0].weight.data = np.ones((3, 2))
    model[0].bias = None
    twin = model.copy()
    assert np.array_equal(twin(images(4, 2)), model(images(4, 2)))
    twin.save(tmp_path / "model.npz")
    assert cnnx.load(tmp_path / "model.npz")[0].bias is None
