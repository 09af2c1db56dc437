"""Feature maps, Grad-CAM and saliency of models with branches."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx.layers import (
    Add,
    Concat,
    Conv2D,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Softmax,
)
from cnnx.viz import grad_cam_map, saliency_map

pytest.importorskip("matplotlib")
from cnnx import viz


@pytest.fixture
def x():
    return np.random.default_rng(5).standard_normal((2, 2, 4, 4))


@pytest.fixture
def chain():
    """Of a kind whose Grad-CAM test_viz_attention.py compares with numeric gradients."""
    cnnx.manual_seed(3)
    body = Sequential(Conv2D(2, 3, 3, padding=1), ReLU(), Conv2D(3, 4, 3, padding=1))
    block = Residual(body, Conv2D(2, 4, 1))
    return Sequential(Conv2D(2, 2, 1), block, Flatten(), Linear(64, 3)).astype(np.float64)


@pytest.fixture
def graph(chain):
    """The same layers as a Graph that ends in Softmax."""
    stem, block, flatten, head = chain
    start = cnnx.Input((2, 4, 4))
    h = stem(start)
    both = Add()(block.body(h), block.shortcut(h))
    names = {"stem": stem, "body": block.body, "shortcut": block.shortcut}
    return cnnx.Graph(start, Softmax()(head(flatten(both))), names)


PLACES = [("stem", "0"), ("body.0", "1.body.0"), ("body.1", "1.body.1"), ("body.2", "1.body.2"),
          ("shortcut", "1.shortcut"), ("3", "1")]  # fmt: skip


@pytest.mark.parametrize(("name", "same"), PLACES)
def test_maps_of_a_layer_in_a_graph_are_those_of_the_same_layer_in_a_chain(
    graph, chain, x, name, same
):
    expected = [grad_cam_map(chain, x, target, same) for target in range(3)]
    assert np.max(expected) > 1e-3
    found = [grad_cam_map(graph, x, target, name) for target in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    maps = [
        [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
        for figure in (viz.plot_feature_maps(graph, x[0], name),
                       viz.plot_feature_maps(chain, x[0], same))
    ]  # fmt: skip
    np.testing.assert_allclose(*maps, atol=1e-12)


def test_saliency_and_the_predicted_class_of_a_graph(graph, chain, x):
    np.testing.assert_allclose(saliency_map(graph, x), saliency_map(chain, x), atol=1e-12)
    nested = Sequential(ReLU(), graph)
    expected = saliency_map(Sequential(ReLU(), *chain), x)
    np.testing.assert_allclose(saliency_map(nested, x), expected, atol=1e-12)


def test_the_graph_is_not_changed(graph, x):
    layers = [graph[name] for name in ("stem", "body", "shortcut", "3", "6")]
    y, before = graph(x), graph.state_dict()
    grad_cam_map(graph, x, layer="body.1")
    saliency_map(graph, x)
    viz.plot_feature_maps(graph, x[0], "3")
    assert all(
        graph[n] is a for n, a in zip(("stem", "body", "shortcut", "3", "6"), layers, strict=True)
    )
    assert len(graph["body"]) == 3 and before.keys() == graph.state_dict().keys()
    assert np.array_equal(graph(x), y)


def test_a_layer_that_stands_twice_in_a_graph_has_the_maps_of_its_first_place():
    """h = 2 x, y = h + 2 h: the slope of the score with respect to the first h is 3."""
    conv, head = Conv2D(1, 1, 1, bias=False), Linear(4, 2, bias=False)
    conv.weight.data[...] = 2
    head.weight.data[...] = [[1] * 4, [-1] * 4]
    start = cnnx.Input((1, 2, 2))
    h = conv(start)
    model = cnnx.Graph(start, head(Flatten()(h + conv(h))))
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    assert grad_cam_map(model, x, 0, "0").tolist() == [[[6, 12], [18, 24]]]
    assert grad_cam_map(model, x, 0, conv).tolist() == [[[6, 12], [18, 24]]]


def test_layers_in_the_branches_of_a_concat(x):
    cnnx.manual_seed(4)
    block = Concat(Conv2D(2, 3, 1), Sequential(ReLU(), Conv2D(2, 1, 3, padding=1)))
    model = Sequential(block, Flatten(), Linear(64, 2)).astype(np.float64)
    for name, expected in (
        ("0.0", block.branches[0](x[:1])),
        ("0.1.0", np.maximum(x[:1], 0)),
        (block.branches[1][1], block.branches[1](x[:1])),
        (None, block(x[:1])),
    ):
        figure = viz.plot_feature_maps(model, x[0], name)
        maps = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
        np.testing.assert_allclose(maps, expected[0], atol=1e-12)
    # The block's map is made of the maps of its branches: one sum over all channels, then ReLU.
    branches = [grad_cam_map(model, x, 0, name) for name in ("0.0", "0.1.1")]
    assert all(part.shape == (2, 4, 4) for part in branches)
    assert (grad_cam_map(model, x, 0) <= sum(branches) + 1e-12).all()
    assert len(model[0].branches) == 2 and model[0] is block


def test_values_may_go_from_one_layer_of_a_chain_to_the_next_as_several(x):
    start = cnnx.Input((2, 4, 4))
    two = cnnx.Graph(start, (Conv2D(2, 2, 1)(start), start))
    model = Sequential(two, Add(), ReLU(), Flatten(), Linear(32, 2)).astype(np.float64)
    figure = viz.plot_feature_maps(model, x[0], "1")
    maps = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    np.testing.assert_allclose(maps, (two["0"](x[:1]) + x[:1])[0], atol=1e-12)
    assert grad_cam_map(model, x, layer="0.0").shape == (2, 4, 4)
    for layer in ("0", 0, two, None):
        with pytest.raises(ValueError, match=r"layer 0 \(Graph\) has 2 outputs, expected one"):
            grad_cam_map(model, x, layer=layer)


def test_without_a_name_the_first_convolution_of_a_graph(graph, x):
    assert "stem (Conv2D): 2 filters" in viz.plot_filters(graph).get_suptitle()
    assert "stem (Conv2D): 2 maps" in viz.plot_feature_maps(graph, x[0]).get_suptitle()
    inside = Sequential(Residual(Conv2D(1, 1, 1)), Conv2D(1, 2, 1))
    assert "Layer 1 " in viz.plot_filters(inside).get_suptitle()
    assert "Layer 0.body " in viz.plot_filters(inside[:1]).get_suptitle()


def test_what_is_not_drawn_is_refused_in_words(graph, x):
    start, other = cnnx.Input((2, 4, 4)), cnnx.Input((2, 4, 4))
    two = cnnx.Graph((start, other), Flatten()(Conv2D(2, 2, 1)(start) + other))
    h = Conv2D(2, 2, 1)(start)
    heads = cnnx.Graph(start, (Flatten()(h), h))
    for draw, words in (
        (lambda: grad_cam_map(graph, x), "is a Graph: say which layer, one of stem, body"),
        (lambda: viz.plot_feature_maps(graph, x[0], "2"), "is called '2', expected one of stem, b"),
        (lambda: viz.plot_feature_maps(graph, x[0], "body"), r"one of body\.0, body\.1, body\.2$"),
        (lambda: grad_cam_map(graph, x, layer="6"), r"layer 6 \(Softmax\) comes after the score"),
        (lambda: viz.plot_feature_maps(two, x[0]), "inputs is 2, of its outputs 1: expected one"),
        (lambda: saliency_map(two, x), "inputs is 2, of its outputs 1: expected one"),
        (lambda: viz.plot_decision_boundary(heads, x[0, 0, :, :2]), "of its outputs 2: expected"),
        (lambda: grad_cam_map(heads, x, layer="0"), "inputs is 1, of its outputs 2: expected one"),
    ):
        with pytest.raises(ValueError, match=words):
            draw()
