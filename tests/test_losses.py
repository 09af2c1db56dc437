"""Losses: hand-computed values, gradients by finite differences, and comparison with PyTorch."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from cnnx import checks
from cnnx.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 4))
LABELS = np.array([0, 1, 2, 3, 3, 0])


def test_values_computed_by_hand():
    assert CrossEntropyLoss()(np.zeros((1, 4)), [2]) == pytest.approx(math.log(4))
    smoothed = CrossEntropyLoss(label_smoothing=0.2)(np.array([[0.0, math.log(3)]]), [1])
    assert smoothed == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))
    weighted = CrossEntropyLoss(weight=[1, 3])
    pred = np.array([[0.0, 0.0], [0.0, math.log(3)]])
    expected = (math.log(2) + 3 * math.log(4 / 3)) / 4
    assert weighted(pred, [0, 1]) == pytest.approx(expected)
    assert MSELoss()(np.array([1.0, 3.0]), [1, 1]) == 2.0
    assert MSELoss(reduction="sum")(np.array([1.0, 3.0]), [1, 1]) == 4.0
    assert BCELoss()(np.array([0.25]), [True]) == pytest.approx(math.log(4))
    assert BCEWithLogitsLoss()(np.array([0.0, 0.0]), [0, 1]) == pytest.approx(math.log(2))


CASES = [
    (CrossEntropyLoss(), LOGITS, LABELS),
    (CrossEntropyLoss(label_smoothing=0.1, weight=[1, 2, 3, 4]), LOGITS, LABELS),
    (CrossEntropyLoss(reduction="sum"), LOGITS, LABELS),
    (CrossEntropyLoss(), LOGITS, np.eye(4)[LABELS] * 0.7 + 0.075),
    (CrossEntropyLoss(), RNG.normal(size=(2, 3, 4, 5)), RNG.integers(0, 3, (2, 4, 5))),
    (MSELoss(), LOGITS, LOGITS[::-1]),
    (MSELoss(reduction="sum"), LOGITS, LOGITS[::-1]),
    (BCELoss(), 1 / (1 + np.exp(-LOGITS)), LABELS[:, None] > np.arange(4)),
    (BCEWithLogitsLoss(), LOGITS, LABELS[:, None] > np.arange(4)),
]


@pytest.mark.parametrize(("loss_fn", "pred", "target"), CASES)
def test_the_gradient_is_the_slope_of_the_loss(loss_fn, pred, target):
    direction = np.random.default_rng(1).normal(size=pred.shape)
    step = 1e-6
    loss_fn(pred, target)
    slope = np.sum(loss_fn.backward() * direction)
    difference = loss_fn(pred + step * direction, target) - loss_fn(pred - step * direction, target)
    assert slope == pytest.approx(difference / (2 * step), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("loss_fn", "pred", "target"), CASES)
def test_values_and_gradients_are_those_of_torch(loss_fn, pred, target):
    torch = pytest.importorskip("torch")
    options = {"reduction": loss_fn.reduction}
    if isinstance(loss_fn, CrossEntropyLoss):
        options["label_smoothing"] = loss_fn.label_smoothing
        if loss_fn.weight is not None:
            options["weight"] = torch.tensor(loss_fn.weight)
    twin = getattr(torch.nn, type(loss_fn).__name__)(**options)
    theirs = torch.tensor(pred, requires_grad=True)
    given = torch.tensor(target.copy())
    if given.dtype == torch.bool:
        given = given.double()
    value = twin(theirs, given)
    value.backward()
    assert loss_fn(pred, target) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(loss_fn.backward(), theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_labels_may_have_any_integer_dtype(dtype):
    loss_fn = CrossEntropyLoss()
    assert loss_fn(LOGITS, LABELS.astype(dtype)) == loss_fn(LOGITS, LABELS)


def test_labels_reach_the_kernels_aligned():
    """On other CPUs than x86, C may not read an unaligned int64."""
    labels = np.frombuffer(b"?" + LABELS.astype(np.int64).tobytes(), np.int64, offset=1)
    assert not labels.flags.aligned
    checked = checks.labels("cross_entropy", labels, 4)
    assert checked.flags.aligned and checked.flags.c_contiguous
    np.testing.assert_array_equal(checked, LABELS)


@pytest.mark.parametrize("loss_class", [BCELoss, BCEWithLogitsLoss, MSELoss])
def test_targets_are_cast_to_the_dtype_of_pred(loss_class):
    pred = np.array([[0.2], [0.7]], np.float32)
    values = [loss_class()(pred, np.array([[0], [1]], dtype)) for dtype in "?iBfd"]
    assert len(set(values)) == 1
    loss_fn = loss_class()
    loss_fn(pred, np.array([[0.0], [1.0]]))
    assert loss_fn.backward().dtype == np.float32


def test_backward_without_a_loss_is_a_clear_error():
    with pytest.raises(RuntimeError, match=r"MSELoss.backward: no loss was computed"):
        MSELoss().backward()


def test_a_copy_and_a_pickle_start_without_a_gradient():
    loss_fn = CrossEntropyLoss(label_smoothing=0.1)
    loss_fn(LOGITS, LABELS)
    for twin in (copy.copy(loss_fn), pickle.loads(pickle.dumps(loss_fn))):
        assert twin.label_smoothing == 0.1
        with pytest.raises(RuntimeError):
            twin.backward()


def test_bad_targets_and_options_are_named():
    with pytest.raises(ValueError, match=r"target\[1\] is 4.*4 classes"):
        CrossEntropyLoss()(LOGITS, [0, 4, 0, 0, 0, 0])
    with pytest.raises(ValueError, match="target has shape"):
        CrossEntropyLoss()(LOGITS, [0, 1])
    with pytest.raises(ValueError, match="median"):
        MSELoss(reduction="median")
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(TypeError):
        MSELoss()(np.ones(2), np.array(["a", "b"]))


def test_a_user_defined_loss_is_a_class_with_compute():
    class AbsoluteLoss(Loss):
        def compute(self, pred, target):
            return np.abs(pred - target).mean(), np.sign(pred - target) / pred.size

    loss_fn = AbsoluteLoss()
    assert loss_fn(np.array([1.0, 3.0]), [2, 1]) == 1.5
    assert loss_fn.backward().tolist() == [-0.5, 0.5]
    with pytest.raises(NotImplementedError, match="compute"):
        Loss()(np.ones(1), np.ones(1))
