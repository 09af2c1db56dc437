"""cnnx.compat.network: its modules, the attributes that scripts read, and its examples."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from dialect_helpers import same

from cnnx.compat import network


def test_attributes_that_scripts_read():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5))
    convolution = network.Conv2D(3, 4, (3, 2), padding=1)
    assert convolution.kernel_size == (3, 2) and convolution.bias_flag
    y = convolution.forward(x)
    assert convolution.input_cache is x
    col, out_h, out_w = convolution.im2col(x, 3, 2, 1, 1)
    assert (out_h, out_w) == y.shape[2:]
    same(convolution.col_cache, col)
    rows = col @ convolution.weights.reshape(4, -1).T
    same(rows.reshape(2, out_h, out_w, 4).transpose(0, 3, 1, 2), y)
    back = convolution.col2im(np.ones_like(col), x.shape, 3, 2, 1, 1)
    assert back.shape == x.shape and back.sum() == pytest.approx(
        np.sum(convolution.im2col(np.ones_like(x), 3, 2, 1, 1)[0])
    )
    linear = network.Linear(3, 2, init_type="HE", bias=False)
    assert (linear.input_size, linear.output_size, linear.bias_flag) == (3, 2, False)
    assert abs(linear.weights).max() <= np.sqrt(2 / 3)
    pool, flatten = network.MaxPool2D((2, 3)), network.Flatten()
    assert pool.pool_size == pool.stride == (2, 3) and network.MaxPool2D(2).pool_size == (2, 2)
    assert flatten.forward(pool.forward(y)).shape[0] == 2 and flatten.input_shape == (2, 4, 3, 2)
    for layer in (network.ReLULayer(), network.LeakyReLULayer(), network.SoftmaxLayer()):
        assert isinstance(layer, network.Activation)
    relu, softmax = network.ReLULayer(), network.SoftmaxLayer()
    relu.forward(x)
    assert relu.input_cache is x and relu.activation_function is network.relu
    assert softmax.forward(x[0, 0]) is softmax.output_cache


def test_a_star_import_imports_the_same_names_as_the_original():
    for module, names in {
        "activations": ["relu", "softmax", "np"],
        "layers": ["Linear", "CNN", "SoftmaxCrossEntropyLoss", "relu", "mse_loss", "np"],
        "loss": ["mse_loss", "cross_entropy_loss_derivative", "np"],
        "network": ["NeuralNetwork", "Conv2D", "np"],
        "optimizers": ["SGD", "Adam", "np"],
        "utils": ["batch_iterator", "save_checkpoint", "NeuralNetwork", "Adam", "np"],
        "data_generator": ["Spiral", "GeneratePolynomialData", "np"],
    }.items():
        found = {}
        exec(f"from cnnx.compat.network.{module} import *", found)
        assert set(names) <= set(found) and found["np"] is np
        for name in set(names) - {"np"}:
            assert found[name] is getattr(network, name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".activation_layers", ".activations", ".base", ".batches", ".containers"),
        *(".data_generator", ".loss", ".normalization", ".optimizers", ".shaping", ".weighted"),
    ],
)
def test_the_examples_run(name):
    found = doctest.testmod(importlib.import_module(f"cnnx.compat.network{name}"))
    assert found.attempted and not found.failed
