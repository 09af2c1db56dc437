"""Fused steps: bit-identical to single layers, and not observable from outside."""

from __future__ import annotations

import pickle
import weakref

import numpy as np
import pytest
from layer_helpers import Scale, images

import cnnx
from cnnx import (
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    Hardsigmoid,
    Hardswish,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    Tanh,
    random,
)

SHARED = Conv2D(3, 3, 3, padding=1)
NORM = BatchNorm1D(3)
TWICE = ReLU()


def _conv_norm(inputs, outputs):
    return [Conv2D(inputs, outputs, 3, padding=1, bias=False), BatchNorm2D(outputs)]


# name: (layers, number of steps, shape of x)
MODELS = {
    "conv-relu": ([Conv2D(3, 4, 3), ReLU()], 1, (2, 3, 6, 7)),
    "conv-relu6": ([Conv2D(3, 4, 3, stride=2, padding=1), ReLU6()], 1, (2, 3, 6, 7)),
    "depthwise-relu6": ([Conv2D(4, 4, 3, groups=4, bias=False), ReLU6()], 1, (2, 4, 6, 7)),
    "linear-relu": ([Linear(7, 5), ReLU(), Linear(5, 3), ReLU6()], 2, (4, 7)),
    "unfused": ([Tanh(), ReLU(), Conv2D(3, 3, 1), Tanh()], 4, (2, 3, 4, 4)),
    "shared": ([SHARED, TWICE, SHARED, TWICE, SHARED], 3, (2, 3, 5, 5)),
    "nested": ([Sequential(Conv2D(3, 4, 3)), ReLU(), Sequential(ReLU())], 2, (2, 3, 6, 6)),
    "users": ([Conv2D(3, 3, 3), Scale(2.0), ReLU()], 3, (2, 3, 6, 6)),
    "dropout": ([Flatten(), Linear(12, 9), ReLU(), Dropout(0.5), Linear(9, 4)], 4, (3, 3, 2, 2)),
    "frozen": ([Conv2D(3, 4, 3).freeze(), ReLU(), Conv2D(4, 2, 3), ReLU()], 2, (2, 3, 7, 7)),
    "relu-pool": ([ReLU(), MaxPool2D(2)], 1, (2, 3, 6, 7)),
    "conv-relu-pool": ([Conv2D(3, 4, 3), ReLU(), MaxPool2D(3, 2, 1)], 2, (2, 3, 8, 9)),
    "relu-pool-twice": ([TWICE, MaxPool2D(2), TWICE, MaxPool2D(2, 1)], 2, (2, 3, 8, 9)),
    "relu-pool-of-272": ([ReLU(), MaxPool2D((17, 16), 1, 5)], 1, (1, 2, 18, 19)),
    "conv-hardsigmoid": ([Conv2D(3, 4, 3), Hardsigmoid()], 1, (2, 3, 6, 7)),
    "conv-hardswish": ([Conv2D(3, 4, 3), Hardswish()], 2, (2, 3, 6, 7)),
    "norm-hardswish": ([BatchNorm2D(3), Hardswish()], 1, (2, 3, 6, 7)),
    "residual-hardsigmoid": ([Residual(BatchNorm2D(3)), Hardsigmoid()], 1, (2, 3, 6, 7)),
    "empty-batch": ([Conv2D(3, 4, 3), ReLU()], 1, (0, 3, 6, 7)),
    "norm-relu": ([Conv2D(3, 4, 3, bias=False), BatchNorm2D(4), ReLU()], 2, (3, 3, 6, 7)),
    "norm-relu6": ([BatchNorm2D(3, affine=False), ReLU6()], 1, (2, 3, 5, 9)),
    "norm-relu-features": ([Linear(7, 19), BatchNorm1D(19), ReLU()], 2, (5, 7)),
    "norm-relu6-twice": ([NORM, ReLU6(), NORM, ReLU6()], 2, (4, 3, 8)),
    "norm-relu-pool": ([BatchNorm2D(3), ReLU(), MaxPool2D(2)], 2, (2, 3, 6, 7)),
    "norm-without-statistics": (
        [BatchNorm2D(3, track_running_stats=False), ReLU()],
        1,
        (2, 3, 4, 4),
    ),
    "residual-relu": ([Residual(Sequential(*_conv_norm(3, 3))), ReLU()], 2, (2, 3, 6, 7)),
    "residual-relu6": (
        [Residual(Conv2D(3, 5, 3, padding=1), Conv2D(3, 5, 1)), ReLU6()],
        2,
        (2, 3, 6, 7),
    ),
    "residual-of-features": ([Residual(BatchNorm1D(7)), Linear(7, 3)], 2, (5, 7)),
    "residual-ends-in-relu": ([Residual(Sequential(*_conv_norm(3, 3), ReLU()))], 3, (2, 3, 6, 7)),
    "residual-in-residual": (
        [Residual(Sequential(Residual(Sequential(*_conv_norm(3, 3))))), ReLU()],
        4,
        (2, 3, 4, 4),
    ),
    "residual-of-users": (
        [Residual(Sequential(Conv2D(3, 3, 1), Scale(2.0))), ReLU()],
        4,
        (2, 3, 4, 4),
    ),
}


