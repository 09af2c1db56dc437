"""Only the differences between the logits of a sample matter: their magnitude changes no loss.

Expected values follow from the softmax: logits a, a - d have losses log(1 + exp(-d)) and d more.
"""

from __future__ import annotations

import numpy as np
import pytest

import cnnx

DTYPES = (np.float32, np.float64)
SIZES = (0.0, 3.0, 1e8, 1e16, -1e16, 1e30, -3e38)


@pytest.fixture(params=cnnx.available_backends(), autouse=True)
def _backend(request):
    with cnnx.use_backend(request.param):
        yield


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 10, 32, 33, 300])
@pytest.mark.parametrize("size", SIZES)
def test_the_loss_of_equal_logits_is_the_log_of_their_number(size, classes, dtype):
    logits = np.full((3, classes), size, dtype)
    labels = np.array([0, classes // 2, classes - 1])
    soft = np.full((3, classes), 1 / classes, dtype)
    rest = np.full((3, classes), 1 / classes)
    rest[range(3), labels] -= 1
    for target, smoothing, gradient in (
        (labels, 0.0, rest),
        (labels, 0.1, 0.9 * rest),
        (soft, 0.0, 0 * rest),
    ):
        loss, dlogits = cnnx.ops.cross_entropy(logits, target, label_smoothing=smoothing)
        assert loss == pytest.approx(np.log(classes), rel=1e-6)
        np.testing.assert_allclose(dlogits, gradient / 3, atol=1e-7)


@pytest.mark.parametrize("classes", [2, 40])
@pytest.mark.parametrize("size", [-(2.0**50), 2.0**50])
def test_a_difference_far_smaller_than_the_logits_still_counts(size, classes):
    logits = np.full((2, classes), size - 1000)
    logits[:, 0], logits[:, -1] = size, size - 3
    rest = np.log1p(np.exp(-3))
    weight = np.ones(classes)
    for label, loss in ((0, rest), (classes - 1, rest + 3)):
        labels = np.full(2, label)
        assert cnnx.ops.cross_entropy(logits, labels)[0] == pytest.approx(loss, rel=1e-12)
        found, _ = cnnx.ops.cross_entropy(logits, labels, weight=weight, reduction="sum")
        assert found == pytest.approx(2 * loss, rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_log_softmax_and_softmax_of_equal_numbers(size, dtype):
    for shape, axis in (((4, 5), 1), ((4, 50), 1), ((5, 7), 0)):
        x = np.full(shape, size, dtype)
        share = np.full(shape, 1 / shape[axis])
        np.testing.assert_allclose(cnnx.ops.softmax(x, axis=axis), share, rtol=1e-6)
        np.testing.assert_allclose(cnnx.ops.log_softmax(x, axis=axis), np.log(share), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_cross_entropy_of_large_logits(dtype):
    logits = np.array([1e16, -1e16, 1e16, -1e16], dtype)
    target = np.array([1, 0, 0, 1], dtype)
    loss, dlogits = cnnx.ops.bce_with_logits(logits, target, reduction="sum")
    assert loss == pytest.approx(2e16)
    np.testing.assert_array_equal(dlogits, [0, 0, 1, -1])
