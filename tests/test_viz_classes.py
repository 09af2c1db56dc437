"""Class names and numbers in plots: in all forms, and a thousand of them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import cnnx
from cnnx.data import Dataset
from cnnx.layers import Conv2D, Flatten, Linear, Sequential

pytest.importorskip("matplotlib")
from cnnx import viz

NAMES = ["cat", "dog", "cow"]


@pytest.fixture
def model():
    cnnx.manual_seed(3)
    return Sequential(Conv2D(1, 4, 3), Flatten(), Linear(4 * 16, 3))


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 1, 6, 6), np.float32)


def words(figure):
    """All text on a figure."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize(
    "names",
    [
        np.array(NAMES),
        np.array(NAMES, dtype=object),
        np.array(NAMES, dtype="S"),
        tuple(NAMES),
        dict.fromkeys(NAMES).keys(),
    ],
    ids=["str array", "object array", "bytes array", "tuple", "keys"],
)
@pytest.mark.parametrize(
    "draw",
    [
        lambda model, x, names: viz.plot_images(x, [0, 1, 1, 2, 0], classes=names),
        lambda model, x, names: viz.plot_images(Dataset(x, np.array([0, 1, 1, 2, 0]), names)),
        lambda model, x, names: viz.plot_probabilities(model, x, classes=names),
        lambda model, x, names: viz.plot_confusion_matrix([0, 1], [0, 2], classes=names),
        lambda model, x, names: viz.plot_decision_boundary(
            Linear(2, 3), x[:, 0, 0, :2], [0, 1, 1, 2, 0], steps=4, classes=names
        ),
        lambda model, x, names: viz.grad_cam(model, x, [0, 1, 1, 2, 0], classes=names),
        lambda model, x, names: viz.saliency(model, x, [0, 1, 1, 2, 0], classes=names),
    ],
    ids=["images", "dataset", "probabilities", "confusion", "boundary", "grad_cam", "saliency"],
)
def test_class_names_may_be_any_sequence(draw, names, model, images):
    written = words(draw(model, images, names))
    assert all(any(name == word.removeprefix("for ") for word in written) for name in NAMES)


@pytest.mark.parametrize(
    "classes", ["cat", 3, {0: "cat", 1: "dog"}, {"cat", "dog"}, np.array([["cat", "dog"]])]
)
def test_a_value_that_is_not_a_sequence_of_names_is_a_clear_error(classes, model, images):
    for draw in (
        lambda: viz.plot_confusion_matrix([0, 1], [0, 1], classes=classes),
        lambda: viz.plot_images(images, [0] * 5, classes=classes),
        lambda: viz.grad_cam(model, images, classes=classes),
        lambda: viz.plot_probabilities(model, images, classes=classes),
        lambda: viz.plot_decision_boundary(Linear(2, 2), np.eye(2), classes=classes),
    ):
        with pytest.raises(TypeError, match=r"^\w+: classes .*=\['cat', 'dog'\]"):
            draw()


def test_dollars_and_control_characters_in_a_name_are_drawn_literally(images, tmp_path):
    names = ["$\\frac", "5$ to 9$", "a\nb\0", "\udcff"]
    figure = viz.plot_images(images, [0, 1, 2, 3, 0], classes=names, path=tmp_path / "a.png")
    titles = [axes.title for axes in figure.axes if axes.get_visible()]
    assert all(text._preprocess_math(text.get_text())[1] is False for text in titles)
    viz.plot_confusion_matrix([0, 1, 2, 3], [0, 1, 2, 3], classes=names, path=tmp_path / "b.png")


def test_every_class_has_its_row_and_name_up_to_forty():
    target = np.arange(40)[::3]
    axes = viz.plot_confusion_matrix(target, target, classes=list(map(str, range(40)))).axes[0]
    assert np.asarray(axes.images[0].get_array()).shape == (40, 40)
    assert ticks(axes.xaxis) == ticks(axes.yaxis) == list(map(str, range(40)))


