"""The dialect `network`: a `NeuralNetwork` of layers that store their gradients, visited by an
optimiser. Matrices are (in, out), images (n, c, h, w); the sub-modules `activations layers loss
network optimizers utils data_generator` are named as in the old programs.

>>> import numpy as np
>>> from cnnx.compat.network import Adam, Linear, NeuralNetwork, ReLULayer, SoftmaxCrossEntropyLoss
>>> np.random.seed(0)
>>> model, loss, optimizer = NeuralNetwork(), SoftmaxCrossEntropyLoss(), Adam(learning_rate=0.1)
>>> for layer in (Linear(2, 8), ReLULayer(), Linear(8, 2)):
...     model.add_layer(layer)
>>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
>>> for _ in range(100):
...     model.zero_grad()
...     value = loss(model.forward(x), y)
...     gradient = model.backward(loss.backward())
...     model.update_params(optimizer)
>>> value < 0.1
True
"""

from __future__ import annotations

from .activation_layers import (
    Activation,
    LeakyReLULayer,
    ReLULayer,
    SigmoidLayer,
    SoftmaxLayer,
    TanhLayer,
)
from .activations import (
    leaky_relu,
    leaky_relu_derivative,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    softmax,
    tanh,
    tanh_derivative,
)
from .base import Layer
from .batches import batch_iterator, clip_gradients
from .checkpoint import load_checkpoint, save_checkpoint
from .containers import CNN, NeuralNetwork
from .data_generator import Circle, GeneratePolynomialData, Line, Spiral, Zone, Zone_3D
from .loss import (
    SoftmaxCrossEntropyLoss,
    cross_entropy_loss,
    cross_entropy_loss_derivative,
    mse_loss,
    mse_loss_derivative,
)
from .normalization import BatchNorm1D, BatchNorm2D
from .optimizers import SGD, Adagrad, Adam, Momentum, RMSProp
from .shaping import Dropout, Flatten, MaxPool2D
from .weighted import Conv2D, Linear

__all__ = [
    "CNN",
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "BatchNorm1D",
    "BatchNorm2D",
    "Circle",
    "Conv2D",
    "Dropout",
    "Flatten",
    "GeneratePolynomialData",
    "Layer",
    "LeakyReLULayer",
    "Line",
    "Linear",
    "MaxPool2D",
    "Momentum",
    "NeuralNetwork",
    "RMSProp",
    "ReLULayer",
    "SigmoidLayer",
    "SoftmaxCrossEntropyLoss",
    "SoftmaxLayer",
    "Spiral",
    "TanhLayer",
    "Zone",
    "Zone_3D",
    "batch_iterator",
    "clip_gradients",
    "cross_entropy_loss",
    "cross_entropy_loss_derivative",
    "leaky_relu",
    "leaky_relu_derivative",
    "load_checkpoint",
    "mse_loss",
    "mse_loss_derivative",
    "relu",
    "relu_derivative",
    "save_checkpoint",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "tanh",
    "tanh_derivative",
]
