"""Metrics of fit and evaluate: names, NaN, class weights, and warnings."""

from __future__ import annotations

import functools
import math
import warnings

import numpy as np
import pytest
from training_helpers import blobs, mlp

import cnnx
from cnnx import data
from cnnx.inference import evaluate, predict, predict_labels, predict_proba
from cnnx.layers import Flatten, Identity, Linear, Sequential, Sigmoid, Softmax
from cnnx.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from cnnx.metrics import accuracy, confusion_matrix
from cnnx.optim import SGD
from cnnx.training import NotFiniteError, fit


def quiet_fit(model, train, **options):
    return fit(model, train, verbose=False, **options)


def standing(model):
    """An optimiser that does not change the weights."""
    return SGD(model.parameters(), lr=0.0)


# Names of metrics


def one(outputs, target):
    return 1.0


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"loss": one}, "'loss'"),
        ({"epoch": one}, "'epoch'"),
        ({"seconds": one}, "'seconds'"),
        ({"val_accuracy": one}, "'val_accuracy'"),
        ([lambda o, t: 1.0, lambda o, t: 2.0], "two metrics are called '<lambda>'"),
        (["accuracy", accuracy], "two metrics are called 'accuracy'"),
        ([functools.partial(one), functools.partial(one)], "two metrics are called 'partial'"),
        (["recal"], "'recal' is unknown, expected 'accuracy'"),
    ],
)
def test_colliding_names_of_metrics_are_rejected_before_any_work(metrics, message):
    model = mlp()
    before = model.state_dict()
    for run in (quiet_fit, evaluate):
        with pytest.raises(ValueError, match=message):
            run(model, blobs(), metrics=metrics)
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (3, "metrics is a int"),
        ([3], "3 is neither a name nor a function"),
        ({"a": None}, "None is neither"),
        ({1: one}, "the name 1 is not a string"),
        ({"each": lambda o, t: o}, "'each' returned ndarray, expected one number"),
        ({"word": lambda o, t: "high"}, "'word' returned str"),
    ],
)
def test_a_value_that_is_not_a_metric_is_named(metrics, message):
    for run in (quiet_fit, evaluate):
        with pytest.raises(TypeError, match=message):
            run(mlp(), blobs(), metrics=metrics)


def test_a_dict_gives_names_to_functions_and_to_names():
    model, sets = mlp(), blobs()
    share = evaluate(model, sets).accuracy
    scores = evaluate(model, sets, metrics={"acc": "accuracy", "two": lambda o, t: 2})
    assert scores == {"loss": scores.loss, "acc": share, "two": 2.0}
    history = quiet_fit(model, sets, validation=sets, metrics={"acc": "accuracy"})
    assert history.columns == ["epoch", "loss", "acc", "val_loss", "val_acc", "seconds"]
    assert list(evaluate(model, sets, metrics=lambda o, t: 1.0)) == ["loss", "<lambda>"]
    assert list(evaluate(model, sets, metrics="accuracy")) == ["loss", "accuracy"]


# NaN


def test_a_nan_prediction_is_never_correct():
    scores = np.array([[math.nan, 1.0], [2.0, 1.0], [0.5, math.nan]])
    with pytest.warns(RuntimeWarning, match="2 of 3 predictions are NaN, and count as wrong"):
        assert accuracy(scores, [0, 0, 1]) == pytest.approx(1 / 3)
    with pytest.warns(RuntimeWarning, match="1 of 2"):
        assert accuracy([[math.nan], [-1.0]], [0, 0]) == 0.5
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        assert accuracy([math.nan, 0.0, 1.0], [0, 0, 1]) == pytest.approx(2 / 3)
    for pred in (scores, [math.nan, 0.0, 1.0]):
        with pytest.raises(ValueError, match=r"confusion_matrix: . of 3 predictions are NaN"):
            confusion_matrix(pred, [0, 0, 1])


def test_a_model_with_nan_outputs_has_no_labels_and_zero_accuracy():
    model, (x, y) = mlp(), blobs(9)
    x[4] = math.nan
    with pytest.raises(ValueError, match=r"predict_labels: 1 of 9 outputs.*x\[4\]"):
        predict_labels(model, x)
    assert np.isnan(predict_proba(model, x)[4]).all()
    model[0].weight.data[:] = math.nan  # has diverged
    with pytest.warns(RuntimeWarning, match="9 of 9 predictions are NaN"):
        scores = evaluate(model, (x, y))
    assert math.isnan(scores.loss)
    assert scores.accuracy == 0.0


