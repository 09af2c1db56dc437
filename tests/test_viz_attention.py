"""Grad-CAM and saliency against numeric gradients and a hand-computed case."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx.layers import (
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Softmax,
)
from cnnx.layers.activation import Tanh
from cnnx.viz import grad_cam_map, saliency_map


@pytest.fixture
def model():
    # No ReLU: if a pooling window is all zeros, a numeric gradient is wrong at its kink.
    cnnx.manual_seed(6)
    layers = [Conv2D(2, 3, 3), BatchNorm2D(3), Tanh(), Conv2D(3, 4, 2), Tanh(), MaxPool2D(2)]
    net = Sequential(*layers, Flatten(), Dropout(0.5), Linear(16, 3), Softmax()).astype(np.float64)
    net[1].running_mean[...] = [0.1, -0.2, 0.3]
    return net


@pytest.fixture
def images():
    return np.random.default_rng(7).standard_normal((2, 2, 7, 7))


def score(layers, x, target):
    """The target's logit for each sample, in eval mode."""
    for layer in layers:
        x = layer.copy().eval()(x)
    return x[np.arange(len(x)), target]


def numeric(layers, x, target, step=1e-6):
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape[1:]):
        moved = np.zeros_like(x)
        moved[(slice(None), *place)] = step
        up, down = score(layers, x + moved, target), score(layers, x - moved, target)
        gradient[(slice(None), *place)] = (up - down) / (2 * step)
    return gradient


def test_saliency_is_the_largest_numeric_gradient_over_the_channels(model, images):
    target = np.array([2, 0])
    expected = np.abs(numeric(list(model)[:-1], images, target)).max(axis=1)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(saliency_map(model, images, target), expected, atol=1e-8)


@pytest.mark.parametrize(("layer", "end"), [(None, 5), ("0", 1), (2, 3)])
def test_grad_cam_weights_maps_by_their_mean_numeric_gradient(model, images, layer, end):
    layers = list(model)[:-1]
    activations = model[:end].copy().eval()(images)
    weights = numeric(layers[end:], activations, 1).mean(axis=(2, 3))
    expected = np.maximum(np.einsum("nk,nkhw->nhw", weights, activations), 0)
    assert expected.max() > 1e-3
    np.testing.assert_allclose(grad_cam_map(model, images, 1, layer), expected, atol=1e-8)


class Plus(Layer):
    """y = x + term: one path of a Residual, with the other path given."""

    def __init__(self, term):
        self.term = term

    def forward(self, x):
        return x + self.term


@pytest.fixture
def residual():
    cnnx.manual_seed(8)
    body = Sequential(Conv2D(2, 3, 3, padding=1), Tanh(), Conv2D(3, 4, 3, padding=1))
    block = Residual(body, Conv2D(2, 4, 1))
    layers = [Conv2D(2, 2, 1), block, Tanh(), Flatten(), Linear(64, 3)]
    return Sequential(*layers).astype(np.float64)


@pytest.mark.parametrize("name", ["1.body.0", "1.body.1", "1.body.2", "1.shortcut"])
def test_grad_cam_of_a_layer_inside_a_residual(residual, name):
    x = np.random.default_rng(9).standard_normal((2, 2, 4, 4))
    block, before = residual[1], residual[0](x)
    path, other = block.body, block.shortcut
    if name == "1.shortcut":
        path, other, end = Sequential(other), path, 1
    else:
        end = int(name[-1]) + 1
    activations = path[:end](before)
    layers = [*path[end:], Plus(other(before)), *residual[2:]]
    weights = numeric(layers, activations, 2).mean(axis=(2, 3))
    expected = np.maximum(np.einsum("nk,nkhw->nhw", weights, activations), 0)
    assert expected.max() > 1e-3
    np.testing.assert_allclose(grad_cam_map(residual, x, 2, name), expected, atol=1e-8)
    layer = path[end - 1]
    np.testing.assert_allclose(grad_cam_map(residual, x, 2, layer), expected, atol=1e-8)


