"""Optimiser steps, in place, over many parameters; params and state change, grads do not.

params and grads are lists of arrays of the same shapes; if a gradient is None, its parameter and
the parameter's state do not change. A state array is flat, with one number for each number of all
params, in the order of the params, in C order. The formulas are for one parameter, with
g = grad + weight_decay * param.
"""

from __future__ import annotations

import numpy as np


def sgd_step(params, grads, velocity, lr, momentum, weight_decay, nesterov, dampening):
    """Gradient descent with momentum.

    velocity = momentum * velocity + (1 - dampening) * g
    param   -= lr * velocity                     or, nesterov:  lr * (g + momentum * velocity)

    velocity is None when momentum is 0: then param -= lr * g.

    Source: Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in
    deep learning (2013), in PyTorch's form.
    """
    for param, grad, speed in _each(params, grads, velocity):
        g = _decayed(param, grad, weight_decay)
        if speed is not None:
            speed *= momentum
            speed += (1 - dampening) * g if dampening else g
            g = g + momentum * speed if nesterov else speed
        param -= lr * g


def rmsprop_step(
    params, grads, square_avg, grad_avg, velocity, lr, alpha, eps, weight_decay, momentum
):
    """Divide the gradient by a running average of its magnitude.

    square_avg = alpha * square_avg + (1 - alpha) * g^2
    grad_avg   = alpha * grad_avg + (1 - alpha) * g                       if given ("centered")
    step       = g / (sqrt(max(square_avg - grad_avg^2, 0)) + eps)
    velocity   = momentum * velocity + step                           if given
    param     -= lr * velocity                                        or, if not given, lr * step

    Source: Tieleman, Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012); centered:
    Graves, Generating Sequences With Recurrent Neural Networks (2013).
    """
    for param, grad, square, mean, speed in _each(params, grads, square_avg, grad_avg, velocity):
        g = _decayed(param, grad, weight_decay)
        square *= alpha
        square += (1 - alpha) * g * g
        variance = square
        if mean is not None:
            mean += (1 - alpha) * (g - mean)
            variance = np.maximum(square - mean * mean, 0)  # rounding can make it negative
        step = g / (np.sqrt(variance) + eps)
        if speed is not None:
            speed *= momentum
            speed += step
            step = speed
        param -= lr * step


def adagrad_step(params, grads, sum_sq, lr, eps, weight_decay):
    """Divide the gradient by the root of the sum of all its squares so far.

    sum_sq += g^2;  param -= lr * g / (sqrt(sum_sq) + eps)

    Source: Duchi, Hazan, Singer, Adaptive Subgradient Methods for Online Learning (2011).
    """
    for param, grad, total in _each(params, grads, sum_sq):
        g = _decayed(param, grad, weight_decay)
        total += g * g
        param -= lr * g / (np.sqrt(total) + eps)


def adam_step(
    params,
    grads,
    exp_avg,
    exp_avg_sq,
    max_avg_sq,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    decoupled,
    step,
):
    """Running averages of the gradient and of its square, corrected for their bias towards zero.

    exp_avg    = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
    param     -= lr * (exp_avg / (1 - beta1^step)) / (sqrt(exp_avg_sq / (1 - beta2^step)) + eps)

    decoupled: g = grad, and before, param *= 1 - lr * weight_decay (AdamW)
    max_avg_sq, if given, is the largest exp_avg_sq so far, and takes its place in the last line
    (AMSGrad). step counts from 1.

    Source: Kingma, Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1; Loshchilov,
    Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2; Reddi, Kale, Kumar, On the
    Convergence of Adam and Beyond (2018), algorithm 2.
    """
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    states = exp_avg, exp_avg_sq, max_avg_sq
    for param, grad, mean, square, most in _each(params, grads, *states):
        g = _shrunk(param, grad, lr, weight_decay, decoupled)
        mean += (1 - beta1) * (g - mean)
        square *= beta2
        square += (1 - beta2) * g * g
        if most is not None:
            square = np.maximum(most, square, out=most)
        param -= (lr / correction1) * mean / (np.sqrt(square) / correction2**0.5 + eps)


def nadam_step(
    params,
    grads,
    exp_avg,
    exp_avg_sq,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    decoupled,
    mu,
    mu_next,
    mu_product,
    step,
):
    """Adam with Nesterov's momentum, which is mu in this step and mu_next in the next one.

    exp_avg    = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
    param     -= lr * ((1 - mu) / (1 - mu_product) * g
                       + mu_next / (1 - mu_product * mu_next) * exp_avg)
                    / (sqrt(exp_avg_sq / (1 - beta2^step)) + eps)

    mu_product is the product of mu over all steps up to this one, which count from 1; decoupled as
    in `adam_step`.

    Source: Dozat, Incorporating Nesterov Momentum into Adam (2016), algorithm 2, in PyTorch's form.
    """
    correction2 = 1 - beta2**step
    of_grad, of_mean = lr * (1 - mu) / (1 - mu_product), lr * mu_next / (1 - mu_product * mu_next)
    for param, grad, mean, square in _each(params, grads, exp_avg, exp_avg_sq):
        g = _shrunk(param, grad, lr, weight_decay, decoupled)
        mean += (1 - beta1) * (g - mean)
        square *= beta2
        square += (1 - beta2) * g * g
        param -= (of_grad * g + of_mean * mean) / (np.sqrt(square) / correction2**0.5 + eps)


def ema_step(averages, values, decay):
    """Exponential moving averages: average = decay * average + (1 - decay) * value.

    averages and values are lists of arrays of the same shapes, all of one dtype; an average whose
    value is None does not change.

    Source: Polyak, Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).
    """
    for average, value in zip(averages, values):
        if value is not None:
            average += (1 - decay) * (value - average)


def _each(params, grads, *states):
    """Each parameter with a gradient: (param, grad, its slice of every state, or None)."""
    start = 0
    for param, grad in zip(params, grads):
        piece = slice(start, start + param.size)
        start += param.size
        if grad is not None:
            pieces = (s if s is None else s[piece].reshape(param.shape) for s in states)
            yield param, grad, *pieces


def _decayed(param, grad, weight_decay):
    return grad + weight_decay * param if weight_decay else grad


def _shrunk(param, grad, lr, weight_decay, decoupled):
    """The gradient with weight decay; if it is decoupled, param shrinks instead."""
    if not decoupled:
        return _decayed(param, grad, weight_decay)
    param *= 1 - lr * weight_decay
    return grad
