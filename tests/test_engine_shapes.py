"""Plans: shapes that are new to them, and errors in words."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import COMPILED, assert_close, drawn

import cnnx
from cnnx import Conv2D, Flatten, Linear, MaxPool2D, ReLU, Sequential


def test_programs_are_kept_for_the_last_shapes():
    if not COMPILED:
        pytest.skip("needs the compiled backend")
    plan = cnnx.compile(Sequential(Linear(3, 2)), 3)
    for n in range(1, 12):
        plan(np.zeros((n, 3)))
    assert len(plan._programs) == 8
    kept = list(plan._programs.values())
    plan(np.zeros((11, 3)))
    assert list(plan._programs.values()) == kept


def test_an_empty_batch_and_a_large_one():
    model = Sequential(Conv2D(1, 2, 3), ReLU(), MaxPool2D(2), Flatten(), Linear(8, 3))
    plan = cnnx.compile(model, (1, 6, 6))
    for n in (0, 1, 37):
        x = drawn((n, 1, 6, 6))
        assert_close(model, plan(x), model(x)) if n else plan(x)
        assert plan(x).shape == (n, 3)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 4, 8, 8), r"shape \(2, 4, 8, 8\), it was compiled .* \(3, 8, 8\): .*channels"),
        ((3, 8, 8), r"plan: x has shape \(3, 8, 8\), expected \(n, 3, 8, 8\)"),
        ((2, 3, 1, 1), r"does not accept inputs of shape \(2, 3, 1, 1\)"),
    ],
)
def test_another_shape_is_an_error_in_words(shape, words):
    plan = cnnx.compile(Sequential(Conv2D(3, 2, 3)), (3, 8, 8))
    if not COMPILED and "compiled for" in words:
        pytest.skip("needs the compiled backend")
    with pytest.raises(ValueError, match=words if COMPILED else None):
        plan(np.zeros(shape, np.float32))
    assert plan(np.zeros((2, 3, 8, 8))).shape == (2, 2, 6, 6)


def test_what_is_no_number_is_a_type_error():
    plan = cnnx.compile(Sequential(Linear(3, 2)), 3)
    for x in (np.zeros((2, 3), complex), np.array([["a"] * 3]), np.ma.zeros((2, 3))):
        with pytest.raises(TypeError, match="plan: x"):
            plan(x)


def test_names_that_do_not_fit_are_errors_in_words():
    plan = cnnx.compile(Sequential(Linear(3, 2)), 3)
    x = np.zeros((1, 3))
    with pytest.raises(ValueError, match="inputs are named 'image', expected 'x'"):
        plan.run({"image": x})
    with pytest.raises(ValueError, match="named nothing, expected 'x'"):
        plan.run({})
    with pytest.raises(TypeError, match="expected a dict"):
        plan.run(x)
    with pytest.raises(TypeError, match="2 inputs given, expected 1"):
        plan(x, x)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("net.npz", 3), TypeError, "model is a str"),
        ((Linear(3, 2), (3, 0)), ValueError, "shape of one sample"),
        ((Sequential(Linear(3, 2)), 4), ValueError, r"input_shape \(4,\) does not fit"),
        ((Sequential(Linear(3, 2)), [(3,), (3,)]), ValueError, "2 input shapes .* has 1 inputs"),
        ((Sequential(Linear(3, 2)), 3, 0), ValueError, "batch"),
        ((Sequential(Linear(3, 2)), {"x": (2, 3)}, 2), ValueError, "include it"),
        ((Sequential(Linear(3, 2)), {"x": ()}), ValueError, r"\(\) does not fit"),
        ((Sequential(Linear(3, 2)), {"x": 3}), ValueError, r"batch axis.* or \(\) for a scalar"),
        ((Sequential(Linear(3, 2)), {}), ValueError, "empty dict"),
    ],
)
def test_compile_refuses_what_does_not_fit(arguments, error, words):
    with pytest.raises(error, match=words):
        cnnx.compile(*arguments)
