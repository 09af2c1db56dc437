"""cnnx.sklearn: scikit-learn's own checks, and its tools around the estimators."""

from __future__ import annotations

import io

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)

import cnnx
from cnnx.sklearn import CNNClassifier, CNNRegressor


def small(shape, outputs):
    return cnnx.Sequential(cnnx.Flatten(), cnnx.Linear(int(np.prod(shape)), outputs))


# As for other estimators that are trained on mini-batches: a repeated sample may be in several
# batches of an epoch, and one of weight 0 still takes its place in one. In this check one batch has
# all samples: the results differ by 3e-7, since they are float32, and the check allows 1e-7.
NOT_EQUIVALENT = {
    "check_sample_weight_equivalence_on_dense_data": "float32, and batches of repeated samples",
}


@parametrize_with_checks(
    [
        CNNClassifier(small, epochs=30, lr=0.05, random_state=0),
        CNNRegressor(small, epochs=30, lr=0.05, random_state=0),
    ],
    expected_failed_checks=lambda estimator: NOT_EQUIVALENT,
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def small_float64(shape, outputs):
    return small(shape, outputs).astype(np.float64)


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
def test_weights_are_repetitions_in_float64_if_all_samples_are_in_one_batch(estimator):
    model = estimator(small_float64, epochs=30, lr=0.05, batch_size=100, random_state=0)
    check_sample_weight_equivalence_on_dense_data(estimator.__name__, model)


@pytest.fixture(scope="module")
def digits():
    train, _ = cnnx.data.load_digits()
    x, y = train.x[:300].reshape(300, 64), np.array([f"digit {label}" for label in train.y[:300]])
    return x, y


def test_flat_images_and_string_labels_are_learned_and_survive_joblib(digits):
    x, y = digits
    model = CNNClassifier(epochs=12, image_shape=(1, 8, 8), lr=3e-3, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.9
    assert list(model.classes_) == sorted(set(y)) and model.n_features_in_ == 64
    assert len(model.history_) == 12
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict_proba(x), model.predict_proba(x))
    again = clone(model).fit(x, y)
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))


def threads_of_this_process(model, x, y):
    return cnnx.get_num_threads()


