"""Optimiser steps, in place: param and the state arrays change, grad does not.

In all of them, g = grad + weight_decay * param. Arrays have one shape.
"""

from __future__ import annotations

import numpy as np


def sgd_step(param, grad, velocity, lr, momentum, weight_decay, nesterov):
    """Gradient descent with momentum.

    velocity = momentum * velocity + g
    param   -= lr * velocity                     or, nesterov:  lr * (g + momentum * velocity)

    velocity is None when momentum is 0: then param -= lr * g.

    Source: Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in
    deep learning (2013), in PyTorch's form.
    """
    g = _decayed(param, grad, weight_decay)
    if velocity is not None:
        velocity *= momentum
        velocity += g
        g = g + momentum * velocity if nesterov else velocity
    param -= lr * g


def rmsprop_step(
    param, grad, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum
):
    """Divide the gradient by a running average of its magnitude.

    square_avg = alpha * square_avg + (1 - alpha) * g^2
    grad_avg   = alpha * grad_avg + (1 - alpha) * g                       where given ("centered")
    step       = g / (sqrt(square_avg - grad_avg^2) + eps)
    velocity   = momentum * velocity + step                           where given
    param     -= lr * velocity                                        or, where not given, lr * step

    Source: Tieleman, Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012); centered:
    Graves,
    Generating Sequences With Recurrent Neural Networks (2013).
    """
    g = _decayed(param, grad, weight_decay)
    square_avg *= alpha
    square_avg += (1 - alpha) * g * g
    variance = square_avg
    if grad_avg is not None:
        grad_avg += (1 - alpha) * (g - grad_avg)
        variance = square_avg - grad_avg * grad_avg
    step = g / (np.sqrt(variance) + eps)
    if velocity is not None:
        velocity *= momentum
        velocity += step
        step = velocity
    param -= lr * step


def adagrad_step(param, grad, sum_sq, lr, eps, weight_decay):
    """Divide the gradient by the root of the sum of all its squares so far.

    sum_sq += g^2;  param -= lr * g / (sqrt(sum_sq) + eps)

    Source: Duchi, Hazan, Singer, Adaptive Subgradient Methods for Online Learning (2011).
    """
    g = _decayed(param, grad, weight_decay)
    sum_sq += g * g
    param -= lr * g / (np.sqrt(sum_sq) + eps)


def adam_step(param, grad, exp_avg, exp_avg_sq, lr, beta1, beta2, eps, weight_decay, step):
    """Running averages of the gradient and of its square, freed of their bias towards zero.

    exp_avg    = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
    param     -= lr * (exp_avg / (1 - beta1^step)) / (sqrt(exp_avg_sq / (1 - beta2^step)) + eps)

    step counts from 1.

    Source: Kingma, Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1.
    """
    g = _decayed(param, grad, weight_decay)
    exp_avg += (1 - beta1) * (g - exp_avg)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * g * g
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    param -= (lr / correction1) * exp_avg / (np.sqrt(exp_avg_sq) / correction2**0.5 + eps)


def _decayed(param, grad, weight_decay):
    return grad + weight_decay * param if weight_decay else grad
