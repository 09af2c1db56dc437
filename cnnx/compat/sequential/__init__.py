"""The dialect `sequential`: a model that owns its loss and its optimiser. Matrices are (in, out),
images (n, c, h, w); sub-modules are named as in the old programs: `layers loss module optim
sequential utils`.

>>> import numpy as np
>>> from cnnx.compat.sequential import Adam, CrossEntropyLoss, Linear, ReLU, Sequential, Softmax
>>> from cnnx.compat.sequential import epoch_loop, generate_spiral_data, train_val
>>> np.random.seed(0)
>>> X, y = generate_spiral_data(20, 2, 3)
>>> layers = [Linear(2, 64), ReLU(), Linear(64, 3), Softmax()]
>>> model = Sequential(layers, CrossEntropyLoss(), Adam(lr=0.01))
>>> history = train_val(model, X, y, X, y, epochs=100, verbose_freq=1000)
>>> epoch_loop(model, X, y, train=False)[1] > 0.8
True
"""

from __future__ import annotations

from .layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Softmax
from .loss import MSE, CrossEntropyLoss, Loss
from .module import Module
from .optim import Adam, Optimizer
from .sequential import Sequential
from .utils import (
    batch_generator,
    epoch_loop,
    generate_spiral_data,
    plot_spiral_data_decision_boundary,
    plot_training_metrics,
    test,
    train_val,
    train_val_test_split,
)

__all__ = [
    "MSE",
    "Adam",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Linear",
    "Loss",
    "MaxPool2d",
    "Module",
    "Optimizer",
    "ReLU",
    "Sequential",
    "Softmax",
    "batch_generator",
    "epoch_loop",
    "generate_spiral_data",
    "plot_spiral_data_decision_boundary",
    "plot_training_metrics",
    "test",
    "train_val",
    "train_val_test_split",
]