def test_validation_data_with_nan_warn_and_do_not_stop_training():
    x, y = blobs(9)
    bad = x.copy()
    bad[4] = math.nan
    with pytest.warns(RuntimeWarning, match="1 of 9 predictions are NaN"):
        history = quiet_fit(mlp(), (x, y), validation=(bad, y))
    assert math.isnan(history["val_loss"][0])
    assert history["val_accuracy"][0] <= 8 / 9


# Class weights


def two_classes():
    """A model, three samples of two classes, and the hand-computed loss of each in float64."""
    model = Sequential(Linear(1, 2, bias=False)).astype("f8")
    model[0].weight.data = np.array([[0.5], [-0.5]])
    x, y = np.array([[1.0], [2.0], [-1.0], [3.0], [0.5]]), np.array([0, 1, 1, 0, 0])
    logits = x * [0.5, -0.5]
    return model, (x, y), np.log(np.exp(logits).sum(1)) - logits[np.arange(5), y]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("weight", [[1.0, 9.0], {0: 1, 1: 9}, [1.0, 0.0]])
def test_the_loss_of_an_epoch_is_the_weighted_mean_whatever_the_batches(size, weight):
    model, (x, y), losses = two_classes()
    factors = np.array([weight[0], weight[1]])[y]
    loss = CrossEntropyLoss(weight=weight)
    expected = (factors * losses).sum() / factors.sum()
    history = quiet_fit(
        model, (x, y), validation=(x, y), batch_size=size, loss=loss, optimizer=standing(model)
    )
    assert history["loss"] == [pytest.approx(expected, rel=1e-12)]
    assert history["val_loss"] == [pytest.approx(expected, rel=1e-12)]
    assert evaluate(model, (x, y[:, None]), loss=loss).loss == pytest.approx(expected, rel=1e-12)
    # As in PyTorch, "mean" divides by n for probabilities; a sum is reported per sample.
    summed = CrossEntropyLoss(weight=weight, reduction="sum")
    expected = (factors * losses).sum() / 5
    for target, loss_fn in ((data.one_hot(y), loss), (y, summed)):
        sets, optimizer = (x, target), standing(model)
        history = quiet_fit(
            model, sets, validation=sets, batch_size=size, loss=loss_fn, optimizer=optimizer
        )
        assert history["loss"] == [pytest.approx(expected, rel=1e-12)]
        assert history["val_loss"] == [pytest.approx(expected, rel=1e-12)]
    assert evaluate(model, (x, y), loss=summed).loss == pytest.approx(5 * expected, rel=1e-12)


def test_a_batch_whose_labels_all_have_weight_0_adds_nothing():
    loss_fn = CrossEntropyLoss(weight=[1.0, 0.0])
    for shape, target in (((3, 2), [1, 1, 1]), ((1, 2, 4), [[1, 1, 1, 1]])):
        assert loss_fn(np.ones(shape), target) == 0.0
        np.testing.assert_array_equal(loss_fn.backward(), np.zeros(shape))
    model, (x, y), _ = two_classes()
    history = quiet_fit(model, (x, y), batch_size=2, shuffle=False, loss=loss_fn)
    assert np.isfinite(history["loss"][0])
    with pytest.raises(
        ValueError, match="every label of train is ignored or has the class weight 0"
    ):
        quiet_fit(model, (x, np.ones(5, int)), loss=loss_fn)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -1.0], r"\[1\] is -1"),
        ([math.nan, 1.0], r"\[0\] is nan"),
        ([math.inf, 1.0], r"\[0\] is inf"),
        ([0.0, 0.0], " is 0 for every class"),
        ([], r" has shape \(0,\)"),
        ([[1.0, 2.0]], r" has shape \(1, 2\)"),
        ({0: 1.0, 2: 3.0}, r".* classes \[0, 2\].*the factor 1"),
        ({"cat": 1.0}, r".* classes \['cat'\]"),
        ({0: 1.0, 1: -2.0}, r"\[1\] is -2"),
    ],
)
def test_class_weights_are_checked_when_the_loss_is_made(weight, message):
    with pytest.raises(ValueError, match=f"CrossEntropyLoss: weight{message}"):
        CrossEntropyLoss(weight=weight)


