"""Plots of images, weights, scores and boundaries: what is drawn, and what is rejected."""

from __future__ import annotations

import doctest
import re

import numpy as np
import pytest

import cnnx
from cnnx.layers import (
    BatchNorm2D,
    Conv2D,
    Flatten,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
)

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from cnnx import viz
from cnnx.viz import figures


@pytest.fixture
def model():
    cnnx.manual_seed(3)
    body = Sequential(Conv2D(1, 4, 3, padding=1), ReLU())
    return Sequential(body, Conv2D(4, 6, 3), ReLU(), Flatten(), Linear(6 * 16, 3))


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 1, 6, 6), np.float32)


def shown(axes):
    (image,) = axes.images
    return np.asarray(image.get_array())


def visible(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_images_have_names_and_wrong_ones_show_the_true_class(images, tmp_path):
    data = cnnx.data.Dataset(images, np.array([0, 1, 2, 0, 1]), ("cat", "dog", "cow"))
    figure = viz.plot_images(
        data, predicted=[0, 1, 0, 0, 1], count=4, columns=3, path=tmp_path / "a.png"
    )
    axes = visible(figure)
    assert [a.get_title() for a in axes] == ["cat", "dog", "cat, not cow", "cat"]
    assert len({a.title.get_color() for a in axes}) == 2
    assert all(np.array_equal(shown(a), images[i, 0]) for i, a in enumerate(axes))
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_colours_are_shown_unchanged_and_normalised_ones_rescaled():
    colours = np.random.default_rng(1).random((1, 3, 4, 5), np.float32)
    assert np.array_equal(shown(viz.plot_images(colours).axes[0]), colours[0].transpose(1, 2, 0))
    stretched = shown(viz.plot_images(4 * colours - 2).axes[0])
    assert stretched.min() == 0 and stretched.max() == 1


def test_filters_share_one_scale_around_zero(model):
    figure = viz.plot_filters(model)
    weight = model[0][0].weight.data
    *axes, bar = visible(figure)
    assert len(axes) == 4 and bar.get_ylabel() == "weight"
    limit = np.abs(weight).max()
    for axis, kernel in zip(axes, weight, strict=True):
        assert np.array_equal(shown(axis), kernel[0])
        assert axis.images[0].get_clim() == pytest.approx((-limit, limit))
    assert figure.get_suptitle() == "Layer 0.0 (Conv2D): 4 filters"


def test_filters_over_many_channels_have_a_row_each_and_colours_are_mixed(model):
    figure = viz.plot_filters(model, "1", count=2)
    axes = visible(figure)[:-1]
    expected = model[1].weight.data[:2].reshape(8, 3, 3)
    assert all(np.array_equal(shown(a), e) for a, e in zip(axes, expected, strict=True))
    assert figure.get_suptitle() == "Layer 1 (Conv2D): 2 of 6 filters"
    conv = Conv2D(3, 2, 3)
    conv.weight.data[...] = 0
    conv.weight.data[0, 1, 0, 0] = -2
    picture = shown(viz.plot_filters(conv).axes[0])
    assert picture[0, 0].tolist() == [0.5, 0.0, 0.5] and (picture[1:] == 0.5).all()


def test_only_filters_applied_to_rgb_images_are_drawn_in_colour():
    first, deep = Conv2D(3, 3, 3), Conv2D(3, 2, 3)
    model = Sequential(Sequential(BatchNorm2D(3), first), ReLU(), Residual(Conv2D(3, 3, 1)), deep)
    assert [shown(a).shape for a in viz.plot_filters(model).axes] == [(3, 3, 3)] * 3
    for layer, weight in (("3", deep.weight), ("2.body", model[2].body.weight)):
        *axes, bar = viz.plot_filters(model, layer).axes
        expected = weight.data.reshape(-1, *weight.shape[2:])
        assert all(np.array_equal(shown(a), e) for a, e in zip(axes, expected, strict=True))
        assert bar.get_ylabel() == "weight"
    grouped = Conv2D(6, 2, 3, groups=2)  # three channels per group, which are not RGB
    assert len(viz.plot_filters(grouped).axes) == 2 * 3 + 1


def test_feature_maps_are_the_outputs_of_the_layer(model, images):
    figure = viz.plot_feature_maps(model, images[2])
    expected = model[0](images[2:3])[0]
    *axes, bar = visible(figure)
    assert all(np.array_equal(shown(a), e) for a, e in zip(axes, expected, strict=True))
    assert bar.get_ylabel() == "activation" and "0.1 (ReLU): 4 maps" in figure.get_suptitle()
    deeper = visible(viz.plot_feature_maps(model, images[:1], layer=model[1], count=5))[:-1]
    expected = model[:2](images[:1])[0, :5]
    assert all(np.array_equal(shown(a), e) for a, e in zip(deeper, expected, strict=True))
    assert model.training


def test_layers_inside_a_residual_have_the_names_of_their_weights(images):
    cnnx.manual_seed(4)
    body = Sequential(Conv2D(2, 4, 3, padding=1), Sequential(ReLU(), Conv2D(4, 2, 3, padding=1)))
    model = Sequential(Conv2D(1, 2, 1), Residual(body), Flatten(), Linear(72, 2))
    assert "1.body.1.1.weight" in model.state_dict()
    before = model[0](images[:1])
    for layer, expected in (
        ("1.body.0", body[0](before)),
        (body[1][0], np.maximum(body[0](before), 0)),
        ("1.body.1.1", body(before)),
        ("1", body(before) + before),
    ):
        *axes, _ = visible(viz.plot_feature_maps(model, images[0], layer))
        maps = np.stack([shown(a) for a in axes])
        np.testing.assert_allclose(maps, expected[0], rtol=1e-5, atol=1e-6)
    *axes, _ = visible(viz.plot_filters(model, "1.body.1.1"))
    assert np.array_equal(shown(axes[0]), body[1][1].weight.data[0, 0])
    for layer, words in (
        ("body", "expected one of 0, 1, 2, 3, or inside a block, as 1.body.0"),
        ("1.body.2", "expected one of 1.body.0, 1.body.1.0, 1.body.1.1$"),
        ("1.body.1.2", "expected one of 1.body.1.0, 1.body.1.1$"),
        (ReLU(), "ReLU is not one of the model's: 0, 1, 2, 3, or inside"),
    ):
        with pytest.raises(ValueError, match=words):
            viz.plot_feature_maps(model, images[0], layer)


def test_probabilities_are_bars_from_the_likeliest_down(images):
    linear = Linear(36, 3)
    linear.weight.data[...] = 0
    linear.bias.data[...] = np.log([0.2, 0.5, 0.3])
    figure = viz.plot_probabilities(Sequential(Flatten(), linear), images[:1], [2], top=2)
    picture, bars = figure.axes
    assert np.array_equal(shown(picture), images[0, 0])
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([50, 30])
    assert [label.get_text() for label in bars.get_yticklabels()] == ["1", "2"]
    assert [text.get_text() for text in bars.texts] == ["50.0 %", "30.0 %"]


def test_the_confusion_matrix_counts_rows_of_true_classes():
    figure = viz.plot_confusion_matrix([0, 1, 1, 0], [0, 0, 1, 0], classes=["no", "yes", "odd"])
    axes, bar = figure.axes
    assert shown(axes) == pytest.approx(np.array([[200 / 3, 100 / 3, 0], [0, 100, 0], [0, 0, 0]]))
    written = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert written == {(0, 0): "2", (0, 1): "1", (1, 1): "1"}
    assert [t.get_text() for t in axes.get_xticklabels()] == ["no", "yes", "odd"]
    assert axes.get_title(loc="left") == "3 of 4 right (75.0 %)" and "%" in bar.get_ylabel()


def test_confusion_matrix_of_scores_and_of_labels():
    from cnnx.metrics import confusion_matrix

    assert confusion_matrix([[1, 2, 0], [3, 1, 0]], [1, 2]).tolist() == [
        *([0, 0, 0], [0, 1, 0], [1, 0, 0])
    ]
    assert confusion_matrix([2], [0]).shape == (3, 3)
    for pred, target, classes, words in (
        ([0, 1], [0], None, r"\(2,\).*\(1,\)"),
        ([], [], None, "at least one"),
        ([0, 3], [0, 1], 3, "a label is 3, expected 0 to 2"),
        ([0, -1], [0, 1], None, "a label is -1"),
        ([0.5], [2], None, r"target\[0\] is 2"),
    ):
        with pytest.raises(ValueError, match=words):
            confusion_matrix(pred, target, classes)


def half_plane(outputs):
    """A model that predicts 1 where x > y: by two scores, or by a single one."""
    linear = Linear(2, outputs)
    linear.bias.data[...] = 0
    linear.weight.data[...] = [[1, -1]] if outputs == 1 else [[-1, 1], [1, -1]]
    return Sequential(linear)


POINTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def test_regions_are_the_predicted_classes():
    for outputs in (1, 2):
        figure = viz.plot_decision_boundary(
            half_plane(outputs), POINTS, [0, 0, 1, 1], kind="regions", steps=12, classes=("a", "b")
        )
        (axes,) = figure.axes
        regions = np.asarray(axes.collections[0].get_array()).reshape(12, 12)
        grid = np.linspace(-0.1, 1.1, 12)
        off = ~np.eye(12, dtype=bool)  # on the boundary itself, rounding decides
        assert np.array_equal(regions[off], (grid[None] > grid[:, None])[off])
        words = [text.get_text() for text in axes.get_legend().get_texts()]
        assert words == ["a", "b"]
        dots = [c.get_offsets() for c in axes.collections if len(c.get_offsets()) == 2]
        assert np.array_equal(np.concatenate(dots), POINTS)


def test_a_single_output_is_a_surface_with_its_threshold_for_regions():
    model = half_plane(1)
    (axes,) = viz.plot_decision_boundary(model, POINTS, [[0], [1], [1], [0]], steps=8).axes
    assert axes.name == "3d" and axes.get_zlabel() == "output"
    assert axes.get_zlim()[0] < -1.1 and axes.get_zlim()[1] > 1.1
    for ending, threshold in ((Sigmoid(), 0.6), (Sigmoid(), None)):
        figure = viz.plot_decision_boundary(
            Sequential(model, ending),
            POINTS,
            steps=30,
            kind="regions",
            threshold=threshold,
        )
        share = np.asarray(figure.axes[0].collections[0].get_array()).mean()
        assert share == pytest.approx(0.5 if threshold is None else 0.22, abs=0.03)


def test_an_interactive_page_is_self_contained(tmp_path):
    pytest.importorskip("plotly")
    page = tmp_path / "out.html"
    figure = viz.plot_decision_boundary(half_plane(1), POINTS, steps=5, interactive=page)
    assert figure.data[0].type == "surface" and figure.data[0].z.shape == (5, 5)
    assert figure.data[0].z[0, 4] == pytest.approx(1.2)
    assert not figure.layout.showlegend
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "<title>Decision boundary</title>" in text
    assert "Plotly.newPlot" in text and not re.search(r"<(script|link)[^>]*(src|href)", text)
    assert '"showSendToCloud": false' in text  # a button that uploads the plot


def test_an_interactive_plane_is_a_square_with_class_boundaries(tmp_path):
    pytest.importorskip("plotly")
    page, named = (
        tmp_path / "out.html",
        {"classes": ["no", "yes"], "interactive": tmp_path / "a.html"},
    )
    flat = viz.plot_decision_boundary(half_plane(2), POINTS, [0, 1, 0, 1], steps=6, **named)
    assert [trace.type for trace in flat.data] == ["heatmap", "contour", "scatter", "scatter"]
    regions, line, *points = flat.data
    assert [trace.name for trace in points] == ["no", "yes"] and flat.layout.showlegend
    assert (
        np.array_equal(regions.text == "yes", regions.z == 1) and "%{text}" in regions.hovertemplate
    )
    assert np.array_equal(line.z > 0, regions.z == 1)
    margin = flat.layout.margin
    square = flat.layout.width - margin.l - margin.r
    assert square == flat.layout.height - margin.t - margin.b
    one_region = viz.plot_decision_boundary(
        half_plane(2), POINTS + [9, 0], steps=6, interactive=page
    )
    assert [trace.type for trace in one_region.data] == ["heatmap", "scatter"]


def test_the_diagram_names_layers_shapes_and_parameters(model, tmp_path):
    (axes,) = viz.plot_model(model, (1, 6, 6), path=tmp_path / "m.svg").axes
    words = [text.get_text() for text in axes.texts]
    for word in (
        "Conv2D",
        "0.0",
        "kernel 3, padding 1",
        " \N{MULTIPLICATION SIGN} ".join("466"),
        "96",
        "222",
        "553 parameters",
    ):
        assert word in words, word
    assert len(axes.patches) == 6
    residual = Sequential(Residual(Conv2D(2, 2, 1)))
    assert "Residual" in [t.get_text() for t in viz.plot_model(residual, (2, 4, 4)).axes[0].texts]


def test_every_picture_is_drawn_on_the_users_axes(model, images):
    flat = half_plane(2)
    drawings = [
        lambda ax: viz.plot_images(images, ax=ax),
        lambda ax: viz.plot_masks(images, predicted=np.zeros((5, 6, 6)), ax=ax),
        lambda ax: viz.plot_filters(model, ax=ax),
        lambda ax: viz.plot_feature_maps(model, images[0], ax=ax),
        lambda ax: viz.plot_probabilities(model, images, ax=ax),
        lambda ax: viz.plot_confusion_matrix([0, 1], [0, 1], ax=ax),
        lambda ax: viz.plot_decision_boundary(flat, POINTS, steps=4, ax=ax),
        lambda ax: viz.plot_model(model, (1, 6, 6), ax=ax),
        lambda ax: viz.grad_cam(model, images, ax=ax),
        lambda ax: viz.saliency(model, images, ax=ax),
    ]
    for draw in drawings:
        figure = Figure()
        ax = figure.subplots()
        assert draw(ax) is figure and figure.axes == [ax]
        figure.canvas.draw()
    four = Figure().subplots(2, 2)
    viz.plot_images(images[:4], ax=four)
    assert all(len(axes.images) == 1 for axes in four.ravel())


def test_panels_in_one_axes_are_arranged_row_by_row_without_overlap():
    ax = Figure().subplots()
    panels = figures.panels("a test", ax, 2, 3, (1, 1))
    ax.figure.canvas.draw()
    around = ax.get_window_extent()
    boxes = [panel.get_window_extent() for panel in panels]
    for number, box in enumerate(boxes):
        assert around.x0 - 1 < box.x0 < box.x1 < around.x1 + 1
        assert around.y0 - 1 < box.y0 < box.y1 < around.y1 + 1
        if number % 3:
            assert box.x0 > boxes[number - 1].x1
        if number >= 3:
            assert box.y1 < boxes[number - 3].y0


def test_values_that_cannot_be_drawn_are_a_clear_error(model, images):
    flat = half_plane(2)
    for draw, words in (
        (lambda: viz.plot_images(images[0, 0, 0]), "shape"),
        (lambda: viz.plot_images(images[:0]), "0 samples"),
        (lambda: viz.plot_images(np.zeros((2, 5, 4, 4))), r"\(2, 5, 4, 4\)"),
        (lambda: viz.plot_images(images, [1, 2]), r"labels has shape \(2,\).*expected 5"),
        (lambda: viz.plot_images(images, count=0), "count"),
        (lambda: viz.plot_images(images, ax=Figure().subplots(1, 2)), "2 Axes, expected 5"),
        (lambda: viz.plot_images(images, path="a.txt"), r"a\.txt.*png"),
        (lambda: viz.plot_filters(model, "2"), r"layer 2 \(ReLU\) has no filters"),
        (lambda: viz.plot_filters(model, "9"), "'9', expected one of 0.0, 0.1, 1"),
        (lambda: viz.plot_filters(flat), "no Conv2D"),
        (lambda: viz.plot_filters(model, 6), "layer is 6, but the model has 6 layers"),
        (lambda: viz.plot_feature_maps(model, images), r"\(5, 1, 6, 6\), expected one image"),
        (lambda: viz.plot_feature_maps(model, images[0], "3"), "expected maps"),
        (lambda: viz.plot_probabilities(Sequential(Flatten(), Linear(36, 1)), images), "two"),
        (lambda: viz.plot_decision_boundary(flat, images), r"\(n, 2\)"),
        (lambda: viz.plot_decision_boundary(flat, POINTS, [1, 2]), "expected 4 classes"),
        (lambda: viz.plot_decision_boundary(flat, POINTS, kind="surface"), "2 outputs"),
        (lambda: viz.plot_decision_boundary(flat, POINTS, interactive="a.png"), r"a\.png"),
        (lambda: viz.plot_decision_boundary(flat, np.full((2, 2), np.nan)), "NaN"),
        (lambda: viz.plot_model(model, 6), "input_shape is 6"),
        (lambda: viz.grad_cam_map(model, images, 3), "3"),
        (lambda: viz.grad_cam_map(model, images, [0, 1]), "5 images"),
        (lambda: viz.grad_cam_map(model, images, layer="4"), "expected maps"),
        (lambda: viz.grad_cam_map(Sequential(*model, Softmax()), images, layer=-1), "score"),
        (lambda: viz.saliency_map(model[:2], images), r"expected \(n, classes\)"),
    ):
        with pytest.raises(ValueError, match=words):
            draw()
    with pytest.raises(TypeError, match="str, expected a Layer"):
        viz.plot_filters("model.npz")


def test_without_plotly_the_error_names_the_extra(monkeypatch):
    import sys

    for name in [*sys.modules, "plotly", "plotly.graph_objects"]:
        if name.split(".")[0] == "plotly":
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[plotly\]'"):
        viz.plot_decision_boundary(half_plane(2), POINTS, interactive="out.html")


@pytest.fixture(scope="module")
def trained():
    """The names used in the examples: digits, a model for them, its history."""
    train, test = cnnx.data.load_digits()
    cnnx.manual_seed(0)
    model = cnnx.models.digits_cnn()
    history = cnnx.fit(
        *(model, train[:64]), epochs=1, optimizer=cnnx.Adam(model.parameters()), verbose=False
    )
    return {"cnnx": cnnx, "test": test, "model": model, "history": history}


@pytest.mark.parametrize("name", ["", *viz.__all__])
def test_the_example_in_the_docstring_draws_a_figure(name, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    document = getattr(viz, name) if name else viz
    (example,) = doctest.DocTestFinder(recurse=False).find(document, f"viz.{name}", globs=trained)
    assert example.examples, f"cnnx.viz.{name} shows no example"
    said: list[str] = []
    assert not doctest.DocTestRunner().run(example, out=said.append).failed, "".join(said)
