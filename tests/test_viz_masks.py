"""`plot_masks`: colours of the pixels, text, legend and errors."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx.data import Dataset

pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cnnx import viz
from cnnx.viz import figures, masks

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 3, 4, 5), np.float32)
RIGHT = RNG.integers(0, 3, (3, 4, 5))
SAID = RNG.integers(0, 3, (3, 4, 5))
NAMES = ("ground", "cat", "dog")
COLOURS = np.array([to_rgb(c) for c in (masks._PALE, *figures.CLASSES[:2])])


def shown(axes):
    (image,) = axes.images
    return np.asarray(image.get_array())


def legend_of(figure):
    (legend,) = figure.legends
    handles = [to_rgb(patch.get_facecolor()) for patch in legend.get_patches()]
    return [text.get_text() for text in legend.get_texts()], handles


def test_three_rows_are_images_true_and_predicted_masks(tmp_path):
    figure = viz.plot_masks(IMAGES, RIGHT, SAID, classes=NAMES, path=tmp_path / "a.png")
    assert len(figure.axes) == 9
    for i in range(3):
        image, right, said = figure.axes[i::3]
        assert np.array_equal(shown(image), IMAGES[i].transpose(1, 2, 0))
        assert np.array_equal(shown(right), COLOURS[RIGHT[i]])
        assert np.array_equal(shown(said), COLOURS[SAID[i]])
        value = cnnx.metrics.mean_iou(SAID[i], RIGHT[i])
        assert said.get_title() == f"IoU {value:.2f}" and right.get_title() == ""
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["image", "true", "predicted"]
    assert not any(axes.get_ylabel() for axes in figure.axes[1::3])
    words, handles = legend_of(figure)
    assert words == list(NAMES) and np.array_equal(handles, COLOURS)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_dataset_provides_masks_and_names_and_rows_are_optional():
    data = Dataset(IMAGES, RIGHT, NAMES)
    figure = viz.plot_masks(data, count=2)
    assert len(figure.axes) == 4 and legend_of(figure)[0] == list(NAMES)
    figure = viz.plot_masks(IMAGES, predicted=SAID)
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["image", "predicted"]
    assert not any(axes.get_title() for axes in figure.axes)  # nothing to compare with
    assert len(viz.plot_masks(IMAGES).axes) == 3 and not viz.plot_masks(IMAGES).legends


def test_predictions_may_be_scores_and_masks_may_have_a_channel_axis():
    scores = RNG.normal(size=(3, 3, 4, 5))
    figure = viz.plot_masks(IMAGES, RIGHT[:, None], scores)
    for i in range(3):
        assert np.array_equal(shown(figure.axes[3 + i]), COLOURS[RIGHT[i]])
        assert np.array_equal(shown(figure.axes[6 + i]), COLOURS[scores[i].argmax(axis=0)])
    figure = viz.plot_masks(IMAGES[:, 0], RIGHT.astype(np.float32), RIGHT == 1)
    assert np.array_equal(shown(figure.axes[6]), COLOURS[(RIGHT[0] == 1).astype(int)])


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        (0, (masks._PALE, *figures.CLASSES[:2])),
        (1, (figures.CLASSES[0], masks._PALE, figures.CLASSES[1])),
        (None, figures.CLASSES[:3]),
    ],
)
def test_the_background_is_pale_and_the_other_classes_have_colours_in_turn(background, expected):
    figure = viz.plot_masks(IMAGES, RIGHT, background=background)
    colours = np.array([to_rgb(colour) for colour in expected])
    assert np.array_equal(shown(figure.axes[3]), colours[RIGHT[0]])


def test_the_legend_lists_the_classes_drawn_and_is_omitted_for_many():
    labels = np.zeros((1, 4, 5), int)
    labels[0, 0] = [7, 3, 7, 3, 3]
    assert legend_of(viz.plot_masks(IMAGES[:1], labels, classes=NAMES))[0] == ["ground", "3", "7"]
    many = viz.plot_masks(IMAGES[:1], np.arange(20).reshape(1, 4, 5))
    assert not many.legends
    assert not viz.plot_masks(IMAGES, RIGHT, ax=Figure().subplots()).legends


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: viz.plot_masks(IMAGES[:0]), "0 samples"),
        (lambda: viz.plot_masks(RNG.random((2, 5, 4, 4))), r"images have shape \(2, 5, 4, 4\)"),
        (lambda: viz.plot_masks(IMAGES, RIGHT[:2]), r"masks has shape \(2, 4, 5\), expected .*3"),
        (lambda: viz.plot_masks(IMAGES, RIGHT[..., :4]), r"one for each pixel of the images$"),
        (lambda: viz.plot_masks(IMAGES, None, RIGHT[0]), r"or scores \(3, classes, 4, 5\)"),
        (lambda: viz.plot_masks(IMAGES, RIGHT - 1), "masks holds -1, expected class numbers"),
        (lambda: viz.plot_masks(IMAGES, RIGHT + 0.5), r"masks holds \d\.5"),
        (lambda: viz.plot_masks(IMAGES, None, RIGHT * np.nan), "predicted holds nan"),
        (lambda: viz.plot_masks(IMAGES, None, IMAGES * np.nan), "3 of 3 outputs are NaN"),
        (lambda: viz.plot_masks(IMAGES, count=0), "count=0"),
        (lambda: viz.plot_masks(IMAGES, background=-1), "background=-1"),
        (lambda: viz.plot_masks(IMAGES, ax=Figure().subplots(1, 2)), "2 Axes, expected 3"),
    ],
)
def test_invalid_arguments_are_errors(draw, words):
    with pytest.raises(ValueError, match=f"^plot_masks: .*{words}"):
        draw()


def test_masks_that_are_not_numbers_are_a_type_error():
    for given, words in (
        (["a.png"], "dtype <U5"),
        ("a.png", "masks is a path"),
        (np.ma.masked_less(RIGHT, 1), "masked array"),
    ):
        with pytest.raises(TypeError, match=words):
            viz.plot_masks(IMAGES, given)
