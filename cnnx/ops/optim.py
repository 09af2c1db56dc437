"""Optimiser steps, in place, over many parameters at once; params and state change, grads do not.

params, grads   lists of arrays of the same shapes; a gradient may be None: then its parameter and
                the parameter's state do not change
state           a flat array with one number for each number of all params, in the order of the
                params, in C order

All arrays of one call have one dtype; those that change must be C-contiguous and writable. The
formulas are for one parameter, with g = grad + weight_decay * param. A step returns None.

maximize   climb instead of descend: the steps of -lr with -weight_decay, so g = grad - weight_decay
           * param, and what the formulas subtract from param is added
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import checks
from ..config import backend


def sgd_step(
    params: Sequence[np.ndarray],
    grads: Sequence[Any],
    velocity: np.ndarray | None,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
    dampening: float = 0.0,
) -> None:
    """Gradient descent: velocity = momentum*velocity + (1 - dampening)*g; param -= lr * velocity.

    With nesterov, param -= lr * (g + momentum*velocity). velocity may be None when momentum is 0;
    dampening, from 0 to 1, has no effect then.

    >>> params = [np.array([1.0]), np.array([1.0])]
    >>> ops.sgd_step(params, [np.array([2.0]), None], None, lr=0.25)
    >>> params
    [array([0.5]), array([1.])]

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning
    (2013).
    """
    op = "sgd_step"
    params, grads = _arrays(op, params, grads, optional=("velocity",), velocity=velocity)
    lr, weight_decay = _rates(op, lr, weight_decay, maximize)
    momentum = checks.real(op, "momentum", momentum, 0.0)
    nesterov = checks.flag(op, "nesterov", nesterov)
    if velocity is None and (momentum or nesterov):
        raise ValueError(
            f"{op}: momentum={momentum:g}, nesterov={nesterov} needs a velocity array, not None"
        )
    dampening = checks.real(op, "dampening", dampening, 0.0, 1.0)
    settings = lr, momentum, weight_decay, nesterov, dampening
    backend().sgd_step(params, grads, velocity if momentum else None, *settings)


def rmsprop_step(
    params: Sequence[np.ndarray],
    grads: Sequence[Any],
    square_avg: np.ndarray,
    grad_avg: np.ndarray | None,
    velocity: np.ndarray | None,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    *,
    maximize: bool = False,
) -> None:
    """Divide the gradient by a running average of its magnitude.

    square_avg = alpha*square_avg + (1 - alpha)*g^2;  param -= lr * g / (sqrt(square_avg) + eps)

    If grad_avg is given ("centered"), the square of the running average of g is subtracted first;
    the result is a variance, with a minimum of 0, since rounding can make it negative (in PyTorch,
    equal gradients then give NaN).
    If velocity is given: velocity = momentum*velocity + quotient, param -= lr * velocity.

    >>> param, square_avg = np.array([1.0]), np.zeros(1)
    >>> grads = [np.array([2.0])]
    >>> ops.rmsprop_step([param], grads, square_avg, None, None, 0.1, alpha=0.75, eps=0.0)
    >>> param.tolist()
    [0.8]

    Source: Tieleman, Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012).
    """
    op = "rmsprop_step"
    state: dict[str, Any] = {"square_avg": square_avg, "grad_avg": grad_avg, "velocity": velocity}
    params, grads = _arrays(op, params, grads, optional=("grad_avg", "velocity"), **state)
    lr, weight_decay = _rates(op, lr, weight_decay, maximize)
    alpha = checks.real(op, "alpha", alpha, 0.0, 1.0)
    eps, momentum = _numbers(op, eps=eps, momentum=momentum)
    if velocity is None and momentum:
        raise ValueError(f"{op}: momentum={momentum:g} needs a velocity array, but it is None")
    settings = lr, alpha, eps, weight_decay, momentum
    backend().rmsprop_step(params, grads, *state.values(), *settings)


def adagrad_step(
    params: Sequence[np.ndarray],
    grads: Sequence[Any],
    sum_sq: np.ndarray,
    lr: float,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    *,
    maximize: bool = False,
) -> None:
    """Divide the gradient by the root of the sum of its squares so far.

    sum_sq += g^2;  param -= lr * g / (sqrt(sum_sq) + eps)

    >>> param, sum_sq = np.array([1.0]), np.zeros(1)
    >>> ops.adagrad_step([param], [np.array([2.0])], sum_sq, lr=0.5, eps=0.0)
    >>> param.tolist(), sum_sq.tolist()
    ([0.5], [4.0])

    Source: Duchi, Hazan, Singer, Adaptive Subgradient Methods for Online Learning (2011).
    """
    op = "adagrad_step"
    params, grads = _arrays(op, params, grads, sum_sq=sum_sq)
    lr, weight_decay = _rates(op, lr, weight_decay, maximize)
    eps = checks.real(op, "eps", eps, 0.0)
    backend().adagrad_step(params, grads, sum_sq, lr, eps, weight_decay)


def adam_step(
    params: Sequence[np.ndarray],
    grads: Sequence[Any],
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    max_avg_sq: np.ndarray | None = None,
    decoupled: bool = False,
    *,
    maximize: bool = False,
) -> None:
    """One step of Adam, AdamW (decoupled) or AMSGrad (max_avg_sq given).

    exp_avg = beta1*exp_avg + (1 - beta1)*g;  exp_avg_sq = beta2*exp_avg_sq + (1 - beta2)*g^2
    param  -= lr * (exp_avg / (1 - beta1^step)) / (sqrt(exp_avg_sq / (1 - beta2^step)) + eps)

    step counts from 1; beta1 and beta2 are from 0 to below 1.
    decoupled   g is the gradient alone, and before, param *= 1 - lr * weight_decay
    max_avg_sq  the largest exp_avg_sq so far, which takes its place in the last line

    >>> param, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> ops.adam_step([param], [np.array([2.0])], mean, square, 0.5, 0.5, 0.75, 0.0, 0.0, step=1)
    >>> param.tolist()
    [0.5]

    Source: Kingma, Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1; Loshchilov,
    Hutter, Decoupled Weight Decay Regularization (2019); Reddi, Kale, Kumar, On the Convergence of
    Adam and Beyond (2018).
    """
    op = "adam_step"
    state: dict[str, Any] = {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq, "max_avg_sq": max_avg_sq}
    params, grads = _arrays(op, params, grads, optional=("max_avg_sq",), **state)
    betas = _betas(op, beta1, beta2)
    lr, weight_decay = _rates(op, lr, weight_decay, maximize)
    eps = checks.real(op, "eps", eps, 0.0)
    decoupled = checks.flag(op, "decoupled", decoupled)
    step = checks.integer(op, "step", step, 1)
    settings = *betas, eps, weight_decay, decoupled
    backend().adam_step(params, grads, exp_avg, exp_avg_sq, max_avg_sq, lr, *settings, step)


def nadam_step(
    params: Sequence[np.ndarray],
    grads: Sequence[Any],
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    mu: float,
    mu_next: float,
    mu_product: float,
    step: int,
    decoupled: bool = False,
    *,
    maximize: bool = False,
) -> None:
    """One step of NAdam: Adam with Nesterov's momentum.

    exp_avg and exp_avg_sq as in `adam_step`;
    param -= lr * ((1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product*mu_next) * exp_avg)
             / (sqrt(exp_avg_sq / (1 - beta2^step)) + eps)

    mu, mu_next  momentum of this step and of the next, from 0 to below 1
    mu_product   product of mu over the steps up to this one
    step counts from 1; decoupled as in `adam_step`.

    >>> param, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> rates = {"mu": 0.5, "mu_next": 0.5, "mu_product": 0.5, "step": 1}
    >>> ops.nadam_step([param], [np.array([2.0])], mean, square, 0.3, 0.5, 0.75, 0.0, 0.0, **rates)
    >>> round(param.item(), 6)
    0.6

    Source: Dozat, Incorporating Nesterov Momentum into Adam (2016), in PyTorch's form.
    """
    op = "nadam_step"
    params, grads = _arrays(op, params, grads, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq)
    betas = _betas(op, beta1, beta2)
    lr, weight_decay = _rates(op, lr, weight_decay, maximize)
    eps = checks.real(op, "eps", eps, 0.0)
    decoupled = checks.flag(op, "decoupled", decoupled)
    momenta = [
        checks.real(op, name, value, 0.0, below=1.0)
        for name, value in (("mu", mu), ("mu_next", mu_next), ("mu_product", mu_product))
    ]
    step = checks.integer(op, "step", step, 1)
    settings = *betas, eps, weight_decay, decoupled, *momenta
    backend().nadam_step(params, grads, exp_avg, exp_avg_sq, lr, *settings, step)


def ema_step(averages: Sequence[np.ndarray], values: Sequence[Any], decay: float) -> None:
    """Exponential moving averages, in place: average = decay * average + (1 - decay) * value.

    averages, values  lists of arrays of the same shapes, all of one dtype; an average whose value
                      is None does not change
    decay             from 0 to 1

    >>> averages = [np.array([1.0, 2.0])]
    >>> ops.ema_step(averages, [np.array([5.0, 2.0])], decay=0.75)
    >>> averages[0].tolist()
    [2.0, 2.0]

    Source: Polyak, Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).
    """
    op = "ema_step"
    averages, values = _arrays(op, averages, values, names=("averages", "values"))
    backend().ema_step(averages, values, checks.real(op, "decay", decay, 0.0, 1.0))


def _arrays(
    op: str,
    params: Sequence[np.ndarray],
    grads: Sequence[Any],
    optional: tuple[str, ...] = (),
    names: tuple[str, str] = ("params", "grads"),
    **state: np.ndarray | None,
) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
    """params and grads as lists, checked against each other and the state."""
    one, other = names
    params, grads = _list(op, one, params), _list(op, other, grads)
    if len(params) != len(grads):
        raise ValueError(f"{op}: {len(params)} {one}, but {len(grads)} {other}")
    first = checks.in_place(op, f"{one}[0]", params[0]) if params else np.empty(0)
    flat = [x for name, x in state.items() if x is not None or name not in optional]
    if _fit(params, grads, flat, first.dtype):
        return params, grads
    size = 0
    for i, (param, grad) in enumerate(zip(params, grads)):
        checks.in_place(op, f"{one}[{i}]", param)
        checks.same_dtype(op, **{f"{one}[0]": first, f"{one}[{i}]": param})
        size += param.size
        if grad is None:
            continue
        grads[i] = grad = checks.array(op, f"{other}[{i}]", grad)
        checks.same_shape(op, f"{other}[{i}]", grad.shape, param.shape, f"the shape of {one}[{i}]")
        checks.same_dtype(op, **{f"{one}[0]": first, f"{other}[{i}]": grad})
    for name, value in state.items():
        if value is not None or name not in optional:
            x = checks.in_place(op, name, value)
            checks.same_shape(op, name, x.shape, (size,), "the size of all params together")
            if params:
                checks.same_dtype(op, **{"params[0]": first, name: x})
    return params, grads


def _fit(params: list[Any], grads: list[Any], state: list[Any], dtype: Any) -> bool:
    """Whether all arrays can be used directly, and fit together: a quick test, which may be false
    for some that do. A step of a small network takes microseconds."""
    if not checks.all_plain((*params, *grads, *state), dtype):
        return False
    total = (sum([x.size for x in params]),)
    shapes = [x.shape for x in params], [x.shape for x in state]
    return shapes == ([x.shape for x in grads], [total] * len(state))


def _list(op: str, name: str, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{op}: {name} is a {type(value).__name__}, but a list is expected")
    return list(value)


def _betas(op: str, beta1: float, beta2: float) -> tuple[float, float]:
    return (
        checks.real(op, "beta1", beta1, 0.0, below=1.0),
        checks.real(op, "beta2", beta2, 0.0, below=1.0),
    )


def _rates(op: str, lr: Any, weight_decay: Any, maximize: Any) -> tuple[float, float]:
    """lr and weight_decay; negative to maximize."""
    lr, weight_decay = _numbers(op, lr=lr, weight_decay=weight_decay)
    return (-lr, -weight_decay) if checks.flag(op, "maximize", maximize) else (lr, weight_decay)


def _numbers(op: str, **numbers: Any) -> list[float]:
    """Hyperparameters: finite and not negative."""
    return [checks.real(op, name, value, 0.0) for name, value in numbers.items()]
