"""Estimators with scikit-learn's interface: `CNNClassifier`, `CNNRegressor` (extra ``sklearn``).

>>> from cnnx.sklearn import CNNClassifier
>>> model = CNNClassifier(epochs=10, image_shape=(1, 8, 8), random_state=0).fit(x_train, y_train)
>>> model.score(x_test, y_test)
"""

# Design:
# The constructor only stores its arguments and `fit` checks them, as scikit-learn's `clone` and
# `GridSearchCV` require; what is learned has a trailing underscore. All randomness of a fit comes
# from `random_state`, in `random.seeded`, so a fit changes no one's stream of random numbers.
# Worker processes of `n_jobs` share the processors: joblib sets OMP_NUM_THREADS for each to
# processors / n_jobs before cnnx is imported there (a value that the user has set stays).

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from cnnx import models, random
from cnnx.callbacks import EarlyStopping
from cnnx.inference import predict, predict_proba
from cnnx.layers import Layer
from cnnx.losses import CrossEntropyLoss, MSELoss
from cnnx.optim import Adam
from cnnx.training import fit

__all__ = ["CNNClassifier", "CNNRegressor"]

Model = Layer | Callable[[tuple[int, ...], int], Layer] | str | None


_NO_TARGET = "no target"


class _Estimator(BaseEstimator):
    """What both estimators share: samples, the model, training."""

    def __init__(
        self,
        model: Model = None,
        *,
        image_shape: tuple[int, int, int] | None = None,
        epochs: int = 20,
        batch_size: int = 32,
        lr: float = 1e-3,
        optimizer: Any = None,
        loss: Any = None,
        early_stopping: bool = False,
        patience: int = 5,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool = False,
        callbacks: Any = (),
    ) -> None:
        self.model = model
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.loss = loss
        self.early_stopping = early_stopping
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.callbacks = callbacks

    def _samples(self, x: Any, y: Any = _NO_TARGET, reset: bool = False) -> Any:
        """Checked float32 samples as the model takes them, and y."""
        options: dict[str, Any] = {"dtype": np.float32, "allow_nd": True, "reset": reset}
        if y is _NO_TARGET:
            x = validate_data(self, x, **options)
        else:
            x, y = validate_data(self, x, y, multi_output=self._several, **options)
        if self.image_shape is not None and x.ndim == 2:
            if x.shape[1] != np.prod(self.image_shape):
                raise ValueError(
                    f"{type(self).__name__}: x has {x.shape[1]} features, but image_shape is "
                    f"{self.image_shape}, which are {np.prod(self.image_shape)}"
                )
            x = x.reshape(len(x), *self.image_shape)
        if y is _NO_TARGET:
            return x
        if not self._several:
            y = column_or_1d(y, warn=True)
        return x, y

    _several = False

    def _made(self, shape: tuple[int, ...], outputs: int) -> Layer:
        """A new model for samples of a shape."""
        model = self.model
        if isinstance(model, Layer):
            return model.copy()
        if isinstance(model, str):
            return models.build(model, shape, outputs)
        if model is not None:
            return model(shape, outputs)
        small = len(shape) == 3 and min(shape[1:]) >= 4
        return models.build("digits_cnn" if small else "mlp", shape, outputs)

    def _train(self, x: Any, y: Any, loss: Any, outputs: int, again: bool) -> None:
        """Train `model_`, a new one unless `again`."""
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        with random.seeded(seed):
            if not (again and hasattr(self, "model_")):
                self.model_ = self._made(x.shape[1:], outputs)
                self._optimizer = (self.optimizer or Adam)(self.model_.parameters(), lr=self.lr)
            data, held, callbacks = (x, y), None, list(self.callbacks)
            if self.early_stopping:
                kept, left_out = self._split(len(x), rng)
                data, held = (x[kept], y[kept]), (x[left_out], y[left_out])
                callbacks.append(EarlyStopping(patience=self.patience))
            history = fit(
                self.model_,
                data,
                validation=held,
                epochs=self.epochs,
                batch_size=self.batch_size,
                optimizer=self._optimizer,
                loss=loss,
                seed=seed,
                callbacks=callbacks,
                verbose=bool(self.verbose),
            )
        self.history_ = history
        self.n_iter_ = len(history)

    def _split(self, count: int, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        size = max(1, round(count * self.validation_fraction))
        if not 0 < self.validation_fraction < 1 or size >= count:
            raise ValueError(
                f"{type(self).__name__}: validation_fraction is {self.validation_fraction}, which "
                f"leaves no sample of {count} to train on or to validate with"
            )
        order = rng.permutation(count)
        return order[size:], order[:size]


class CNNClassifier(ClassifierMixin, _Estimator):
    """A network that predicts classes, as a scikit-learn classifier.

    model         None: `models.digits_cnn` for images and `models.mlp` for tables; a name of
                  `cnnx.models`; a Layer, which is copied; or a function (shape of a sample, number
                  of classes) -> Layer
    image_shape   (channels, height, width) of the images in flat rows; images may also come as
                  (n, c, h, w)
    epochs, batch_size, loss, verbose, callbacks  as in `cnnx.fit`; loss None: CrossEntropyLoss()
    lr, optimizer the learning rate, and a class of `cnnx.optim`; None: Adam
    early_stopping  hold out `validation_fraction` of the samples, stop after `patience` epochs
                  without a lower loss on them, and keep the best weights
    class_weight  "balanced", or a dict class -> weight
    random_state  of weights, shuffling, dropout and the held-out samples
    warm_start    whether `fit` continues with the present model

    After `fit`: `classes_`, `model_`, `history_`, `n_features_in_`, `n_iter_`. Labels may be
    strings. Works in `Pipeline`, `GridSearchCV` and `cross_val_score`, and pickles, as joblib does.

    Example: ``CNNClassifier(epochs=5, image_shape=(1, 8, 8)).fit(x, y).score(x, y)``
    """

    classes_: np.ndarray

    def __init__(
        self,
        model: Model = None,
        *,
        image_shape: tuple[int, int, int] | None = None,
        epochs: int = 20,
        batch_size: int = 32,
        lr: float = 1e-3,
        optimizer: Any = None,
        loss: Any = None,
        early_stopping: bool = False,
        patience: int = 5,
        validation_fraction: float = 0.1,
        class_weight: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool = False,
        callbacks: Any = (),
    ) -> None:
        super().__init__(
            model,
            image_shape=image_shape,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            loss=loss,
            early_stopping=early_stopping,
            patience=patience,
            validation_fraction=validation_fraction,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            callbacks=callbacks,
        )
        self.class_weight = class_weight

    def fit(self, x: Any, y: Any) -> CNNClassifier:
        """Train on samples (n, features) or (n, c, h, w) and their classes (n,)."""
        samples, y = self._samples(x, y, reset=True)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        again = self.warm_start and hasattr(self, "model_")
        if again and not np.array_equal(classes, self.classes_):
            raise ValueError("CNNClassifier: with warm_start the classes must stay the same")
        if len(classes) < 2:
            raise ValueError("CNNClassifier: y has one class, expected at least two classes")
        self.classes_ = classes
        self._run(samples, labels, again)
        return self

    def partial_fit(
        self, x: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> CNNClassifier:
        """Train one more time on some samples; the first call needs all classes."""
        first = not hasattr(self, "model_")
        samples, y = self._samples(x, y, reset=first)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise ValueError("CNNClassifier: the first partial_fit needs classes=")
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError("CNNClassifier: classes differ from those of the first partial_fit")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"CNNClassifier: y has {unknown[0]!r}, which is not in classes")
        labels = np.searchsorted(self.classes_, y)
        epochs, stop = self.epochs, self.early_stopping
        try:
            self.epochs, self.early_stopping = 1, False
            self._run(samples, labels, again=True)
        finally:
            self.epochs, self.early_stopping = epochs, stop
        return self

    def _run(self, x: Any, labels: Any, again: bool) -> None:
        loss = self.loss
        if self.class_weight is not None:
            if loss is not None:
                raise ValueError("CNNClassifier: class_weight is for loss=None: weight the loss")
            present = np.unique(labels)
            factors = np.ones(len(self.classes_), np.float32)
            factors[present] = compute_class_weight(
                self.class_weight, classes=self.classes_[present], y=self.classes_[labels]
            )
            loss = CrossEntropyLoss(weight=factors)
        self._train(x, labels, loss or CrossEntropyLoss(), len(self.classes_), again)

    def predict_proba(self, x: Any) -> np.ndarray:
        """The probabilities of the classes, (n, classes)."""
        check_is_fitted(self, "model_")
        return predict_proba(self.model_, self._samples(x))

    def predict(self, x: Any) -> np.ndarray:
        """The most probable class of each sample, (n,)."""
        check_is_fitted(self, "model_")
        return self.classes_[predict(self.model_, self._samples(x)).argmax(axis=1)]


class CNNRegressor(RegressorMixin, _Estimator):
    """A network that predicts numbers, as a scikit-learn regressor.

    Arguments are those of `CNNClassifier`, without class_weight; loss None: MSELoss(). Targets are
    (n,) or (n, outputs). They are standardised for training, so lr does not depend on their unit.

    Example: ``CNNRegressor(epochs=50).fit(x, y).predict(x)``
    """

    _several = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, x: Any, y: Any) -> CNNRegressor:
        """Train on samples and their targets."""
        samples, y = self._samples(x, y, reset=True)
        targets = np.asarray(y, np.float64).reshape(len(samples), -1)
        again = self.warm_start and hasattr(self, "model_")
        if not again:
            self._flat = np.ndim(y) == 1
            self._mean, deviation = targets.mean(axis=0), targets.std(axis=0)
            self._scale = np.where(deviation > 0, deviation, 1.0)
        self._run(samples, targets, again)
        return self

    def partial_fit(self, x: Any, y: Any) -> CNNRegressor:
        """Train one more time on some samples; targets are scaled by those of the first call."""
        first = not hasattr(self, "model_")
        samples, y = self._samples(x, y, reset=first)
        targets = np.asarray(y, np.float64).reshape(len(samples), -1)
        if first:
            self._flat = np.ndim(y) == 1
            self._mean, deviation = targets.mean(axis=0), targets.std(axis=0)
            self._scale = np.where(deviation > 0, deviation, 1.0)
        epochs, stop = self.epochs, self.early_stopping
        try:
            self.epochs, self.early_stopping = 1, False
            self._run(samples, targets, again=True)
        finally:
            self.epochs, self.early_stopping = epochs, stop
        return self

    def _run(self, x: Any, targets: Any, again: bool) -> None:
        scaled = ((targets - self._mean) / self._scale).astype(np.float32)
        loss = MSELoss() if self.loss is None else self.loss
        self._train(x, scaled, loss, scaled.shape[1], again)

    def predict(self, x: Any) -> np.ndarray:
        """The numbers, in the form of the targets."""
        check_is_fitted(self, "model_")
        outputs = predict(self.model_, self._samples(x)) * self._scale + self._mean
        return outputs[:, 0] if self._flat else outputs
