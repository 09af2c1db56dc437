"""Layers and parameters in lists, tuples and dicts, at any depth, are found like attributes."""

from __future__ import annotations

from timeit import repeat

import numpy as np
import pytest
from layer_helpers import Scale, check_gradients, images
from training_helpers import blobs

import cnnx
from cnnx.layers import (
    BatchNorm1D,
    Layer,
    Linear,
    Parameter,
    ReLU,
    Sequential,
    Tanh,
    load,
)


class Nested(Layer):
    """Layers in a list of lists, a tuple and a dict of a dict, and ordinary attributes."""

    def __init__(self, width=4):
        self.width = width
        self.first = Linear(2, width)
        self.blocks = [[Linear(width, width), Tanh()], (Linear(width, width), [Tanh()]), "no layer"]
        self.heads = {"a": Linear(width, 3), "b": {1: Linear(width, 3), "sizes": (3, 3)}}
        self.shifts = {"in": [Parameter(np.zeros(2)), 7]}

    def row(self):
        (first, tanh), (second, (last,)), _ = self.blocks[:3]
        return [self.first, first, tanh, second, last]

    def forward(self, x):
        x = x + self.shifts["in"][0].data.astype(x.dtype)
        for layer in self.row():
            x = layer(x)
        return self.heads["a"](x) + self.heads["b"][1](x)

    def backward(self, dy):
        dy = self.heads["a"].backward(dy) + self.heads["b"][1].backward(dy)
        for layer in reversed(self.row()):
            dy = layer.backward(dy)
        self.shifts["in"][0].accumulate(dy.sum(axis=0))
        return dy


NAMES = [
    "shifts.in.0", "first.weight", "first.bias", "blocks.0.0.weight", "blocks.0.0.bias",
    "blocks.1.0.weight", "blocks.1.0.bias", "heads.a.weight", "heads.a.bias",
    "heads.b.1.weight", "heads.b.1.bias",
]  # fmt: skip


def test_nested_layers_have_names_parameters_modes_and_dtypes():
    model = Nested()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert list(model.state_dict()) == NAMES
    assert [name for name, _ in model.children()] == [
        "first", "blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1.0", "heads.a", "heads.b.1",
    ]  # fmt: skip
    assert model.shifts["in"][0].name == "shifts.in.0"
    model.eval()
    assert not model.blocks[1][1][0].training and not model.heads["b"][1].training
    model.astype("f8")
    assert model.heads["b"][1].weight.dtype == model.shifts["in"][0].dtype == np.float64
    assert all(not p.requires_grad for p in model.copy().freeze().parameters())
    for name in ("blocks.1.1.0", "heads.b.1"):
        assert f"({name}): " in repr(model)


def test_all_nested_parameters_are_trained():
    cnnx.manual_seed(0)
    model = Nested()
    before = model.state_dict()
    optimizer = cnnx.Adam(model.parameters(), lr=0.02)
    history = cnnx.fit(model, blobs(), epochs=12, optimizer=optimizer, verbose=False, seed=0)
    assert history["accuracy"][-1] > 0.95
    for name, array in model.state_dict().items():
        assert not np.array_equal(array, before[name]), name


def test_gradients_of_a_nested_layer_used_twice_are_correct():
    cnnx.manual_seed(0)
    layer = Nested().astype("f8")
    model = Sequential(layer, Linear(3, 2).astype("f8"), Tanh(), layer)
    check_gradients(model, images(5, 2), tolerance=1e-5)


def test_state_dicts_and_files_contain_all_nested_layers(tmp_path):
    model, other = Nested(), Nested()
    assert other.load_state_dict(model.state_dict()) == ([], [])
    x = images(3, 2, dtype=np.float32)
    assert np.array_equal(other(x), model(x))
    model = Nested(5)
    model.save(tmp_path / "model.npz")
    assert np.array_equal(load(tmp_path / "model.npz", custom={"Nested": Nested})(x), model(x))


class Heads(Layer):
    def __init__(self, heads):
        self.heads = heads

    def forward(self, x):
        return self.heads["a"](x)


