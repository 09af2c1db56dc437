"""Losses: each returns the loss, a Python float, and its gradient with respect to the prediction.

reduction "mean" divides the sum by the number of terms, "sum" does not, and "none" returns an array
with each term, and the gradient of each. Labels that are ignored come as -1: their terms and
gradients are 0, and the mean does not count them. A mean over labels that are all ignored is 0.
"""

from __future__ import annotations

import numpy as np

from .activation import log_softmax


def cross_entropy(logits, target, weight, label_smoothing, reduction):
    """Negative log-likelihood of a softmax, in one step and stable.

    With log p = log_softmax(logits) and q the target distribution (for a label y: q[k] = 1 where k
    = y, else 0), smoothed to q' = (1 - label_smoothing) * q + label_smoothing / k:

    loss          = 1/m * sum over (n, k) of -weight[k] * q'[n, k] * log p[n, k]
    dlogits[n, k] = 1/m * (p[n, k] * (sum over j of weight[j] * q'[n, j]) - weight[k] * q'[n, k])

    m, with "mean": for labels the sum of their weights, for probabilities n. Otherwise: 1.

    logits (n, k), target int64 (n,) or probabilities (n, k), weight (k,) or None
    returns  loss, or with "none" losses (n,); dlogits (n, k)
    """
    n, classes = logits.shape
    labels = target.ndim == 1
    ignored = target < 0 if labels else np.zeros(n, bool)
    weight = np.ones(classes, logits.dtype) if weight is None else weight
    q = np.eye(classes, dtype=logits.dtype)[target] if labels else target
    q = weight * ((1 - label_smoothing) * q + label_smoothing / classes)
    q = np.where(ignored[:, None], 0, q)

    log_p = log_softmax(logits, axis=1)
    # 0 * -inf: a class with target 0 does not contribute, however unlikely it is.
    terms = np.where(q == 0, 0, q * log_p)
    dlogits = np.exp(log_p) * q.sum(axis=1, keepdims=True) - q
    dlogits = np.where(ignored[:, None], 0, dlogits)
    if reduction == "none":
        return -terms.sum(axis=1), dlogits.astype(logits.dtype, copy=False)
    m = (weight[target[~ignored]].sum() if labels else n) if reduction == "mean" else 1
    m = m if m else 1
    return float(-terms.sum() / m), (dlogits / m).astype(logits.dtype, copy=False)


def nll(log_p, target, weight, reduction):
    """Negative log-likelihood of log-probabilities: 1/m * sum over n of -weight[y] * log_p[n, y].

    log_p (n, k), target int64 (n,), weight (k,) or None; m as in `cross_entropy`
    returns  loss, or with "none" losses (n,); dlog_p (n, k)
    """
    n, classes = log_p.shape
    kept = target >= 0
    weight = np.ones(classes, log_p.dtype) if weight is None else weight
    q = np.where(kept, weight[target], 0)
    losses = np.where(q == 0, 0, -q * log_p[np.arange(n), target])
    dlog_p = np.zeros_like(log_p)
    dlog_p[np.arange(n), target] = -q
    m = (weight[target[kept]].sum() or 1) if reduction == "mean" else 1
    return _reduced(losses, dlog_p, m, reduction)


def focal(logits, target, gamma, alpha, reduction):
    """Cross-entropy with less weight on samples that are easy.

    With p = softmax(logits)[n, y] of the label y, and c = -log p:

    loss          = 1/m * sum over n of alpha[y] * (1 - p)^gamma * c
    dlogits[n, k] = 1/m * alpha[y] * (1 - p)^gamma * (1 + gamma * p * c / (1 - p))
                        * (softmax(logits)[n, k] - (k == y))

    where c / (1 - p) is 1 at p = 1. m, with "mean": the number of labels that are not ignored,
    whatever their alpha.

    logits (n, k), target int64 (n,), alpha (k,) or None
    returns  loss, or with "none" losses (n,); dlogits (n, k)

    Source: Lin et al., Focal Loss for Dense Object Detection (2017), section 3.2.
    """
    n, classes = logits.shape
    kept, rows = target >= 0, np.arange(n)
    alpha = np.ones(classes, logits.dtype) if alpha is None else alpha
    log_p = log_softmax(logits, axis=1)
    c = -log_p[rows, target]
    p, far = np.exp(-c), -np.expm1(-c)
    alpha = np.where(kept, alpha[target], 0)
    factor = np.where(alpha == 0, 0, alpha * far**gamma)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = factor * np.where(p > 0, 1 + gamma * p * np.where(far > 0, c / far, 1), 1)
    dlogits = np.exp(log_p)
    dlogits[rows, target] -= 1
    dlogits = np.where(kept[:, None], slope[:, None] * dlogits, 0)
    losses = np.where(factor == 0, 0, factor * c)
    m = (int(kept.sum()) or 1) if reduction == "mean" else 1
    return _reduced(losses, dlogits.astype(logits.dtype, copy=False), m, reduction)


