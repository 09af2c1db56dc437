"""Metrics of predictions: functions of arrays, and objects that add up batch by batch.

A function takes all samples at once. An object takes them in batches and gives the same value:

>>> metric = cnnx.metrics.F1Score()
>>> for x, y in batches:
...     metric.update(model(x), y)
>>> metric.compute()
0.93

`fit` and `evaluate` accept both, and names: ``metrics=["accuracy", "top_5_accuracy", "f1"]``;
`names.NAMES` lists them. How predictions and targets are read (labels, one-hot rows, one score per
sample with a threshold) is the same everywhere: see `accuracy` and `cnnx.targets`.
"""

from __future__ import annotations

from .base import Metric
from .classes import Accuracy, ConfusionMatrix, F1Score, MeanIoU, Precision, Recall, TopKAccuracy
from .functions import (
    accuracy,
    class_pairs,
    confusion_matrix,
    iou,
    mean_iou,
    precision_recall_f1,
    top_k_accuracy,
)
from .names import NAMES, by_name
from .ranking import AUROC, AveragePrecision
from .regression import MeanAbsoluteError, MeanSquaredError, R2Score, RootMeanSquaredError

__all__ = [
    "AUROC",
    "NAMES",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "F1Score",
    "MeanAbsoluteError",
    "MeanIoU",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "TopKAccuracy",
    "accuracy",
    "by_name",
    "class_pairs",
    "confusion_matrix",
    "iou",
    "mean_iou",
    "precision_recall_f1",
    "top_k_accuracy",
]
