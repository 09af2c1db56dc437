"""`fit`: train a model on a data set."""

from __future__ import annotations

from cnnx.history import History
from cnnx.inference import evaluate, predict, predict_labels, predict_proba
from cnnx.training.epoch import NotFiniteError
from cnnx.training.fit import fit

__all__ = [
    "History",
    "NotFiniteError",
    "evaluate",
    "fit",
    "predict",
    "predict_labels",
    "predict_proba",
]
