"""Losses: each op returns the loss, a float, and the gradient with respect to the prediction.

The mean over an empty batch is nan, as in PyTorch; its sum is 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

_REDUCTIONS = ("mean", "sum")


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Cross-entropy between softmax(logits) and a target, stable, with its gradient.

    loss = 1/m * sum over samples of -sum over k of weight[k] * q[k] * log softmax(logits)[k]
    q    = (1 - label_smoothing) * target + label_smoothing / classes, with labels as one-hot rows

    logits   (n, k), or (n, k, d1, ...) with one sample at every position
    target   integers (n,) or (n, d1, ...), or probabilities of logits' shape and dtype
    weight   (k,) or None: one factor per class
    reduction "mean": m is the sum of the labels' weights, for probabilities the number of samples;
             "sum": m = 1. If all labels' weights are 0, loss and dlogits are 0 (PyTorch: nan)

    returns  loss (float), dlogits as logits
    Raises ValueError for labels outside 0 ... k - 1.

    >>> loss, dlogits = ops.cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    >>> round(loss, 4), dlogits.tolist()
    (0.6931, [[0.5, -0.5]])

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.4; smoothing:
    Szegedy et al.,
    Rethinking the Inception Architecture (2016).
    """
    op = "cross_entropy"
    (logits, weight), smoothing = _cross_entropy(op, (logits, weight), label_smoothing, reduction)
    target = _class_target(op, target, logits)
    if logits.size == 0:
        return _of_nothing(reduction), np.empty_like(logits)
    by_weight = weight is not None and reduction == "mean" and target.ndim < logits.ndim
    if by_weight and not weight[target].any():
        return 0.0, np.zeros_like(logits)
    if logits.ndim == 2:
        return backend().cross_entropy(logits, target, weight, smoothing, reduction)
    loss, rows = backend().cross_entropy(
        _rows(logits),
        target.ravel() if target.ndim < logits.ndim else _rows(target),
        weight,
        smoothing,
        reduction,
    )
    positions = rows.reshape(logits.shape[0], *logits.shape[2:], logits.shape[1])
    return loss, np.ascontiguousarray(np.moveaxis(positions, -1, 1))


@gate("logits", "weight", optional=("weight",))
def _cross_entropy(op: str, shapes: Any, label_smoothing: Any, reduction: Any) -> float:
    """label_smoothing."""
    logits, weight = shapes
    if len(logits) < 2 or logits[1] == 0:
        raise ValueError(
            f"{op}: logits has shape {logits}, but (n, classes) or (n, classes, ...) is expected"
        )
    if weight is not None:
        why = "one value per class of logits {}"
        checks.same_shape(op, "weight", weight, logits[1:2], why, logits)
    checks.choice(op, "reduction", reduction, _REDUCTIONS)
    return checks.real(op, "label_smoothing", label_smoothing, 0.0, 1.0)


def _class_target(op: str, target: Any, logits: np.ndarray) -> np.ndarray:
    """Labels as int64, or probabilities of logits' dtype."""
    target = checks.from_anything(op, "target", target)
    labels_shape = (logits.shape[0], *logits.shape[2:])
    if target.dtype.kind in "iu" and target.shape == labels_shape:
        return checks.labels(op, target, logits.shape[1])
    if target.dtype.kind == "f" and target.shape == logits.shape:
        target = checks.array(op, "target", target)
        checks.same_dtype(op, logits=logits, target=target)
        return target
    message = (
        f"{op}: target has shape {target.shape} and dtype {target.dtype}, "
        f"but logits {logits.shape} expects "
        f"integer labels {labels_shape} or probabilities {logits.shape} as {logits.dtype}"
    )
    raise (ValueError if target.dtype.kind in "iuf" else TypeError)(message)


def _rows(x: np.ndarray) -> np.ndarray:
    """(n, k, d1, ...) as (n*d1*..., k)."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(-1, x.shape[1])


def mse(pred: Any, target: Any, reduction: str = "mean") -> tuple[float, np.ndarray]:
    """Squared error: loss = 1/m * sum of (pred - target)^2, gradient 2/m * (pred - target).

    pred and target have the same shape and dtype; m is the number of elements with "mean", 1 with
    "sum".
    returns  loss (float), dpred as pred

    >>> ops.mse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))[0]
    2.0
    """
    pred, target = _check("mse", "pred", pred, target, reduction)
    if not pred.size:
        return _of_nothing(reduction), pred.copy()
    return backend().mse(pred, target, reduction)


def bce(pred: Any, target: Any, reduction: str = "mean") -> tuple[float, np.ndarray]:
    """Binary cross-entropy of probabilities: loss = 1/m * sum of -(t*log(p) + (1 - t)*log(1 - p)).

    pred, from 0 to 1, and target have the same shape and dtype. Logarithms are at least -100, as in
    PyTorch.
    returns  loss (float), dpred as pred

    >>> round(ops.bce(np.array([0.5]), np.array([1.0]))[0], 4)
    0.6931
    """
    pred, target = _check("bce", "pred", pred, target, reduction)
    if not pred.size:
        return _of_nothing(reduction), pred.copy()
    if not (pred.min() >= 0 and pred.max() <= 1):
        _check_probabilities(pred)
    return backend().bce(pred, target, reduction)


def _check_probabilities(pred: np.ndarray) -> None:
    """ValueError for values outside 0 to 1; NaN is accepted, as everywhere."""
    outside = np.argwhere((pred < 0) | (pred > 1))
    if outside.size:
        where = tuple(int(i) for i in outside[0])
        raise ValueError(
            f"bce: pred{list(where)} is {pred[where]:g}, "
            "but probabilities from 0 to 1 are expected; for logits there is bce_with_logits"
        )


def bce_with_logits(logits: Any, target: Any, reduction: str = "mean") -> tuple[float, np.ndarray]:
    """Binary cross-entropy of sigmoid(logits), fused and stable.

    loss = 1/m * sum of max(x, 0) - x*t + log(1 + exp(-|x|)), with its gradient (sigmoid(x) - t)/m

    logits and target have the same shape and dtype  ->  loss (float), dlogits as logits

    >>> round(ops.bce_with_logits(np.array([0.0]), np.array([1.0]))[0], 4)
    0.6931
    """
    logits, target = _check("bce_with_logits", "logits", logits, target, reduction)
    if not logits.size:
        return _of_nothing(reduction), logits.copy()
    return backend().bce_with_logits(logits, target, reduction)


def _check(
    op: str, name: str, pred: Any, target: Any, reduction: str
) -> tuple[np.ndarray, np.ndarray]:
    pred, target = checks.array(op, name, pred), checks.array(op, "target", target)
    checks.same_shape(op, "target", target.shape, pred.shape, "the shape of {}", name)
    checks.same_dtype(op, **{name: pred, "target": target})
    checks.choice(op, "reduction", reduction, _REDUCTIONS)
    return pred, target


def _of_nothing(reduction: str) -> float:
    return math.nan if reduction == "mean" else 0.0
