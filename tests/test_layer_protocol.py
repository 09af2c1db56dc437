"""Properties of all layers and containers: saving, sharing, modes, error messages.

This file is longer than others because the whole table of error messages is in one place.
"""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import OWN, Plain, Scale, check_gradients, images

from cnnx import Input, random
from cnnx.graph.steps import call_backward
from cnnx.layers import (
    Activation,
    BatchNorm1D,
    BatchNorm2D,
    Conv1D,
    Conv2D,
    Dropout,
    Dropout2D,
    Embedding,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    Identity,
    InstanceNorm2D,
    Layer,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MaxPool2D,
    PReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
    grad_enabled,
    no_grad,
)


@pytest.mark.parametrize("name", sorted(set(OWN) - {"Identity"}))
def test_backward_without_a_forward_is_a_clear_error(name):
    arguments = {
        "Activation": (np.sin, np.cos),
        "AdaptiveAvgPool1D": (2,),
        "AdaptiveAvgPool2D": (2,),
        "AvgPool1D": (2,),
        "AvgPool2D": (2,),
        "BatchNorm1D": (2,),
        "BatchNorm2D": (2,),
        "Conv1D": (1, 1, 1),
        "Conv2D": (1, 1, 1),
        "ConvTranspose1D": (1, 1, 1),
        "ConvTranspose2D": (1, 1, 1),
        "Embedding": (1, 1),
        "GroupNorm": (1, 1),
        "InstanceNorm2D": (1,),
        "LayerNorm": (1,),
        "Linear": (1, 1),
        "LocalResponseNorm": (2,),
        "MaxPool1D": (2,),
        "MaxPool2D": (2,),
        "Reshape": ((1, 1),),
        "Residual": (Identity(),),
        "Upsample": (2,),
        "ZeroPad1D": (1,),
        "ZeroPad2D": (1,),
    }
    x = Input((1,))
    arguments["Graph"] = (x, Tanh()(x))
    layer = OWN[name](*arguments.get(name, ()))
    with pytest.raises(RuntimeError, match=f"{name}.backward: no forward"):
        layer.backward(np.ones((1, 1)))


def test_no_grad_saves_nothing():
    model = Sequential(Linear(2, 2), ReLU(), Scale())
    x = images(3, 2)
    with no_grad():
        model(x)
    with pytest.raises(RuntimeError, match="no forward"):
        model.backward(np.ones((3, 2)))
    model(x)
    model.backward(np.ones((3, 2)))

    @no_grad()
    def infer():
        return model[0](x)

    infer()
    with pytest.raises(RuntimeError):
        model[0].backward(np.ones((3, 2)))


def test_a_function_decorated_with_no_grad_may_call_itself():
    @no_grad()
    def down(n):
        inside.append(grad_enabled())
        return down(n - 1) if n else None

    inside = []
    for _ in range(2):
        down(3)
        assert grad_enabled()
    with no_grad():
        down(1)
        assert not grad_enabled()
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert grad_enabled() and inside == [False] * 10


def test_gradients_add_up_until_zero_grad():
    layer = Linear(2, 2)
    x, dy = images(3, 2), images(3, 2, seed=1)
    assert layer.weight.grad is None
    layer(x)
    layer.backward(dy)
    once = layer.weight.grad.copy()
    layer(x)
    layer.backward(dy)
    np.testing.assert_allclose(layer.weight.grad, 2 * once, rtol=1e-6)
    layer.zero_grad()
    assert layer.weight.grad is None


def test_a_second_forward_replaces_what_the_first_saved():
    layer = Linear(1, 1, bias=False)
    layer([[5.0]])
    layer([[7.0]])
    layer.backward([[1.0]])
    assert layer.weight.grad.tolist() == [[7.0]]


@pytest.mark.parametrize(
    "shared",
    [Linear(3, 3), Scale(0.5), Tanh(), Sequential(Linear(3, 3)), Sequential(Tanh(), Scale(2.0))],
)
def test_a_layer_called_three_times_saves_each_call_and_accumulates_gradients(shared):
    shared = shared.copy().astype(np.float64)
    model = Sequential(shared, Tanh(), shared, Sequential(Sigmoid(), shared))
    check_gradients(model, images(4, 3))


