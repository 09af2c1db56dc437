"""Images of shapes and their masks: areas, pixels checked by hand, seeds, errors."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

import cnnx
from cnnx.data import make_shapes, shapes

KINDS = {"circle": 1, "rectangle": 2, "triangle": 3}


def drawn(kind, size, radius, x=0.5, y=0.5, angle=0.0, ratio=1.0):
    """The mask of a single shape, with size and position as fractions of the image."""
    place = np.array([[[x, y, radius, angle, ratio]]], np.float32)
    kinds, one = np.array([[KINDS[kind]]]), np.array([1])
    drawing = shapes._Drawing(np.zeros((1, 3)), one, kinds, np.ones((1, 1, 3)), place)
    pixels, mask = np.zeros((1, 3, size, size), np.float32), np.zeros((1, size, size), np.int64)
    shapes._paint(pixels, mask, drawing)
    assert np.array_equal(pixels[0], np.broadcast_to(mask[0] > 0, (3, size, size)))
    return mask[0]


def test_the_examples_run():
    found = doctest.testmod(shapes)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("size", [16, 32, 128])
def test_images_and_masks_have_their_shapes_types_and_range(size):
    data = make_shapes(20, size, seed=0)
    assert data.x.shape == (20, 3, size, size) and data.x.dtype == np.float32
    assert data.y.shape == (20, size, size) and data.y.dtype == np.int64
    assert data.x.min() >= 0 and data.x.max() <= 1
    assert data.classes == ("background", *KINDS)
    assert set(np.unique(data.y)) == {0, 1, 2, 3}


def test_results_depend_on_the_seed_but_not_on_blocks(monkeypatch):
    data = make_shapes(9, 32, seed=3)
    again, other = make_shapes(9, 32, seed=3), make_shapes(9, 32, seed=4)
    assert (again.x == data.x).all() and (again.y == data.y).all()
    assert (other.x != data.x).any() and (other.y != data.y).any()
    monkeypatch.setattr(shapes, "_BLOCK", 2 * 32 * 32)
    assert (make_shapes(9, 32, seed=3).x == data.x).all()
    with cnnx.random.seeded(5):
        first = make_shapes(2).x
    with cnnx.random.seeded(5):
        assert (make_shapes(2).x == first).all()


@pytest.mark.parametrize(
    ("kind", "ratio", "area"),
    [
        ("circle", 1, math.pi),
        ("rectangle", 1, 2),  # the square in a circle of radius 1
        ("rectangle", 0.6, 1.2),
        ("triangle", 1, 3 * math.sqrt(3) / 4),
    ],
)
@pytest.mark.parametrize("angle", [0, 0.4, 2.5])
def test_areas_match_geometry_at_every_angle(kind, ratio, area, angle):
    mask = drawn(kind, 400, 0.3, angle=angle, ratio=ratio)
    assert np.count_nonzero(mask) / 400**2 == pytest.approx(area * 0.3**2, rel=0.01)
    assert set(np.unique(mask)) == {0, KINDS[kind]}


def test_shapes_by_hand_pixel_by_pixel():
    square = drawn("rectangle", 8, math.sqrt(2) * 0.25)
    expected = np.zeros((8, 8))
    expected[2:6, 2:6] = 2
    assert np.array_equal(square, expected)
    # Half as high as wide, in the upper right quarter: y grows downwards.
    flat = drawn("rectangle", 8, math.sqrt(2) * 0.25, x=0.75, y=0.25, ratio=0.5)
    expected[:] = 0
    expected[1:3, 4:8] = 2
    assert np.array_equal(flat, expected)
    # Radius 2 pixels around the centre of 8: pixels whose centres are 1/2 or 3/2 away.
    plus = ["........", "........", "...##...", "..####..", "..####..", "...##...", "........"]
    circle = np.array([[c == "#" for c in row] for row in [*plus, "........"]])
    assert np.array_equal(drawn("circle", 8, 0.25) == 1, circle)
    triangle = drawn("triangle", 100, 0.4)
    rows = np.flatnonzero(triangle.any(axis=1))
    widths = (triangle > 0).sum(axis=1)[rows]
    # From -r/2 to r, with the corner below, which is narrower than a pixel in the last 1.5 rows.
    assert rows[0] == 30 and rows[-1] == 88
    assert (np.diff(widths) <= 0).all() and abs(widths[0] - 40 * math.sqrt(3)) <= 2


def test_rotating_a_shape_by_a_right_angle_rotates_its_mask():
    upright = drawn("triangle", 100, 0.4)
    assert np.array_equal(drawn("triangle", 100, 0.4, angle=math.pi), upright[::-1])
    quarter = drawn("rectangle", 100, 0.4, angle=math.pi / 2, ratio=0.6)
    assert np.array_equal(quarter, drawn("rectangle", 100, 0.4, ratio=0.6).T)


def test_without_noise_the_colours_follow_from_the_masks():
    data = make_shapes(50, 32, shapes=1, noise=0, seed=1)
    for image, mask in zip(data.x, data.y, strict=True):
        inside = image[:, mask > 0].T
        ground = image[:, mask == 0].T
        assert len(np.unique(ground, axis=0)) == len(np.unique(inside, axis=0)) == 1
        assert len(np.unique(mask)) == 2
        assert (np.abs(inside[0] - ground[0]) >= 0.25 - 1e-6).all()
    colours = data.x[:, :, 0, 0]
    assert colours.std(axis=0).min() > 0.2  # backgrounds vary


def test_later_shapes_cover_earlier_ones():
    places = np.tile(np.float32([0.5, 0.5, 0.4, 0, 1]), (1, 2, 1))
    places[0, 1, 2] = 0.2
    kinds = np.array([[2, 1]])
    colours = np.float64([[[1, 0, 0], [0, 1, 0]]])
    drawing = shapes._Drawing(np.zeros((1, 3)), np.array([2]), kinds, colours, places)
    x, y = np.zeros((1, 3, 32, 32), np.float32), np.zeros((1, 32, 32), np.int64)
    shapes._paint(x, y, drawing)
    assert y[0, 16, 16] == 1 and y[0, 16, 8] == 2 and y[0, 0, 0] == 0
    assert x[0, :, 16, 16].tolist() == [0, 1, 0] and x[0, :, 16, 8].tolist() == [1, 0, 0]


def test_noise_has_the_given_deviation_and_does_not_change_masks():
    plain = make_shapes(40, 32, noise=0, seed=2)
    noisy = make_shapes(40, 32, noise=0.05, seed=2)
    assert (plain.y == noisy.y).all()
    middle = (plain.x > 0.3) & (plain.x < 0.7)  # far from where the sum is clipped
    difference = (noisy.x - plain.x)[middle]
    assert abs(difference.std() - 0.05) < 0.002 and abs(difference.mean()) < 0.002


def test_an_image_has_from_one_to_the_given_number_of_shapes():
    data = make_shapes(100, 32, shapes=3, noise=0, seed=0)
    colours = [len(np.unique(image.reshape(3, -1), axis=1).T) for image in data.x]
    assert min(colours) == 2 and max(colours) == 4
    one = make_shapes(100, shapes=1, noise=0, seed=0)
    assert all(len(np.unique(mask)) == 2 for mask in one.y)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: make_shapes(0), ValueError, "make_shapes: images must be 1 or more, got 0"),
        (lambda: make_shapes(2.5), TypeError, "images must be an integer, got 2.5"),
        (lambda: make_shapes(size=15), ValueError, "size must be 16 or more, got 15"),
        (lambda: make_shapes(size=(32, 32)), TypeError, "size must be an integer"),
        (lambda: make_shapes(shapes=0), ValueError, "shapes must be 1 or more, got 0"),
        (lambda: make_shapes(noise=-0.1), ValueError, "noise must be finite and 0 or more"),
        (lambda: make_shapes(seed=-1), ValueError, "seed must be 0 or more"),
        (lambda: make_shapes(10**9, 1024), ValueError, "draw fewer or smaller images"),
        (lambda: make_shapes(10**6, 16, 10**9), ValueError, "draw fewer shapes"),
    ],
)
def test_invalid_arguments_are_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