def test_a_dict_of_layers_may_be_a_constructor_argument(tmp_path):
    shared = Linear(2, 3)
    model = Heads({"a": shared, "more": [{"b": shared, 3: None}]})
    model.save(tmp_path / "model.npz")
    twin = load(tmp_path / "model.npz", custom={"Heads": Heads})
    assert list(twin.heads) == ["a", "more"] and list(twin.heads["more"][0]) == ["b", 3]
    assert twin.heads["more"][0]["b"] is twin.heads["a"]
    assert np.array_equal(twin.heads["a"].weight.data, shared.weight.data)


class Tied(Layer):
    def __init__(self):
        self.weights = {"a": (Parameter(np.zeros(2)), [Parameter(np.zeros(2))])}
        self.layer = Linear(2, 1, bias=False)


def test_a_parameter_tied_after_construction_is_tied_in_the_loaded_model(tmp_path):
    model = Tied()
    model.weights["a"][1][0] = model.weights["a"][0]
    model.layer.weight = Parameter(np.ones((1, 2)))
    model.save(tmp_path / "model.npz")
    twin = load(tmp_path / "model.npz", custom={"Tied": Tied})
    assert twin.weights["a"][1][0] is twin.weights["a"][0]
    assert set(vars(twin)) == {"weights", "layer", "training"} and len(twin.parameters()) == 2


def test_nested_buffers_and_user_defined_layers_are_found():
    class Model(Layer):
        def __init__(self):
            self.parts = {"norm": [BatchNorm1D(2)], "scale": [Scale()]}

    keys = list(Model().state_dict())
    assert keys[:3] == [f"parts.norm.0.{n}" for n in ("weight", "bias", "running_mean")]
    assert keys[-1] == "parts.scale.0.weight"


def test_a_subclass_of_sequential_may_have_layers_in_other_attributes():
    class Model(Sequential):
        def __init__(self):
            super().__init__(Linear(2, 2), ReLU())
            self.extra = {"gate": Linear(2, 1)}

    model = Model()
    assert list(model.state_dict()) == [
        "0.weight", "0.bias", "extra.gate.weight", "extra.gate.bias",
    ]  # fmt: skip
    assert len(model.parameters()) == 4
    assert not model.eval().extra["gate"].training
    assert model.summary((2,)).rows[-1].name == "1"  # forward does not run the others


def test_two_arrays_with_the_same_name_are_an_error():
    class Model(Layer):
        def __init__(self, heads):
            self.heads = heads

    one, two = Linear(1, 1), Linear(1, 1)
    for heads, name in (({1: one, "1": two}, "1"), ({"a.b": one, "a": {"b": two}}, "a.b")):
        with pytest.raises(ValueError, match=f"two arrays are called 'heads.{name}.weight'"):
            Model(heads).state_dict()


def test_self_references_do_not_hang():
    model = Nested()
    model.blocks.append(model.blocks)
    model.heads["again"] = [model.heads]
    assert list(model.state_dict()) == NAMES
    child = model.blocks[0][0]
    child.parent = model  # a reference to the layer that contains it
    model.alias = [{"of": model}]
    assert list(model.state_dict()) == NAMES
    assert len(list(model.modules())) == 8
    assert "(parent): (...)" in repr(model)
    assert model.copy().blocks[0][0].parent is not model
    chain = Sequential(Sequential(model))
    x = images(3, 2, dtype=np.float32)
    chain.backward(chain(x), need_dx=False)
    assert model.first.weight.grad is not None


def test_long_lists_of_other_objects_are_skipped_quickly():
    class Model(Layer):
        def __init__(self):
            self.table = [float(i) for i in range(100_000)]
            self.words = {str(i): i for i in range(100_000)}
            self.layer = Linear(1, 1)

    def seconds(call):
        return min(repeat(call, number=1, repeat=7))

    model = Model()
    kinds = (Layer, list, tuple, dict)
    both = [*model.table, *model.words.values()]
    assert [name for name, _ in model.children()] == ["layer"]
    visiting = seconds(lambda: [isinstance(item, kinds) for item in both])
    assert seconds(lambda: list(model.children())) < visiting
