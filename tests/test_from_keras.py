"""docs/from_keras.md: what it says about Keras, against Keras' formulas in plain NumPy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import BatchNorm2D, Conv1D, Conv2D, ConvTranspose2D, Sequential, ZeroPad2D

PAGE = (Path(__file__).parents[1] / "docs" / "from_keras.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(def conv_kernel.*?)^```", PAGE, re.M | re.S)
CONVERT: dict = {"np": np}
exec(compile(PROGRAM, "from_keras.md", "exec"), CONVERT)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def first(x):
    return np.moveaxis(x, -1, 1)


def close(ours, keras):
    """Our (n, c, h, w) equals Keras' (n, h, w, c)."""
    assert ours.dtype == np.float64
    np.testing.assert_allclose(np.moveaxis(ours, 1, -1), keras, rtol=1e-10, atol=1e-10)


def given(layer, **arrays):
    """The layer in float64 with these arrays."""
    layer.astype(np.float64)
    state = layer.state_dict()
    assert {name: array.shape for name, array in arrays.items()} == {
        name: state[name].shape for name in arrays
    }
    layer.load_state_dict({**state, **arrays})
    return layer


def same(size, kernel, stride):
    """Padding before and after, and the size of the output."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2, out


def convolved(x, kernel, stride, padding):
    """(n, h, w, c) and (kh, kw, c, f) -> (n, oh, ow, f)"""
    n, h, w, _ = x.shape
    kh, kw, _, f = kernel.shape
    if padding == "same":
        (top, bottom, oh), (left, right, ow) = same(h, kh, stride), same(w, kw, stride)
    else:
        top = bottom = left = right = 0
        oh, ow = (h - kh) // stride + 1, (w - kw) // stride + 1
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    y = np.zeros((n, oh, ow, f))
    for i, j in np.ndindex(oh, ow):
        window = x[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


def transposed(x, kernel, stride, padding):
    """(n, h, w, c) and (kh, kw, f, c) -> the adjoint of the convolution of an image of its size."""
    n, h, w, _ = x.shape
    kh, kw, f, _ = kernel.shape
    y = np.zeros((n, (h - 1) * stride + kh, (w - 1) * stride + kw, f))
    for i, j in np.ndindex(h, w):
        y[:, i * stride : i * stride + kh, j * stride : j * stride + kw] += np.einsum(
            "nc,uvfc->nuvf", x[:, i, j], kernel
        )
    if padding == "valid":
        return y
    top, left = same(h * stride, kh, stride)[0], same(w * stride, kw, stride)[0]
    return y[:, top : top + h * stride, left : left + w * stride]


@pytest.mark.parametrize("stride", [1, 2])
def test_the_kernel_of_a_convolution(rng, stride):
    x, kernel, bias = (
        rng.normal(size=(2, 7, 8, 3)),
        rng.normal(size=(3, 2, 3, 5)),
        rng.normal(size=5),
    )
    layer = Conv2D(3, 5, (3, 2), stride=stride)
    given(layer, weight=CONVERT["conv_kernel"](kernel), bias=bias)
    close(layer(first(x)), convolved(x, kernel, stride, "valid") + bias)


def test_the_kernel_of_a_depthwise_convolution(rng):
    x, kernel, bias = (
        rng.normal(size=(2, 7, 8, 3)),
        rng.normal(size=(3, 3, 3, 2)),
        rng.normal(size=6),
    )
    layer = given(Conv2D(3, 6, 3, groups=3), weight=CONVERT["depthwise_kernel"](kernel), bias=bias)
    parts = [convolved(x[..., c : c + 1], kernel[:, :, c : c + 1], 1, "valid") for c in range(3)]
    close(layer(first(x)), np.concatenate(parts, -1) + bias)


def test_the_kernel_of_a_transposed_convolution(rng):
    x, kernel, bias = (
        rng.normal(size=(2, 4, 5, 3)),
        rng.normal(size=(3, 3, 2, 3)),
        rng.normal(size=2),
    )
    arrays = {"weight": CONVERT["conv_kernel"](kernel), "bias": bias}
    layer = given(ConvTranspose2D(3, 2, 3, stride=2), **arrays)
    close(layer(first(x)), transposed(x, kernel, 2, "valid") + bias)
    cropped = Sequential(layer, ZeroPad2D((0, -1, 0, -1)))
    close(cropped(first(x)), transposed(x, kernel, 2, "same") + bias)


def test_the_kernel_of_a_convolution_of_signals(rng):
    x, kernel, bias = rng.normal(size=(2, 9, 3)), rng.normal(size=(4, 3, 5)), rng.normal(size=5)
    layer = given(Conv1D(3, 5, 4), weight=CONVERT["conv1d_kernel"](kernel), bias=bias)
    close(layer(first(x)), convolved(x[:, None], kernel[None], 1, "valid")[:, 0] + bias)


def test_the_kernels_of_dense_layers(rng):
    x, kernel = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(60, 7))
    expected = x.reshape(2, -1) @ kernel
    weight = CONVERT["dense_kernel_after_flatten"](kernel, 3, 4, 5)
    np.testing.assert_allclose(first(x).reshape(2, -1) @ weight.T, expected, rtol=1e-10)
    layer = given(cnnx.Linear(60, 7, bias=False), weight=CONVERT["dense_kernel"](kernel))
    np.testing.assert_allclose(layer(x.reshape(2, -1)), expected, rtol=1e-10)


def test_same_padding_at_stride_two_differs_from_padding_one(rng):
    x, kernel = rng.normal(size=(2, 8, 6, 3)), rng.normal(size=(3, 3, 3, 5))
    expected = convolved(x, kernel, 2, "same")
    weight = CONVERT["conv_kernel"](kernel)
    layer = given(Conv2D(3, 5, 3, stride=2, bias=False), weight=weight)
    close(Sequential(ZeroPad2D((0, 1, 0, 1)), layer)(first(x)), expected)
    usual = given(Conv2D(3, 5, 3, stride=2, padding=1, bias=False), weight=weight)(first(x))
    assert usual.shape == first(expected).shape
    assert np.abs(usual - first(expected)).max() > 1
    with pytest.raises(ValueError, match="same"):
        Conv2D(3, 5, 3, stride=2, padding="same")


@pytest.mark.parametrize(("layer", "of"), [(cnnx.MaxPool2D, np.max), (cnnx.AvgPool2D, np.mean)])
def test_same_padding_of_pooling_is_that_of_keras(rng, layer, of):
    x = rng.normal(size=(2, 7, 8, 3))
    (top, _, oh), (left, _, ow) = same(7, 3, 2), same(8, 3, 2)
    expected = np.zeros((2, oh, ow, 3))
    for i, j in np.ndindex(oh, ow):
        rows, columns = np.arange(3) + 2 * i - top, np.arange(3) + 2 * j - left
        rows, columns = rows[(rows >= 0) & (rows < 7)], columns[(columns >= 0) & (columns < 8)]
        expected[:, i, j] = of(x[:, rows][:, :, columns], axis=(1, 2))
    close(layer(3, stride=2, padding="same")(first(x)), expected)


def test_batch_normalisation(rng):
    x = rng.normal(2, 3, size=(4, 5, 6, 3))
    gamma, beta, mean, variance = rng.random((4, 3)) + 0.5
    layer = given(
        BatchNorm2D(3, eps=1e-3, momentum=1 - 0.99),
        **CONVERT["batch_norm"](gamma, beta, mean, variance),
    )
    close(layer.eval()(first(x)), gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)

    close(
        layer.train()(first(x)),
        gamma * (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3) + beta,
    )
    n = x.size // 3
    np.testing.assert_allclose(layer.running_mean, 0.99 * mean + 0.01 * x.mean((0, 1, 2)))
    keras = 0.99 * variance + 0.01 * x.var((0, 1, 2))
    np.testing.assert_allclose(
        layer.running_var, keras + 0.01 * x.var((0, 1, 2)) / (n - 1), rtol=1e-10
    )


def plateaus(losses, patience, min_delta):
    """The epochs after which Keras' ReduceLROnPlateau reduces the learning rate."""
    best, wait, reduced = np.inf, 0, []
    for epoch, loss in enumerate(losses):
        if loss < best - min_delta:
            best, wait = loss, 0
            continue
        wait += 1
        if wait >= patience:
            reduced.append(epoch)
            wait = 0
    return reduced


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_a_plateau_is_noticed_as_in_keras(rng, patience):
    optimizer = cnnx.SGD(cnnx.Linear(2, 2).parameters(), lr=1.0)
    schedule = cnnx.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience - 1, threshold_mode="abs"
    )
    losses = np.round(np.minimum.accumulate(rng.random(60)) + rng.choice([0, 5e-5, 1e-3], 60), 6)
    reduced = []
    for epoch, loss in enumerate(losses):
        before = optimizer.lr
        schedule.step(loss)
        reduced += [epoch] if optimizer.lr < before else []
    # Below eps = 1e-8 of the learning rate nothing is reduced any more.
    expected = plateaus(losses, patience, 1e-4)
    assert reduced == expected[: len(reduced)] and len(reduced) >= min(len(expected), 20)
    assert reduced


