"""Optimiser steps: param and the state arrays change in place, grad does not.

In all of them g = grad + weight_decay * param. The arrays of one call have one shape and one dtype;
those that change must be C-contiguous and writable. A step returns nothing.
"""

from __future__ import annotations

from typing import Any

from .. import checks
from ..config import backend


def sgd_step(
    param: Any,
    grad: Any,
    velocity: Any,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Gradient descent: velocity = momentum*velocity + g; param -= lr * velocity.

    With nesterov, param -= lr * (g + momentum*velocity). velocity may be None when momentum is 0.

    >>> param = np.array([1.0])
    >>> ops.sgd_step(param, np.array([2.0]), None, lr=0.25); param.tolist()
    [0.5]

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning
    (2013).
    """
    op = "sgd_step"
    param, grad, velocity = _arrays(op, param, grad, optional=("velocity",), velocity=velocity)
    numbers = _numbers(op, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if velocity is None and (momentum or nesterov):
        raise ValueError(
            f"{op}: momentum={momentum:g}, nesterov={nesterov} needs a velocity array, not None"
        )
    backend().sgd_step(param, grad, velocity if momentum else None, *numbers, bool(nesterov))


def rmsprop_step(
    param: Any,
    grad: Any,
    square_avg: Any,
    grad_avg: Any,
    velocity: Any,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> None:
    """Divide the gradient by a running average of its magnitude.

    square_avg = alpha*square_avg + (1 - alpha)*g^2;  param -= lr * g / (sqrt(square_avg) + eps)

    Where grad_avg is given ("centered"), the square of the running average of g is taken off first.
    Where velocity is given: velocity = momentum*velocity + quotient, param -= lr * velocity.

    >>> param, square_avg = np.array([1.0]), np.zeros(1)
    >>> ops.rmsprop_step(param, np.array([2.0]), square_avg, None, None, 0.1, alpha=0.75, eps=0.0)
    >>> param.tolist()
    [0.8]

    Source: Tieleman, Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012).
    """
    op = "rmsprop_step"
    param, grad, square_avg, grad_avg, velocity = _arrays(
        op,
        param,
        grad,
        optional=("grad_avg", "velocity"),
        square_avg=square_avg,
        grad_avg=grad_avg,
        velocity=velocity,
    )
    numbers = _numbers(
        op, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum
    )
    checks.real(op, "alpha", alpha, 0.0, 1.0)
    if velocity is None and momentum:
        raise ValueError(f"{op}: momentum={momentum:g} needs a velocity array, but it is None")
    backend().rmsprop_step(param, grad, square_avg, grad_avg, velocity, *numbers)


def adagrad_step(
    param: Any, grad: Any, sum_sq: Any, lr: float, eps: float = 1e-10, weight_decay: float = 0.0
) -> None:
    """Divide the gradient by the root of the sum of its squares so far.

    sum_sq += g^2;  param -= lr * g / (sqrt(sum_sq) + eps)

    >>> param, sum_sq = np.array([1.0]), np.zeros(1)
    >>> ops.adagrad_step(param, np.array([2.0]), sum_sq, lr=0.5, eps=0.0)
    >>> param.tolist(), sum_sq.tolist()
    ([0.5], [4.0])

    Source: Duchi, Hazan, Singer, Adaptive Subgradient Methods for Online Learning (2011).
    """
    op = "adagrad_step"
    param, grad, sum_sq = _arrays(op, param, grad, sum_sq=sum_sq)
    backend().adagrad_step(
        param, grad, sum_sq, *_numbers(op, lr=lr, eps=eps, weight_decay=weight_decay)
    )


def adam_step(
    param: Any,
    grad: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> None:
    """One step of Adam.

    exp_avg = beta1*exp_avg + (1 - beta1)*g;  exp_avg_sq = beta2*exp_avg_sq + (1 - beta2)*g^2
    param  -= lr * (exp_avg / (1 - beta1^step)) / (sqrt(exp_avg_sq / (1 - beta2^step)) + eps)

    step counts from 1; beta1 and beta2 are from 0 to below 1.

    >>> param, exp_avg, exp_avg_sq = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> ops.adam_step(param, np.array([2.0]), exp_avg, exp_avg_sq, 0.5, 0.5, 0.75, 0.0, 0.0, step=1)
    >>> param.tolist()
    [0.5]

    Source: Kingma, Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1.
    """
    op = "adam_step"
    param, grad, exp_avg, exp_avg_sq = _arrays(
        op, param, grad, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq
    )
    betas = (
        checks.real(op, "beta1", beta1, 0.0, below=1.0),
        checks.real(op, "beta2", beta2, 0.0, below=1.0),
    )
    lr, eps, weight_decay = _numbers(op, lr=lr, eps=eps, weight_decay=weight_decay)
    step = checks.integer(op, "step", step, 1)
    backend().adam_step(param, grad, exp_avg, exp_avg_sq, lr, *betas, eps, weight_decay, step)


def _arrays(
    op: str, param: Any, grad: Any, optional: tuple[str, ...] = (), **state: Any
) -> list[Any]:
    """param, grad and the state arrays, which must all fit; the optional ones may be None."""
    param = checks.in_place(op, "param", param)
    grad = checks.array(op, "grad", grad)
    checks.same_shape(op, "grad", grad, param.shape, "the shape of param")
    arrays = {
        name: None
        if value is None and name in optional
        else checks.in_place(op, name, value, like=param)
        for name, value in state.items()
    }
    checks.same_dtype(op, param=param, grad=grad, **arrays)
    return [param, grad, *arrays.values()]


def _numbers(op: str, **numbers: Any) -> list[float]:
    """Hyper-parameters: finite, and none below zero."""
    return [checks.real(op, name, value, 0.0) for name, value in numbers.items()]