def test_only_occurring_labels_are_drawn_and_memory_follows_their_number():
    far = 10**7 * np.arange(10)
    tracemalloc.start()
    figure = viz.plot_confusion_matrix(far[[0, 1, 2, 2]], far[[0, 1, 2, 9]])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    axes = figure.axes[0]
    assert ticks(axes.yaxis) == ["0", "10000000", "20000000", "90000000"]
    expected = 100.0 * np.eye(4)
    expected[3] = expected[2]
    assert np.array_equal(axes.images[0].get_array(), expected)
    assert axes.get_title(loc="left") == "3 of 4 right (75.0 %), 4 of 90,000,001 classes"


def test_only_occurring_classes_of_many_named_ones_are_drawn():
    names = np.array([f"bird {k}" for k in range(1000)])
    scores = np.zeros((3, 1000), np.float32)
    scores[[0, 1, 2], [7, 7, 999]] = 1
    axes = viz.plot_confusion_matrix(scores, [7, 400, 999], classes=names).axes[0]
    assert ticks(axes.yaxis) == ["bird 7", "bird 400", "bird 999"]
    assert np.asarray(axes.images[0].get_array()).shape == (3, 3)


def test_a_thousand_classes_are_an_image_with_few_words_on_it():
    target = np.repeat(np.arange(1000), 3)
    pred = np.where(np.arange(3000) % 3 == 0, (target + 1) % 1000, target)
    figure = viz.plot_confusion_matrix(pred, target)
    axes = figure.axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape == (1000, 1000)
    assert drawn[0, 0] == pytest.approx(200 / 3) and drawn[999, 0] == pytest.approx(100 / 3)
    assert ticks(axes.yaxis)[:3] == ["0", "10", "20"]
    assert len(words(figure)) < 500 and not axes.texts


def test_more_classes_than_pixels_share_cells():
    target = np.arange(10_000)
    pred = np.where(target % 2, target, target + 1)
    figure = viz.plot_confusion_matrix(pred, target)
    axes = figure.axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape == (1000, 1000)
    assert np.array_equal(drawn, 100 * np.eye(1000))  # ten neighbours share a cell
    assert axes.get_title(loc="left") == "5000 of 10000 right (50.0 %), 10 classes a cell"
    assert ticks(axes.yaxis)[1] == "100"


@pytest.mark.parametrize(
    ("pred", "target", "words"),
    [
        (Sequential(Linear(2, 2)), Dataset(np.eye(2), np.arange(2)), r"predict\(model, test\.x\)"),
        ("pred.npy", [0], r"np\.load"),
        (None, [0], "pred is None"),
        ([0, 1], None, "target is None"),
        (np.ma.masked_equal([0, 1], 1), [0, 1], "masked"),
        ([0, 1], np.ma.masked_equal([0, 1], 1), "masked"),
        ([[0.5, np.nan]], [1], "NaN"),
        ([0, -1], [0, 1], "-1"),
        ([0, 1], [0], r"\(2,\)"),
        ([], [], "sample"),
    ],
)
def test_invalid_arguments_of_the_confusion_matrix_are_a_clear_error(pred, target, words):
    with pytest.raises((TypeError, ValueError), match=f"^(plot_)?confusion_matrix: .*{words}"):
        viz.plot_confusion_matrix(pred, target)


def test_targets_are_accepted_in_every_form_that_metrics_accept():
    expected = [[50, 50], [0, 100]]
    labels = np.array([0, 0, 1])
    scores = np.array([[2.0, 1.0], [1.0, 2.0], [0.0, 3.0]])
    for pred, target, options in (
        (scores, np.eye(2, dtype=int)[labels], {}),
        (scores, labels[:, None], {}),
        (scores[:, 1:] - scores[:, :1], labels, {}),  # one output, which means yes from 0 on
        ([0.1, 0.9, 0.8], labels, {"threshold": 0.5}),
        (scores.argmax(axis=1).reshape(3, 1, 1), labels.reshape(3, 1, 1), {}),
    ):
        (axes, _) = viz.plot_confusion_matrix(pred, target, **options).axes
        assert np.array_equal(axes.images[0].get_array(), expected)


