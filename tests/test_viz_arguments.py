"""Invalid arguments of plots give one clear error; and images of every kind are drawn."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx.data import Dataset
from cnnx.history import History
from cnnx.layers import Conv2D, Flatten, Identity, Linear, Sequential

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from cnnx import viz

HISTORY = History([{"epoch": 1, "loss": 1.0, "accuracy": 0.5}])
POINTS = np.eye(2, dtype=np.float32)
RNG = np.random.default_rng(0)
GREY, COLOUR = RNG.random((3, 1, 6, 6), np.float32), RNG.random((3, 3, 6, 6), np.float32)


def network(channels):
    cnnx.manual_seed(3)
    return Sequential(Conv2D(channels, 4, 3), Flatten(), Linear(4 * 16, 3))


MODEL, OF_COLOURS, FLAT = network(1), network(3), Linear(2, 3)
# Each plot as a function of its first argument, of its images, and of the Axes to draw on.
OF_A_MODEL = {
    "plot_filters": viz.plot_filters,
    "plot_feature_maps": lambda model: viz.plot_feature_maps(model, GREY[0]),
    "plot_probabilities": lambda model: viz.plot_probabilities(model, GREY),
    "plot_decision_boundary": lambda model: viz.plot_decision_boundary(model, POINTS, steps=4),
    "plot_model": lambda model: viz.plot_model(model, (1, 6, 6)),
    "grad_cam": lambda model: viz.grad_cam(model, GREY),
    "grad_cam_map": lambda model: viz.grad_cam_map(model, GREY),
    "saliency": lambda model: viz.saliency(model, GREY),
    "saliency_map": lambda model: viz.saliency_map(model, GREY),
}
OF_IMAGES = {
    "plot_images": lambda model, x: viz.plot_images(x),
    "plot_masks": lambda model, x: viz.plot_masks(x),
    "plot_feature_maps": lambda model, x: viz.plot_feature_maps(model, x),
    "plot_probabilities": viz.plot_probabilities,
    "plot_decision_boundary": lambda model, x: viz.plot_decision_boundary(FLAT, x, steps=4),
    "grad_cam": viz.grad_cam,
    "grad_cam_map": viz.grad_cam_map,
    "saliency": viz.saliency,
    "saliency_map": viz.saliency_map,
}
ON_AXES = {
    "plot_images": lambda ax: viz.plot_images(GREY, ax=ax),
    "plot_masks": lambda ax: viz.plot_masks(GREY, ax=ax),
    "plot_filters": lambda ax: viz.plot_filters(MODEL, ax=ax),
    "plot_feature_maps": lambda ax: viz.plot_feature_maps(MODEL, GREY[0], ax=ax),
    "plot_probabilities": lambda ax: viz.plot_probabilities(MODEL, GREY, ax=ax),
    "plot_confusion_matrix": lambda ax: viz.plot_confusion_matrix([0, 1], [0, 1], ax=ax),
    "plot_decision_boundary": lambda ax: viz.plot_decision_boundary(FLAT, POINTS, steps=4, ax=ax),
    "plot_history": lambda ax: viz.plot_history(HISTORY, ax=ax),
    "plot_model": lambda ax: viz.plot_model(MODEL, (1, 6, 6), ax=ax),
    "grad_cam": lambda ax: viz.grad_cam(MODEL, GREY, ax=ax),
    "saliency": lambda ax: viz.saliency(MODEL, GREY, ax=ax),
}
ON_AXES["surface"] = lambda ax: viz.plot_decision_boundary(Linear(2, 1), POINTS, ax=ax, steps=4)


@pytest.mark.parametrize("name", OF_A_MODEL)
@pytest.mark.parametrize("given", [None, "model.npz", GREY, [MODEL], MODEL.state_dict()], ids=type)
def test_a_value_that_is_not_a_model_is_a_clear_type_error(name, given):
    with pytest.raises(TypeError, match=f"^{name}: model is a .*expected a Layer") as error:
        OF_A_MODEL[name](given)
    assert ("cnnx.load" in str(error.value)) == isinstance(given, str)


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "is None, expected"),
        ("photo.png", r"is a path, 'photo\.png': read the file first.*load_image"),
        ({"x": GREY}, "is a dict, expected"),
        (MODEL, "is a Sequential, expected"),
        (HISTORY, "dtype object, expected numbers"),
        ((GREY, np.arange(3)), "is a tuple of parts that differ in shape"),
        ([[1, 2], [3]], "is a list of parts that differ in shape"),
        (np.ma.masked_less(GREY, 0.5), r"masked array.*\.filled"),
        (GREY * 1j, "complex64, expected numbers"),
        (np.array([["a", "b"]]), "<U1, expected numbers"),
        (np.array([[None, 1]]), "object, expected numbers"),
    ],
    ids=lambda value: value[:9] if isinstance(value, str) else type(value).__name__,
)
def test_values_that_are_not_images_are_a_clear_type_error(name, given, words):
    with pytest.raises(TypeError, match=f"^{name}: (images|image|x) .*{words}"):
        OF_IMAGES[name](MODEL, given)


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if name != "plot_decision_boundary"])
def test_channels_last_is_an_error_that_suggests_the_transpose(name):
    last = COLOUR.transpose(0, 2, 3, 1)
    last = last[0] if name == "plot_feature_maps" else last
    with pytest.raises(ValueError, match=r"transpose\((0, 3, 1, 2|2, 0, 1)\)"):
        OF_IMAGES[name](OF_COLOURS, last)


@pytest.mark.parametrize("name", ["plot_images", "plot_probabilities", "grad_cam", "saliency"])
@pytest.mark.parametrize(
    "kind",
    [
        lambda x: (255 * x).astype(np.uint8),
        lambda x: (255 * x).astype(np.int64),
        lambda x: x > 0.5,
        lambda x: x.astype(np.float16),
        lambda x: x[:1],
        lambda x: x.astype(">f8"),
        lambda x: 0 * x,
    ],
    ids=["uint8", "int64", "bool", "float16", "one", "big-endian", "constant"],
)
def test_images_of_every_dtype_are_drawn(name, kind):
    for model, images in ((MODEL, GREY), (OF_COLOURS, COLOUR)):
        figure = OF_IMAGES[name](model, kind(images))
        figure.canvas.draw()
        assert figure.axes[0].images


def test_pixels_that_are_not_finite_are_white_and_do_not_affect_the_others():
    odd = COLOUR.copy()
    odd[0, :, 0, 0] = np.nan, np.inf, -np.inf
    figure = viz.plot_images(odd)
    figure.canvas.draw()
    picture = np.asarray(figure.axes[0].images[0].get_array())
    assert picture[0, 0].tolist() == [1, 1, 1]
    assert np.array_equal(picture[1:], COLOUR[0].transpose(1, 2, 0)[1:])
    viz.plot_images(COLOUR * np.nan).canvas.draw()
    viz.plot_images(GREY * np.nan).canvas.draw()


def test_outputs_and_weights_that_are_not_finite_are_named():
    broken, line = network(1), Linear(2, 3)
    broken[0].weight.data[1, 0, 0, 0] = np.nan
    line.bias.data[1] = np.inf
    for name, draw in (
        ("plot_probabilities", lambda: viz.plot_probabilities(broken, GREY)),
        ("grad_cam", lambda: viz.grad_cam(broken, GREY)),
        ("saliency_map", lambda: viz.saliency_map(broken, GREY)),
        ("plot_decision_boundary", lambda: viz.plot_decision_boundary(line, POINTS)),
    ):
        with pytest.raises(ValueError, match=f"^{name}: the outputs hold NaN or inf"):
            draw()
    # Filters and maps show its position: the others keep their scale.
    for figure in (viz.plot_filters(broken), viz.plot_feature_maps(broken, GREY[0])):
        figure.canvas.draw()
        assert np.isfinite(figure.axes[0].images[0].get_clim()).all()


@pytest.mark.parametrize("name", ON_AXES)
@pytest.mark.parametrize("given", [Figure(), "loss.png", 3, [1, 2, 3, 4, 5, 6, 7, 8], {}], ids=type)
def test_values_that_are_not_axes_are_a_type_error(name, given):
    with pytest.raises(TypeError, match=r"ax is .*expected.* Axes: ax=figure\.subplots\(\)"):
        ON_AXES[name](given)


@pytest.mark.parametrize("path", [3, ["a.png"], GREY])
def test_a_value_that_is_not_a_path_is_a_type_error(path):
    with pytest.raises(TypeError, match=r"^plot_images: path is .*expected the name of a file"):
        viz.plot_images(GREY, path=path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "is None, expected what fit returned"),
        ([1.0, 0.5], r"is a list, expected what fit returned.*\{'loss': "),
        ([{"epoch": 1, "loss": 1.0}], "is a list, .*History"),
        ("history.csv", r"is a path.*History\.from_csv"),
        (MODEL, "is a Sequential, expected what fit returned"),
        (np.ones(3), "is a ndarray"),
        ({"loss": 1.0}, "column 'loss' is 1.0, expected a number for each epoch"),
        ({"loss": ["a"]}, "column 'loss' .*expected a number for each epoch"),
        ({"epoch": [1, 2], "loss": [1.0]}, "column 'loss' has 1 numbers, .*2"),
    ],
    ids=str,
)
def test_a_value_that_is_not_a_history_is_a_clear_error(given, words):
    with pytest.raises((TypeError, ValueError), match=f"^plot_history: .*{words}"):
        viz.plot_history(given)


def test_a_history_that_diverged_is_drawn():
    viz.plot_history({"loss": [1.0, np.nan], "val_loss": [np.inf, 2.0]}).canvas.draw()


@pytest.mark.parametrize("target", [MODEL, "cat", [0.5, 1, 2], np.ma.masked_equal([0, 1, 2], 1)])
def test_an_invalid_target_is_rejected_without_printing_it(target):
    with pytest.raises((TypeError, ValueError), match=r"^grad_cam: target ") as error:
        viz.grad_cam(MODEL, GREY, target)
    assert len(str(error.value)) < 160


@pytest.mark.parametrize("wrong", [0.5, np.nan, np.inf])
def test_known_points_must_have_integer_classes(wrong):
    with pytest.raises(ValueError, match=f"y holds {wrong}, expected class numbers"):
        viz.plot_decision_boundary(FLAT, POINTS, [0, wrong], steps=4)
    viz.plot_decision_boundary(FLAT, POINTS, [[0.0], [1.0]], steps=4)


def test_feature_maps_of_a_dataset_are_an_error_that_suggests_one_image():
    with pytest.raises(TypeError, match=r"image is a Dataset, expected one image .*test\.x\[0\]"):
        viz.plot_feature_maps(MODEL, Dataset(GREY, np.arange(3)))


def test_too_many_panels_are_rejected_before_any_work():
    many = np.zeros((5000, 1, 6, 6), np.float32)
    for draw in (
        lambda: viz.plot_images(many, count=5000),
        lambda: viz.plot_probabilities(MODEL, many, count=2500),
        lambda: viz.grad_cam(Identity(), many),  # never called: its outputs are no scores
        lambda: viz.saliency(Identity(), many),
        lambda: viz.plot_filters(Conv2D(16, 200, 1), count=200),
    ):
        with pytest.raises(ValueError, match=r"panels, expected at most 2,000: draw fewer"):
            draw()
    with pytest.raises(ValueError, match="steps=1000000, but at most 5000"):
        viz.plot_decision_boundary(FLAT, POINTS, steps=10**6)
