"""Forms of targets: each form is interpreted in the same way by everything that reads targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnx import data
from cnnx.inference import evaluate
from cnnx.layers import Layer, Linear, Sequential, Sigmoid
from cnnx.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from cnnx.metrics import accuracy, confusion_matrix
from cnnx.optim import SGD
from cnnx.training import fit

SCORES = np.array(
    [[0.1, 2.0, -1.0], [3.0, 0.5, 0.2], [-1.0, 0.3, 0.4], [0.7, -2.0, 0.6], [0.0, 1.5, 0.2]]
)
LABELS = np.array([1, 0, 2, 2, 1])  # the fourth is wrong: 4 of 5
EYE = np.eye(3, dtype=int)
LOSS = float(
    np.mean([math.log(np.exp(row).sum()) - row[k] for row, k in zip(SCORES, LABELS, strict=True)])
)
TABLE = np.zeros((3, 3), int)
np.add.at(TABLE, (LABELS, SCORES.argmax(1)), 1)

CLASS_FORMS = {
    "integers": LABELS,
    "a list": LABELS.tolist(),
    "uint8": LABELS.astype(np.uint8),
    "big-endian": LABELS.astype(">i2"),
    "whole floats": LABELS.astype(float),
    "a column": LABELS[:, None],
    "a column of floats": LABELS[:, None].astype(np.float32),
    "one-hot int": EYE[LABELS],
    "one-hot uint8": EYE[LABELS].astype(np.uint8),
    "one-hot bool": EYE[LABELS].astype(bool),
    "one-hot float32": EYE[LABELS].astype(np.float32),
    "one-hot float64": EYE[LABELS].astype(float),
    "one-hot float16": EYE[LABELS].astype(np.float16),
    "one-hot lists": EYE[LABELS].tolist(),
    "one-hot Fortran": np.asfortranarray(EYE[LABELS]),
}
LOGITS = np.array([[2.5], [-1.0], [0.3], [-0.2], [4.0]])
ANSWERS = np.array([1, 0, 1, 1, 1])  # the fourth is wrong: 4 of 5
BINARY_LOSS = float(np.mean(np.log1p(np.exp(LOGITS[:, 0])) - ANSWERS * LOGITS[:, 0]))

BINARY_FORMS = {
    f"{name} {shape}": form
    for shape, answers in (("(n,)", ANSWERS), ("(n, 1)", ANSWERS[:, None]))
    for name, form in {
        "int": answers,
        "uint8": answers.astype(np.uint8),
        "bool": answers.astype(bool),
        "float32": answers.astype(np.float32),
        "list": answers.tolist(),
    }.items()
}


class Known(Layer):
    """Known outputs, independent of the weight: its input selects the row."""

    def __init__(self, outputs):
        self.inside = Linear(1, 1)
        self.outputs = outputs

    def forward(self, x):
        self.shape = x.shape
        return self.outputs[np.asarray(x)[:, 0].astype(int)]

    def backward(self, dy):
        return np.zeros(self.shape)


ROWS = np.arange(5.0)[:, None]


def measured(outputs, target, loss, metrics=None):
    """Loss and accuracy by `evaluate`, and by an epoch of `fit` in uneven batches."""
    found = []
    model = Known(outputs)
    found.append(evaluate(model, (ROWS, target), loss=loss, metrics=metrics))
    history = fit(
        model,
        (ROWS, target),
        batch_size=2,
        loss=loss,
        metrics=metrics,
        optimizer=SGD(model.parameters(), lr=0.1),
        verbose=False,
    )
    found.append(history[-1])
    return [(row["loss"], row.get("accuracy")) for row in found]


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_every_form_of_classes_is_interpreted_alike_everywhere(form):
    target = CLASS_FORMS[form]
    loss_fn = CrossEntropyLoss()
    assert loss_fn(SCORES, target) == pytest.approx(LOSS, rel=1e-12)
    probabilities = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    np.testing.assert_allclose(loss_fn.backward(), (probabilities - EYE[LABELS]) / 5, atol=1e-15)
    assert accuracy(SCORES, target) == 0.8
    assert accuracy(SCORES.argmax(1), LABELS) == 0.8
    np.testing.assert_array_equal(confusion_matrix(SCORES, target), TABLE)
    for loss in (None, CrossEntropyLoss()):
        for row in measured(SCORES, target, loss):
            assert row == (pytest.approx(LOSS, rel=1e-12), pytest.approx(0.8))


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_every_form_of_yes_and_no_is_interpreted_alike_everywhere(form):
    target = BINARY_FORMS[form]
    loss_fn = BCEWithLogitsLoss()
    assert loss_fn(LOGITS, target) == pytest.approx(BINARY_LOSS, rel=1e-12)
    sigmoid = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_allclose(loss_fn.backward(), (sigmoid - ANSWERS[:, None]) / 5, rtol=1e-12)
    assert BCELoss()(sigmoid, target) == pytest.approx(BINARY_LOSS, rel=1e-12)
    expected = np.mean((LOGITS[:, 0] - ANSWERS) ** 2)
    assert MSELoss()(LOGITS, target) == pytest.approx(expected, rel=1e-12)
    assert accuracy(LOGITS, target) == 0.8
    assert accuracy(LOGITS[:, 0], target) == 0.8
    assert accuracy(sigmoid, target, threshold=0.5) == 0.8
    np.testing.assert_array_equal(confusion_matrix(LOGITS, target), [[1, 0], [1, 3]])
    for metrics in (None, "accuracy", [accuracy], {"accuracy": "accuracy"}):
        for row in measured(LOGITS, target, BCEWithLogitsLoss(), metrics):
            assert row == (pytest.approx(BINARY_LOSS, rel=1e-12), pytest.approx(0.8))
        for row in measured(sigmoid, target, BCELoss(), metrics):
            assert row == (pytest.approx(BINARY_LOSS, rel=1e-12), pytest.approx(0.8))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_a_model_may_return_one_number_per_sample_without_a_class_axis(shape):
    for target in BINARY_FORMS.values():
        assert BCEWithLogitsLoss()(LOGITS.reshape(shape), target) == pytest.approx(BINARY_LOSS)
        for row in measured(LOGITS.reshape(shape), target, BCEWithLogitsLoss()):
            assert row == (pytest.approx(BINARY_LOSS), pytest.approx(0.8))


def test_dense_prediction_accepts_the_same_forms():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(4, 3, 5, 6)), rng.integers(0, 3, (4, 5, 6))
    one_hot = np.moveaxis(EYE[labels], -1, 1)
    right = np.mean(scores.argmax(1) == labels)
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    loss = -np.mean(np.take_along_axis(log_p, labels[:, None], 1))
    forms = [labels, labels[:, None], labels.astype(float), one_hot, one_hot.astype(bool)]
    for target in [*forms, one_hot.astype(np.float32)]:
        assert CrossEntropyLoss()(scores, target) == pytest.approx(loss, rel=1e-12)
        assert accuracy(scores, target) == pytest.approx(right)
        assert confusion_matrix(scores, target).sum() == labels.size
    yes, logits = rng.integers(0, 2, (4, 5, 6)), rng.normal(size=(4, 1, 5, 6))
    right = np.mean((logits[:, 0] >= 0) == yes)
    loss = np.mean(np.log1p(np.exp(logits[:, 0])) - yes * logits[:, 0])
    for target in (yes, yes[:, None], yes.astype(bool), yes[:, None].astype(np.float32)):
        assert BCEWithLogitsLoss()(logits, target) == pytest.approx(loss, rel=1e-12)
        assert accuracy(logits, target) == pytest.approx(right)


def test_predicted_classes_are_compared_one_by_one_unless_both_sides_are_one_hot():
    """The ambiguous cases, (n, k) integers on both sides, as documented."""
    dense = np.array([[0, 2, 1], [1, 1, 0], [2, 0, 0]])
    assert accuracy(dense, dense.T.copy()) == pytest.approx(np.mean(dense == dense.T))
    pred, target = EYE[[0, 1, 2]], EYE[[0, 2, 1]]
    assert accuracy(pred, target) == pytest.approx(1 / 3)  # not 5 / 9
    assert accuracy(pred.astype(bool), target.astype(bool)) == pytest.approx(1 / 3)
    assert accuracy([[3, 9], [8, 2], [3, 7]], [[0, 1], [0, 1], [0, 1]]) == pytest.approx(2 / 3)
    assert accuracy([[0, 0, 1], [1, 1, 0]], [[0, 0, 1], [0, 1, 0]]) == pytest.approx(5 / 6)
    assert accuracy([1.0, 0.0, 2.0], [1, 0, 1]) == pytest.approx(2 / 3)  # whole: class numbers
    assert accuracy([-1, 1, 1], [-1, 1, -1]) == pytest.approx(2 / 3)
    assert accuracy([-1, 1, 1], [0, 1, 0]) == pytest.approx(1 / 3)  # -1: of no class
    assert accuracy([[-1], [3], [1]], [0, 1, 0]) == pytest.approx(2 / 3)  # logits


def test_multi_label_targets_are_counted_one_by_one_with_a_threshold():
    target = np.array([[1, 1, 0], [0, 0, 1]])
    logits = np.array([[2.0, -1.0, -3.0], [-0.5, 0.2, 1.0]])
    assert accuracy(logits, target, threshold=0.0) == pytest.approx(4 / 6)
    for form in (target, target.astype(bool), target.astype(float)):
        scores = evaluate(Known(logits), (ROWS[:2], form), loss=BCEWithLogitsLoss())
        assert scores["accuracy"] == pytest.approx(4 / 6)
    with pytest.raises(ValueError, match=r"accuracy: target\[0\] holds 2 ones.*threshold="):
        accuracy(logits, target)
    for form in (target, target.astype(float)):
        with pytest.raises(ValueError, match=r"CrossEntropyLoss: target.*BCEWithLogitsLoss"):
            CrossEntropyLoss()(logits, form)
    with pytest.raises(ValueError, match=r"confusion_matrix.*2 ones"):
        confusion_matrix(logits, target)


def test_one_hot_rows_under_a_binary_loss_are_scored_by_their_largest_output():
    for row in measured(SCORES, EYE[LABELS], BCEWithLogitsLoss()):
        assert row[1] == pytest.approx(0.8)


def test_the_threshold_is_derived_from_the_last_layer_or_the_loss():
    model = Sequential(Linear(1, 1, bias=False), Sigmoid())
    model[0].weight.data = np.ones((1, 1), np.float32)
    pair = LOGITS.astype(np.float32), ANSWERS
    assert evaluate(model, pair, loss=BCELoss()).accuracy == pytest.approx(0.8)
    assert evaluate(model, pair, loss=MSELoss(), metrics="accuracy").accuracy == pytest.approx(0.8)
    assert evaluate(model[:1], pair, loss=BCEWithLogitsLoss()).accuracy == pytest.approx(0.8)
    # Regression on 0 and 1 themselves: closer to 1 means yes.
    numbers = np.array([[0.9], [0.2], [0.6], [0.4], [1.3]])
    scores = evaluate(Known(numbers), (ROWS, ANSWERS), loss=MSELoss(), metrics="accuracy")
    assert scores["accuracy"] == pytest.approx(0.8)


def test_accuracy_warns_if_single_outputs_look_like_probabilities():
    with pytest.warns(UserWarning, match=r"between 0 and 1.*threshold=0\.5"):
        assert accuracy([[0.9], [0.2]], [1, 0]) == 0.5
    assert accuracy([[0.9], [0.2]], [1, 0], threshold=0.5) == 1.0
    assert accuracy([[0.9], [0.2]], [1, 0], threshold=0.0) == 0.5
    assert accuracy([[1.0], [0.0]], [1, 0]) == 1.0  # decisions


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (SCORES, [0, 1, 2, 0, 3], r"target\[4\] is 3, but with 3 classes"),
        (SCORES, [0, 1, 2, 0, -1], r"target\[4\] is -1"),
        (SCORES, [0.0, 1, 2, 0, 3], r"target\[4\] is 3"),
        (SCORES, [0, 1, 2, 0.5, 1], r"target\[3\] is 0\.5.*must be integers.*MSELoss"),
        (SCORES, [0, 1, 2, math.nan, 1], r"target\[3\] is nan"),
        (SCORES, SCORES, r"target\[0\].*not probabilities.*MSELoss"),
        (SCORES, SCORES * math.nan, r"target\[0\].*not probabilities"),
        (SCORES, EYE[LABELS] * 2, r"target\[0\].*one-hot"),
        (SCORES, LABELS[:4], r"\(4,\).*pred \(5, 3\).*expects"),
        (SCORES, [LABELS], r"\(1, 5\)"),
        (LOGITS, ANSWERS, "one output.*BCEWithLogitsLoss.*MSELoss"),
        (LOGITS[:, 0], ANSWERS, "BCEWithLogitsLoss"),
    ],
)
def test_cross_entropy_rejects_invalid_targets(pred, target, message):
    with pytest.raises(ValueError, match="CrossEntropyLoss: .*" + message):
        CrossEntropyLoss()(pred, target)


@pytest.mark.parametrize(
    ("loss", "pred", "target", "message"),
    [
        (BCEWithLogitsLoss(), LOGITS, [1, 2, 1, 2, 1], r"target\[1\] is 2.*0 \(no\), 1 \(yes\)"),
        (BCEWithLogitsLoss(), LOGITS, [1, -1, 1, 1, 1], r"target\[1\] is -1"),
        (BCELoss(), 0 * LOGITS, [1, math.nan, 1, 1, 1], r"target\[1\] is nan"),
        (BCEWithLogitsLoss(), SCORES, LABELS, r"\(5,\).*\(5, 3\).*CrossEntropyLoss"),
        (MSELoss(), SCORES, LABELS, r"\(5,\).*\(5, 3\).*one_hot"),
        (MSELoss(), LOGITS, np.ones((5, 5)), r"\(5, 5\).*\(5, 1\)"),
        (MSELoss(), LOGITS, np.ones((1, 5)), r"\(1, 5\).*\(5, 1\)"),
    ],
)
def test_other_losses_reject_invalid_targets(loss, pred, target, message):
    with pytest.raises(ValueError, match=type(loss).__name__ + ": .*" + message):
        loss(pred, target)


def test_accuracy_rejects_numbers_that_are_not_classes():
    for target in ([0.3, 1.7, 0.1, 0.2, 5.0], [2, 0, 1, 1, 1], [-1, 1, 1, 1, 1]):
        with pytest.raises(ValueError, match=r"accuracy: target\[[0-4]\] is"):
            accuracy(LOGITS, target)
    with pytest.raises(ValueError, match=r"accuracy: target\[1\] is 1\.5.*regression"):
        accuracy(SCORES, [1, 1.5, 1, 1, 1])
    with pytest.raises(ValueError, match="threshold"):
        accuracy(LOGITS, ANSWERS, threshold=math.nan)


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_files_and_splits_accept_the_same_forms(form, tmp_path):
    target = np.asarray(CLASS_FORMS[form])
    np.savez(tmp_path / "own.npz", x=np.zeros((5, 2)), y=target)
    train, _ = data.load_arrays(tmp_path / "own.npz")
    assert train.y.dtype == np.int64
    assert train.y.tolist() == LABELS.tolist()
    if target.dtype.kind == "f" and target.shape != (5, 3):
        return  # for a split, regression targets are not stratified
    places = np.arange(100)
    _, test = data.train_test_split((places, target[np.arange(100) % 5]), test_size=20, seed=1)
    assert np.bincount(LABELS[test.x % 5]).tolist() == [4, 8, 8]


def test_a_file_of_regression_targets_is_not_a_file_of_labels(tmp_path):
    for y, message in (
        (np.linspace(0, 1, 5), r"own.npz: y: target\[1\] is 0\.25.*must be integers"),
        (SCORES, r"own.npz: y: target\[0\].*not probabilities"),
        (EYE[LABELS] + 1, r"own.npz: y: target\[0\].*not a one-hot row"),
        (np.full((5, 3), 1 / 3), r"own.npz: y: target\[0\] is not a one-hot row"),
    ):
        np.savez(tmp_path / "own.npz", x=np.zeros((5, 2)), y=y)
        with pytest.raises(ValueError, match=message):
            data.load_arrays(tmp_path / "own.npz")


def test_no_weight_changes_if_the_loss_rejects_the_targets():
    model = Sequential(Linear(1, 1))
    before = model.state_dict()
    train = data.make_polynomial(seed=0)
    for run in (lambda: fit(model, train, verbose=False), lambda: evaluate(model, train)):
        with pytest.raises(ValueError, match=r"one output.*BCEWithLogitsLoss.*MSELoss"):
            run()
    two = Sequential(Linear(1, 2))
    pairs = np.concatenate([np.full((40, 2), 0.5), [[-3.0, 4.0]]])  # only the last is invalid
    with pytest.raises(ValueError, match=r"target\[40\].*not probabilities.*MSELoss"):
        fit(two, (np.zeros((41, 1)), pairs), shuffle=False, verbose=False)
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())