def binary_focal(logits, target, gamma, alpha, reduction):
    """Binary cross-entropy of sigmoid(x) with less weight on answers that are easy.

    With z = x where t = 1 and -x where t = 0, p = sigmoid(z) and q = 1 - p = sigmoid(-z):

    loss    = sum of a * q^gamma * -log p,     a = alpha where t = 1, 1 - alpha where t = 0
    dlogits = -a * q^gamma * (gamma * p * -log p + q), where t = 0 with the other sign

    target is 0 or 1; alpha None: a = 1

    Source: Lin et al., Focal Loss for Dense Object Detection (2017), section 3.
    """
    sign = 2 * target - 1
    z = sign * logits
    e = np.exp(-np.abs(z))
    rest = np.log1p(e)
    p, q = np.where(z < 0, e, 1) / (1 + e), np.where(z < 0, 1, e) / (1 + e)
    minus_log_p, minus_log_q = np.maximum(-z, 0) + rest, np.maximum(z, 0) + rest
    most = min(1e30, float(np.finfo(logits.dtype).max))  # for infinity: 0 times it is 0, the limit
    factor = np.exp(-gamma * np.minimum(minus_log_q, most))
    if alpha is not None:
        factor = factor * (target * alpha + (1 - target) * (1 - alpha))
    slope = factor * (gamma * p * np.minimum(minus_log_p, most) + q)
    return _per_pair(factor * minus_log_p, (-sign * slope).astype(logits.dtype), reduction)


def mse(pred, target, reduction):
    """Squared error: sum of (pred - target)^2, gradient 2 * (pred - target); equal shapes."""
    error = pred - target
    return _per_pair(error * error, 2 * error, reduction)


def l1(pred, target, reduction):
    """Absolute error: sum of |pred - target|, gradient sign(pred - target), which is 0 at 0."""
    error = pred - target
    return _per_pair(np.abs(error), np.sign(error), reduction)


def huber(pred, target, delta, reduction):
    """Squared error near 0, absolute error far from it. With d = pred - target:

    loss  = sum of d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2)
    dpred = d, clipped to -delta ... delta

    Source: Huber, Robust Estimation of a Location Parameter (1964).
    """
    error = pred - target
    near = np.clip(error, -delta, delta)
    return _per_pair(near * (error - near / 2), near, reduction)


def smooth_l1(pred, target, beta, reduction):
    """Absolute error, but smooth near 0: the loss of `huber` with delta = beta, divided by beta.

    Source: Girshick, Fast R-CNN (2015), with beta = 1.
    """
    error = pred - target
    near = np.clip(error, -beta, beta)
    slope = near / beta
    return _per_pair(slope * (error - near / 2), slope, reduction)


def bce(pred, target, reduction):
    """Binary cross-entropy of probabilities.

    loss  = sum of -(t * log p + (1 - t) * log(1 - p)), each logarithm at least -100, as in PyTorch
    dpred = (p - t) / max(p * (1 - p), 1e-12)
    """
    with np.errstate(divide="ignore"):
        log_p, log_q = np.maximum(np.log(pred), -100), np.maximum(np.log1p(-pred), -100)
    dpred = (pred - target) / np.maximum(pred * (1 - pred), pred.dtype.type(1e-12))
    return _per_pair(-(target * log_p + (1 - target) * log_q), dpred, reduction)


def bce_with_logits(logits, target, reduction):
    """Binary cross-entropy of sigmoid(x), in one step and stable.

    loss    = sum of max(x, 0) - x*t + log(1 + exp(-|x|))
    dlogits = sigmoid(x) - t
    """
    e = np.exp(-np.abs(logits))
    losses = np.maximum(logits, 0) - logits * target + np.log1p(e)
    return _per_pair(losses, np.where(logits < 0, e, 1) / (1 + e) - target, reduction)


def _per_pair(losses, gradient, reduction):
    """The mean divides by the number of pairs."""
    return _reduced(losses, gradient, losses.size if reduction == "mean" else 1, reduction)


def _reduced(losses, gradient, m, reduction):
    if reduction == "none":
        return losses.astype(gradient.dtype, copy=False), gradient
    return float(losses.sum() / m), gradient / m
