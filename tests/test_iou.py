"""Intersection over union: by hand, by sets, against scikit-learn, and in fit and evaluate."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import cnnx
from cnnx.layers import Conv2D, Sequential
from cnnx.metrics import iou, mean_iou

RNG = np.random.default_rng(0)

# Two images of 2x3 pixels and three classes; the IoU is computed below.
PREDICTED = np.array([[[0, 0, 1], [0, 1, 1]], [[2, 2, 2], [0, 0, 2]]])
RIGHT = np.array([[[0, 1, 1], [0, 0, 1]], [[2, 2, 1], [0, 0, 2]]])
# class: both / either   0: 4 / 6   1: 2 / 5   2: 3 / 4
BY_HAND = [4 / 6, 2 / 5, 3 / 4]


def scores_of(labels, classes=3):
    """Scores (n, classes, ...) whose largest is that of the label."""
    scores = RNG.normal(size=(len(labels), classes, *labels.shape[1:]))
    np.put_along_axis(scores, labels[:, None], scores.max() + 1, axis=1)
    return scores


@pytest.mark.parametrize("make", [np.asarray, scores_of])
def test_values_match_those_computed_by_hand(make):
    assert iou(make(PREDICTED), RIGHT) == pytest.approx(BY_HAND, rel=1e-14)
    assert mean_iou(make(PREDICTED), RIGHT) == pytest.approx(109 / 180, rel=1e-14)


def test_targets_are_accepted_in_every_form():
    one_hot = np.moveaxis(np.eye(3)[RIGHT], -1, 1)
    for target in (RIGHT, RIGHT[:, None], RIGHT.astype(np.uint8), RIGHT.astype("f4"), one_hot):
        assert iou(scores_of(PREDICTED), target) == pytest.approx(BY_HAND, rel=1e-14)
    assert iou(PREDICTED.tolist(), RIGHT.tolist()) == pytest.approx(BY_HAND, rel=1e-14)


def test_a_class_in_neither_is_nan_and_left_out_of_the_mean():
    each = iou([0, 1, 1], [0, 0, 1], classes=4)
    assert each.dtype == np.float64 and each[:2].tolist() == [0.5, 0.5] and np.isnan(each[2:]).all()
    assert mean_iou([0, 1, 1], [0, 0, 1], classes=4) == 0.5
    assert iou(scores_of(np.array([[3]]), 5), [[3]])[3] == 1
    # A class in only one of the two counts: predicted but never true, or never predicted.
    assert iou([2, 1], [1, 1], classes=4)[[1, 2]].tolist() == [0.5, 0]
    assert mean_iou([2, 1], [1, 1]) == 0.25


@pytest.mark.parametrize("seed", range(5))
def test_iou_matches_the_jaccard_score_of_scikit_learn(seed):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    predicted, right = rng.integers(0, 5, (2, 3, 7, 6)), rng.integers(0, 5, (2, 3, 7, 6))
    predicted, right = predicted[0], right[0]
    expected = sklearn_metrics.jaccard_score(right.ravel(), predicted.ravel(), average=None)
    assert iou(predicted, right) == pytest.approx(expected, rel=1e-14)
    assert mean_iou(predicted, right) == pytest.approx(expected.mean(), rel=1e-14)


def test_iou_matches_a_computation_with_sets():
    predicted, right = RNG.integers(0, 4, (2, 6, 5, 5))
    for label, value in enumerate(iou(predicted, right)):
        p = set(np.flatnonzero(predicted == label))
        t = set(np.flatnonzero(right == label))
        assert value == len(p & t) / len(p | t)


def test_one_score_per_pixel_is_a_binary_prediction():
    logits = np.array([[[[2.0, -1.0], [0.5, -3.0]]]])
    right = np.array([[[1, 1], [0, 0]]])
    assert iou(logits, right).tolist() == [1 / 3, 1 / 3]
    chances = 1 / (1 + np.exp(-logits))
    assert iou(chances, right, threshold=0.5).tolist() == [1 / 3, 1 / 3]
    with pytest.warns(UserWarning, match="mean_iou: every pred is between 0 and 1") as caught:
        mean_iou(chances, right)
    assert caught[0].filename == __file__


def test_a_nan_prediction_belongs_to_no_class():
    scores = scores_of(PREDICTED)
    scores[0, 2, 0, 0] = math.nan  # a pixel of class 0, predicted correctly before
    for function in (iou, mean_iou):
        with pytest.warns(RuntimeWarning, match=f"{function.__name__}: 1 of 12.* NaN") as caught:
            found = function(scores, RIGHT)
        assert caught[0].filename == __file__
        expected = np.array([3 / 6, 2 / 5, 3 / 4])
        assert found == pytest.approx(expected if function is iou else expected.mean())
    with pytest.warns(RuntimeWarning, match="2 of 2"):
        assert iou([math.nan, math.nan], [0, 1]).tolist() == [0, 0]


@pytest.mark.parametrize("function", [iou, mean_iou])
@pytest.mark.parametrize(
    ("pred", "target", "classes", "words"),
    [
        (PREDICTED, RIGHT[..., :1], None, r"pred has shape \(2, 2, 3\) and target \(2, 2, 1\)"),
        ([], [], None, "at least one"),
        ([0, 3], [0, 1], 3, "a label is 3, expected 0 to 2"),
        ([0, 1], [0, 3], 3, "a label is 3, expected 0 to 2"),
        ([0, 1], [0, -1], None, "a label is -1"),
        ([0, 1], [0, 1], 0, "classes=0, but at least 1"),
        ([0, 2**40], [0, 1], None, r"1099511627777 classes, expected at most .*np\.unique"),
    ],
)
def test_invalid_arguments_are_errors(function, pred, target, classes, words):
    with pytest.raises(ValueError, match=f"^{function.__name__}: .*{words}"):
        function(pred, target, classes)


# In fit and evaluate


def by_brightness():
    """A model that separates dark and bright pixels, and images with these masks."""
    model = Sequential(Conv2D(1, 2, 1)).astype("f8")
    model[0].weight.data[:] = [[[[-1.0]]], [[[1.0]]]]
    model[0].bias.data[:] = [0.5, -0.5]
    x = RNG.random((6, 1, 4, 4))
    return model, x, (x[:, 0] > 0.7).astype(np.int64)


def test_evaluate_computes_iou_over_all_samples_for_any_batch_size():
    model, x, y = by_brightness()
    expected = mean_iou((x[:, 0] > 0.5).astype(int), y)
    assert 0 < expected < 1
    for metrics, name in (
        ("mean_iou", "mean_iou"),
        (mean_iou, "mean_iou"),
        ({"overlap": "mean_iou"}, "overlap"),
    ):
        for size in (1, 4, 256):
            scores = cnnx.evaluate(model, (x, y), batch_size=size, metrics=metrics)
            assert scores[name] == expected
    assert list(cnnx.evaluate(model, (x, y))) == ["loss", "accuracy"]  # only on request


def test_fit_reports_the_mean_over_batches_and_for_validation_that_over_all_samples():
    model, x, y = by_brightness()
    said = (x[:, 0] > 0.5).astype(int)
    history = cnnx.fit(
        model,
        (x, y),
        validation=(x, y),
        batch_size=2,
        shuffle=False,
        metrics=["mean_iou", "accuracy"],
        optimizer=cnnx.SGD(model.parameters(), lr=0.0),
        verbose=False,
    )
    batches = [mean_iou(said[i : i + 2], y[i : i + 2]) for i in (0, 2, 4)]
    assert history["mean_iou"] == [pytest.approx(np.mean(batches), rel=1e-14)]
    assert history["val_mean_iou"] == [mean_iou(said, y)]
    assert history["accuracy"] == [pytest.approx((said == y).mean())]


def test_masks_of_pixels_are_targets_of_fit_and_evaluate():
    """Labels (n, h, w) under logits (n, classes, h, w): the loss is the mean over pixels."""
    model, x, y = by_brightness()
    logits = model(x)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.take_along_axis(log_p, y[:, None], axis=1).mean()
    for mask in (y, y[:, None], y.astype(np.uint8), y.astype(bool)):
        scores = cnnx.evaluate(model, (x, mask))
        assert scores.loss == pytest.approx(expected, rel=1e-12)
        assert scores.accuracy == ((x[:, 0] > 0.5) == y).mean()
    assert cnnx.predict_labels(model, x).shape == y.shape
    model = Sequential(Conv2D(1, 2, 1))
    history = cnnx.fit(
        model,
        (x, y),
        epochs=60,
        batch_size=6,
        verbose=False,
        loss=None,
        optimizer=cnnx.Adam(model.parameters(), lr=0.3),
    )
    assert history["accuracy"][-1] > 0.95
    with pytest.raises(ValueError, match=r"pred \(6, 2, 4, 4\) expects labels \(6, 4, 4\)"):
        cnnx.fit(model, (x, y[:, :3]), verbose=False)
    with pytest.raises(ValueError, match=r"is 2, but with 2 classes"):
        cnnx.fit(model, (x, y + 1), verbose=False)


def test_the_threshold_for_one_logit_per_pixel_follows_from_the_loss():
    model = Sequential(Conv2D(1, 1, 1)).astype("f8")
    model[0].weight.data[:], model[0].bias.data[:] = 1.0, -0.5
    x = RNG.random((4, 1, 5, 5))
    y = (x[:, 0] > 0.6).astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cnnx.evaluate(model, (x, y), loss=cnnx.BCEWithLogitsLoss(), metrics="mean_iou")
        assert scores.mean_iou == mean_iou((x[:, 0] > 0.5).astype(int), y)
        model[0].bias.data[:] = 0.0
        scores = cnnx.evaluate(model, (x, y), loss=cnnx.BCELoss(), metrics=mean_iou)
    assert scores.mean_iou == mean_iou((x[:, 0] > 0.5).astype(int), y)
