"""docs/keep_your_loop.md: every program of the page computes what plain NumPy does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "keep_your_loop.md"
PROGRAM = re.compile(r"^## ([^\n,]*)[^\n]*\n(?:(?!^## ).)*?^```python\n(.*?)^```", re.M | re.S)
SECTIONS = dict(PROGRAM.findall(PAGE.read_text("utf-8")))


def program(section):
    names = {"__name__": "page"}
    exec(compile(SECTIONS[section], f"{PAGE.name}: {section}", "exec"), names)
    return names


# Plain NumPy on one image (c, h, w), window by window.


def convolved(x, weight, bias=None, stride=1, pad=0):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    f, _, kh, kw = weight.shape
    y = np.zeros((f, (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1))
    for k, i, j in np.ndindex(y.shape):
        r, s = i * stride, j * stride
        y[k, i, j] = np.sum(x[:, r : r + kh, s : s + kw] * weight[k])
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def convolved_backward(dy, x, weight, stride=1, pad=0):
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    dx, dweight, (_, _, kh, kw) = np.zeros(padded.shape), np.zeros(weight.shape), weight.shape
    for k, i, j in np.ndindex(dy.shape):
        r, s = i * stride, j * stride
        dx[:, r : r + kh, s : s + kw] += dy[k, i, j] * weight[k]
        dweight[k] += dy[k, i, j] * padded[:, r : r + kh, s : s + kw]
    inside = np.s_[:, pad : pad + x.shape[1], pad : pad + x.shape[2]]
    return dx[inside], dweight, dy.sum((1, 2))


def pooled(x, size, stride):
    y = np.zeros((len(x), (x.shape[1] - size) // stride + 1, (x.shape[2] - size) // stride + 1))
    for k, i, j in np.ndindex(y.shape):
        r, s = i * stride, j * stride
        y[k, i, j] = x[k, r : r + size, s : s + size].max()
    return y


def pooled_backward(dy, x, size, stride, ties):
    dx = np.zeros(x.shape)
    for k, i, j in np.ndindex(dy.shape):
        r, s = i * stride, j * stride
        window = x[k, r : r + size, s : s + size]
        mask = window == window.max()
        if not ties:
            mask.flat[mask.argmax() + 1 :] = False
        dx[k, r : r + size, s : s + size] += mask * dy[k, i, j]
    return dx


def same(ours, theirs):
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def batched(function, *arrays):
    """A function of one image, applied to a batch; returns results and summed weight gradients."""
    return [np.stack(parts) for parts in zip(*(function(*one) for one in zip(*arrays)))]


@pytest.fixture
def rng():
    np.random.seed(0)
    return np.random.default_rng(0)


def drawn_with_ties(rng, *shape):
    return rng.integers(-3, 3, shape).astype(float)


def test_the_page_has_a_program_of_each_kind():
    """Each has ten to some thirty lines, as the page claims."""
    assert list(SECTIONS) == [
        "One image at a time",
        "Plain functions on one image",
        "A dict of parameters",
        "Layers that return dX",
        "Batches with channels last",
        "float32 images",
    ]
    for name, text in SECTIONS.items():
        assert 8 <= sum(bool(line.strip()) for line in text.splitlines()) <= 30, name


def test_one_image_at_a_time(rng):
    page = program("One image at a time")
    conv, pool = page["Conv"](4, 3, 2), page["MaxPool2"]()
    filters = conv.filters.copy()
    assert filters.shape == (4, 3, 3, 2)
    image = rng.normal(size=(9, 8, 2))
    x, weight = image.transpose(2, 0, 1), filters.transpose(0, 3, 1, 2)
    y = convolved(x, weight)
    same(conv.forward(image), y.transpose(1, 2, 0))
    d_out = rng.normal(size=(7, 6, 4))
    dx, dweight, _ = convolved_backward(d_out.transpose(2, 0, 1), x, weight)
    same(conv.backprop(d_out, 0.1), dx.transpose(1, 2, 0))
    same(conv.filters, filters - 0.1 * dweight.transpose(0, 2, 3, 1))
    maps = drawn_with_ties(rng, 7, 6, 4)
    same(pool.forward(maps), pooled(maps.transpose(2, 0, 1), 2, 2).transpose(1, 2, 0))
    d_out = rng.normal(size=(3, 3, 4))
    dx = pooled_backward(d_out.transpose(2, 0, 1), maps.transpose(2, 0, 1), 2, 2, ties=True)
    same(pool.backprop(d_out), dx.transpose(1, 2, 0))


@pytest.mark.parametrize("stride", [1, 2])
def test_plain_functions_on_one_image(rng, stride):
    page = program("Plain functions on one image")
    x, weight, bias = rng.normal(size=(2, 9, 8)), rng.normal(size=(4, 2, 3, 3)), rng.normal(size=4)
    y = convolved(x, weight, bias, stride)
    same(page["convolution"](x, weight, bias.reshape(4, 1), stride), y)
    dy = rng.normal(size=y.shape)
    dx, dweight, dbias = convolved_backward(dy, x, weight, stride)
    ours = page["convolution_backward"](dy, x, weight, stride)
    for a, e in zip(ours, (dx, dweight, dbias.reshape(4, 1)), strict=True):
        same(a, e)
    maps = drawn_with_ties(rng, 2, 9, 8)
    y = pooled(maps, 3, stride)
    same(page["maxpool"](maps, 3, stride), y)
    dy = rng.normal(size=y.shape)
    ours = page["maxpool_backward"](dy, maps, 3, stride)
    same(ours, pooled_backward(dy, maps, 3, stride, ties=False))


def test_a_dict_of_parameters(rng):
    x, y = rng.normal(size=(3, 2, 8, 6)), np.array([4, 0, 2])
    params = {
        "W1": rng.normal(size=(3, 2, 3, 3)),
        "b1": rng.normal(size=(3, 1)),
        "W2": rng.normal(size=(36, 5)),
        "b2": rng.normal(size=(1, 5)),
    }
    loss, gradients = program("A dict of parameters")["loss_and_gradients"](params, x, y)

    maps = np.stack([convolved(one, params["W1"], params["b1"], pad=1) for one in x])
    pools = np.stack([pooled(one, 2, 2) for one in np.maximum(maps, 0)])
    rows = pools.reshape(3, 36)
    scores = rows @ params["W2"] + params["b2"]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(p[[0, 1, 2], y]).mean())
    dscores = (p - np.eye(5)[y]) / 3
    drows = (dscores @ params["W2"].T).reshape(pools.shape)
    expected = {"W2": rows.T @ dscores, "b2": dscores.sum(0, keepdims=True), "W1": 0, "b1": 0}
    for one, image, dy in zip(maps, x, drows):
        dmaps = pooled_backward(dy, np.maximum(one, 0), 2, 2, ties=False) * (one > 0)
        _, dweight, dbias = convolved_backward(dmaps, image, params["W1"], pad=1)
        expected["W1"] = expected["W1"] + dweight
        expected["b1"] = expected["b1"] + dbias.reshape(3, 1)
    assert gradients.keys() == params.keys()
    for name in params:
        same(gradients[name], expected[name])


def test_layers_that_return_a_list_of_gradients(rng):
    page = program("Layers that return dX")
    conv, pool = page["Conv"](2, 4, 3, stride=2, padding=1), page["MaxPool"](2, 2)
    conv.b += rng.normal(size=(4, 1))
    assert conv.params[0] is conv.W and conv.params[1] is conv.b and pool.params == []
    x = rng.normal(size=(3, 2, 9, 8))
    y = np.stack([convolved(one, conv.W, conv.b, 2, 1) for one in x])
    same(conv.forward(x), y)
    dy = rng.normal(size=y.shape)
    dx, dweight, dbias = batched(lambda d, one: convolved_backward(d, one, conv.W, 2, 1), dy, x)
    ours, (dW, db) = conv.backward(dy)
    same(ours, dx)
    same(dW, dweight.sum(0))
    same(db, dbias.sum(0).reshape(4, 1))
    maps = drawn_with_ties(rng, 3, 4, 5, 4)
    y = np.stack([pooled(one, 2, 2) for one in maps])
    same(pool.forward(maps), y)
    dy = rng.normal(size=y.shape)
    dx = np.stack([pooled_backward(d, one, 2, 2, ties=False) for d, one in zip(dy, maps)])
    ours, none = pool.backward(dy)
    same(ours, dx)
    assert none == []


@pytest.mark.parametrize("stride, pad", [(1, 0), (2, 1)])
def test_batches_with_channels_last(rng, stride, pad):
    page = program("Batches with channels last")
    A, W, b = rng.normal(size=(2, 9, 8, 3)), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4)
    x, weight = A.transpose(0, 3, 1, 2), W.transpose(3, 2, 0, 1)
    Z, cache = page["conv_forward"](A, W, b.reshape(1, 1, 1, 4), stride, pad)
    y = np.stack([convolved(one, weight, b, stride, pad) for one in x])
    same(Z, y.transpose(0, 2, 3, 1))
    dZ = rng.normal(size=Z.shape)
    dy = dZ.transpose(0, 3, 1, 2)
    dx, dweight, dbias = batched(
        lambda d, one: convolved_backward(d, one, weight, stride, pad), dy, x
    )
    dA, dW, db = page["conv_backward"](dZ, cache)
    same(dA, dx.transpose(0, 2, 3, 1))
    same(dW, dweight.sum(0).transpose(2, 3, 1, 0))
    same(db, dbias.sum(0).reshape(1, 1, 1, 4))
    maps = drawn_with_ties(rng, 2, 7, 7, 3)
    P, cache = page["pool_forward"](maps, 3, 2)
    x = maps.transpose(0, 3, 1, 2)
    same(P, np.stack([pooled(one, 3, 2) for one in x]).transpose(0, 2, 3, 1))
    dP = rng.normal(size=P.shape)
    dy = dP.transpose(0, 3, 1, 2)
    dx = np.stack([pooled_backward(d, one, 3, 2, ties=True) for d, one in zip(dy, x)])
    same(page["pool_backward"](dP, cache), dx.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("images", [np.float32, np.float64, np.uint8, np.float16])
@pytest.mark.parametrize("weights", [np.float32, np.float64])
def test_float32_images_and_float64_weights(rng, images, weights):
    x = (9 * rng.random((2, 3, 6, 5))).astype(images)
    W, b = rng.normal(size=(4, 3, 3, 3)).astype(weights), rng.normal(size=4).astype(weights)
    y = program("float32 images")["conv"](x, W, b)
    assert y.dtype == (x[:1, :1, :1, :1] * W[:1, :1, :1, :1]).dtype
    expected = np.stack([convolved(one, W, b, pad=1) for one in x])
    np.testing.assert_allclose(y, expected, rtol=1e-4 if y.dtype == np.float32 else 1e-9)