def test_early_stopping_waits_as_keras_does():
    """patience=2: after two epochs in a row that are no better than the best."""
    scores = iter([0.5, 0.7, 0.6, 0.8, 0.8, 0.7, 0.9])
    stop = cnnx.EarlyStopping("score", patience=2, mode="max")
    data = np.zeros((4, 2), np.float32), np.arange(4) % 2
    history = cnnx.fit(
        cnnx.Linear(2, 2),
        data,
        epochs=7,
        metrics={"score": lambda outputs, y: next(scores)},
        callbacks=[stop],
        verbose=False,
    )
    assert len(history) == 6 and stop.best_epoch == 4


def test_nadam_is_that_of_keras_with_another_momentum_decay(rng):
    w, lr, beta1, beta2, eps = np.array([0.5, -1.0]), 1e-3, 0.9, 0.999, 1e-7
    parameter = cnnx.Parameter(w.copy(), "w")
    optimizer = cnnx.NAdam([parameter], lr=lr, momentum_decay=1.0, eps=eps)
    m, v, product = np.zeros(2), np.zeros(2), 1.0
    for t in range(1, 6):
        gradient = rng.normal(size=2)
        parameter.zero_grad()
        parameter.accumulate(gradient.copy())
        optimizer.step()
        u, following = (beta1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        product *= u
        m += (gradient - m) * (1 - beta1)
        v += (gradient**2 - v) * (1 - beta2)
        step = following * m / (1 - product * following) + (1 - u) * gradient / (1 - product)
        w -= lr * step / (np.sqrt(v / (1 - beta2**t)) + eps)
        np.testing.assert_allclose(parameter.data, w, rtol=1e-12)


def test_weight_decay_is_the_gradient_of_keras_l2_regularizer():
    l2, lr, w = 0.01, 0.1, np.array([0.5, -1.0])
    parameter = cnnx.Parameter(w.copy(), "w")
    parameter.accumulate(np.zeros(2))
    cnnx.SGD([parameter], lr=lr, weight_decay=2 * l2).step()
    difference = 1e-6
    slope = (l2 * (w + difference) ** 2 - l2 * (w - difference) ** 2) / (2 * difference)
    np.testing.assert_allclose(parameter.data, w - lr * slope, rtol=1e-8)
