"""`predict` and `evaluate`: run a model without changing it."""

from __future__ import annotations

import copy
import inspect
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import checks, ops, targets
from cnnx.data import Batches, Dataset, as_dataset
from cnnx.feed import Feed, feed, inputs_of, is_batches
from cnnx.graph.container import Container, count_outputs
from cnnx.layers import Layer, no_grad, run_mode
from cnnx.meter import Meter
from cnnx.objective import SeveralLosses, as_loss, call_loss, is_sum
from cnnx.scoring import Measures, Metrics, check_loss, gives_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnnx.typing import ArrayLike, Data

__all__ = ["Scores", "evaluate", "predict", "predict_labels", "predict_proba"]


class Scores(dict[str, float]):
    """The result of `evaluate`: ``scores.loss`` is ``scores["loss"]``, and so on."""

    def __getattr__(self, name: str) -> float:
        if name in self:
            return self[name]
        raise AttributeError(f"{name!r} was not measured, only {', '.join(self)}")

    def __repr__(self) -> str:
        return "  ".join(f"{name} {value:.4f}" for name, value in self.items())


def predict(model: Layer, x: Data | ArrayLike, batch_size: int = 256) -> Any:
    """The model's outputs for all samples: batch by batch, in eval mode, without caching.

    x  array (n, ...), or a Dataset or (x, y) tuple, whose y is ignored; for a Graph of several
       inputs a tuple of arrays; or an iterable of batches, each x or (x, y)

    The model is not changed, not even its mode: any number of threads may use it, even while it is
    being trained. Without samples, the result is an empty array of the right shape; for a Graph of
    several outputs it is a tuple of arrays.

    Example: ``logits = cnnx.predict(model, test.x)``
    """
    if not callable(model):
        raise TypeError(
            f"predict: model is a {type(model).__name__}, expected a Layer: predict(model, x)"
        )
    size = checks.integer("predict", "batch_size", batch_size, least=1)
    with run_mode(training=False), no_grad():
        outputs = [call_model(model, part) for part in _parts(model, x, size)]
    if not outputs:
        raise ValueError("predict: x has no batches, expected at least one")
    if isinstance(outputs[0], tuple):
        return tuple([_joined(parts) for parts in zip(*outputs, strict=True)])
    return _joined(outputs)


def _parts(model: Any, x: Any, size: int) -> Iterator[Any]:
    """The inputs of each run of the model."""
    if is_batches(x):
        for batch in x() if inspect.isfunction(x) else x:
            yield batch[0] if isinstance(batch, (tuple, list)) else batch
        return
    if hasattr(x, "take") and hasattr(x, "__len__") and not hasattr(x, "__array__"):
        yield from (batch[0] for batch in Batches(x, size))  # such as ImageFolder
        return
    several = isinstance(x, (tuple, list)) and ways_of(model)[0] > 1
    inputs = inputs_of(x, ways_of(model)[0]) if several else _inputs(x)
    # max(..., 1): an empty array runs through the model once, to get the output's shape.
    for start in range(0, max(len(inputs[0] if several else inputs), 1), size):
        piece = slice(start, start + size)
        yield tuple(part[piece] for part in inputs) if several else inputs[piece]


def ways_of(model: Any) -> tuple[int, int]:
    """The numbers of a model's inputs and outputs: (1, 1), except for a Graph of several."""
    if not isinstance(model, Container):
        return 1, 1
    return model.wiring().inputs, count_outputs(model)


def call_model(model: Any, x: Any) -> Any:
    """The outputs for a batch; a tuple has one array for each input."""
    return model(*x) if isinstance(x, tuple) else model(x)


def predict_proba(model: Layer, x: Data | ArrayLike, batch_size: int = 256) -> np.ndarray:
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


