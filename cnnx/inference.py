"""`predict` and `evaluate`: a model used, not changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from cnnx import checks, ops
from cnnx import metrics as metric_functions
from cnnx.data import Dataset, as_dataset
from cnnx.layers import Layer, Sequential, Sigmoid, Softmax, no_grad, run_mode
from cnnx.losses import CrossEntropyLoss

__all__ = ["Scores", "evaluate", "predict", "predict_labels", "predict_proba"]

Metric = Callable[[Any, Any], float]
Metrics = Iterable[str | Metric] | Mapping[str, Metric] | None

_METRICS: dict[str, Metric] = {"accuracy": metric_functions.accuracy}


class Scores(dict[str, float]):
    """What `evaluate` measured: ``scores.loss`` is ``scores["loss"]``, and so on."""

    def __getattr__(self, name: str) -> float:
        if name in self:
            return self[name]
        raise AttributeError(f"{name!r} was not measured, only {', '.join(self)}")

    def __repr__(self) -> str:
        return "  ".join(f"{name} {value:.4f}" for name, value in self.items())


def predict(model: Layer, x: Any, batch_size: int = 256) -> np.ndarray:
    """The model's outputs for all samples: batch after batch, in eval mode, nothing kept.

    x  array (n, ...), or a Dataset or (x, y) tuple, whose y is left alone

    The model is not changed, not even its mode: any number of threads may use one, also while it
    trains. No samples give an empty array of the right shape.

    Example: ``logits = cnnx.predict(model, test.x)``
    """
    inputs = _inputs(x)
    size = checks.integer("predict", "batch_size", batch_size, least=1)
    # max(..., 1): an empty array runs through the model once, so the output's shape is right.
    starts = range(0, max(len(inputs), 1), size)
    with run_mode(training=False), no_grad():
        outputs = [np.asarray(model(inputs[start : start + size])) for start in starts]
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


def predict_proba(model: Layer, x: Any, batch_size: int = 256) -> np.ndarray:
    """Probabilities of the classes: softmax of the model's outputs along axis 1.

    Outputs of a model that ends in Softmax or Sigmoid are probabilities already. A single output
    per sample is the logit of "yes": its sigmoid.

    Example: ``cnnx.predict_proba(model, test.x).max(axis=1)`` is how sure the model is.
    """
    outputs = predict(model, x, batch_size)
    if isinstance(_last_layer(model), (Softmax, Sigmoid)):
        return outputs
    if outputs.ndim < 2:
        raise ValueError(
            f"predict_proba: the outputs have shape {outputs.shape}, expected (n, classes, ...)"
        )
    return ops.sigmoid(outputs) if outputs.shape[1] == 1 else ops.softmax(outputs, axis=1)


def predict_labels(model: Layer, x: Any, batch_size: int = 256) -> np.ndarray:
    """The most probable class of each sample, (n,) int64: the argmax of the outputs.

    A single output per sample is a yes or no: 1 where its probability is at least one half.

    Example: ``(cnnx.predict_labels(model, test.x) == test.y).mean()`` is the accuracy.
    """
    outputs = predict(model, x, batch_size)
    if outputs.ndim < 2:
        raise ValueError(
            f"predict_labels: the outputs have shape {outputs.shape}, expected (n, classes, ...)"
        )
    if outputs.shape[1] == 1:
        half = 0.5 if isinstance(_last_layer(model), (Softmax, Sigmoid)) else 0.0
        return (outputs[:, 0] >= half).astype(np.int64)
    return outputs.argmax(axis=1)


def evaluate(
    model: Layer,
    data: Any,
    *,
    batch_size: int = 256,
    loss: Any = None,
    metrics: Metrics = None,
) -> Scores:
    """The loss and metrics of a model over a data set, in eval mode.

    data     Dataset or (x, y)            loss     None: CrossEntropyLoss()
    metrics  names ("accuracy"), functions (outputs, targets) -> float, or a dict name -> function;
             None: accuracy where the targets are class numbers

    Both are computed once over all samples, so `batch_size` does not change them. ValueError for a
    data set without samples.

    Example: ``cnnx.evaluate(model, test).accuracy``
    """
    data = as_dataset(data)
    if len(data) == 0:
        raise ValueError("evaluate: data has 0 samples, expected at least one")
    outputs = predict(model, data, batch_size)
    # A copy, so that the gradient a training step has just kept in the caller's loss stays.
    loss_fn = CrossEntropyLoss() if loss is None else copy.copy(loss)
    scores = Scores(loss=float(loss_fn(outputs, data.y)))
    for name, metric in resolve_metrics(metrics, outputs, data.y).items():
        scores[name] = float(metric(outputs, data.y))
    return scores


def resolve_metrics(metrics: Metrics, outputs: Any, target: Any) -> dict[str, Metric]:
    """name -> function of the metrics asked for; None gives accuracy if target holds classes."""
    if metrics is None:
        return dict(_METRICS) if is_classification(outputs, target) else {}
    if isinstance(metrics, Mapping):
        return dict(metrics)
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    resolved: dict[str, Metric] = {}
    for metric in metrics:
        if callable(metric):
            resolved[getattr(metric, "__name__", type(metric).__name__)] = metric
        elif metric in _METRICS:
            resolved[metric] = _METRICS[metric]
        else:
            raise ValueError(f"metrics: {metric!r} is not known, expected {', '.join(_METRICS)}")
    return resolved


def is_classification(outputs: Any, target: Any) -> bool:
    """Whether target holds class numbers for the scores in outputs (n, classes, ...)."""
    labels = target.dtype.kind in "iub" and outputs.ndim == target.ndim + 1
    return bool(labels and outputs.shape[1] > 1)


def _inputs(x: Any) -> np.ndarray:
    if isinstance(x, tuple):
        x = as_dataset(x)
    inputs = x.x if isinstance(x, Dataset) else np.asarray(x)
    if inputs.ndim == 0:
        raise ValueError("predict: x is a single number, expected an array of samples (n, ...)")
    return inputs


def _last_layer(model: Layer) -> Layer:
    while isinstance(model, Sequential) and len(model):
        model = model[-1]
    return model
