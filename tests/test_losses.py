"""Losses: hand-computed values, gradients by finite differences, and comparison with PyTorch.

This file is longer than others because all losses are compared in each of these ways.
"""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from cnnx import checks
from cnnx.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 4))
LABELS = np.array([0, 1, 2, 3, 3, 0])
LOG_P = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
YES = np.arange(4) < LABELS[:, None]
SOFT = 1 / (1 + np.exp(LOGITS[::-1]))
IMAGES = np.random.default_rng(5).normal(size=(3, 4, 2, 5))
MASK = np.random.default_rng(6).integers(0, 4, (3, 2, 5))


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


@pytest.mark.parametrize(
    ("reduction", "weights", "loss", "gradient"),
    [
        ("mean", None, 2.0, [[-0.25, 0.25], [0.25, 0.25]]),
        ("sum", None, 8.0, [[-1, 1], [1, 1]]),
        ("none", None, [[1, 2], [1, 4]], [[-1, 1], [1, 1]]),
        ("mean", [3, 1], 1.75, [[-0.375, 0.375], [0.125, 0.125]]),
        ("sum", [3, 1], 14.0, [[-3, 3], [1, 1]]),
        ("none", [3, 1], [[3, 6], [1, 4]], [[-3, 3], [1, 1]]),
    ],
)
def test_a_user_defined_loss_may_have_terms_alone(reduction, weights, loss, gradient):
    class AbsoluteLoss(Loss):
        def terms(self, pred, target):
            return np.abs(pred - target), np.sign(pred - target)

    loss_fn = AbsoluteLoss(reduction)
    pred = np.array([[1.0, 3.0], [2.0, 4.0]], np.float32)
    found = loss_fn(pred, np.array([[2, 1], [1, 0]], np.float32), weights)
    assert np.array_equal(found, loss) and np.ndim(found) == np.ndim(loss)
    assert np.array_equal(loss_fn.backward(), gradient)
    assert loss_fn.backward().dtype == np.float32


# ------------------------------------------------------------------------- weights, "none", others

OTHERS = [
    (NLLLoss(), LOG_P, LABELS),
    (NLLLoss(weight=[1, 2, 3, 4], ignore_index=3), LOG_P, LABELS),
    (CrossEntropyLoss(ignore_index=3, label_smoothing=0.1), LOGITS, LABELS),
    (CrossEntropyLoss(weight=[1, 2, 3, 4]), IMAGES, np.where(MASK == 0, -100, MASK)),
    (NLLLoss(), IMAGES, np.where(MASK == 1, -100, MASK)),
    (L1Loss(), LOGITS, LOGITS[::-1]),
    (HuberLoss(delta=0.7), LOGITS, LOGITS[::-1]),
    (SmoothL1Loss(beta=0.4), LOGITS, LOGITS[::-1]),
    (SmoothL1Loss(beta=0), LOGITS, LOGITS[::-1]),
    (BCELoss(weight=[1, 2, 0, 4]), 1 / (1 + np.exp(-LOGITS)), YES),
    (BCEWithLogitsLoss(pos_weight=[1, 2, 0, 4]), LOGITS, YES),
    (BCEWithLogitsLoss(weight=[[3.0]], pos_weight=2.5), LOGITS, SOFT),
    (BCEWithLogitsLoss(pos_weight=0.0), LOGITS, YES),
    (MSELoss(), LOGITS, LOGITS[::-1]),
]
FOCAL = [
    (FocalLoss(), LOGITS, LABELS),
    (FocalLoss(gamma=0.5, alpha=[1, 2, 3, 4], ignore_index=3), LOGITS, LABELS),
    (FocalLoss(gamma=3), IMAGES, np.where(MASK == 0, -100, MASK)),
    (FocalLoss(gamma=1.5, alpha=0.25, multilabel=True), LOGITS, YES),
    (FocalLoss(), LOGITS[:, :1], YES[:, 0]),
    (DiceLoss(), IMAGES, np.where(MASK == 0, -100, MASK)),
    (DiceLoss(smooth=0.3), IMAGES, np.eye(4)[MASK % 4].transpose(0, 3, 1, 2)),
    (DiceLoss(), IMAGES[:, :1], MASK > 1),
]


def _twin(torch, loss_fn):
    """The same loss in PyTorch."""
    options = {
        name: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in loss_fn.__getstate__().items()
        if value is not None
    }
    return getattr(torch.nn, type(loss_fn).__name__)(**options)


def _with_reduction(loss_fn, reduction):
    loss_fn = copy.copy(loss_fn)
    loss_fn.reduction = reduction
    return loss_fn


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("loss_fn", "pred", "target"), [*OTHERS, *CASES[:5]])
def test_losses_of_every_reduction_are_those_of_torch(loss_fn, pred, target, reduction):
    torch = pytest.importorskip("torch")
    loss_fn = _with_reduction(loss_fn, reduction)
    theirs = torch.tensor(pred, requires_grad=True)
    given = torch.tensor(np.asarray(target * 1 if target.dtype.kind == "i" else target * 1.0))
    value = _twin(torch, loss_fn)(theirs, given)
    loss = loss_fn(pred, target)
    np.testing.assert_allclose(loss, value.detach().numpy(), rtol=1e-11, atol=1e-14)
    dloss = None
    if reduction == "none":
        dloss = np.random.default_rng(3).normal(size=value.shape)
    value.backward(None if dloss is None else torch.tensor(dloss))
    gradient = loss_fn.backward(dloss)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("loss_fn", "pred", "target"), FOCAL)