@pytest.fixture(params=cnnx.available_backends(), autouse=True)
def _backend(request):
    with cnnx.use_backend(request.param):
        yield


def _outcome(run, model, x, mode):
    """y, dx, all gradients and all buffers of one forward and backward."""
    model.train(mode)
    model.zero_grad()
    random.manual_seed(3)
    y, dx = run(model, x)
    gradients = [p.grad for p in model.parameters()]
    return [y, dx, *(g for g in gradients if g is not None), *model.state_dict().values()]


def _dy(y):
    return np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)


def _whole(model, x):
    y = model(x)
    return y, model.backward(_dy(y))


def _one_by_one(model, x):
    """Every layer in a separate container, where it is not fused."""
    places = [Sequential(layer) for layer in model]
    for place in places:
        x = place(x)
    dx = _dy(x)
    for place in reversed(places):
        dx = place.backward(dx)
    return x, dx


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_steps_are_bit_identical_to_single_layers(name, training, dtype):
    layers, steps, shape = MODELS[name]
    model = Sequential(*layers).copy().astype(dtype)
    assert len(model.explain().splitlines()) == steps
    x = images(*shape, dtype=dtype)
    fused = _outcome(_whole, model.copy(), x, training)
    single = _outcome(_one_by_one, model.copy(), x, training)
    assert len(fused) == len(single)
    for a, b in zip(fused, single):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def _conv_relu():
    return Sequential(Conv2D(2, 3, 3), ReLU()), images(2, 2, 5, 5, dtype=np.float32)


def test_backward_of_a_layer_inside_a_model_is_an_error():
    model, x = _conv_relu()
    y = model(x)
    assert all(layer._kept is None for layer in model)
    for layer in model:
        with pytest.raises(RuntimeError, match=rf"^{type(layer).__name__}.backward: no forward"):
            layer.backward(y)


def test_no_grad_saves_nothing():
    model, x = _conv_relu()
    with cnnx.no_grad():
        y = model(x)
    with pytest.raises(RuntimeError, match=r"^Sequential.backward: no forward"):
        model.backward(y)
    np.testing.assert_array_equal(y, model(x))


@pytest.mark.parametrize("head", [Conv2D(3, 3, 1), Linear(4, 4), Residual(Conv2D(3, 3, 1))])
def test_what_backward_needs_x_for_is_fused_where_nothing_is_kept(head):
    """Hardswish has the same y for two x."""
    model, x = Sequential(head, Hardswish()), images(2, 3, 4, 4, dtype=np.float32)
    assert len(model.explain().splitlines()) == 2
    assert len(model.explain(training=False).splitlines()) == 1
    y = model(x)
    with cnnx.no_grad():
        np.testing.assert_array_equal(model(x), y)


