"""Checks of shapes and settings run once for each combination, and never accept what they would
have refused."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import ops
from cnnx.ops.cached import _MOST, cached_by_shape

X, WEIGHT = np.ones((1, 2, 6, 6)), np.ones((3, 2, 3, 3))
Y = ops.conv2d(X, WEIGHT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 1.0},
        {"stride": (1, 1.0)},
        {"stride": np.float64(1)},
        {"padding": 0.0},
        {"padding": ((0, 0), (0, 0.0))},
        {"dilation": (1.0, 1)},
        {"groups": 1.0},
    ],
)
def test_a_number_that_equals_an_accepted_one_is_still_refused(wrong):
    (name,) = wrong
    accepted = {
        "stride": [1, (1, 1)],
        "padding": [0, (0, 0), ((0, 0), (0, 0))],
        "dilation": [1, (1, 1)],
        "groups": [1],
    }
    for _ in range(2):
        for right in accepted[name]:
            ops.conv2d(X, WEIGHT, **{name: right})
        with pytest.raises(TypeError, match=r"is not an integer"):
            ops.conv2d(X, WEIGHT, **wrong)


@pytest.mark.parametrize("flag", [1, 1.0, None])
def test_a_number_that_equals_true_is_still_refused(flag):
    for _ in range(2):
        ops.conv2d_backward(Y, X, WEIGHT, need_dx=True)
        ops.max_pool2d(X, 2, ceil_mode=True)
        with pytest.raises(TypeError, match="need_dx"):
            ops.conv2d_backward(Y, X, WEIGHT, need_dx=flag)
        with pytest.raises(TypeError, match="ceil_mode"):
            ops.max_pool2d(X, 2, ceil_mode=flag)


def test_an_error_is_raised_at_every_call_with_the_same_text():
    texts = set()
    for _ in range(3):
        with pytest.raises(ValueError, match="2 channels") as caught:
            ops.conv2d(X, np.ones((3, 4, 3, 3)))
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize("kind", [list, np.array, tuple])
def test_settings_may_be_given_in_any_form(kind):
    for stride in (1, 2, 1):
        got = ops.conv2d(X, WEIGHT, stride=kind([stride, 2]))
        assert np.array_equal(got, Y[:, :, ::stride, ::2])


def test_a_list_of_settings_is_read_at_every_call():
    stride = [1, 1]
    assert ops.conv2d(X, WEIGHT, stride=stride).shape == (1, 3, 4, 4)
    stride[:] = [2, 2]
    assert ops.conv2d(X, WEIGHT, stride=stride).shape == (1, 3, 2, 2)
    stride[:] = [1.5, 1]
    with pytest.raises(TypeError, match="is not an integer"):
        ops.conv2d(X, WEIGHT, stride=stride)


def test_every_array_counts():
    bias, add = np.ones(3), np.ones_like(Y)
    for _ in range(2):
        ops.conv2d(X, WEIGHT, bias, add=add)
        with pytest.raises(ValueError, match="bias has shape"):
            ops.conv2d(X, WEIGHT, np.ones(4), add=add)
        with pytest.raises(ValueError, match="add has shape"):
            ops.conv2d(X, WEIGHT, bias, add=add[:, :, 1:])
        with pytest.raises(TypeError, match="bias is float32"):
            ops.conv2d(X, WEIGHT, bias.astype(np.float32), add=add)
        with pytest.raises(TypeError, match="weight is None"):
            ops.conv2d(X, None, bias)


def test_a_check_runs_once_for_a_shape_and_the_same_settings():
    calls = []

    @cached_by_shape
    def check(shapes, *settings):
        calls.append((shapes, *settings))
        return len(calls)

    pair = (1, 1)
    assert [check((2, 3), pair), check((2, 3), pair), check((2, 4), pair)] == [1, 1, 2]
    listed = [1]
    assert [check((2, 3), listed), check((2, 3), listed)] == [3, 4]
    assert [check((2, 3), (1, listed)), check((2, 3), (1, listed))] == [5, 6]


def test_the_number_of_entries_is_bounded():
    calls = []

    @cached_by_shape
    def check(shapes):
        calls.append(shapes)

    for _ in range(2):
        for n in range(_MOST):
            check((n,))
    assert len(calls) == _MOST
    check((_MOST,))
    check((0,))
    assert len(calls) == _MOST + 2
