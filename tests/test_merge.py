"""Layers of several inputs: values by hand, gradients, dtypes, errors in words."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import images

from cnnx.layers import Add, no_grad


def test_add_sums_its_inputs_from_left_to_right():
    xs = [np.float32([[big, 1.0]]) for big in (2.0**24, 1.0, 1.0)]
    y = Add().forward(*xs)
    assert y.dtype == np.float32
    assert y.tolist() == [[2.0**24, 3.0]]  # 1 + 1 first would be 2 more
    assert Add().forward(xs[1], xs[2], xs[0]).tolist() == [[2.0**24 + 2, 3.0]]


def test_add_gives_its_gradient_to_every_input_without_a_copy():
    layer, dy = Add(), images(2, 3)
    layer.forward(images(2, 3), images(2, 3, seed=1), images(2, 3, seed=2))
    gradients = layer.backward(dy)
    assert isinstance(gradients, tuple) and len(gradients) == 3
    assert all(gradient is dy for gradient in gradients)


def test_the_result_has_the_dtype_of_the_first_input_and_each_gradient_that_of_its_own():
    layer = Add()
    single, double, counts = np.ones((2, 2), "f4"), np.ones((2, 2)), np.ones((2, 2), int)
    for xs, dtypes in [((single, double, counts), "f4 f8 f4"), ((double, single), "f8 f4")]:
        y = layer.forward(*xs)
        assert y.dtype == xs[0].dtype
        assert [g.dtype for g in layer.backward(y)] == [np.dtype(t) for t in dtypes.split()]


def test_add_keeps_no_array():
    layer = Add()
    layer.forward(images(2, 3), images(2, 3))
    assert layer._saved() == (np.dtype("f8"), np.dtype("f8"))


def test_nothing_is_kept_inside_no_grad():
    layer = Add()
    with no_grad():
        layer.forward(images(2, 3), images(2, 3))
    with pytest.raises(RuntimeError, match="no forward"):
        layer.backward(images(2, 3))


@pytest.mark.parametrize(
    ("xs", "error", "message"),
    [
        ((), ValueError, r"Add: no input given, expected two or more"),
        ((np.ones(2),), ValueError, r"Add: one input given, expected two or more"),
        (
            (np.ones((2, 6, 6, 6)), np.ones((2, 4, 6, 6))),
            ValueError,
            r"Add: the inputs have shapes \(2, 6, 6, 6\) and \(2, 4, 6, 6\): all must be the same",
        ),
        (
            (np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 1))),
            ValueError,
            r"shapes \(2, 3\), \(2, 3\) and \(2, 1\)",
        ),
        ((np.ones(2), np.array(["a", "b"])), TypeError, "Add: x has dtype"),
        ((np.ones(2), np.ma.masked_array([1.0, 2.0])), TypeError, "Add: x is a masked array"),
    ],
)
def test_mistakes_are_named(xs, error, message):
    with pytest.raises(error, match=message):
        Add().forward(*xs)


def test_an_empty_batch_goes_forth_and_back():
    layer, x = Add(), np.zeros((0, 4, 8, 8), np.float32)
    y = layer.forward(x, x)
    assert y.shape == x.shape
    assert [dx.shape for dx in layer.backward(y)] == [x.shape, x.shape]
