"""`fit`: train a model on a data set."""

from __future__ import annotations

from cnnx.history import History
from cnnx.inference import evaluate, predict, predict_labels, predict_proba
from cnnx.training.epoch import NotFiniteError
from cnnx.training.fit import fit
from cnnx.training.lr_find import LearningRates, lr_find

__all__ = [
    "History",
    "LearningRates",
    "NotFiniteError",
    "evaluate",
    "fit",
    "lr_find",
    "predict",
    "predict_labels",
    "predict_proba",
]
