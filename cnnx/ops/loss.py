"""Losses: each op returns the loss, a float, and the gradient with respect to the prediction.

The mean over an empty batch is nan, as in PyTorch; its sum is 0. With reduction "none", the losses
are an array, one for each sample or pair, and the gradient is that of each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from ..config import backend
from .gate import gate

_REDUCTIONS = ("mean", "sum", "none")
_SMALLEST = 2.0**-126  # of the normal float32
LossAndGradient = tuple[Any, np.ndarray]


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> LossAndGradient:
    """Cross-entropy between softmax(logits) and a target, stable, with its gradient.

    loss = 1/m * sum over samples of -sum over k of weight[k] * q[k] * log softmax(logits)[k]
    q    = (1 - label_smoothing) * target + label_smoothing / classes, with labels as one-hot rows

    logits   (n, k), or (n, k, d1, ...) with one sample at every position
    target   integers (n,) or (n, d1, ...), or probabilities of logits' shape and dtype
    weight   (k,) or None: one factor per class
    reduction "mean": m is the sum of the labels' weights, for probabilities the number of samples;
             "sum": m = 1. If all labels' weights are 0, loss and dlogits are 0 (PyTorch: nan).
             "none": a loss (n, d1, ...) for each sample
    ignore_index  the label of samples that have no loss and do not count; any integer

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
    target = _class_target(op, target, logits, ignore_index)
    if logits.size == 0:
        return _of_nothing(reduction, _samples(logits), logits), np.empty_like(logits)
    by_weight = weight is not None and reduction == "mean" and target.ndim < logits.ndim
    if by_weight and not weight[target].any():
        return 0.0, np.zeros_like(logits)
    if logits.ndim == 2:
        return backend().cross_entropy(logits, target, weight, smoothing, reduction)
    lines = target.ravel() if target.ndim < logits.ndim else _rows(target)
    return _as_positions(
        logits, backend().cross_entropy(_rows(logits), lines, weight, smoothing, reduction)
    )


