"""Metrics of `fit` and `evaluate`, and checks that loss, model and targets match."""

# Design:
# A metric is a function of outputs and targets, and from two arrays it cannot tell a logit from a
# probability. The run can: its loss or the model's last layer determines the threshold, and the
# targets of all samples, not those of one batch, show whether they are one-hot or several classes
# at once. So `Measures` decides once, at the first outputs, and measures every batch in this way.

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from cnnx import metrics as metric_functions
from cnnx import targets
from cnnx.graph import Graph
from cnnx.layers import Flatten, Identity, Layer, Reshape, Sequential, Sigmoid, Softmax
from cnnx.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
    SmoothL1Loss,
)
from cnnx.objective import SeveralLosses, main

__all__ = ["Measures", "Metric", "Metrics", "Streaming", "check_loss", "gives_probabilities"]

Metric = Callable[[Any, Any], float]


class Streaming(Protocol):
    """A metric that is computed from batches, as in `cnnx.metrics`."""

    def update(self, pred: Any, target: Any, sample_weight: Any = None) -> None:
        """Include a batch."""

    def compute(self) -> Any:
        """The value of all batches since `reset`."""

    def reset(self) -> None:
        """Forget all batches."""


AnyMetric = str | Metric | Streaming
Metrics = AnyMetric | Iterable[AnyMetric] | Mapping[str, AnyMetric] | None

# Functions with a threshold, by name; only accuracy is measured by default. The other names are
# those of objects (`metrics.NAMES`).
_METRICS: dict[str, Metric] = {
    "accuracy": metric_functions.accuracy,
    "mean_iou": metric_functions.mean_iou,
}
_REGRESSIONS = (MSELoss, L1Loss, HuberLoss, SmoothL1Loss)
_OF_LOGITS = (CrossEntropyLoss, BCEWithLogitsLoss, FocalLoss, DiceLoss)
_RESERVED = ("epoch", "loss", "seconds")


