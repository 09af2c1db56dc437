"""Losses: each returns the loss, a Python float, and its gradient with respect to the prediction.

reduction "mean" divides the sum by the number of terms, "sum" does not.
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

    m, with "mean": for labels the sum of their weights, for probabilities n. With "sum": 1.

    logits (n, k), target int64 (n,) or probabilities (n, k), weight (k,) or None
    returns  loss, dlogits (n, k)
    """
    n, classes = logits.shape
    labels = target.ndim == 1
    weight = np.ones(classes, logits.dtype) if weight is None else weight
    q = np.eye(classes, dtype=logits.dtype)[target] if labels else target
    q = weight * ((1 - label_smoothing) * q + label_smoothing / classes)

    log_p = log_softmax(logits, axis=1)
    # 0 * -inf: a class with target 0 does not contribute, however unlikely it is.
    loss = -np.where(q == 0, 0, q * log_p).sum()
    dlogits = np.exp(log_p) * q.sum(axis=1, keepdims=True) - q
    m = (weight[target].sum() if labels else n) if reduction == "mean" else 1
    return float(loss / m), (dlogits / m).astype(logits.dtype, copy=False)


def mse(pred, target, reduction):
    """Squared error: sum of (pred - target)^2, gradient 2 * (pred - target); equal shapes."""
    error = pred - target
    m = pred.size if reduction == "mean" else 1
    return float((error * error).sum() / m), 2 * error / m


def bce(pred, target, reduction):
    """Binary cross-entropy of probabilities.

    loss  = sum of -(t * log p + (1 - t) * log(1 - p)), each logarithm at least -100, as in PyTorch
    dpred = (p - t) / max(p * (1 - p), 1e-12)
    """
    m = pred.size if reduction == "mean" else 1
    with np.errstate(divide="ignore"):
        log_p, log_q = np.maximum(np.log(pred), -100), np.maximum(np.log1p(-pred), -100)
    loss = -(target * log_p + (1 - target) * log_q).sum()
    dpred = (pred - target) / np.maximum(pred * (1 - pred), pred.dtype.type(1e-12))
    return float(loss / m), dpred / m


def bce_with_logits(logits, target, reduction):
    """Binary cross-entropy of sigmoid(x), in one step and stable.

    loss    = sum of max(x, 0) - x*t + log(1 + exp(-|x|))
    dlogits = sigmoid(x) - t
    """
    m = logits.size if reduction == "mean" else 1
    e = np.exp(-np.abs(logits))
    loss = (np.maximum(logits, 0) - logits * target + np.log1p(e)).sum()
    return float(loss / m), (np.where(logits < 0, e, 1) / (1 + e) - target) / m