def test_pipeline_cross_validation_and_grid_search_with_two_processes(digits, monkeypatch):
    x, y = digits
    pipeline = make_pipeline(StandardScaler(), CNNClassifier("mlp", epochs=6, random_state=0))
    assert cross_val_score(pipeline, x, y, cv=2).mean() > 0.5
    for variable in ("OMP_NUM_THREADS", "CNNX_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    scoring = {"accuracy": "accuracy", "threads": threads_of_this_process}
    rates = {"cnnclassifier__lr": [1e-5, 1e-2]}
    search = GridSearchCV(pipeline, rates, scoring=scoring, refit="accuracy", cv=2, n_jobs=2)
    assert search.fit(x, y).best_params_ == {"cnnclassifier__lr": 1e-2}
    # Two processes share the processors: more threads than this would be too many.
    assert set(search.cv_results_["mean_test_threads"]) == {max(1, joblib.cpu_count() // 2)}


def test_partial_fit_continues_and_needs_all_classes_first(digits):
    x, y = digits
    model = CNNClassifier("mlp", lr=1e-2, random_state=0)
    with pytest.raises(ValueError, match="first partial_fit needs classes="):
        model.partial_fit(x, y)
    for _ in range(8):
        model.partial_fit(x, y, classes=np.unique(y))
    assert model.score(x, y) > 0.8
    with pytest.raises(ValueError, match="which is not in classes"):
        model.partial_fit(x[:2], ["a", "b"])


def test_early_stopping_ends_training_and_warm_start_continues(digits):
    x, y = digits
    model = CNNClassifier(
        "mlp", epochs=60, lr=0.03, early_stopping=True, patience=2, random_state=0
    ).fit(x, y)
    assert model.n_iter_ < 60 and "val_loss" in model.history_.columns
    longer = CNNClassifier("mlp", epochs=2, lr=1e-3, warm_start=True, random_state=0).fit(x, y)
    before = longer.history_["loss"][-1]
    assert longer.fit(x, y).history_["loss"][0] < before


def test_class_weights_shift_the_predictions():
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = (np.arange(200) < 20).astype(int)
    rates = []
    for weight in (None, "balanced"):
        model = CNNClassifier(small, epochs=20, lr=0.05, class_weight=weight, random_state=0)
        rates.append(model.fit(x, y).predict(x).mean())
    assert rates[0] < 0.1 < rates[1]


# The first step of Adam, unlike that of SGD, depends on the gradient's sign only.
WEIGHTED = {"epochs": 5, "optimizer": cnnx.SGD, "lr": 0.1, "batch_size": 64, "random_state": 0}


def two_clouds(n=60):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)).astype(np.float32), np.arange(n) % 2
    return x + y[:, None], y, rng.integers(1, 5, n)


def same_weights(one, other, **tolerance):
    found, expected = (model.model_.state_dict() for model in (one, other))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, **tolerance)


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_integer_weights_in_one_batch_are_repeated_samples(estimator, method):
    x, y, weight = two_clouds()
    weight[:7] = 0
    options = {**WEIGHTED, "batch_size": 1000}
    more = {"classes": [0, 1]} if (estimator, method) == (CNNClassifier, "partial_fit") else {}
    weighted = getattr(estimator(small, **options), method)(x, y, sample_weight=weight, **more)
    rows = np.repeat(np.arange(60), weight)
    repeated = getattr(estimator(small, **options), method)(x[rows], y[rows], **more)
    plain = getattr(estimator(small, **options), method)(x, y, **more)
    same_weights(weighted, repeated, rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError):
        same_weights(plain, repeated, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
def test_a_common_factor_of_all_weights_does_not_matter(estimator):
    x, y, weight = two_clouds()
    one = estimator(small, **WEIGHTED).fit(x, y, weight)
    same_weights(estimator(small, **WEIGHTED).fit(x, y, 8.0 * weight), one, rtol=1e-5)


def test_class_weight_and_sample_weight_are_multiplied():
    x, y, weight = two_clouds()
    factor = np.where(y == 0, 3.0, 0.5)
    product = CNNClassifier(small, **WEIGHTED).fit(x, y, weight * factor)
    both = CNNClassifier(small, class_weight={0: 3.0, 1: 0.5}, **WEIGHTED).fit(x, y, weight)
    same_weights(both, product, rtol=1e-4, atol=1e-6)


def test_balanced_classes_have_equal_sums_of_weights():
    x, y, weight = two_clouds()
    weight[y == 1] *= 5
    sums = np.bincount(y, weight)
    balanced = CNNClassifier(small, class_weight="balanced", **WEIGHTED).fit(x, y, weight)
    expected = CNNClassifier(small, **WEIGHTED).fit(x, y, weight * (sums.sum() / (2 * sums))[y])
    same_weights(balanced, expected, rtol=1e-4, atol=1e-6)


def test_early_stopping_weights_the_held_out_samples():
    x, y, weight = two_clouds()
    held = CNNClassifier(small, early_stopping=True, validation_fraction=0.5, **WEIGHTED)
    plain = held.fit(x, y).history_["val_loss"]
    assert held.fit(x, y, np.ones(60)).history_["val_loss"] == pytest.approx(plain)
    assert held.fit(x, y, weight).history_["val_loss"] != pytest.approx(plain)


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
def test_score_weights_the_samples(estimator):
    x, y, weight = two_clouds()
    model = estimator(small, **WEIGHTED).fit(x, y)
    pred = model.predict(x)
    if estimator is CNNClassifier:
        expected = weight[pred == y].sum() / weight.sum()
    else:
        mean = (weight * y).sum() / weight.sum()
        expected = 1 - (weight * (y - pred) ** 2).sum() / (weight * (y - mean) ** 2).sum()
    assert model.score(x, y, sample_weight=weight) == pytest.approx(expected)
    assert model.score(x, y) != pytest.approx(expected)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (np.ones(3), r"sample_weight has shape \(3,\), .* each of 60 samples"),
        (np.full(60, -1), "sample_weight must be finite, and 0 or more"),
        (np.full(60, np.nan), "sample_weight must be finite, and 0 or more"),
        (np.zeros(60), "sample_weight is zero for all samples"),
    ],
)
def test_wrong_weights_are_refused(weight, expected):
    x, y, _ = two_clouds()
    for estimator in (CNNClassifier(small), CNNRegressor(small)):
        with pytest.raises(ValueError, match=f"{type(estimator).__name__}: {expected}"):
            estimator.fit(x, y, weight)
