"""evaluate, predict and metrics: results, side effects and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_helpers import blobs, mlp

from cnnx import Graph, Input, data, models
from cnnx.layers import (
    Flatten,
    Linear,
    Sequential,
    Sigmoid,
    Softmax,
)
from cnnx.losses import BCEWithLogitsLoss, CrossEntropyLoss
from cnnx.metrics import accuracy
from cnnx.training import (
    evaluate,
    predict,
    predict_labels,
    predict_proba,
)


def test_evaluate_and_predict_do_not_depend_on_the_batch_size():
    model, (x, y) = mlp(dropout=0.5), blobs()
    scores = evaluate(model, (x, y))
    expected = CrossEntropyLoss()(model.copy().eval()(x), y)
    assert scores.loss == pytest.approx(expected, rel=1e-6)
    for size in (1, 7, 90, 1000):
        assert evaluate(model, (x, y), batch_size=size).loss == pytest.approx(scores.loss, rel=1e-6)
        np.testing.assert_allclose(predict(model, x, size), model.copy().eval()(x), atol=1e-6)
    assert model.training
    assert repr(scores).startswith("loss ")
    assert "accuracy" in repr(scores)


def test_predict_accepts_arrays_pairs_and_data_sets_and_caches_nothing():
    model, (x, y) = mlp(), blobs()
    expected = predict(model, x)
    assert np.array_equal(predict(model, (x, y)), expected)
    assert np.array_equal(predict(model, data.Dataset(x, y)), expected)
    assert np.array_equal(predict(model, x.tolist()), expected)
    with pytest.raises(RuntimeError, match="no forward"):
        model.backward(expected)


def test_no_samples_give_no_predictions_and_no_scores():
    model = models.lenet5()
    nothing = np.zeros((0, 1, 28, 28), np.float32)
    assert predict(model, nothing).shape == (0, 10)
    assert predict_proba(model, nothing).shape == (0, 10)
    assert predict_labels(model, nothing).shape == (0,)
    with pytest.raises(ValueError, match="0 samples"):
        evaluate(model, (nothing, np.zeros(0, int)))
    with pytest.raises(ValueError, match="single number"):
        predict(model, 3.0)
    with pytest.raises(ValueError, match="batch_size=0"):
        predict(model, nothing, batch_size=0)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (None, TypeError, "x is None"),
        ({}, TypeError, "x is a dict.*array of samples"),
        ({"x": [[1.0, 2.0]]}, TypeError, "x is a dict"),
        (object(), TypeError, "x is a object"),
        ("digit.png", TypeError, r"x is a path, 'digit.png'.*load_image\(path\)"),
        (Path("digit.png"), TypeError, r"x is a path, 'digit.png'.*x\[None\]"),
        (3.0, ValueError, "x is a single number, 3.0"),
        ([[1.0, 2.0], [3.0]], TypeError, "cannot be read as an array"),
        (["cat", "dog"], TypeError, "<U3.*real numbers"),
    ],
)
def test_input_without_samples_is_named(x, error, message):
    for run in (predict, predict_proba, predict_labels):
        with pytest.raises(error, match=message):
            run(mlp(), x)


def test_probabilities_are_the_softmax_unless_the_model_ends_in_one():
    x = blobs()[0]
    model = mlp()
    logits = predict(model, x).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict_proba(model, x), expected, rtol=1e-5)
    assert np.array_equal(predict_labels(model, x), logits.argmax(axis=1))
    start = Input(x.shape[1:])
    graph = Graph(start, Flatten()(Softmax()(model(start))))
    for ended in (Sequential(model, Sequential(Softmax())), graph, Sequential(graph)):
        np.testing.assert_allclose(predict_proba(ended, x), expected, rtol=1e-5)
        assert np.array_equal(predict_labels(ended, x), logits.argmax(axis=1))
    with pytest.warns(UserWarning, match="the model ends in Softmax"):
        evaluate(graph, blobs(), loss=CrossEntropyLoss())


def test_a_single_output_is_a_yes_or_no():
    x = np.array([[-2.0], [0.5], [3.0]], np.float32)
    logit = Sequential(Linear(1, 1, bias=False))
    logit[0].weight.data = np.ones((1, 1), np.float32)
    expected = 1 / (1 + np.exp(-x))
    for model in (logit, Sequential(logit, Sigmoid())):
        np.testing.assert_allclose(predict_proba(model, x), expected, rtol=1e-6)
        assert predict_labels(model, x).tolist() == [0, 1, 1]
    scores = evaluate(logit, (x, np.array([[0], [1], [1]])), loss=BCEWithLogitsLoss())
    assert list(scores) == ["loss", "accuracy"]
    assert scores.accuracy == 1.0


def test_evaluate_does_not_change_the_gradient_of_a_step():
    model, (x, y) = mlp(), blobs()
    loss_fn = CrossEntropyLoss()
    loss_fn(model(x[:4]), y[:4])
    gradient = loss_fn.backward()
    evaluate(model, (x, y), loss=loss_fn)
    assert loss_fn.backward() is gradient


def test_accuracy_counts_scores_labels_and_one_hot_targets():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(scores, [1, 1, 1]) == pytest.approx(2 / 3)
    assert accuracy([1, 0, 1], [1, 1, 1]) == pytest.approx(2 / 3)
    assert accuracy(scores, np.array([[0.0, 1], [0, 1], [0, 1]])) == pytest.approx(2 / 3)
    assert accuracy(np.zeros((2, 3, 4)), np.zeros((2, 4), int)) == 1.0
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(2,\)"):
        accuracy(scores, [0, 1])
    with pytest.raises(ValueError, match="no sample"):
        accuracy(np.zeros((0, 2)), np.zeros(0, int))