def test_grad_cam_inside_a_block_used_twice_is_that_of_its_first_place():
    """x, x + x, 4 x: the score is 4 x, whose slope with respect to the first body's output is 2."""
    conv, head = Conv2D(1, 1, 1, bias=False), Linear(4, 2, bias=False)
    conv.weight.data[...] = 1
    head.weight.data[...] = [[1] * 4, [-1] * 4]
    block = Residual(conv)
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    maps = grad_cam_map(Sequential(block, block, Flatten(), head), x, 0, "0.body")
    assert maps.tolist() == [[[2, 4], [6, 8]]]


def test_grad_cam_of_a_flattening_head_may_be_empty():
    """The mean of the head's weights is negative even for the predicted class: an empty map."""
    conv, head = Conv2D(1, 1, 1, bias=False), Linear(4, 2, bias=False)
    conv.weight.data[...] = 1
    head.weight.data[...] = [[2, -1, -1, -1], [0, 0, 0, 0]]
    model, x = Sequential(conv, Flatten(), head), np.array([[[[5, 1], [1, 1]]]], np.float32)
    assert cnnx.predict_labels(model, x).tolist() == [0]
    assert not grad_cam_map(model, x).any() and saliency_map(model, x).any()
    pytest.importorskip("matplotlib")
    assert cnnx.viz.grad_cam(model, x).axes[1].get_title() == "nothing for 0"


def test_grad_cam_by_hand():
    """Two maps of 2x2, x and -x; class 0 sums the first, class 1 three times the second."""
    conv, head = Conv2D(1, 2, 1, bias=False), Linear(8, 2, bias=False)
    conv.weight.data[...] = np.array([1, -1]).reshape(2, 1, 1, 1)
    head.weight.data[...] = [[1] * 4 + [0] * 4, [0] * 4 + [3] * 4]
    model = Sequential(conv, Flatten(), head)
    x = np.array([[[[1, -2], [3, -4]]]], np.float32)
    assert grad_cam_map(model, x, 0).tolist() == [[[1, 0], [3, 0]]]
    assert grad_cam_map(model, x, 1).tolist() == [[[0, 6], [0, 12]]]
    assert grad_cam_map(model, x).tolist() == [[[0, 6], [0, 12]]]  # the larger output: 6, not -2
    assert saliency_map(model, x).tolist() == [[[3, 3], [3, 3]]]


def test_the_model_is_not_changed(model, images):
    model.train()
    model[1].eval()
    modes = [layer.training for layer in model.modules()]
    before = model.state_dict()
    y = model(images)
    model.zero_grad()
    grad_cam_map(model, images)
    saliency_map(model, images)
    assert [layer.training for layer in model.modules()] == modes
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert np.isfinite(model.backward(np.ones_like(y))).all()  # of the forward before the maps


def test_the_plots_show_image_and_map(model, images, tmp_path):
    pytest.importorskip("matplotlib")
    grey = np.random.default_rng(1).random((2, 1, 6, 6), np.float32)
    net = Sequential(Conv2D(1, 3, 3), ReLU(), Flatten(), Linear(48, 2))
    figure = cnnx.viz.saliency(net, grey, [0, 1], classes=("cat", "dog"))
    assert [axes.get_title() for axes in figure.axes] == ["", "for cat", "", "for dog"]
    maps = saliency_map(net, grey, [0, 1])
    for i in range(2):
        assert np.array_equal(figure.axes[2 * i].images[0].get_array(), grey[i, 0])
        assert np.array_equal(figure.axes[2 * i + 1].images[0].get_array(), maps[i])
    figure = cnnx.viz.grad_cam(net, grey, 0, path=tmp_path / "cam.png")
    over = figure.axes[1].images[1]
    assert np.array_equal(over.get_array(), grad_cam_map(net, grey, 0)[0])
    assert over.get_extent() == [-0.5, 5.5, 5.5, -0.5]