def test_the_gradients_of_focal_and_dice_losses_are_slopes(loss_fn, pred, target):
    test_the_gradient_is_the_slope_of_the_loss(loss_fn, pred, target)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("loss_fn", "pred", "target"), [*OTHERS, *FOCAL, *CASES])
def test_sample_weights_weigh_the_losses_of_samples(loss_fn, pred, target, reduction):
    """An integral weight is as good as so many samples."""
    loss_fn = _with_reduction(loss_fn, reduction)
    times = np.resize([2, 1, 0, 3], len(pred))
    value = loss_fn(pred, target, times)
    gradient = loss_fn.backward()
    target = np.asarray(target)
    repeated = loss_fn(np.repeat(pred, times, axis=0), np.repeat(target, times, axis=0))
    assert value == pytest.approx(repeated, rel=1e-11)
    parts = np.split(loss_fn.backward(), np.cumsum(times)[:-1])
    expected = np.stack([part.sum(axis=0) for part in parts])
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("loss_fn", "pred", "target"), [*OTHERS, *FOCAL, *CASES])
def test_means_of_batches_add_up_by_their_shares(loss_fn, pred, target):
    if loss_fn.reduction != "mean":
        return
    target, weight = np.asarray(target), np.linspace(0.5, 2, len(pred))
    for given in (None, weight):
        total = shares = 0.0
        for part in (slice(0, 1), slice(1, None)):
            of_part = None if given is None else given[part]
            share = loss_fn.share(target[part], pred[part].shape, of_part)
            total += share * loss_fn(pred[part], target[part], of_part)
            shares += share
        assert loss_fn(pred, target, given) == pytest.approx(total / shares, rel=1e-11)


def test_no_focus_is_cross_entropy():
    labels = np.where(LABELS == 3, -100, LABELS)
    for dtype in (np.float32, np.float64):
        focal, plain = FocalLoss(gamma=0), CrossEntropyLoss()
        pred = LOGITS.astype(dtype)
        assert focal(pred, labels) == plain(pred, labels)
        np.testing.assert_array_equal(focal.backward(), plain.backward())
    focal, plain = FocalLoss(gamma=0, multilabel=True), BCEWithLogitsLoss()
    assert focal(LOGITS, YES) == pytest.approx(plain(LOGITS, YES), rel=1e-14)


def test_values_of_the_other_losses_computed_by_hand():
    assert NLLLoss()(np.log([[0.25, 0.75]]), [1]) == pytest.approx(-math.log(0.75))
    assert L1Loss()(np.array([1.0, 3.0]), [1, 1]) == 1.0
    assert HuberLoss()(np.array([1.0, 4.0]), [0, 0]) == 2.0
    assert SmoothL1Loss(beta=2.0)(np.array([1.0, 4.0]), [0, 0]) == pytest.approx((0.25 + 3) / 2)
    assert FocalLoss()(np.zeros((1, 2)), [1]) == pytest.approx(math.log(2) / 4)
    assert FocalLoss(alpha=0.25)(np.zeros(1), [0]) == pytest.approx(0.75 * math.log(2) / 4)
    ones = np.ones((1, 1, 2, 2))
    # p = 1/2: 1 - (2 * 4/2 + 1) / (4/4 + 4 + 1)
    assert DiceLoss()(0 * ones, ones) == pytest.approx(1 - 5 / 6)
    perfect = DiceLoss()(100 * ones, ones)
    assert perfect == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss_class", [CrossEntropyLoss, NLLLoss, FocalLoss])
def test_labels_that_are_all_ignored_cost_nothing(loss_class):
    for reduction, expected in (("mean", 0), ("sum", 0), ("none", [0, 0])):
        loss_fn = loss_class(reduction=reduction)
        assert np.array_equal(loss_fn(np.array([[np.nan, 1], [2, 3]]), [-100, -100]), expected)
        assert not loss_fn.backward().any()
    assert loss_class().share(np.array([-100, 1]), (2, 2)) == 1


def test_weights_of_zero_hide_samples_that_are_not_finite():
    loss_fn = MSELoss()
    assert loss_fn(np.array([np.inf, 3.0]), [0, 1], [0, 1]) == 4.0
    assert loss_fn.backward().tolist() == [0, 4]
    assert loss_fn(np.array([5.0, 3.0]), [0, 1], [0, 0]) == 0


