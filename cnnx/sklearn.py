"""Estimators with scikit-learn's interface: `CNNClassifier`, `CNNRegressor` (extra ``sklearn``).

>>> from cnnx.sklearn import CNNClassifier
>>> model = CNNClassifier(epochs=10, image_shape=(1, 8, 8), random_state=0).fit(x_train, y_train)
>>> model.score(x_test, y_test)
"""

# Design:
# The constructor only stores its arguments and `fit` checks them, as scikit-learn's `clone` and
# `GridSearchCV` require; what is learned has a trailing underscore. All randomness of a fit comes
# from `random_state`, in `random.seeded`, so a fit changes no one's stream of random numbers.
# `fit` and `partial_fit` are the same steps (`_learn`): samples are checked, targets become numbers
# (`_targets`), the model is trained. An estimator adds what its targets, loss and outputs are.
# Worker processes of `n_jobs` share the processors: joblib sets OMP_NUM_THREADS for each to
# processors / n_jobs before cnnx is imported there (a value that the user has set stays).

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from typing_extensions import Self

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

    def _learn(self, x: Any, y: Any, sample_weight: Any, again: bool, once: bool = False) -> Self:
        """Train the present model if `again`, else a new one; `once`: for one epoch."""
        samples, y = self._samples(x, y, reset=not (once and again))
        weight = self._weights(sample_weight, len(samples))
        self._train(samples, self._targets(y, weight, again, once), weight, again, once)
        return self

    def _weights(self, sample_weight: Any, count: int) -> np.ndarray | None:
        """Checked weights (n,) float64, or None."""
        if sample_weight is None:
            return None
        weight = np.asarray(sample_weight, np.float64)
        name = type(self).__name__
        if weight.shape != (count,):
            raise ValueError(
                f"{name}: sample_weight has shape {weight.shape}, but one number for each of "
                f"{count} samples is expected"
            )
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ValueError(f"{name}: sample_weight must be finite, and 0 or more")
        if not weight.any():
            raise ValueError(f"{name}: sample_weight is zero for all samples: none is left to fit")
        return weight

    def _train(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, again: bool, once: bool
    ) -> None:
        data = (x, y) if weight is None else (x, y, weight)
        held, callbacks = None, list(self.callbacks)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        with random.seeded(seed):
            if not again:
                self.model_ = self._made(x.shape[1:], self._outputs(y))
                self._optimizer = (self.optimizer or Adam)(self.model_.parameters(), lr=self.lr)
            if self.early_stopping and not once:
                kept, left_out = self._split(len(x), rng)
                data, held = (tuple(part[rows] for part in data) for rows in (kept, left_out))
                callbacks.append(EarlyStopping(patience=self.patience))
            history = fit(
                self.model_,
                data,
                validation=held,
                epochs=1 if once else self.epochs,
                batch_size=self.batch_size,
                optimizer=self._optimizer,
                loss=self._loss(y, weight),
                seed=seed,
                callbacks=callbacks,
                verbose=bool(self.verbose),
            )
        self.history_ = history
        self.n_iter_ = len(history)

    def _targets(
        self, y: np.ndarray, weight: np.ndarray | None, again: bool, once: bool
    ) -> np.ndarray:
        """y as the model is trained on it; `again`: for a model that exists."""
        raise NotImplementedError

    def _outputs(self, y: np.ndarray) -> int:
        """The number of outputs of a model for such targets."""
        raise NotImplementedError

    def _loss(self, y: np.ndarray, weight: np.ndarray | None) -> Any:
        """The loss of a training on these samples."""
        raise NotImplementedError

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
    class_weight  "balanced", or a dict class -> weight; multiplied by sample_weight, and "balanced"
                  by the sums of these
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

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples (n, features) or (n, c, h, w) and their classes (n,).

        sample_weight  (n,), 0 or more: factors of the losses of the samples; of the held-out ones
                       of early stopping, too
        """
        return self._learn(x, y, sample_weight, self.warm_start and hasattr(self, "model_"))

    def partial_fit(self, x: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one more epoch, on some samples; the first call needs all classes."""
        again = hasattr(self, "model_")
        if not again:
            if classes is None:
                raise ValueError("CNNClassifier: the first partial_fit needs classes=")
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError("CNNClassifier: classes differ from those of the first partial_fit")
        return self._learn(x, y, sample_weight, again, once=True)

    def _targets(
        self, y: np.ndarray, weight: np.ndarray | None, again: bool, once: bool
    ) -> np.ndarray:
        check_classification_targets(y)
        if not once:
            classes = np.unique(y)
            if again and not np.array_equal(classes, self.classes_):
                raise ValueError("CNNClassifier: with warm_start the classes must stay the same")
            if len(classes) < 2:
                raise ValueError("CNNClassifier: y has one class, expected at least two classes")
            self.classes_ = classes
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"CNNClassifier: y has {unknown[0]!r}, which is not in classes")
        return np.searchsorted(self.classes_, y)

    def _outputs(self, y: np.ndarray) -> int:
        return len(self.classes_)

    def _loss(self, y: np.ndarray, weight: np.ndarray | None) -> Any:
        if self.class_weight is None:
            return CrossEntropyLoss() if self.loss is None else self.loss
        if self.loss is not None:
            raise ValueError("CNNClassifier: class_weight is for loss=None: weight the loss")
        factors = np.ones(len(self.classes_))
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            sizes = np.bincount(y, weight, minlength=len(factors))
            present = sizes > 0
            factors[present] = sizes.sum() / (present.sum() * sizes[present])
        else:
            present = np.unique(y)
            factors[present] = compute_class_weight(
                self.class_weight, classes=self.classes_[present], y=self.classes_[y]
            )
        return CrossEntropyLoss(weight=factors)

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

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples and their targets; sample_weight as in `CNNClassifier.fit`."""
        return self._learn(x, y, sample_weight, self.warm_start and hasattr(self, "model_"))

    def partial_fit(self, x: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one more epoch, on some samples; targets are scaled by those of the first call."""
        return self._learn(x, y, sample_weight, hasattr(self, "model_"), once=True)

    def _targets(
        self, y: np.ndarray, weight: np.ndarray | None, again: bool, once: bool
    ) -> np.ndarray:
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        if not again:
            self._flat = np.ndim(y) == 1
            self._mean = np.average(targets, axis=0, weights=weight)
            variance = np.average((targets - self._mean) ** 2, axis=0, weights=weight)
            self._scale = np.where(variance > 0, np.sqrt(variance), 1.0)
        return ((targets - self._mean) / self._scale).astype(np.float32)

    def _outputs(self, y: np.ndarray) -> int:
        return y.shape[1]

    def _loss(self, y: np.ndarray, weight: np.ndarray | None) -> Any:
        return MSELoss() if self.loss is None else self.loss

    def predict(self, x: Any) -> np.ndarray:
        """The numbers, in the form of the targets."""
        check_is_fitted(self, "model_")
        outputs = predict(self.model_, self._samples(x)) * self._scale + self._mean
        return outputs[:, 0] if self._flat else outputs
