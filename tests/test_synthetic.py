"""Synthetic data: points, their CSV files, selection of classes, one-hot labels."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import cnnx
from cnnx.data import (
    Dataset,
    labels,
    make_circle,
    make_line,
    make_polynomial,
    make_spiral,
    make_zone,
    make_zone_3d,
    one_hot,
    save_csv,
    select_classes,
    synthetic,
)

MAKERS = [make_spiral, make_circle, make_line, make_zone, make_zone_3d]


@pytest.mark.parametrize("module", [synthetic, labels], ids=lambda m: m.__name__)
def test_the_examples_run(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("make", MAKERS)
def test_points_are_sorted_by_class_and_determined_by_the_seed(make):
    data = make(points=7, classes=4, seed=3)
    assert data.x.shape == (28, 3 if make is make_zone_3d else 2) and data.x.dtype == np.float32
    assert data.y.tolist() == [j for j in range(4) for _ in range(7)] and len(data.classes) == 4
    assert (make(points=7, classes=4, seed=3).x == data.x).all()
    assert (make(points=7, classes=4, seed=4).x != data.x).any()
    with cnnx.random.seeded(5):
        first = make(3).x
    with cnnx.random.seeded(5):
        assert (make(3).x == first).all()


def test_points_without_noise_are_on_their_curves():
    spiral = make_spiral(11, 2, noise=0)
    radius = np.hypot(*spiral.x.T)
    np.testing.assert_allclose(radius, np.tile(np.linspace(0, 1, 11), 2), atol=1e-6)
    angle = np.linspace(4, 8, 11)[1:]
    np.testing.assert_allclose(np.sin(angle), (spiral.x[12:, 0] / radius[12:]), atol=1e-5)
    circle = make_circle(11, 2, noise=0)
    np.testing.assert_allclose(np.hypot(*circle.x.T), np.repeat([2, 4], 11), rtol=1e-6)
    line = make_line(11, 3, noise=0)
    np.testing.assert_allclose(line.x[:, 1], np.repeat([-2, 0, 2], 11) * line.x[:, 0], atol=1e-5)
    ball = make_zone_3d(4000, 1, noise=3.0, seed=0, centers=[[1, 2, 3]])
    squares = ((ball.x - [1, 2, 3]) ** 2).sum(1)
    assert abs(squares.mean() - 9) < 1


def test_a_polynomial_is_x_and_y():
    x, y = make_polynomial(5, [2, 0, 1], noise=0)
    np.testing.assert_allclose(y, 2 * x**2 + 1)
    noisy = make_polynomial(2000, [1], noise=2.0, seed=0)
    assert noisy.x.shape == noisy.y.shape == (2000, 1) and abs(noisy.y.std() - 2) < 0.1


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: make_spiral(0), ValueError, "make_spiral: points must be 1 or more, got 0"),
        (lambda: make_line(classes=1.5), TypeError, "classes must be an integer, got 1.5"),
        (lambda: make_zone(noise=-1), ValueError, "noise must be finite and 0 or more, got -1"),
        (lambda: make_circle(noise="x"), TypeError, "noise must be a number, got 'x'"),
        (lambda: make_line(noise=10**400), ValueError, "noise must be finite .*, got a number"),
        (lambda: make_line(points=10**400), ValueError, "points must be less than .*, got a "),
        (lambda: make_circle(seed=-1), ValueError, "seed must be 0 or more"),
        (lambda: make_zone_3d(centers=[[1, 2]]), ValueError, r"\(1, 2\), expected \(3, 3\)"),
        (lambda: make_polynomial(coefficients=[]), ValueError, "coefficients has shape"),
        (lambda: select_classes(([[1.0]], [1.5]), [1]), ValueError, "expected integers"),
        (lambda: select_classes(([[1.0]], [1]), [1, 1]), ValueError, "each once"),
        (lambda: select_classes(([[1.0]], [1]), [1], 2), ValueError, "class 1 has 1 samples"),
        (lambda: select_classes(([[1.0]], [1]), [2]), ValueError, "class 2 has 0 samples"),
        (lambda: one_hot([0, 3], 3), ValueError, "between 0 and 3, expected 0 to 2"),
        (lambda: one_hot([-1, 0]), ValueError, "between -1 and 0"),
        (lambda: one_hot([[1]]), ValueError, "expected integers"),
        (lambda: save_csv("x", (np.ones((1, 1, 2)), [1])), ValueError, r"x \(1, 1, 2\)"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_select_classes_takes_the_first_of_each_in_their_order():
    data = Dataset(np.arange(8.0)[:, None], [3, 1, 2, 1, 3, 3, 1, 2], ("a", "b", "c", "d"))
    some = select_classes(data, [3, 1], per_class=2)
    assert some.x.ravel().tolist() == [0, 1, 3, 4] and some.y.tolist() == [0, 1, 1, 0]
    assert some.classes == ("d", "b")
    assert len(select_classes(data, [1, 2])) == 5


def test_one_hot_has_a_one_at_the_label():
    assert one_hot([2, 0], 3, np.float64).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot([]).shape == (0, 0) and one_hot([1]).dtype == np.float32