def test_the_plan_follows_the_layers():
    model, x = _conv_relu()
    assert model(x).min() == 0
    model[1] = Tanh()
    assert -1 < model(x).min() < 0
    model.append(ReLU())
    model[1] = ReLU()
    assert model(x).min() == 0
    model[0].padding = 1  # read at each call
    assert model(x).shape == (2, 3, 5, 5)


def test_a_subclass_is_not_fused():
    class Shifted(ReLU):
        def forward(self, x):
            return super().forward(x) + 1

    model, x = _conv_relu()
    model[1] = Shifted()
    assert model(x).min() == 1


@pytest.mark.parametrize("index", [0, 1])
def test_a_patched_forward_is_called(index):
    model, x = _conv_relu()
    model(x)
    seen = []
    original = model[index].forward
    model[index].forward = lambda x: seen.append(x.shape) or original(x)
    model(x)
    assert len(seen) == 1


def test_copies_and_pickles_have_their_own_plan():
    model, x = _conv_relu()
    y = model(x)
    for twin in (model.copy(), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin(x), y)
        twin[0].weight.data[...] = 0
        assert not np.array_equal(twin(x), y)
    np.testing.assert_array_equal(model(x), y)


def test_backward_stops_at_the_first_trainable_step():
    model = Sequential(Linear(3, 3), ReLU(), Linear(3, 3), ReLU()).astype("f8")
    model[0].freeze()
    y = model(images(4, 3))
    assert model.backward(np.ones_like(y), need_dx=False) is None
    assert model[0].weight.grad is None and model[2].weight.grad is not None


def test_saved_values_are_freed_during_backward():
    """When backward reaches an earlier layer, the arrays of later ones are freed."""
    freed = []

    class Watch(Scale):
        def backward(self, dy):
            freed.append([alive() is None for alive in watched])
            return super().backward(dy)

    model = Sequential(Watch(), Conv2D(1, 4, 3).astype("f8"), ReLU(), Flatten(), Tanh())
    _, trace = model(images(2, 1, 6, 6)) is not None and model._saved()
    watched = [weakref.ref(a) for _, k in trace[1:] for a in k if isinstance(a, np.ndarray)]
    del trace
    assert len(watched) >= 3
    model.backward(np.ones((2, 64)))
    assert freed == [[True] * len(watched)]


def test_the_incoming_gradient_is_freed_after_the_backward_of_the_activation():
    """Memory use peaks at the end of a residual block, so unused arrays must be freed there."""
    freed = []

    class Watch(Scale):
        def backward(self, dy):
            freed.append([alive() is None for alive in incoming])
            return super().backward(dy)

    class Source(Layer):
        def forward(self, x):
            return x

        def backward(self, dy):
            dx = 2 * dy
            incoming.append(weakref.ref(dx))
            return dx

    incoming = []
    model = Sequential(Residual(Watch()), ReLU(), Source())
    dx = model.backward(np.ones_like(model(images(2, 3))))
    assert freed == [[True]] and dx.max() == 2 * (3 + 1)


def test_inference_frees_the_output_of_each_step():
    seen, freed = [], []

    class Watch(Layer):
        def forward(self, x):
            freed.append([alive() is None for alive in seen])
            seen.append(weakref.ref(x))
            return x

        def backward(self, dy):
            return dy

    model = Sequential(Conv2D(1, 2, 3), ReLU(), Watch(), Conv2D(2, 2, 3), ReLU(), Watch())
    with cnnx.no_grad():
        model(images(2, 1, 6, 6, dtype=np.float32))
    assert freed == [[], [True]]


def test_a_second_backward_needs_a_second_forward():
    model, x = _conv_relu()
    y = model(x)
    model.backward(y)
    with pytest.raises(RuntimeError, match=r"^Sequential.backward: no forward"):
        model.backward(y)
