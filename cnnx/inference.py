"""`predict` and `evaluate`: run a model without changing it."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np

from cnnx import checks, ops, targets
from cnnx.data import Dataset, as_dataset
from cnnx.layers import Layer, no_grad, run_mode
from cnnx.losses import CrossEntropyLoss
from cnnx.scoring import Measures, Metrics, check_loss, gives_probabilities

__all__ = ["Scores", "evaluate", "predict", "predict_labels", "predict_proba"]


class Scores(dict[str, float]):
    """The result of `evaluate`: ``scores.loss`` is ``scores["loss"]``, and so on."""

    def __getattr__(self, name: str) -> float:
        if name in self:
            return self[name]
        raise AttributeError(f"{name!r} was not measured, only {', '.join(self)}")

    def __repr__(self) -> str:
        return "  ".join(f"{name} {value:.4f}" for name, value in self.items())


def predict(model: Layer, x: Any, batch_size: int = 256) -> Any:
    """The model's outputs for all samples: batch by batch, in eval mode, without caching.

    x  array (n, ...), or a Dataset or (x, y) tuple, whose y is ignored

    The model is not changed, not even its mode: any number of threads may use it, even while it is
    being trained. Without samples, the result is an empty array of the right shape; for a Graph of
    several outputs it is a tuple of arrays.

    Example: ``logits = cnnx.predict(model, test.x)``
    """
    if not callable(model):
        raise TypeError(
            f"predict: model is a {type(model).__name__}, expected a Layer: predict(model, x)"
        )
    inputs = _inputs(x)
    size = checks.integer("predict", "batch_size", batch_size, least=1)
    # max(..., 1): an empty array runs through the model once, to get the output's shape.
    starts = range(0, max(len(inputs), 1), size)
    with run_mode(training=False), no_grad():
        outputs = [model(inputs[start : start + size]) for start in starts]
    if isinstance(outputs[0], tuple):
        return tuple([_joined(parts) for parts in zip(*outputs, strict=True)])
    return _joined(outputs)


def predict_proba(model: Layer, x: Any, batch_size: int = 256) -> np.ndarray:
    """Class probabilities: softmax of the model's outputs along axis 1.

    Outputs of a model that ends in Softmax or Sigmoid are probabilities already. A single output
    per sample is the logit of "yes", converted by the sigmoid.

    Example: ``cnnx.predict_proba(model, test.x).max(axis=1)`` is the model's confidence.
    """
    outputs = single(predict(model, x, batch_size), "predict_proba")
    if gives_probabilities(model):
        return outputs
    if outputs.ndim < 2:
        raise ValueError(
            f"predict_proba: the outputs have shape {outputs.shape}, expected (n, classes, ...): "
            "reshape them to (n, 1) at the model's end"
        )
    return ops.sigmoid(outputs) if outputs.shape[1] == 1 else ops.softmax(outputs, axis=1)


def predict_labels(model: Layer, x: Any, batch_size: int = 256) -> np.ndarray:
    """The most probable class of each sample, (n,) int64: the argmax of the outputs.

    A single output per sample means yes or no: 1 if its probability is at least 0.5. ValueError for
    outputs that are NaN, which has no class.

    Example: ``(cnnx.predict_labels(model, test.x) == test.y).mean()`` is the accuracy.
    """
    outputs = single(predict(model, x, batch_size), "predict_labels")
    if outputs.ndim < 2:
        raise ValueError(
            f"predict_labels: the outputs have shape {outputs.shape}, expected (n, classes, ...): "
            "reshape them to (n, 1) at the model's end"
        )
    targets.refuse_nan("predict_labels", outputs)
    if outputs.shape[1] == 1:
        half = 0.5 if gives_probabilities(model) else 0.0
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

    data     Dataset or (x, y); `cnnx.targets` lists the forms of y that losses and metrics accept
    loss     None: CrossEntropyLoss()
    metrics  names ("accuracy", "mean_iou"), functions (outputs, targets) -> float, or a dict name
             -> either; None: accuracy if the targets are classes: labels, one-hot rows, or 0 and 1
             for BCELoss and BCEWithLogitsLoss. Names must be unique, and must not be "loss",
             "epoch", "seconds" or begin with "val_"

    All are computed once over all samples, so `batch_size` does not change them. Whether a single
    output is a logit or a probability is derived from the loss and the last layer.

    Outputs that are NaN make the loss NaN, and count as wrong in the accuracy, with a
    RuntimeWarning, so that a diverged model still gets scores.

    ValueError for a data set without samples and for targets that the loss does not accept.
    UserWarning for a model that ends in Softmax or Sigmoid under a loss that expects logits.

    Example: ``cnnx.evaluate(model, test).accuracy``
    """
    if not callable(model):
        raise TypeError(
            f"evaluate: model is a {type(model).__name__}, expected a Layer: evaluate(model, data)"
        )
    data = as_dataset(data)
    if len(data) == 0:
        raise ValueError("evaluate: data has 0 samples, expected at least one")
    loss_fn = CrossEntropyLoss() if loss is None else loss
    check_loss("evaluate", model, loss_fn)
    return score(model, data, batch_size, loss_fn, Measures("evaluate", model, loss_fn, metrics))


def score(model: Layer, data: Dataset, batch_size: int, loss: Any, measures: Measures) -> Scores:
    """`evaluate` without its checks, also for `fit`, whose metrics are settled already."""
    outputs = single(predict(model, data, batch_size), "evaluate")
    if measures.settled is None:
        measures.settle(outputs, data.y)
    # A copy, so that the gradient cached in the caller's loss by a training step is kept.
    return Scores(loss=float(copy.copy(loss)(outputs, data.y)), **measures(outputs, data.y))


def single(outputs: Any, op: str) -> Any:
    """The outputs of a model that has one; ValueError for one of several."""
    if isinstance(outputs, tuple):
        raise ValueError(
            f"{op}: the model has {len(outputs)} outputs, expected one: give a Graph of the output "
            "that is meant, or write the loop yourself (docs/training.md)"
        )
    return outputs


def _joined(parts: Any) -> np.ndarray:
    arrays = [np.asarray(part) for part in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _inputs(x: Any) -> np.ndarray:
    if isinstance(x, tuple):
        x = as_dataset(x)
    if isinstance(x, Dataset):
        return x.x
    if isinstance(x, (str, os.PathLike)):
        raise TypeError(
            f"predict: x is a path, {os.fspath(x)!r}, but an array of samples (n, ...) is "
            "expected: read the image with cnnx.data.load_image(path), and pass x[None]"
        )
    inputs = np.asarray(x) if type(x) is np.ndarray else checks.from_anything("predict", "x", x)
    if inputs.dtype.kind == "O":
        raise TypeError(
            f"predict: x is a {type(x).__name__}, but an array of samples (n, ...) is expected: "
            "np.stack makes one of a list of arrays"
        )
    if inputs.ndim == 0:
        raise ValueError(
            f"predict: x is a single number, {inputs}, but an array of samples (n, ...) is "
            "expected: for one sample pass np.array([[...]])"
        )
    return inputs