class Measures:
    """The metrics of one run of `fit` or `evaluate`, by name. Calling it computes them.

    op       "fit" or "evaluate", for the messages
    metrics  as in `evaluate`; ValueError/TypeError for names that are unknown, repeated, or columns
             of a history already

    `settle` must be called with the first outputs beforehand.
    """

    def __init__(self, op: str, model: Layer, loss: Any, metrics: Metrics) -> None:
        self.op, self.model, self.losses = op, model, loss
        self.loss = loss.losses[0] if isinstance(loss, SeveralLosses) else loss
        asked = None if metrics is None else _by_name(op, metrics)
        self.streaming = {k: m for k, m in (asked or {}).items() if _is_streaming(m)}
        self.asked = asked and {k: m for k, m in asked.items() if k not in self.streaming}
        self.settled: dict[str, Metric] | None = None
        self._own: set[str] = set()  # names of our functions, which leave out ignored labels
        self._threshold_of_yes: float | None = None

    @property
    def needs_all(self) -> bool:
        """Whether the value over a data set needs all outputs at once."""
        return not self.streaming or bool(self.asked)

    def settle(self, outputs: Any, target: Any, name: str = "data") -> None:
        """Choose the default metric and the threshold of yes, from the targets of all samples.

        ValueError, with the name of the set, if the loss does not accept its targets.
        """
        self.check(outputs, target, name)
        outputs, target = main(outputs), main(target)
        shape = (len(target), *outputs.shape[1:])
        asked = self.asked
        if asked is None:
            asked = _by_name(self.op, "accuracy") if self._has_classes(target, shape) else {}
        threshold = self._threshold_of_yes = self._threshold(target, shape)
        self._own = {k for k, one in asked.items() if any(one is m for m in _METRICS.values())}
        self.settled = {
            name: functools.partial(one, threshold=threshold) if name in self._own else one
            for name, one in asked.items()
        }

    @property
    def _ignored(self) -> int | None:
        """The label of samples that metrics leave out, as the loss does."""
        return getattr(self.loss, "ignore_index", None)

    def check(self, outputs: Any, target: Any, name: str) -> None:
        """ValueError, with the name of the set, if the loss does not accept a target of it."""
        try:
            if not isinstance(self.losses, SeveralLosses):
                _read(self.losses, outputs, target)
                return
            for loss, output, wanted in self.losses.pairs(outputs, target):
                _read(loss, output, wanted)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.op}: {name}: {error}") from None

    def __call__(self, outputs: Any, target: Any) -> dict[str, tuple[float, float]]:
        """(value, samples that it counts) of every metric that is a function of all outputs.

        One of ours leaves out ignored labels: it is NaN where all are ignored, and of a sample
        whose positions are ignored in part it counts a share.
        """
        assert self.settled is not None
        pred, labels, every = outputs, target, float(len(target))
        counted = every
        if self._own and self._ignored is not None:
            pred, labels, _ = targets.without(self._ignored, outputs, np.asarray(target))
            if labels is not target:
                counted = every * labels.size / (np.size(target) or 1)
        measured = {}
        for name, metric in self.settled.items():
            if name not in self._own:
                measured[name] = self.value(name, metric(outputs, target)), every
            elif len(labels) or not every:
                measured[name] = metric(pred, labels), counted
            else:
                measured[name] = math.nan, counted
        return measured

    def include(self, metric: Streaming, outputs: Any, target: Any, weight: Any = None) -> None:
        """Update a streaming metric by a batch; one of ours learns the threshold first."""
        if isinstance(metric, metric_functions.Metric):
            metric.settle(self._threshold_of_yes, np.ndim(outputs) > 1 and outputs.shape[1] > 1)
            if self._ignored is not None:
                outputs, target, weight = targets.without(
                    self._ignored, outputs, np.asarray(target), weight
                )
                if not len(target):
                    return
        if weight is None:
            metric.update(outputs, target)
        else:
            metric.update(outputs, target, weight)

    def value(self, name: str, value: Any) -> float:
        """A metric's result as a number; TypeError if it is something else."""
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"{self.op}: the metric {name!r} returned {type(value).__name__}, expected one "
                "number, such as a mean"
            ) from None

    def _has_classes(self, target: np.ndarray, shape: tuple[int, ...]) -> bool:
        """Whether accuracy is measured by default."""
        if self._is_binary(shape):
            return bool(((target == 0) | (target == 1)).all())
        return not isinstance(self.loss, _REGRESSIONS) and targets.are_classes(target, shape)

    def _is_binary(self, shape: tuple[int, ...]) -> bool:
        """Whether the loss reads each output as an answer, yes or no."""
        if isinstance(self.loss, FocalLoss):
            return self.loss.is_sigmoid(shape)
        if isinstance(self.loss, DiceLoss):
            return len(shape) > 1 and shape[1] == 1
        return isinstance(self.loss, (BCELoss, BCEWithLogitsLoss))

    def _threshold(self, target: np.ndarray, shape: tuple[int, ...]) -> float | None:
        single = len(shape) < 2 or shape[1] == 1
        binary = self._is_binary(shape)
        if not single and (not binary or target.shape != shape or targets.is_one_hot(target)):
            return None
        halves = isinstance(self.loss, (BCELoss, *_REGRESSIONS)) or gives_probabilities(self.model)
        return 0.5 if halves else 0.0


def _read(loss: Any, outputs: np.ndarray, target: Any) -> None:
    if isinstance(loss, Loss):
        target = np.asarray(target)
        loss.read(target, (len(target), *outputs.shape[1:]), outputs.dtype)


