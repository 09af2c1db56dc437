"""Overwriting an array that backward needs is detected, without false alarms."""

from __future__ import annotations

from timeit import repeat

import numpy as np
import oracle
import pytest
from layer_helpers import OWN, images

import cnnx
from cnnx.layers import (
    Activation,
    AdaptiveAvgPool2D,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    ConvTranspose2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2D,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
    ZeroPad2D,
)
from cnnx.layers.kept import keep

MODIFIED = r"\.backward: .*modified in place since forward"


class Square(Layer):
    """A user-defined layer that saves its input with `_save`."""

    def forward(self, x):
        self._save(x)
        return x * x

    def backward(self, dy):
        (x,) = self._saved()
        return 2 * x * dy


def conv():
    return Conv2D(4, 4, 3, padding=1)


LAYERS = {
    "Activation": lambda: Activation(np.sin, np.cos),
    "AdaptiveAvgPool2D": lambda: AdaptiveAvgPool2D(4),
    "AvgPool2D": lambda: AvgPool2D(2),
    "BatchNorm2D": lambda: BatchNorm2D(4),
    "BatchNorm1D": lambda: Sequential(Flatten(), BatchNorm1D(144)),
    "Conv2D": conv,
    "ConvTranspose2D": lambda: ConvTranspose2D(4, 4, 3),
    "Dropout": Dropout,
    "Dropout in eval mode": lambda: Sequential(Dropout().eval(), conv()),
    "Flatten": lambda: Sequential(Flatten(), Linear(144, 5)),
    "GlobalAvgPool2D": GlobalAvgPool2D,
    "Identity": lambda: Sequential(Identity(), Sequential(Identity(), conv())),
    "Linear": lambda: Linear(6, 5),
    "Linear and ReLU": lambda: Sequential(Linear(6, 5), ReLU()),
    "MaxPool2D": lambda: MaxPool2D(2),
    "Reshape": lambda: Sequential(Reshape((4, 36)), Linear(36, 5), Flatten()),
    "Residual": lambda: Residual(Sequential(conv(), ReLU(), conv()), conv()),
    "Sequential": lambda: Sequential(conv(), ReLU(), conv(), BatchNorm2D(4), ReLU()),
    "Sigmoid": lambda: Sequential(conv(), Sigmoid()),
    "Softmax": lambda: Sequential(Sequential(conv(), Softmax())),
    "Square": lambda: Sequential(Square(), conv(), Square()),
    "Tanh": Tanh,
    "Upsample": lambda: Upsample(scale_factor=2),
    "ZeroPad2D": lambda: ZeroPad2D(1),
    "LeakyReLU": LeakyReLU,
}
ENDINGS = {layer.__name__: layer for layer in OWN.values() if getattr(layer, "op", None)}
LAYERS |= ENDINGS
NEEDS_X = {
    "Activation", "BatchNorm2D", "BatchNorm1D", "Conv2D", "ConvTranspose2D", "Dropout in eval mode",
    "Flatten", "Identity", "LeakyReLU", "Linear", "Linear and ReLU", "Reshape", "Residual",
    "Sequential", "Sigmoid", "Softmax", "Square",
}  # fmt: skip
NEEDS_Y = {"Sigmoid", "Softmax", "Tanh", "Linear and ReLU"}
for _name, _layer in ENDINGS.items():
    (NEEDS_X if oracle.saves(_layer.op) == "x" else NEEDS_Y).add(_name)


def gradients(model, x, change=lambda x, y: None):
    """dx and the weights' gradients, with an action between forward and backward."""
    model.zero_grad()
    cnnx.manual_seed(3)
    y = model(x)
    dy = images(*y.shape, seed=1, dtype=y.dtype)
    change(x, y)
    return [model.backward(dy), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("n", [2, 64])  # compared completely, and by a sample
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_overwriting_input_or_output_is_detected_if_backward_needs_it(name, n):
    cnnx.manual_seed(0)
    model = LAYERS[name]()
    x, other = (images(n, 4, 6, 6, seed=seed, dtype=np.float32) for seed in (0, 5))
    expected = gradients(model, x.copy())
    changes = {
        "x": (name in NEEDS_X, lambda x, y: np.copyto(x, other)),
        "y": (name in NEEDS_Y, lambda x, y: np.copyto(y, np.negative(y) - 1)),
    }
    for needed, change in changes.values():
        if needed:
            with pytest.raises(RuntimeError, match=MODIFIED):
                gradients(model, x.copy(), change)
            continue
        for got, right in zip(gradients(model, x.copy(), change), expected, strict=True):
            assert np.array_equal(got, right)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.float16])