def test_a_loss_without_terms_refuses_weights():
    class Own(Loss):
        def compute(self, pred, target):
            return 1.0, pred

    assert Own()(np.ones(2), np.ones(2)) == 1.0
    with pytest.raises(ValueError, match=r"Own: sample_weight.*terms"):
        Own()(np.ones(2), np.ones(2), [1, 2])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MSELoss()(np.ones(2), np.ones(2), [1]), r"sample_weight has shape \(1,\)"),
        (lambda: MSELoss()(np.ones(2), np.ones(2), [1, -1]), r"sample_weight\[1\] is -1"),
        (lambda: HuberLoss(delta=0), "delta=0"),
        (lambda: SmoothL1Loss(beta=-1), "beta=-1"),
        (lambda: DiceLoss(smooth=0), "smooth=0"),
        (lambda: DiceLoss()(LOGITS, LABELS), r"pred has shape \(6, 4\)"),
        (lambda: NLLLoss()(LOG_P, np.full((6, 4), 0.25)), "probabilities"),
        (lambda: CrossEntropyLoss(ignore_index=7)(LOGITS, LABELS - 100), "4 classes"),
        (lambda: FocalLoss(alpha=0.3)(LOGITS, LABELS), "a factor for each"),
        (lambda: FocalLoss(alpha=[1, 2])(LOGITS[:, 0], YES[:, 0]), "one number"),
        (lambda: FocalLoss()(LOGITS[:, 0], SOFT[:, 0]), "0 and 1"),
        (lambda: BCELoss(weight=[1, 2, 3])(SOFT, YES), r"weight has shape \(3,\)"),
        (lambda: BCEWithLogitsLoss(pos_weight=[-1.0]), "pos_weight holds -1"),
        (lambda: NLLLoss(weight=[1, 2, 3])(LOG_P, LABELS), r"weight has shape \(3,\)"),
        (lambda: FocalLoss(alpha=[1, 2, 3])(LOGITS, LABELS), r"alpha has shape \(3,\)"),
        (lambda: FocalLoss()(LOGITS, np.full((6, 4), 0.25)), "probabilities"),
        (lambda: BCEWithLogitsLoss()(SOFT, YES + 1), r"target\[.*is 2"),
        (lambda: L1Loss()(np.ones((3, 2)), np.ones((3, 4))), r"\(3, 4\).*\(3, 2\)"),
        (lambda: HuberLoss()(np.ones(3), np.ones(4)), r"HuberLoss: target has shape \(4,\)"),
        (lambda: SmoothL1Loss()(np.ones(3), np.ones((3, 3))), r"target has shape \(3, 3\)"),
        (lambda: NLLLoss()(LOG_P, LABELS, np.ones((6, 1))), r"sample_weight has shape \(6, 1\)"),
        (
            lambda: FocalLoss()(LOGITS, LABELS, [1, 1, 1, 1, 1, np.nan]),
            r"sample_weight\[5\] is nan",
        ),
    ],
)
def test_bad_settings_of_the_other_losses_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"weight": [1, 2, 3, 4]}, {"ignore_index": 2}])
@pytest.mark.parametrize("make", [CrossEntropyLoss, NLLLoss])
def test_one_sample_needs_no_batch(make, options, reduction):
    for label in (0, 2, np.int64(3)):
        alone, batch = (make(reduction=reduction, **options) for _ in range(2))
        loss = alone(LOG_P[1], label)
        expected = np.asarray(batch(LOG_P[1:2], [label]))
        assert np.ndim(loss) == 0 and loss == expected.item()
        np.testing.assert_array_equal(alone.backward(), batch.backward()[0])
    if reduction == "none":
        np.testing.assert_array_equal(alone.backward(3.0), batch.backward([3.0])[0])
        with pytest.raises(ValueError, match=r"dloss has shape \(1,\), but \(\)"):
            alone.backward([3.0])


def test_one_sample_of_torch():
    torch = pytest.importorskip("torch")
    for ours, theirs in (
        (CrossEntropyLoss(label_smoothing=0.1), torch.nn.CrossEntropyLoss(label_smoothing=0.1)),
        (NLLLoss(weight=[1, 2, 3, 4]), torch.nn.NLLLoss(torch.tensor([1.0, 2, 3, 4]).double())),
    ):
        row = torch.tensor(LOG_P[2], requires_grad=True)
        expected = theirs(row, torch.tensor(3))
        expected.backward()
        assert ours(LOG_P[2], 3) == pytest.approx(expected.item(), rel=1e-14)
        np.testing.assert_allclose(ours.backward(), row.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("make", [CrossEntropyLoss, NLLLoss])
def test_outputs_without_classes_are_still_an_error(make):
    for pred, target in ((LOG_P[:, 0], LABELS), (LOG_P[0], None), (np.float64(1), 0)):
        with pytest.raises((ValueError, TypeError), match=make.__name__):
            make()(pred, target)


def test_a_gradient_of_losses_needs_their_shape():
    loss_fn = MSELoss()
    loss_fn(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="none"):
        loss_fn.backward(np.ones(2))
    loss_fn = MSELoss(reduction="none")
    loss_fn(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"dloss has shape \(3,\)"):
        loss_fn.backward(np.ones(3))