def test_gradients_of_shared_weights_match_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = Linear(3, 3).astype("f8"), torch.nn.Linear(3, 3).double()
    ours.load_state_dict(theirs.state_dict())
    x = images(4, 3)
    Sequential(ours, Tanh(), ours)(x)
    model = Sequential(ours, Tanh(), ours)
    model(x)
    model.backward(np.ones((4, 3)))
    theirs(torch.tanh(theirs(torch.tensor(x)))).sum().backward()
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-10)


def test_a_user_defined_layer_that_stores_on_self_may_be_called_once():
    x = images(4, 3)
    model = Sequential(Plain(3), Tanh(), Plain(3))
    model.backward(np.ones_like(model(x)))
    np.testing.assert_allclose(model[2].dw, np.tanh(x).sum(axis=0))
    plain = Plain(3)
    apart = Sequential(plain, Tanh(), Sequential(Sigmoid(), plain))
    with pytest.raises(RuntimeError, match=r"^Plain: forward stores self\.x.*several places"):
        apart(x)
    with no_grad():  # without backward, any number of calls is allowed
        assert apart(x).shape == (4, 3)


def test_arrays_of_a_user_defined_layer_are_buffers():
    class Counting(Layer):
        buffer_names = ("calls",)

        def __init__(self):
            self.calls = np.zeros((), np.int64)

        def forward(self, x):
            self.calls = self.calls + 1
            return x

        def backward(self, dy):
            return dy

    layer = Counting()
    model = Sequential(layer, Tanh(), layer)
    model.backward(model(images(4, 3)))
    assert layer.calls == 2


def test_a_user_defined_layer_may_contain_layers_and_be_called_twice():
    class Block(Layer):
        def __init__(self):
            self.body = Sequential(Linear(3, 3), Tanh())
            self.gates = [Scale(0.5), Sigmoid()]

        def forward(self, x):
            for gate in self.gates:
                x = gate(x)
            return self.body(x)

        def backward(self, dy):
            dy = self.body.backward(dy)
            for gate in reversed(self.gates):
                dy = gate.backward(dy)
            return dy

    block = Block().astype("f8")
    assert [name for name, _ in block.named_parameters()] == [
        "body.0.weight",
        "body.0.bias",
        "gates.0.weight",
    ]
    check_gradients(Sequential(block, block), images(4, 3))


def test_the_first_layer_does_not_compute_dx_unless_requested():
    calls = []

    class Asked(Layer):
        def __init__(self, name):
            self.name = name

        def forward(self, x):
            return x

        def backward(self, dy, need_dx=True):
            calls.append((self.name, need_dx))
            return dy if need_dx else None

    model = Sequential(Asked("first"), ReLU(), Sequential(Asked("second"), Scale()))
    model(images(2, 2))
    assert model.backward(np.ones((2, 2)), need_dx=False) is None
    assert calls == [("second", True), ("first", False)]
    frozen = Sequential(Flatten(), Linear(2, 2).freeze(), ReLU(), Linear(2, 2))
    frozen(images(3, 2))
    frozen[1].backward = lambda dy, need_dx=True: pytest.fail("no one needs it")
    frozen.backward(np.ones((3, 2)), need_dx=False)
    assert frozen[3].weight.grad is not None
    layer = Conv2D(1, 1, 1)
    layer(images(1, 1, 2, 2))
    assert layer.backward(np.ones((1, 1, 2, 2)), need_dx=False) is None


def test_a_user_defined_backward_need_not_accept_need_dx():
    layer = Scale()
    layer(images(2, 2))
    assert call_backward(layer, np.ones((2, 2)), need_dx=False) is None
    assert layer.weight.grad is not None


def test_a_layer_that_returns_none_is_an_error_that_names_it():
    class Silent(Layer):
        def forward(self, x):
            return x

        def backward(self, dy):
            pass

    model = Sequential(Linear(2, 2), Silent())
    model(images(1, 2))
    with pytest.raises(TypeError, match=r"Silent.backward returned None"):
        model.backward(np.ones((1, 2)))
    with pytest.raises(NotImplementedError, match=r"Layer has no forward"):
        Layer()(1)


