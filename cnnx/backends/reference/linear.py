"""The fully connected layer: one matrix product."""

from __future__ import annotations

from .epilogue import finish


def linear(x, weight, bias, activation):
    """Affine map of every row.

    y[n, j] = activation(bias[j] + sum over i of x[n, i] * weight[j, i])

    x (n, in), weight (out, in), bias (out,) or None, activation a name or None  ->  y (n, out)
    """
    y = x @ weight.T
    if bias is not None:
        y += bias
    return finish(y, activation)


def linear_backward(dy, x, weight, need_dx):
    """Gradients of `linear`.

    dx[n, i]      = sum over j of dy[n, j] * weight[j, i]
    dweight[j, i] = sum over n of dy[n, j] * x[n, i]
    dbias[j]      = sum over n of dy[n, j]

    returns  dx (None unless need_dx), dweight, dbias
    """
    dx = dy @ weight if need_dx else None
    return dx, dy.T @ x, dy.sum(axis=0)
