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
from sklearn.utils.estimator_checks import parametrize_with_checks

import cnnx
from cnnx.sklearn import CNNClassifier, CNNRegressor


def small(shape, outputs):
    return cnnx.Sequential(cnnx.Flatten(), cnnx.Linear(int(np.prod(shape)), outputs))


@parametrize_with_checks(
    [
        CNNClassifier(small, epochs=30, lr=0.05, random_state=0),
        CNNRegressor(small, epochs=30, lr=0.05, random_state=0),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


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
