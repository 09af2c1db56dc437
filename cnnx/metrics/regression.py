"""Metrics of predicted numbers: mean absolute and squared error, R2."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import targets

from .base import Metric, Value, read_weight

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["MeanAbsoluteError", "MeanSquaredError", "R2Score", "RootMeanSquaredError"]


class _MeanError(Metric):
    """The weighted mean of an error over all numbers."""

    def _error(self, difference: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        pred, target = _numbers(self.name, pred, target)
        error = self._error(pred - target)
        weight = read_weight(self.name, sample_weight, error.shape)
        if weight is None:
            return {"sum": np.asarray(error.sum()), "all": np.array(float(error.size))}
        # A sample of weight 0 does not count, even if it is inf or NaN.
        counted = np.where(weight > 0, error, 0) * weight
        return {"sum": np.asarray(counted.sum()), "all": np.asarray(weight.sum())}

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        if state["all"] == 0:
            raise ValueError(
                f"{self.name}: there is no sample to count: none was given, or all weights are 0"
            )
        return float(state["sum"] / state["all"])


class MeanAbsoluteError(_MeanError):
    """mean of |pred - target| over all numbers, in float64; ``sklearn.mean_absolute_error``.

    target is in pred's shape; an axis 1 of length 1 may be missing in either. NaN makes it NaN.

    Example: ``MeanAbsoluteError()([1.0, 2.0], [1.0, 4.0])`` is 1.
    """

    default_name = "mean_absolute_error"

    def _error(self, difference: np.ndarray) -> np.ndarray:
        return np.abs(difference)


class MeanSquaredError(_MeanError):
    """mean of (pred - target)**2 over all numbers, in float64; ``sklearn.mean_squared_error``.

    Shapes are those of `MeanAbsoluteError`.

    Example: ``MeanSquaredError()([1.0, 2.0], [1.0, 4.0])`` is 2.
    """

    default_name = "mean_squared_error"

    def _error(self, difference: np.ndarray) -> np.ndarray:
        return np.square(difference)


class RootMeanSquaredError(MeanSquaredError):
    """The square root of `MeanSquaredError`, in the unit of the target.

    Example: ``RootMeanSquaredError()([1.0, 2.0], [1.0, 4.0])`` is 1.414...
    """

    default_name = "root_mean_squared_error"

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        return float(np.sqrt(super()._value(state)))


class R2Score(Metric):
    """The share of the target's variance that is predicted: 1 is exact, 0 as good as its mean.

    r2 = 1 - sum w (target - pred)**2 / sum w (target - mean)**2,  averaged over the columns

    Shapes are those of `MeanAbsoluteError`. A column of equal targets counts 1 if it is predicted
    exactly and 0 otherwise, as in ``sklearn.metrics.r2_score``. Of each column it holds the mean
    and the sum of squares around it, which stay exact for targets far from 0.

    T. Chan, G. Golub, R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances", 1979.

    Example: ``R2Score()([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])`` is 0.5.
    """

    default_name = "r2"

    def update(
        self, pred: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch."""
        part = self._add(pred, target, sample_weight)
        if not self._state:
            self._state = part
            return
        a, b = self._state, part
        if a["mean"].shape != b["mean"].shape:
            raise ValueError(
                f"{self.name}: this batch has {b['mean'].size} columns, those before had "
                f"{a['mean'].size}"
            )
        total = a["all"] + b["all"]
        if total == 0:
            return
        apart = b["mean"] - a["mean"]
        self._state = {
            "all": total,
            "mean": a["mean"] + apart * (b["all"] / total),
            "squares": a["squares"] + b["squares"] + apart**2 * (a["all"] * b["all"] / total),
            "errors": a["errors"] + b["errors"],
        }

    def _add(self, pred: Any, target: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        pred, target = _numbers(self.name, pred, target)
        pred, target = (a.reshape(len(a), math.prod(a.shape[1:])) for a in (pred, target))
        weight = read_weight(self.name, sample_weight, (len(pred),))
        weights = np.ones((len(pred), 1)) if weight is None else weight[:, None]
        total = weights.sum()
        mean = (weights * target).sum(axis=0) / max(total, np.finfo(np.float64).tiny)
        return {
            "all": np.asarray(total),
            "mean": mean,
            "squares": (weights * (target - mean) ** 2).sum(axis=0),
            "errors": (weights * (target - pred) ** 2).sum(axis=0),
        }

    def _value(self, state: dict[str, np.ndarray]) -> Value:
        if state["all"] == 0:
            raise ValueError(
                f"{self.name}: there is no sample to count: none was given, or all weights are 0"
            )
        errors, squares = state["errors"], state["squares"]
        constant = np.where(errors == 0, 1.0, 0.0)
        ratio = np.divide(errors, squares, out=np.ones_like(errors), where=squares > 0)
        return float(np.mean(np.where(squares > 0, 1 - ratio, constant)))


def _numbers(op: str, pred: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    pred = targets.numbers(op, "pred", pred).astype(np.float64)
    target = targets.numbers(op, "target", target)
    return pred, targets.read_numbers(op, target, pred.shape, np.float64)
