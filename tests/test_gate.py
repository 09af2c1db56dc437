"""Checks of shapes and settings run once for each combination, and never accept what they would
have refused."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import ops
from cnnx.ops.gate import _MOST, gate

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

    @gate("x")
    def counted(op, shapes, *settings):
        calls.append((op, shapes, *settings))
        return len(calls)

    def run(setting, size=3, op="op", shapes=()):
        (x,), number = counted(op, (np.ones(size),), setting, shapes=shapes)
        assert x.shape == (size,)
        return number

    pair = (1, 1)
    assert [run(pair), run(pair), run(pair, 4), run(pair)] == [1, 1, 2, 1]
    assert [run(pair, op="other"), run(pair, shapes=((5,),)), run(pair)] == [3, 4, 1]
    assert calls[3] == ("op", ((3,), (5,)), pair)
    listed = [1]
    assert [run(listed), run(listed), run((1, listed)), run((1, listed))] == [5, 6, 7, 8]


def test_arrays_of_any_form_are_converted_at_every_call():
    read_only = np.ones((1, 2, 6, 6))
    read_only.flags.writeable = False
    for x in (X, X.tolist(), np.asfortranarray(X), X.astype(">f8"), read_only) * 2:
        assert np.array_equal(ops.conv2d(x, WEIGHT), Y)


def test_the_number_of_entries_is_bounded():
    calls = []

    @gate("x")
    def counted(op, shapes):
        calls.append(shapes)

    x = np.empty((_MOST + 1, 1))
    for _ in range(2):
        for n in range(_MOST):
            counted("op", (x[:n],))
    assert len(calls) == _MOST
    counted("op", (x,))
    counted("op", (x[:0],))
    assert len(calls) == _MOST + 2