def predict_labels(model: Layer, x: Data | ArrayLike, batch_size: int = 256) -> np.ndarray:
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
    data: Data,
    *,
    batch_size: int = 256,
    loss: Callable[..., Any] | Sequence[Callable[..., Any] | None] | None = None,
    loss_weights: Sequence[float] | None = None,
    metrics: Metrics = None,
    sample_weight: ArrayLike | None = None,
) -> Scores:
    """The loss and metrics of a model over a data set, in eval mode.

    data     Dataset, (x, y), (x, y, sample_weight), or an iterable of batches of these forms;
             `cnnx.targets` lists the forms of y that losses and metrics accept
    loss     None: CrossEntropyLoss(); for a model of several outputs a list, as in `fit`
    metrics  names (`cnnx.metrics.NAMES`: "accuracy", "f1", ...), functions (outputs, targets) ->
             float, streaming objects (`cnnx.metrics`), or a dict name -> any of these; None:
             accuracy if the targets are classes: labels, one-hot rows, or 0 and 1 for BCELoss and
             BCEWithLogitsLoss. Column names must be unique, and must not be "loss", "epoch",
             "seconds" or begin with "val_"
    sample_weight  (n,), the weights of the samples in the loss, and in streaming metrics

    All are computed once over all samples, so `batch_size` does not change them. Whether a single
    output is a logit or a probability is derived from the loss and the last layer.

    If all metrics are streaming objects, or the data are batches, each batch is measured and then
    forgotten, so the outputs may be larger than memory. A function is then computed for each batch,
    and its result is the mean, weighted by the number of samples (without those whose label the
    loss ignores). If no label counts, loss and accuracy are NaN.

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
    size = checks.integer("evaluate", "batch_size", batch_size, least=1)
    batches = feed(
        "evaluate", "data", data, ways_of(model), sample_weight=sample_weight, batch_size=size
    )
    loss_fn = as_loss("evaluate", loss, loss_weights)
    check_loss("evaluate", model, loss_fn)
    return score(model, batches, size, loss_fn, Measures("evaluate", model, loss_fn, metrics))


def score(
    model: Layer,
    data: Feed,
    batch_size: int,
    loss: Any,
    measures: Measures,
    per_sample: bool = False,
) -> Scores:
    """`evaluate` without its checks, also for `fit`, whose metrics are settled already.

    per_sample  divide a loss with reduction="sum" by the number of samples
    """
    whole = data.whole
    if whole is not None and measures.needs_all:
        return score_outputs(predict(model, whole.x, batch_size), whole, loss, measures, per_sample)
    # A copy, so that the gradient cached in the caller's loss by a training step is kept.
    loss = copy.copy(loss)
    meter = _streamed(model, data, loss, measures)
    row = meter.result()
    if is_sum(loss) and not per_sample:
        row["loss"] = meter.sums["loss"]
    return Scores(row)


def score_outputs(
    outputs: Any, whole: Any, loss: Any, measures: Measures, per_sample: bool
) -> Scores:
    """`score` of the outputs for all samples of a data set."""
    several = isinstance(loss, SeveralLosses)
    loss = copy.copy(loss)
    outputs = outputs if several else single(outputs, "evaluate")
    weight = getattr(whole, "sample_weight", None)
    if measures.settled is None:
        measures.settle(outputs, whole.y)
    value = float(call_loss(loss, outputs, whole.y, weight))
    meter = Meter(loss, measures)
    _, values = meter.add(value, outputs, whole.y, weight)
    streams = {name: value for name, value in meter.result().items() if name in meter.streaming}
    if is_sum(loss):
        value = value / len(whole) if per_sample else value
    elif not meter.shares:  # no label counts
        value = math.nan
    return Scores(loss=value, **values, **streams)


def _streamed(model: Layer, data: Feed, loss: Any, measures: Measures) -> Meter:
    """The scores without holding the outputs of more than a batch."""
    meter = None
    several = isinstance(loss, SeveralLosses)
    with run_mode(training=False), no_grad():
        for x, y, *rest in data.epoch(0):
            outputs = call_model(model, x)
            outputs = outputs if several else single(outputs, "evaluate")
            if measures.settled is None:
                measures.settle(outputs, y)
            meter = meter or Meter(loss, measures)
            weight = rest[0] if rest else None
            meter.add(float(call_loss(loss, outputs, y, weight)), outputs, y, weight)
    assert meter is not None  # a feed without a batch is an error of its own
    return meter


def single(outputs: Any, op: str) -> Any:
    """The outputs of a model that has one; ValueError for one of several."""
    if isinstance(outputs, tuple):
        raise ValueError(
            f"{op}: the model has {len(outputs)} outputs, expected one: give a loss for each, as a "
            "list, or a Graph of the output that is meant"
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