def test_modes_reach_every_layer_and_change_only_behaviour():
    model = Sequential(Linear(2, 2), Sequential(Dropout(0.9), BatchNorm1D(2)))
    assert all(layer.training for layer in model.modules())
    assert model.eval() is model
    assert not any(layer.training for layer in model.modules())
    model(images(3, 2))
    model.backward(np.ones((3, 2)))  # eval mode saves for backward too
    assert model.train()[1][0].training


def test_frozen_parameters_get_no_gradient():
    model = Sequential(Linear(2, 2), Linear(2, 2))
    model[0].freeze()
    model(images(3, 2))
    assert model.backward(np.ones((3, 2))).shape == (3, 2)
    assert model[0].weight.grad is None
    assert model[1].weight.grad is not None
    model.unfreeze()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_dropout_masks_differ_by_call_and_layer_and_follow_the_seed():
    x = np.ones((50, 40), np.float32)
    model = Sequential(Dropout(0.5), Dropout(0.5))
    random.manual_seed(0)
    first, second = model[0](x), model[0](x)
    other = model[1](x)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert set(np.unique(first)) == {0.0, 2.0}
    assert 0.45 < first.astype(bool).mean() < 0.55
    random.manual_seed(0)
    assert np.array_equal(first, model[0](x))
    assert np.array_equal(model[0].backward(x), first)  # the mask of forward, recomputed


def test_a_dropout_called_twice_has_two_masks_and_both_backwards():
    dropout = Dropout(0.5)
    model = Sequential(dropout, dropout)
    x = np.ones((50, 40))
    y = model(x)
    assert 0.2 < y.astype(bool).mean() < 0.3
    assert np.array_equal(model.backward(x), y)


def test_outputs_are_not_reused():
    model = Sequential(Linear(3, 3), ReLU())
    x = images(4, 3, dtype=np.float32)
    y = model(x)
    kept = y.copy()
    model.backward(np.ones_like(y))
    model(images(4, 3, seed=9, dtype=np.float32))
    model.parameters()[0].data += 1
    assert np.array_equal(y, kept)


@pytest.mark.parametrize(
    "layer",
    [
        Conv2D(4, 6, 3),
        MaxPool2D(2),
        BatchNorm2D(4),
        ReLU(),
        Flatten(),
        GlobalAvgPool2D(),
        Dropout(),
        Reshape((-1, 2)),
    ],
)
def test_an_empty_batch_runs_forward_and_backward(layer):
    y = layer(np.zeros((0, 4, 8, 8), np.float32))
    assert y.shape == (0, *layer.output_shape((4, 8, 8)))
    assert layer.backward(y).shape == (0, 4, 8, 8)


# -- Sequential ------------------------------------------------------------------------------------


def test_sequential_takes_layers_a_list_or_names():
    one, two = Linear(2, 3), ReLU()
    for model in (Sequential(one, two), Sequential([one, two]), Sequential((one, two))):
        assert list(model) == [one, two]
        assert len(model) == 2
        assert list(model.state_dict()) == ["0.weight", "0.bias"]
    named = Sequential(("dense", one), ("act", two))
    assert list(named.state_dict()) == ["dense.weight", "dense.bias"]
    assert named["dense"] is named[0] is one
    assert named[-1] is two
    assert list(Sequential({"dense": one}).state_dict()) == ["dense.weight", "dense.bias"]
    assert list(Sequential(("dense", one))) == [one]
    assert len(Sequential()) == 0


