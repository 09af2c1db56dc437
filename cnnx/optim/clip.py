"""Gradient clipping between backward and step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from cnnx import checks
from cnnx.layers.parameter import Parameter

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(
    params: Parameter | Iterable[Parameter], max_norm: float, norm_type: float = 2.0
) -> float:
    """Scale all gradients by one factor so that their total norm is at most `max_norm`; returns
    the norm before.

    norm_type  2: root of the sum of squares; inf: the largest magnitude; p > 0: the p-norm

    If the norm is not finite, it is returned and the gradients are not changed.

    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
    ICML 2013.

    Example: ``cnnx.clip_grad_norm(model.parameters(), 1.0)`` between backward and step.
    """
    max_norm = checks.real("clip_grad_norm", "max_norm", max_norm, 0.0)
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm: norm_type is {norm_type}, expected a number above 0")
    grads = _gradients(params)
    norms = [np.linalg.norm(grad.astype(np.float64).ravel(), norm_type) for grad in grads]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    if math.isfinite(total) and total > max_norm:
        for grad in grads:
            grad *= max_norm / (total + 1e-6)  # 1e-6 as in PyTorch
    return total


def clip_grad_value(params: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Clip every entry of every gradient to [-clip_value, clip_value].

    Example: ``cnnx.clip_grad_value(model.parameters(), 0.5)`` between backward and step.
    """
    clip_value = checks.real("clip_grad_value", "clip_value", clip_value, 0.0)
    for grad in _gradients(params):
        np.clip(grad, -clip_value, clip_value, out=grad)


def _gradients(params: Parameter | Iterable[Parameter]) -> list[np.ndarray]:
    params = [params] if isinstance(params, Parameter) else params
    return [parameter.grad for parameter in params if parameter.grad is not None]