def test_an_input_that_was_cast_may_be_overwritten(dtype):
    model = Sequential(Flatten(), Linear(144, 5))
    x = (10 * images(8, 4, 6, 6)).astype(dtype)
    expected = gradients(model, x.copy())
    for got, right in zip(gradients(model, x, lambda x, y: x.fill(1)), expected, strict=True):
        assert np.array_equal(got, right)


def test_reusing_a_buffer_is_correct_after_backward_and_detected_before():
    cnnx.manual_seed(0)
    model, buffer = Sequential(Flatten(), Linear(784, 10)), np.zeros((32, 1, 28, 28), np.float32)
    for step in range(3):
        buffer[:] = images(*buffer.shape, seed=step, dtype=np.float32)
        y = model(buffer)
        model.backward(np.ones_like(y), need_dx=False)
    model(buffer)
    buffer[:] = images(*buffer.shape, seed=9, dtype=np.float32)
    with pytest.raises(RuntimeError, match=r"Linear.backward.*\(32, 784\)"):
        model.backward(np.ones_like(y))
    y = model(buffer)  # and the next step
    model.backward(np.ones_like(y))


def test_sparse_images_are_distinguished():
    """Pixels at the edge are equal in all of them: a sample must not consist of these only."""
    rng = np.random.default_rng(0)
    for size, n in ((28, 32), (28, 64), (32, 128), (8, 512), (16, 16)):
        model = Conv2D(1, 2, 3)
        x = np.zeros((n, 1, size, size), np.float32)
        middle = x[:, :, size // 3 : 2 * size // 3, size // 3 : 2 * size // 3]
        middle[:] = rng.random(middle.shape)
        y = model(x)
        middle[:] = rng.random(middle.shape)
        with pytest.raises(RuntimeError, match=MODIFIED):
            model.backward(y)


@pytest.mark.parametrize("n", [2, 64])
def test_layouts_that_are_not_contiguous_are_checked_too(n):
    model = Conv2D(4, 4, 3)
    x = images(n, 6, 6, 4, dtype=np.float32).transpose(0, 3, 1, 2)
    y = model(x)
    model.backward(y)
    model(x)
    x[...] += 1
    with pytest.raises(RuntimeError, match=MODIFIED):
        model.backward(y)


def test_nan_does_not_count_as_a_change():
    model = Sequential(conv(), Square())
    x = images(8, 4, 6, 6, dtype=np.float32)
    x[::2] = np.nan
    x[1, 1] = -0.0
    y = model(x)
    x.setflags(write=False)
    model.backward(y)
    empty = np.zeros((0, 4, 6, 6), np.float32)
    model.backward(model(empty))


def test_an_input_that_no_gradient_needs_may_be_overwritten():
    """The first layers are frozen, and no dx is requested: backward ends after them."""
    model = Sequential(conv().freeze(), Flatten(), Linear(144, 3))
    x = images(4, 4, 6, 6, dtype=np.float32)
    y = model(x)
    x[:] = 0
    model.backward(np.ones_like(y), need_dx=False)
    assert model[-1].weight.grad is not None


def test_the_check_takes_microseconds():
    x = images(128, 64, 16, 16, dtype=np.float32)
    values = (x,)
    seconds = min(repeat(lambda: keep(values).check("Conv2D"), number=200, repeat=7)) / 200
    whole = min(repeat(lambda: x.copy(), number=1, repeat=5))
    assert seconds < whole / 10
    assert seconds < 200e-6  # about 5e-6 on an idle machine