def test_slices_and_appending_share_the_layers():
    model = Sequential(Linear(2, 3), ReLU(), Linear(3, 4))
    tail = model[1:]
    assert isinstance(tail, Sequential)
    assert list(tail.state_dict()) == ["2.weight", "2.bias"]
    assert tail.append(ReLU()) is tail
    assert len(tail) == 3
    assert len(model) == 3
    model[-1] = Linear(3, 7)
    assert model(images(1, 2)).shape == (1, 7)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential(ReLU), TypeError, r"write ReLU\(\)"),
        (lambda: Sequential(ReLU(), 3), TypeError, "3 is a int"),
        (lambda: Sequential(("a.b", ReLU())), ValueError, "a.b"),
        (lambda: Sequential(("a", ReLU()), ("a", ReLU())), ValueError, "two layers"),
        (lambda: (m := Sequential(ReLU())).append(m), ValueError, "contain itself"),
        (lambda: Sequential(ReLU())[1], IndexError, "index 1 with 1 layers"),
        (lambda: Sequential(ReLU())["b"], KeyError, "b"),
        (lambda: Conv2D(3, 4, 3, groups=2), ValueError, "groups=2.*in_channels=3"),
        (lambda: Conv2D(3, 4, 0), ValueError, "kernel_size=0"),
        (lambda: Conv2D(3, 4, 3, padding=-1), ValueError, "padding=-1"),
        (lambda: Conv2D(3, 4, 3, padding="full"), ValueError, "full"),
        (lambda: Linear(0, 4), ValueError, "in_features=0"),
        (lambda: Dropout(1.5), ValueError, "p=1.5"),
        (lambda: Reshape((-1, -1)), ValueError, "at most one -1"),
        (lambda: Reshape((5,))(np.ones((2, 6))), ValueError, r"\(2, 6\).*\(5,\)"),
        (lambda: Flatten(3)(np.ones((2, 6))), ValueError, r"\(2, 6\)"),
        (lambda: BatchNorm2D(3)(np.ones((2, 3))), ValueError, r"BatchNorm2D.*\(n, c, h, w\)"),
        (lambda: BatchNorm1D(3)(np.ones((2, 4))), ValueError, "c = 3"),
        (lambda: BatchNorm1D(3)(np.ones((1, 3))), ValueError, "more than one value"),
        (lambda: GroupNorm(3, 4), ValueError, "num_channels=4.*num_groups=3"),
        (lambda: GroupNorm(2, 4)(np.ones((2, 6))), ValueError, r"GroupNorm.*\(2, 6\).*c = 4"),
        (lambda: LayerNorm((3, 4))(np.ones((2, 4, 3))), ValueError, r"\(2, 4, 3\).*3, 4"),
        (lambda: InstanceNorm2D(3)(np.ones((2, 4, 2, 2))), ValueError, "InstanceNorm2D.*c = 3"),
        (lambda: InstanceNorm2D(3)(np.ones((2, 3, 1, 1))), ValueError, "more than one pixel"),
        (lambda: LocalResponseNorm(3)(np.ones((2, 4))), ValueError, r"\(2, 4\).*\(n, c, l\)"),
        (lambda: PReLU(3)(np.ones((2, 4))), ValueError, r"\(3,\).*\(2, 4\)"),
        (lambda: Dropout2D()(np.ones((2, 4))), ValueError, r"Dropout2D.*\(2, 4\)"),
        (lambda: Softmax(axis=1, dim=1), TypeError, "axis=1 and dim=1"),
        (lambda: LogSoftmax(4)(np.ones((2, 3))), ValueError, "axis=4.*2 dimensions"),
        (lambda: Upsample(), ValueError, "size=None.*scale_factor=None"),
        (lambda: Upsample(2, 2), ValueError, "size=2.*scale_factor=2"),
        (lambda: MaxPool2D(3, padding=2), ValueError, r"padding=\(2, 2\).*\(3, 3\)"),
        (lambda: Embedding(5, 2)([[0, 5]]), ValueError, r"indices\[0, 1\] is 5.*0 to 4"),
        (lambda: Conv1D(2, 3, 4)(np.ones((1, 2, 3))), ValueError, "4.*3"),
        (lambda: Linear(3, 2)(np.ones((2, 4))), ValueError, "linear"),
        (lambda: Conv2D(4, 2, 3)(np.ones((2, 3, 5, 5))), ValueError, "3 channels"),
        (lambda: Activation(np.sum, np.cos)(np.ones(3)), ValueError, "f returned shape"),
    ],
)
def test_invalid_arguments_are_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