def test_class_weights_of_another_number_of_classes_are_named():
    with pytest.raises(ValueError, match=r"weight has shape \(2,\).*\(3,\) is expected"):
        CrossEntropyLoss(weight={0: 1, 1: 2})(np.zeros((2, 3)), [0, 1])


# Probabilities where logits are expected


@pytest.mark.parametrize(
    ("ends", "loss", "target"),
    [
        ([Linear(2, 3), Softmax()], None, blobs()[1]),
        ([Linear(2, 3), Sequential(Softmax(), Identity())], CrossEntropyLoss(), blobs()[1]),
        ([Linear(2, 3), Sigmoid()], CrossEntropyLoss(), blobs()[1]),
        ([Linear(2, 1), Sigmoid(), Flatten()], BCEWithLogitsLoss(), blobs()[1] > 0),
    ],
)
def test_probabilities_under_a_loss_of_logits_are_one_warning(ends, loss, target):
    model, sets = Sequential(*ends), (blobs()[0], target)
    for run in (lambda: quiet_fit(model, sets, validation=sets, epochs=2, loss=loss),) * 2:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            run()
        assert [str(one.message) for one in seen if "fit: the model ends in" in str(one.message)]
        assert len(seen) == 1
        assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match=r"evaluate: the model ends in \w+, but .* expects logits"):
        evaluate(model, sets, loss=loss)


def test_probabilities_under_a_loss_of_probabilities_are_no_warning():
    x, y = blobs()
    quiet_fit(Sequential(Linear(2, 1), Sigmoid()), (x, y > 0), loss=BCELoss())
    quiet_fit(Sequential(Linear(2, 3), Softmax()), (x, np.eye(3)[y]), loss=MSELoss())


# Pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_pixels_0_to_255_are_one_warning_that_says_how_to_scale(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 12)).astype(dtype), rng.integers(0, 2, 20)
    with pytest.warns(UserWarning, match=r"train\.x holds whole numbers up to 25.*/ 255") as seen:
        quiet_fit(Sequential(Linear(12, 2)), (x, y), validation=(x, y), epochs=2)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    quiet_fit(Sequential(Linear(12, 2)), (x.astype(np.float32) / 255, y))
    quiet_fit(Sequential(Linear(12, 2)), (x % 2, y))


# What ends training early


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_exceptions_that_end_training_contain_the_finished_epochs(error):
    class Stop:
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                raise error

    with pytest.raises(error) as caught:
        quiet_fit(mlp(), blobs(), epochs=4, callbacks=Stop())
    assert caught.value.history["epoch"] == [1, 2]
    assert caught.value.history.columns == ["epoch", "loss", "accuracy", "seconds"]


def test_a_loss_that_is_not_finite_contains_the_epochs_before():
    x, y = blobs(9)

    class Poison:
        def on_epoch_end(self, epoch, logs):
            x[4] = math.nan

    with pytest.raises(NotFiniteError) as caught:
        quiet_fit(mlp(), (x, y), epochs=4, callbacks=[Poison()])
    assert len(caught.value.history) == 1


def test_the_set_with_a_wrong_target_is_named():
    x, y = blobs(9)
    bad = y.copy()
    bad[5] = 7
    with pytest.raises(ValueError, match=r"fit: validation: CrossEntropyLoss: target\[5\] is 7"):
        quiet_fit(mlp(), (x, y), validation=(x, bad))
    with pytest.raises(ValueError, match=r"fit: train: CrossEntropyLoss: target\[5\] is 7"):
        quiet_fit(mlp(), (x, bad), validation=(x, y))
    with pytest.raises(ValueError, match="fit: validation has 0 samples"):
        quiet_fit(mlp(), (x, y), validation=(x[:0], y[:0]))


def test_model_and_data_in_the_wrong_order_are_named():
    model, (x, y) = mlp(), blobs(9)
    for run in (predict, predict_labels, predict_proba):
        with pytest.raises(TypeError, match=r"predict: model is a ndarray.*predict\(model, x\)"):
            run(x, model)
    with pytest.raises(TypeError, match=r"evaluate: model is a tuple.*evaluate\(model, data\)"):
        evaluate((x, y), model)
    with pytest.raises(TypeError, match=r"fit: model is a tuple, expected a Layer"):
        fit((x, y), model)


