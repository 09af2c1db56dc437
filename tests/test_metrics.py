"""Metrics that add up batch by batch, against scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import cnnx
from cnnx import BCEWithLogitsLoss, Flatten, Linear, MSELoss, Sequential, metrics
from cnnx.metrics import (
    AUROC,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    F1Score,
    MeanAbsoluteError,
    MeanIoU,
    MeanSquaredError,
    Precision,
    R2Score,
    Recall,
    RootMeanSquaredError,
    TopKAccuracy,
)

rng = np.random.default_rng(0)
N, K = 60, 5
LOGITS = rng.standard_normal((N, K)).astype(np.float32)
LABELS = rng.integers(0, K - 1, N)  # class 4 never occurs, but is predicted
WEIGHT = rng.random(N)
TIED = rng.integers(0, 6, N) / 8  # few distinct scores
YES = (TIED + rng.random(N) > 0.8).astype(int)
NUMBERS, TRUE = rng.standard_normal((N, 3)), 1e6 + rng.standard_normal((N, 3))


def softmax(x):
    powers = np.exp(x.astype(float))
    return powers / powers.sum(axis=1, keepdims=True)


def in_batches(metric, pred, target, weight=None):
    """The value over four batches of different sizes."""
    for part in np.split(np.arange(len(pred)), [1, 20, 41]):
        metric.update(pred[part], target[part], None if weight is None else weight[part])
    return metric.compute()


def expected_values(weight):
    """(metric, pred, target, what scikit-learn gives)."""
    sk = pytest.importorskip("sklearn.metrics")
    guess, w = LOGITS.argmax(axis=1), {"sample_weight": weight}
    yield Accuracy(), LOGITS, LABELS, sk.accuracy_score(LABELS, guess, **w)
    top = sk.top_k_accuracy_score(LABELS, LOGITS, k=2, labels=range(K), **w)
    yield TopKAccuracy(2), LOGITS, LABELS, top
    for average in ("macro", "micro", "weighted", None):
        options = {"average": average, "zero_division": 0, **w}
        yield Precision(average), LOGITS, LABELS, sk.precision_score(LABELS, guess, **options)
        yield Recall(average), LOGITS, LABELS, sk.recall_score(LABELS, guess, **options)
        yield F1Score(average), LOGITS, LABELS, sk.f1_score(LABELS, guess, **options)
    yield F1Score("binary", threshold=0.5), TIED, YES, sk.f1_score(YES, TIED >= 0.5, **w)
    jaccard = sk.jaccard_score(LABELS, guess, average="macro", **w)
    yield MeanIoU(), LOGITS, LABELS, jaccard
    yield ConfusionMatrix(), LOGITS, LABELS, sk.confusion_matrix(LABELS, guess, **w)
    yield AUROC(), TIED, YES, sk.roc_auc_score(YES, TIED, **w)
    yield AveragePrecision(), TIED, YES, sk.average_precision_score(YES, TIED, **w)
    four = LABELS % K, softmax(LOGITS[:, :4])  # of classes that all occur
    for average in ("macro", "weighted"):
        area = sk.roc_auc_score(*four, multi_class="ovr", average=average, **w)
        yield AUROC(average), LOGITS[:, :4], LABELS, area
    several = TIED[:, None] * NUMBERS, (TRUE > 1e6).astype(int)
    for average in ("macro", "weighted", "micro", None):
        area = sk.average_precision_score(several[1], several[0], average=average, **w)
        yield AveragePrecision(average, multilabel=True), *several, area
    yield MeanAbsoluteError(), NUMBERS, TRUE, sk.mean_absolute_error(TRUE, NUMBERS, **w)
    yield MeanSquaredError(), NUMBERS, TRUE, sk.mean_squared_error(TRUE, NUMBERS, **w)
    root = math.sqrt(sk.mean_squared_error(TRUE, NUMBERS, **w))
    yield RootMeanSquaredError(), NUMBERS, TRUE, root
    yield R2Score(), TRUE + NUMBERS / 2, TRUE, sk.r2_score(TRUE, TRUE + NUMBERS / 2, **w)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
def test_values_are_those_of_scikit_learn_in_one_batch_and_in_several(weight):
    for metric, pred, target, expected in expected_values(weight):
        whole = metric(pred, target, weight)
        np.testing.assert_allclose(whole, expected, rtol=1e-9, err_msg=metric.name)
        parts = in_batches(metric, pred, target, weight)
        sums = weight is not None or "error" in metric.name or metric.name == "r2"
        exact = 1e-10 if sums else 0  # counts are the same bits
        np.testing.assert_allclose(parts, whole, rtol=exact, err_msg=metric.name)


def test_functions_have_the_values_of_the_objects():
    sk = pytest.importorskip("sklearn.metrics")
    guess = LOGITS.argmax(axis=1)
    assert metrics.top_k_accuracy(LOGITS, LABELS, 1) == np.mean(guess == LABELS)
    ours = metrics.precision_recall_f1(LOGITS, LABELS)
    theirs = sk.precision_recall_fscore_support(LABELS, guess, zero_division=0)[:3]
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    assert all(
        isinstance(value, float)
        for value in metrics.precision_recall_f1(LOGITS, LABELS, average="macro")
    )


def test_accuracy_and_mean_iou_are_the_functions_bit_for_bit():
    assert in_batches(Accuracy(), LOGITS, LABELS) == metrics.accuracy(LOGITS, LABELS)
    assert in_batches(MeanIoU(), LOGITS, LABELS) == metrics.mean_iou(LOGITS, LABELS)
    table = in_batches(ConfusionMatrix(), LOGITS, LABELS)
    expected = metrics.confusion_matrix(LOGITS, LABELS)
    assert table.dtype == np.int64 and (table == expected).all()


def test_the_classes_may_grow_from_batch_to_batch():
    metric = Recall(average=None)
    metric.update([0, 1], [0, 1])
    metric.update([3, 1], [3, 3])
    assert metric.compute().tolist() == [1, 1, 0, 0.5]


def test_equal_scores_count_in_the_order_of_classes_as_in_argmax():
    scores = np.ones((3, 3))
    assert TopKAccuracy(1)(scores, [0, 1, 2]) == 1 / 3
    assert TopKAccuracy(2)(scores, [0, 1, 2]) == 2 / 3


@pytest.mark.filterwarnings("ignore:.*count as wrong")
@pytest.mark.parametrize(
    ("metric", "pred", "target", "expected"),
    [
        (Accuracy(), [[np.nan, 1], [0, 1]], [1, 1], 0.5),
        (TopKAccuracy(2), [[np.nan, 1], [0, 1]], [1, 1], 0.5),
        (Recall(), [[np.nan, 1], [0, 1]], [1, 1], 0.5),
        (Precision(), [[np.nan, 1], [0, 1]], [1, 1], 1.0),
        (MeanIoU(), [[np.nan, 1], [0, 1]], [1, 1], 0.5),
        (AUROC(), [np.nan, 0.4, 0.8, 0.9], [1, 0, 1, 1], 2 / 3),
        (AveragePrecision(), [np.nan, 0.4, 0.8], [0, 1, 1], (1 / 2 + 2 / 3) / 2),
    ],
    ids=str,
)
def test_a_prediction_that_is_nan_counts_as_wrong(metric, pred, target, expected):
    assert metric(np.array(pred), target) == pytest.approx(expected)


def test_logits_and_probabilities_of_two_classes_have_the_same_area():
    logits = LOGITS[:, :2]
    expected = AUROC()(logits[:, 1] - logits[:, 0], YES)
    assert AUROC()(logits, YES) == expected
    assert AUROC()(softmax(logits), YES) == pytest.approx(expected, abs=1e-12)
    assert AUROC()(logits, np.eye(2)[YES]) == expected


def test_infinite_scores_tie_with_each_other():
    assert AUROC()([np.inf, np.inf, -np.inf], [1, 0, 0]) == 0.75


@pytest.mark.parametrize("metric", [AUROC(), AveragePrecision()], ids=str)
def test_an_area_without_a_yes_is_nan(metric):
    assert math.isnan(metric([0.1, 0.2], [0, 0]))


def test_scores_are_held_in_their_own_dtype():
    metric = AUROC()
    metric.update(TIED.astype(np.float32), YES)
    assert metric.state_dict()["scores"].dtype == np.float32


@pytest.mark.parametrize("metric", [Accuracy(), F1Score(), AUROC(), ConfusionMatrix()], ids=str)
def test_a_metric_continues_from_its_state_and_forgets_it(metric):
    metric.update(LOGITS[:30, :4], LABELS[:30])
    state = metric.state_dict()
    other = type(metric)()
    other.load_state_dict(state)
    for each in (metric, other):
        each.update(LOGITS[30:, :4], LABELS[30:])
    np.testing.assert_array_equal(other.compute(), metric.compute())
    metric.reset()
    with pytest.raises(ValueError, match="no sample"):
        metric.compute()


def test_an_empty_batch_changes_nothing():
    for metric in (Accuracy(), F1Score(), MeanIoU(), ConfusionMatrix(), AUROC()):
        metric.update(LOGITS[:, :4], LABELS)
        before = metric.compute()
        metric.update(LOGITS[:0, :4], LABELS[:0])
        np.testing.assert_array_equal(metric.compute(), before)
    numbers = R2Score()
    numbers.update(NUMBERS, TRUE)
    before = numbers.compute()
    numbers.update(NUMBERS[:0], TRUE[:0])
    assert numbers.compute() == before


def test_an_error_leaves_the_state_as_it_was():
    metric = Accuracy()
    metric.update(LOGITS, LABELS)
    before = metric.compute()
    with pytest.raises(ValueError, match=r"sample_weight\[1\] is -1"):
        metric.update(LOGITS[:2], LABELS[:2], [1, -1])
    assert metric.compute() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Precision("mean"), "average='mean'"),
        (lambda: TopKAccuracy(0), "k=0"),
        (lambda: TopKAccuracy(6)(LOGITS, LABELS), r"\(60, 5\), but scores .* at least 6 classes"),
        (lambda: Accuracy()(LOGITS, LABELS, WEIGHT[:3]), r"shape \(3,\), but \(60,\)"),
        (lambda: F1Score("binary")(LOGITS, LABELS), "there are 5 classes"),
        (lambda: Accuracy()([[0, 1]], [1], [0.0]), "all weights are 0"),
        (lambda: F1Score()([[0, 1]], [1], [0.0]), "all weights are 0"),
        (lambda: MeanSquaredError()([1.0], [1.0], [0.0]), "all weights are 0"),
        (lambda: AUROC()(np.zeros((1, 2, 3)), [[0, 1, 0]]), "reshape both to rows"),
        (lambda: ConfusionMatrix()([[np.nan, 1]], [1]), "no class"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- in fit and evaluate -----------------------------------------------------------------------


def identity(k):
    model = Sequential(Flatten(), Linear(k, k, bias=False))
    model[1].weight.data[:] = np.eye(k)
    return model


def test_evaluate_accepts_every_name():
    made = [name for name in metrics.NAMES if "<" not in name]
    numbers = {"mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2"}
    classes = [name for name in made if name not in numbers and "binary" not in name]
    scores = cnnx.evaluate(identity(K), (LOGITS, LABELS), metrics=[*classes, "top_3_accuracy"])
    assert list(scores) == ["loss", *classes, "top_3_accuracy"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in classes:
            np.testing.assert_allclose(scores[name], metrics.by_name(name)(LOGITS, LABELS))
    data = NUMBERS.astype(np.float32), TRUE.astype(np.float32)
    scores = cnnx.evaluate(identity(3), data, metrics=sorted(numbers), loss=MSELoss())
    assert scores.mean_squared_error == pytest.approx(scores.loss, rel=1e-6)


def test_the_run_knows_whether_yes_begins_at_zero_or_a_half():
    x, y = LOGITS[:, :1], (LOGITS[:, 0] > 0.2).astype(int)
    scores = cnnx.evaluate(
        identity(1), (x, y), loss=BCEWithLogitsLoss(), metrics=["f1_binary", Recall("binary")]
    )
    assert scores.recall_binary == 1
    assert scores.f1_binary == F1Score("binary", threshold=0.0)(x, y) < 1


def test_a_metric_object_keeps_nothing_of_the_run():
    metric = F1Score()
    cnnx.evaluate(identity(K), (LOGITS, LABELS), metrics=[metric])
    metric.update(LOGITS[:9], LABELS[:9])
    assert metric.compute() == F1Score()(LOGITS[:9], LABELS[:9])