def test_a_class_without_a_name_is_rejected():
    with pytest.raises(ValueError, match="3, expected 0 to 2"):
        viz.plot_confusion_matrix([0, 3], [0, 1], classes=NAMES)


def test_the_boundaries_of_many_classes_are_where_each_leads():
    from cnnx.viz.boundary import Plane, boundaries

    outputs = np.random.default_rng(0).standard_normal((9, 9, 30)).astype(np.float32)
    labels = outputs.argmax(axis=2)
    axis = np.arange(9.0)
    plane = Plane(axis, axis, outputs, labels, 0.0, np.zeros((1, 2)), None, ())
    leads = [
        outputs[..., k] - np.delete(outputs, k, axis=2).max(axis=2) for k in np.unique(labels)[1:]
    ]
    assert len(leads) > 20
    for lead, expected in zip(boundaries(plane), leads, strict=True):
        assert np.array_equal(lead, expected)


@pytest.mark.parametrize("outputs", [1, 1000])
def test_points_of_a_thousand_classes_have_their_colours_and_no_legend(outputs, tmp_path):
    points = np.random.default_rng(0).random((300, 2), np.float32)
    labels = np.arange(300) * 3
    for kind in ("regions", None):
        figure = viz.plot_decision_boundary(
            Linear(2, outputs), points, labels, kind=kind, steps=20, path=tmp_path / "a.png"
        )
        assert figure.axes[0].get_legend() is None
    few = viz.plot_decision_boundary(Linear(2, 3), points[:20], labels[:20], steps=20).axes[0]
    assert len(few.get_legend().get_texts()) == 20


LETTER = "\N{MODIFIER LETTER LOW DOWN ARROWHEAD}"  # in DejaVu Serif, and not in DejaVu Sans


@pytest.mark.parametrize(
    "draw",
    [
        lambda model, x, names: viz.plot_images(x, [0, 1, 1, 2, 0], classes=names),
        lambda model, x, names: viz.plot_probabilities(model, x, classes=names),
        lambda model, x, names: viz.plot_confusion_matrix([0, 1], [0, 2], classes=names),
        lambda model, x, names: viz.plot_decision_boundary(
            Linear(2, 3), x[:, 0, 0, :2], [0, 1, 1, 2, 0], steps=4, classes=names
        ),
        lambda model, x, names: viz.grad_cam(model, x, [0, 1, 1, 2, 0], classes=names),
    ],
    ids=["images", "probabilities", "confusion", "boundary", "grad_cam"],
)
def test_letters_that_the_font_lacks_are_drawn_in_another_installed_font(
    draw, model, images, monkeypatch, tmp_path
):
    names = [f"{LETTER}{name}" for name in NAMES]
    monkeypatch.setattr("cnnx.viz.fonts.FAMILIES", ())
    with pytest.warns(UserWarning, match=f"no font of this machine has the letters '{LETTER}'"):
        draw(model, images, names)
    monkeypatch.setattr(
        "cnnx.viz.fonts.FAMILIES", ("No Such Font", "STIXSizeOneSym", "DejaVu Serif")
    )
    figure = draw(model, images, names)
    figure.savefig(tmp_path / "a.png")  # a warning would be an error here
    assert sum(LETTER in word for word in words(figure)) >= 2


def test_without_a_font_for_them_names_are_boxes_with_a_single_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnx.viz.fonts.FAMILIES", ())
    with pytest.warns(UserWarning) as warned:
        viz.plot_confusion_matrix(
            [0, 1], [0, 1], classes=["\u732b", "\u72d7"], path=tmp_path / "a.png"
        )
    assert (tmp_path / "a.png").stat().st_size > 1000
    (warning,) = warned
    assert "plot_confusion_matrix: no font" in str(warning.message)
    assert warning.filename == __file__
