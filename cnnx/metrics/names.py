"""The names of metrics that `fit` and `evaluate` accept as strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from .base import Metric
from .classes import Accuracy, F1Score, MeanIoU, Precision, Recall, TopKAccuracy
from .ranking import AUROC, AveragePrecision
from .regression import MeanAbsoluteError, MeanSquaredError, R2Score, RootMeanSquaredError

__all__ = ["NAMES", "by_name"]

_AVERAGED: dict[str, Callable[..., Metric]] = {"precision": Precision, "recall": Recall}
_AVERAGED["f1"] = F1Score
_MAKE: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "mean_iou": MeanIoU,
    **{name: make for name, make in _AVERAGED.items()},
    **{
        f"{name}_{average}": partial(make, average)
        for name, make in _AVERAGED.items()
        for average in ("micro", "weighted", "binary")
    },
    "auroc": AUROC,
    "average_precision": AveragePrecision,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_squared_error": MeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "r2": R2Score,
}
NAMES = (*_MAKE, "top_<k>_accuracy")


def by_name(name: str) -> Metric | None:
    """A new metric of that name, one of `NAMES`; None if there is none.

    Example: ``by_name("top_5_accuracy")`` is ``TopKAccuracy(5)``.
    """
    top = re.fullmatch(r"top_([1-9][0-9]{0,8})_accuracy", name)
    if top:
        return TopKAccuracy(int(top[1]))
    return _MAKE[name]() if name in _MAKE else None