def check_loss(op: str, model: Layer, loss: Any) -> None:
    """TypeError if it is not a loss; a warning if a model returns probabilities but the loss
    expects logits.

    The warning points to the caller of the calling function.
    """
    if isinstance(loss, SeveralLosses):
        for one in loss.losses:
            if one is not None and not (callable(one) and hasattr(one, "backward")):
                raise TypeError(f"{op}: loss has {one!r}, expected one such as CrossEntropyLoss()")
        return
    if isinstance(loss, type) or not (callable(loss) and hasattr(loss, "backward")):
        raise TypeError(f"{op}: loss is {loss!r}, expected one such as CrossEntropyLoss()")
    last = _last_layer(model)
    if isinstance(loss, _OF_LOGITS) and _is_squash(last):
        name, given = type(last).__name__, type(loss).__name__
        instead = "" if isinstance(last, Softmax) else ", or use BCELoss()"
        warnings.warn(
            f"{op}: the model ends in {name}, but {given} expects logits and applies its own: "
            f"training is slow and the loss stays large. Leave {name} out of the model (predict_"
            f"proba gives the probabilities){instead}",
            UserWarning,
            stacklevel=3,
        )


def gives_probabilities(model: Layer) -> bool:
    """Whether a model's outputs are probabilities: its last layer is Softmax or Sigmoid."""
    return _is_squash(_last_layer(model))


def _is_squash(layer: Layer) -> bool:
    return isinstance(layer, (Softmax, Sigmoid))


def _last_layer(model: Layer) -> Layer:
    """The layer that determines the output's values; layers that only reshape are skipped."""
    if not isinstance(model, (Sequential, Graph)):
        return model
    wiring = model.wiring()
    makers = {value: node for node in wiring.nodes for value in node.outputs}
    value = wiring.outputs[0]
    while len(wiring.outputs) == 1 and value in makers:
        last = _last_layer(makers[value].layer)
        if not isinstance(last, (Flatten, Identity, Reshape)):
            return last
        value = makers[value].inputs[0]
    return model


def _by_name(op: str, metrics: Any) -> dict[str, Any]:
    """name -> function, or streaming object, of the requested metrics."""
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    else:
        if isinstance(metrics, str) or callable(metrics) or _is_streaming(metrics):
            metrics = [metrics]
        try:
            pairs = [(_name(metric), metric) for metric in metrics]
        except TypeError:
            raise TypeError(
                f"{op}: metrics is a {type(metrics).__name__}, expected names and functions: "
                'for example metrics=["accuracy"], or a dict name -> function'
            ) from None
    named: dict[str, Any] = {}
    for name, metric in pairs:
        if not isinstance(name, str):
            raise TypeError(f"{op}: metrics: the name {name!r} is not a string: use {str(name)!r}")
        if name in named:
            raise ValueError(
                f"{op}: two metrics are called {name!r}: give each its own name, "
                'metrics={"one": f, "other": g}'
            )
        if name in _RESERVED or name.startswith("val_"):
            raise ValueError(
                f"{op}: a metric is called {name!r}, which is a column of the history already: "
                f'give it another name, metrics={{"my_{name.removeprefix("val_")}": ...}}'
            )
        named[name] = _function(op, metric)
    return named


def _name(metric: Any) -> str:
    if _is_streaming(metric) and hasattr(metric, "name"):
        return metric.name
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def _is_streaming(metric: Any) -> bool:
    names = ("update", "compute", "reset")
    return not isinstance(metric, type) and all(callable(getattr(metric, n, None)) for n in names)


def _function(op: str, metric: Any) -> Any:
    if _is_streaming(metric):
        return metric
    if isinstance(metric, str):
        if metric not in _METRICS:
            made = metric_functions.by_name(metric)
            if made is not None:
                return made
            known = ", ".join(map(repr, metric_functions.NAMES))
            raise ValueError(
                f"{op}: metrics: {metric!r} is unknown, expected {known} or a function "
                "(outputs, targets) -> float"
            )
        return _METRICS[metric]
    if not callable(metric):
        raise TypeError(
            f"{op}: metrics: {metric!r} is neither a name nor a function (outputs, targets) -> "
            'float, for example "accuracy"'
        )
    return metric