def nll(
    log_p: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> LossAndGradient:
    """Negative log-likelihood of log-probabilities, as of a log_softmax, with its gradient.

    loss = 1/m * sum over samples of -weight[y] * log_p[y] of the label y

    log_p    (n, k), or (n, k, d1, ...) with one sample at every position
    target   integers (n,) or (n, d1, ...)
    weight, m, reduction, ignore_index  as in `cross_entropy`

    returns  loss (float), dlog_p as log_p
    Raises ValueError for labels outside 0 ... k - 1.

    >>> loss, dlog_p = ops.nll(np.log([[0.25, 0.75]]), np.array([1]))
    >>> round(loss, 4), dlog_p.tolist()
    (0.2877, [[0.0, -1.0]])

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 4.3.4.
    """
    op = "nll"
    (log_p, weight), _ = _nll(op, (log_p, weight), reduction)
    target = _labels(op, "log_p", target, log_p, ignore_index)
    if log_p.size == 0:
        return _of_nothing(reduction, _samples(log_p), log_p), np.empty_like(log_p)
    if log_p.ndim == 2:
        return backend().nll(log_p, target, weight, reduction)
    return _as_positions(log_p, backend().nll(_rows(log_p), target.ravel(), weight, reduction))


def focal(
    logits: Any,
    target: Any,
    gamma: float = 2.0,
    alpha: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> LossAndGradient:
    """Focal loss of softmax(logits): cross-entropy with less weight on samples that are easy.

    loss = 1/m * sum over samples of alpha[y] * (1 - p)^gamma * -log p, p that of the label y

    logits   (n, k), or (n, k, d1, ...) with one sample at every position
    target   integers (n,) or (n, d1, ...)
    gamma    at least 0; 0 is `cross_entropy`
    alpha    (k,) or None: one factor per class
    reduction "mean": m is the number of samples that are not ignored; "sum": m = 1; "none"
    ignore_index  as in `cross_entropy`

    returns  loss (float), dlogits as logits
    Raises ValueError for labels outside 0 ... k - 1.

    >>> loss, dlogits = ops.focal(np.array([[0.0, 0.0]]), np.array([1]))
    >>> round(loss, 4)  # log 2 / 4
    0.1733

    Source: Lin et al., Focal Loss for Dense Object Detection (2017), section 3.2.
    """
    op = "focal"
    (logits, alpha), gamma = _focal(op, (logits, alpha), gamma, reduction)
    target = _labels(op, "logits", target, logits, ignore_index)
    if logits.size == 0:
        return _of_nothing(reduction, _samples(logits), logits), np.empty_like(logits)
    if logits.ndim == 2:
        return backend().focal(logits, target, gamma, alpha, reduction)
    return _as_positions(
        logits, backend().focal(_rows(logits), target.ravel(), gamma, alpha, reduction)
    )


@gate("logits", "weight", optional=("weight",))
def _cross_entropy(op: str, shapes: Any, label_smoothing: Any, reduction: Any) -> float:
    """label_smoothing."""
    _of_classes(op, ("logits", "weight"), shapes, reduction)
    return checks.real(op, "label_smoothing", label_smoothing, 0.0, 1.0)


@gate("log_p", "weight", optional=("weight",))
def _nll(op: str, shapes: Any, reduction: Any) -> None:
    _of_classes(op, ("log_p", "weight"), shapes, reduction)


@gate("logits", "alpha", optional=("alpha",))
def _focal(op: str, shapes: Any, gamma: Any, reduction: Any) -> float:
    """gamma."""
    _of_classes(op, ("logits", "alpha"), shapes, reduction)
    return checks.real(op, "gamma", gamma, 0.0)


def _of_classes(op: str, names: tuple[str, str], shapes: Any, reduction: Any) -> None:
    scores, weight = shapes
    if len(scores) < 2 or scores[1] == 0:
        raise ValueError(
            f"{op}: {names[0]} has shape {scores}, but (n, classes) or (n, classes, ...) is "
            "expected"
        )
    if weight is not None:
        why = f"one value per class of {names[0]} {{}}"
        checks.same_shape(op, names[1], weight, scores[1:2], why, scores)
    checks.choice(op, "reduction", reduction, _REDUCTIONS)


def _labels(op: str, name: str, target: Any, scores: np.ndarray, ignore_index: int) -> np.ndarray:
    """Labels as int64, -1 for those that are ignored."""
    target = checks.from_anything(op, "target", target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: target has dtype {target.dtype}, but integer labels are expected")
    why = "a label for each sample of {}"
    checks.same_shape(op, "target", target.shape, _samples(scores), why, name)
    return checks.labels(op, target, scores.shape[1], _ignored(op, ignore_index))


def _ignored(op: str, ignore_index: Any) -> int:
    if type(ignore_index) is int:
        return ignore_index
    return checks.integer(op, "ignore_index", ignore_index, -(2**63))


def _class_target(op: str, target: Any, logits: np.ndarray, ignore_index: int) -> np.ndarray:
    """Labels as int64, -1 for those that are ignored, or probabilities of logits' dtype."""
    target = checks.from_anything(op, "target", target)
    labels_shape = _samples(logits)
    if target.dtype.kind in "iu" and target.shape == labels_shape:
        return checks.labels(op, target, logits.shape[1], _ignored(op, ignore_index))
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


def _as_positions(scores: np.ndarray, computed: LossAndGradient) -> LossAndGradient:
    """Back from rows to (n, k, d1, ...); losses to (n, d1, ...)."""
    loss, rows = computed
    n, k, *rest = scores.shape
    gradient = np.ascontiguousarray(np.moveaxis(rows.reshape(n, *rest, k), -1, 1))
    return (loss.reshape(n, *rest) if isinstance(loss, np.ndarray) else loss), gradient


def mse(pred: Any, target: Any, reduction: str = "mean") -> LossAndGradient:
    """Squared error: loss = 1/m * sum of (pred - target)^2, gradient 2/m * (pred - target).

    pred and target have the same shape and dtype; m is the number of elements with "mean", 1 with
    "sum".
    returns  loss (float), dpred as pred

    >>> ops.mse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))[0]
    2.0
    """
    pred, target = _check("mse", "pred", pred, target, reduction)
    if not pred.size:
        return _of_nothing(reduction, pred.shape, pred), pred.copy()
    return backend().mse(pred, target, reduction)


def l1(pred: Any, target: Any, reduction: str = "mean") -> LossAndGradient:
    """Absolute error: loss = 1/m * sum of |pred - target|, gradient sign(pred - target) / m.

    Shapes, dtypes, m and results are those of `mse`. The gradient is 0 where the error is 0.

    >>> ops.l1(np.array([1.0, 3.0]), np.array([1.0, 1.0]))[0]
    1.0
    """
    pred, target = _check("l1", "pred", pred, target, reduction)
    if not pred.size:
        return _of_nothing(reduction, pred.shape, pred), pred.copy()
    return backend().l1(pred, target, reduction)


def huber(pred: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> LossAndGradient:
    """Huber's loss: with d = pred - target, 1/m * sum of d^2 / 2 where |d| <= delta, else
    delta * (|d| - delta / 2).

    delta is above 0. Shapes, dtypes, m and results are those of `mse`.

    >>> ops.huber(np.array([1.0, 4.0]), np.array([0.0, 0.0]), reduction="sum")[0]
    4.0

    Source: Huber, Robust Estimation of a Location Parameter (1964).
    """
    pred, target = _check("huber", "pred", pred, target, reduction)
    delta = checks.real("huber", "delta", delta, 0.0)
    if not delta:
        raise ValueError("huber: delta=0, expected a number above 0")
    if not pred.size:
        return _of_nothing(reduction, pred.shape, pred), pred.copy()
    return backend().huber(pred, target, delta, reduction)


def smooth_l1(
    pred: Any, target: Any, beta: float = 1.0, reduction: str = "mean"
) -> LossAndGradient:
    """Smooth absolute error: with d = pred - target, 1/m * sum of d^2 / (2 * beta) where
    |d| < beta, else |d| - beta / 2.

    beta is at least 0; 0, and what rounds to 0 in float32, is `l1`. Shapes, dtypes, m and results
    are those of `mse`.

    >>> ops.smooth_l1(np.array([1.0, 4.0]), np.array([0.0, 0.0]), beta=2.0, reduction="sum")[0]
    3.25

    Source: Girshick, Fast R-CNN (2015), equation 3.
    """
    pred, target = _check("smooth_l1", "pred", pred, target, reduction)
    beta = checks.real("smooth_l1", "beta", beta, 0.0)
    if not pred.size:
        return _of_nothing(reduction, pred.shape, pred), pred.copy()
    if beta < _SMALLEST:
        return backend().l1(pred, target, reduction)
    return backend().smooth_l1(pred, target, beta, reduction)


def bce(pred: Any, target: Any, reduction: str = "mean") -> LossAndGradient:
    """Binary cross-entropy of probabilities: loss = 1/m * sum of -(t*log(p) + (1 - t)*log(1 - p)).

    pred, from 0 to 1, and target have the same shape and dtype. Logarithms are at least -100, as in
    PyTorch.
    returns  loss (float), dpred as pred

    >>> round(ops.bce(np.array([0.5]), np.array([1.0]))[0], 4)
    0.6931
    """
    pred, target = _check("bce", "pred", pred, target, reduction)
    if not pred.size:
        return _of_nothing(reduction, pred.shape, pred), pred.copy()
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


def bce_with_logits(logits: Any, target: Any, reduction: str = "mean") -> LossAndGradient:
    """Binary cross-entropy of sigmoid(logits), fused and stable.

    loss = 1/m * sum of max(x, 0) - x*t + log(1 + exp(-|x|)), with its gradient (sigmoid(x) - t)/m

    logits and target have the same shape and dtype  ->  loss (float), dlogits as logits

    >>> round(ops.bce_with_logits(np.array([0.0]), np.array([1.0]))[0], 4)
    0.6931
    """
    logits, target = _check("bce_with_logits", "logits", logits, target, reduction)
    if not logits.size:
        return _of_nothing(reduction, logits.shape, logits), logits.copy()
    return backend().bce_with_logits(logits, target, reduction)


def binary_focal(
    logits: Any,
    target: Any,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: str = "mean",
) -> LossAndGradient:
    """Focal loss of sigmoid(logits), fused and stable: binary cross-entropy with less weight on
    answers that are easy.

    loss = 1/m * sum of a * (1 - p)^gamma * -log p

    where p = sigmoid(x) and a = alpha for target 1, p = 1 - sigmoid(x) and a = 1 - alpha for
    target 0; without alpha, a = 1. m is the number of elements with "mean", 1 with "sum".

    logits and target have the same shape and dtype, and target is 0 or 1; gamma is at least 0,
    alpha from 0 to 1 or None
    returns  loss (float), dlogits as logits

    >>> round(ops.binary_focal(np.array([0.0]), np.array([1.0]))[0], 4)  # log 2 / 4
    0.1733

    Source: Lin et al., Focal Loss for Dense Object Detection (2017), section 3.
    """
    op = "binary_focal"
    logits, target = _check(op, "logits", logits, target, reduction)
    gamma = checks.real(op, "gamma", gamma, 0.0)
    alpha = None if alpha is None else checks.real(op, "alpha", alpha, 0.0, 1.0)
    if not logits.size:
        return _of_nothing(reduction, logits.shape, logits), logits.copy()
    other = np.argwhere((target != 0) & (target != 1))
    if other.size:
        where = tuple(int(i) for i in other[0])
        raise ValueError(f"{op}: target{list(where)} is {target[where]:g}, but 0 or 1 is expected")
    return backend().binary_focal(logits, target, gamma, alpha, reduction)


def _check(
    op: str, name: str, pred: Any, target: Any, reduction: str
) -> tuple[np.ndarray, np.ndarray]:
    pred, target = checks.array(op, name, pred), checks.array(op, "target", target)
    checks.same_shape(op, "target", target.shape, pred.shape, "the shape of {}", name)
    checks.same_dtype(op, **{name: pred, "target": target})
    checks.choice(op, "reduction", reduction, _REDUCTIONS)
    return pred, target


def _samples(scores: np.ndarray) -> tuple[int, ...]:
    return (scores.shape[0], *scores.shape[2:])


def _of_nothing(reduction: str, shape: tuple[int, ...], like: np.ndarray) -> Any:
    """The loss of an empty batch; with "none", an array of this shape."""
    if reduction == "none":
        return np.zeros(shape, like.dtype)
    return math.nan if reduction == "mean" else 0.0
