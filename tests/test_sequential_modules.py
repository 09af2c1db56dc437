"""cnnx.compat.sequential: its modules, their examples, and its plots."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

from cnnx.compat import sequential

DEEP = {
    "layers.conv2d": "Conv2d",
    "layers.dropout": "Dropout",
    "layers.flatten": "Flatten",
    "layers.linear": "Linear",
    "layers.maxpool2d": "MaxPool2d",
    "layers.relu": "ReLU",
    "layers.softmax": "Softmax",
    "loss.cross_entropy_loss": "CrossEntropyLoss",
    "loss.loss_func": "Loss",
    "loss.mse": "MSE",
    "optim.adam": "Adam",
    "optim.optimzer": "Optimizer",
    "utils.utils": "train_val",
}


@pytest.mark.parametrize("path", DEEP)
def test_nested_modules_have_their_original_paths(path):
    module = importlib.import_module(f"cnnx.compat.sequential.{path}")
    assert getattr(module, DEEP[path]) is getattr(sequential, DEEP[path])


def test_plots_are_figures(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    pyplot.close("all")
    sequential.generate_spiral_data(5, 2, 3)
    assert not pyplot.get_fignums()  # it was shown, and then closed
    layers = [sequential.Linear(2, 4), sequential.Dropout(), sequential.Linear(4, 3)]
    model = sequential.Sequential(layers, None, None)
    np.random.seed(6)
    figure = sequential.plot_spiral_data_decision_boundary(model, title="arms")
    assert figure.axes[0].get_title() == "arms"
    drawn = np.random.rand()
    np.random.seed(6)
    np.random.binomial(1, 0.5, (200 * 200, 4))  # the mask of the points of the picture
    assert drawn == np.random.rand()
    curves = sequential.plot_training_metrics(
        [2.0, 1.0], [0.5, 0.6], [2.1, 1.2], [0.4, 0.5], title="Spiral", xticks=[1, 2]
    )
    assert len(curves.axes) == 2 and len(curves.axes[0].lines) == 2
    assert [axes.get_title() for axes in curves.axes] == [
        "Spiral Cross Entropy Loss",
        "Spiral Classification Accuracy",
    ]
    assert curves.axes[0].get_xticks().tolist() == [1, 2]
    pyplot.close("all")


@pytest.mark.parametrize(
    "path", ["", "module", "sequential", "layers.weighted", "utils.pictures", *DEEP]
)
def test_the_examples_run(path):
    module = importlib.import_module(f"cnnx.compat.sequential.{path}".rstrip("."))
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
