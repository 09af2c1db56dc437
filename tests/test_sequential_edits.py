"""Sequential as a list of layers: insert, delete, pop, extend, assign, as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import BatchNorm1D, Flatten, Linear, ReLU, Sequential, Sigmoid

EDITS = {
    "append": lambda model, nn: model.append(nn.ReLU()),
    "insert at the front": lambda model, nn: model.insert(0, nn.Flatten()),
    "insert": lambda model, nn: model.insert(2, nn.ReLU()),
    "insert before the last": lambda model, nn: model.insert(-1, nn.ReLU()),
    "insert at the end": lambda model, nn: model.insert(4, nn.ReLU()),
    "insert at the lowest index": lambda model, nn: model.insert(-4, nn.ReLU()),
    "insert too far": lambda model, nn: model.insert(5, nn.ReLU()),
    "insert too far before": lambda model, nn: model.insert(-5, nn.ReLU()),
    "del": lambda model, nn: model.__delitem__(1),
    "del of the last": lambda model, nn: model.__delitem__(-1),
    "del of a slice": lambda model, nn: model.__delitem__(slice(1, 3)),
    "del of every other": lambda model, nn: model.__delitem__(slice(None, None, 2)),
    "del of an empty slice": lambda model, nn: model.__delitem__(slice(3, 1)),
    "del beyond the end": lambda model, nn: model.__delitem__(4),
    "pop": lambda model, nn: model.pop(1),
    "pop of the last": lambda model, nn: model.pop(-1),
    "pop of a slice": lambda model, nn: model.pop(slice(2, None)),
    "pop beyond the end": lambda model, nn: model.pop(-5),
    "extend": lambda model, nn: model.extend([nn.ReLU(), nn.Flatten()]),
    "extend by a chain": lambda model, nn: model.extend(nn.Sequential(nn.ReLU(), nn.Flatten())),
    "extend by nothing": lambda model, nn: model.extend([]),
    "assign": lambda model, nn: model.__setitem__(1, nn.Flatten()),
    "assign the last": lambda model, nn: model.__setitem__(-1, nn.Flatten()),
    "assign beyond the end": lambda model, nn: model.__setitem__(4, nn.Flatten()),
    "a slice": lambda model, nn: model[1:],
    "a slice from the back": lambda model, nn: model[-3:-1],
}


def chain(nn):
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2), nn.Sigmoid())


def kinds(value):
    """What a result is, in words that both libraries share."""
    children = value.named_children() if hasattr(value, "named_children") else value.children()
    inside = [(name, kinds(child)) for name, child in children]
    return type(value).__name__, inside


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs = chain(cnnx.nn), chain(torch.nn)
    results = []
    for model, nn, base in ((ours, cnnx.nn, cnnx.Layer), (theirs, torch.nn, torch.nn.Module)):
        try:
            result = EDITS[name](model, nn)
        except (IndexError, TypeError) as error:
            results.append(type(error))
        else:
            assert (result is model) is name.startswith(("append", "insert", "extend"))
            results.append(kinds(result) if isinstance(result, base) else result)
    assert results[0] == results[1]
    assert kinds(ours) == kinds(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_an_edited_model_computes_with_its_present_layers():
    cnnx.manual_seed(0)
    model = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    x, dy = np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)
    steps = [
        lambda: model.insert(1, BatchNorm1D(4)),
        lambda: model.extend([Sigmoid(), Flatten()]),
        lambda: model.__delitem__(2),
        lambda: model.pop(),
    ]
    model(x)
    for step in steps:
        step()
        expected = x
        for layer in model:
            expected = layer(expected)
        np.testing.assert_array_equal(model(x), expected)
        model.zero_grad()
        model.backward(dy)
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_layers_with_names_keep_them():
    model = Sequential(("conv", Linear(2, 2)), ReLU(), ("head", Linear(2, 1)), Sigmoid())
    assert [name for name, _ in model.children()] == ["conv", "1", "head", "3"]
    model.insert(1, ("norm", BatchNorm1D(2)))
    assert [name for name, _ in model.children()] == ["conv", "norm", "2", "head", "4"]
    del model["conv"]
    assert [name for name, _ in model.children()] == ["norm", "1", "head", "3"]
    assert isinstance(model.pop("head"), Linear)
    assert [name for name, _ in model.children()] == ["norm", "1", "2"]


def test_a_wrong_edit_is_refused_and_changes_nothing():
    model = Sequential(("a", Linear(2, 2)), ReLU())
    before = list(model.children())
    wrong = [
        (lambda: model.insert(3, ReLU()), IndexError, "index is 3, expected -2 to 2"),
        (lambda: model.insert(0, ("a", ReLU())), ValueError, "two layers have the name 'a'"),
        (lambda: model.insert(0, ReLU), TypeError, r"write ReLU\(\)"),
        (lambda: model.insert(0, model), ValueError, "contain itself"),
        (lambda: model.insert("a", ReLU()), TypeError, "integer"),
        (lambda: model.extend([ReLU(), 3]), TypeError, "3 is a int, not a layer"),
        (lambda: model.pop("b"), KeyError, "no layer 'b'"),
        (lambda: model.__delitem__(2), IndexError, "index 2 with 2 layers"),
        (lambda: model.__setitem__(slice(0, 1), ReLU()), TypeError, "slice"),
    ]
    for edit, error, message in wrong:
        with pytest.raises(error, match=message):
            edit()
        assert list(model.children()) == before


def test_a_chain_extended_by_itself_has_its_layers_twice():
    model = Sequential(Linear(2, 2), ReLU())
    model.extend(model)
    assert [name for name, _ in model.children()] == ["0", "1", "2", "3"]
    assert model[2] is model[0]