def test_callbacks_are_a_list_or_one_object():
    class Listen:
        def __init__(self):
            self.epochs = []

        def on_epoch_end(self, epoch, logs):
            self.epochs.append(epoch)

    alone, listed = Listen(), Listen()
    quiet_fit(mlp(), blobs(9), epochs=2, callbacks=alone)
    quiet_fit(mlp(), blobs(9), epochs=2, callbacks=(listed,))
    assert alone.epochs == listed.epochs == [1, 2]
    for wrong in (3, object(), print):
        with pytest.raises(TypeError, match=r"fit: callbacks is .*expected a list of objects"):
            quiet_fit(mlp(), blobs(9), callbacks=wrong)


@pytest.mark.parametrize("metrics", ["accuracy", [cnnx.metrics.Accuracy()]])
def test_labels_that_the_loss_ignores_do_not_count(metrics):
    x = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 9
    y = np.array([0, 2, -100, -100])
    scores = cnnx.evaluate(cnnx.Identity(), (x, y), metrics=metrics)
    assert scores["accuracy"] == 0.5


def test_a_function_is_the_mean_over_what_it_counts_in_all_batches():
    """Batches of 2: one of two labels, one of a single label, one of none."""
    x = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1]] * 9
    y = np.array([0, 2, 1, -100, -100, -100])
    batches = [(x[i : i + 2], y[i : i + 2]) for i in (0, 2, 4)]
    expected = 1 / 3  # of the labels that count: right, wrong, wrong
    seen = []

    class Listen(cnnx.Callback):
        def on_batch_end(self, batch, logs):
            seen.append(logs["accuracy"])

    def all_of_them(outputs, target):  # of a user: counts every sample
        return float(len(target))

    metrics = {
        "accuracy": cnnx.metrics.accuracy,
        "exact": cnnx.metrics.Accuracy(),
        "n": all_of_them,
    }
    for form in (batches, (x, y)):
        scores = cnnx.evaluate(cnnx.Identity(), form, metrics=metrics)
        assert scores["accuracy"] == pytest.approx(expected, abs=1e-15)
        assert scores["exact"] == pytest.approx(expected, abs=1e-15)
        assert scores["n"] == (2 if form is batches else 6)
    history = cnnx.fit(
        cnnx.Sequential(cnnx.Identity(), cnnx.PReLU()),
        batches,
        metrics=metrics,
        callbacks=Listen(),
        verbose=False,
    )
    assert history[0]["accuracy"] == pytest.approx(expected, abs=1e-15)
    assert seen[:2] == [0.5, 0.0] and np.isnan(seen[2])


def test_positions_that_are_ignored_do_not_count_in_images():
    x = np.zeros((2, 2, 2, 2), np.float32)
    x[:, 1] = 1  # always class 1
    y = np.array([[[1, 0], [0, -100]], [[1, -100], [-100, -100]]])
    scores = cnnx.evaluate(cnnx.Identity(), [(x[:1], y[:1]), (x[1:], y[1:])], metrics="accuracy")
    assert scores["accuracy"] == pytest.approx(2 / 4, abs=1e-15)


def test_if_every_label_is_ignored_there_is_no_accuracy_and_no_loss():
    """0 / 0: as of scikit-learn and PyTorch. The loss of such a batch in training is 0."""
    x, y = np.ones((4, 3), np.float32), np.full(4, -100)
    for form in ((x, y), [(x, y)]):
        scores = cnnx.evaluate(cnnx.Identity(), form)
        assert np.isnan(scores["accuracy"]) and np.isnan(scores["loss"])
    assert cnnx.CrossEntropyLoss()(x, y) == 0.0
    with pytest.raises(ValueError, match="every label of train is ignored or"):
        cnnx.fit(cnnx.Linear(3, 3), (x, y), verbose=False)


def test_regressions_have_no_accuracy_and_focal_losses_do():
    x = np.array([[0.0], [1.0]], np.float32)
    data = x, np.array([0, 1])
    for loss in (cnnx.L1Loss(), cnnx.HuberLoss(), cnnx.SmoothL1Loss()):
        assert "accuracy" not in cnnx.evaluate(cnnx.Identity(), data, loss=loss)
    for scores in (2 * x - 1, np.eye(2, dtype=np.float32) * 5):
        loss = cnnx.FocalLoss()
        result = cnnx.evaluate(cnnx.Identity(), (scores, np.array([0, 1])), loss=loss)
        assert result["accuracy"] == 1.0
