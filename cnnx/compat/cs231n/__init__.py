"""The dialect `cs231n`: the layers of the course, functions `x_forward` and `x_backward` with a
cache between them, on cnnx's kernels. Sub-modules have the course's names: `layers fast_layers
layer_utils optim im2col solver gradient_check`; all names are available here too.

>>> import numpy as np
>>> from cnnx.compat.cs231n import affine_backward, affine_forward, sgd, softmax_loss
>>> x, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1])
>>> w, b = np.zeros((2, 2)), np.zeros(2)
>>> for _ in range(20):
...     scores, cache = affine_forward(x, w, b)
...     loss, dscores = softmax_loss(scores, y)
...     _, dw, db = affine_backward(dscores, cache)
...     w, _ = sgd(w, dw, {"learning_rate": 1.0})
>>> round(loss, 1)
0.1
"""

# ruff: noqa: F403 (the sub-modules define what they export, as in the course)

from __future__ import annotations

from . import fast_layers, gradient_check, im2col, layer_utils, layers, optim, solver
from .fast_layers import *
from .gradient_check import *
from .im2col import *
from .layer_utils import *
from .layers import *
from .optim import *
from .solver import *

__all__ = sorted(
    name
    for module in (fast_layers, gradient_check, im2col, layer_utils, layers, optim, solver)
    for name in module.__all__
)
