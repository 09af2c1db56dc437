"""The ready-made networks: shapes, sizes, names."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import models


@pytest.mark.parametrize(
    ("build", "shape", "parameters"),
    [
        (models.lenet5, (1, 28, 28), 156 + 2416 + 48120 + 10164 + 850),
        (models.mnist_cnn, (1, 28, 28), 160 + 4640 + 200832 + 1290),
        (models.digits_cnn, (1, 8, 8), 144 + 32 + 4608 + 64 + 18432 + 128 + 10250),
    ],
)
def test_a_model_has_its_published_size_and_ten_outputs(build, shape, parameters):
    model = build()
    assert sum(parameter.size for parameter in model.parameters()) == parameters
    assert model.summary(shape).parameters == parameters
    assert model(np.zeros((2, *shape), np.float32)).shape == (2, 10)
    assert model.training


def test_lenet_is_the_network_of_the_paper_in_todays_form():
    kinds = [type(layer).__name__ for layer in models.lenet5()]
    stage = ["Conv2D", "ReLU", "MaxPool2D"]
    dense = ["Linear", "ReLU"]
    assert kinds == [*stage, *stage, "Flatten", *dense, *dense, "Linear"]
    # 28x28: 5*5*6 weights at 28*28 places, 5*5*6*16 at 10*10, and the dense products
    macs = 150 * 784 + 2400 * 100 + 400 * 120 + 120 * 84 + 84 * 10
    assert models.lenet5().summary((1, 28, 28)).macs == macs


@pytest.mark.parametrize("name", models.names())
def test_a_model_by_name_fits_images_of_other_sizes(name):
    model = models.build(name, (3, 32, 20), 7)
    assert model(np.zeros((2, 3, 32, 20), np.float32)).shape == (2, 7)


def test_unknown_names_and_samples_that_are_no_images_are_named():
    with pytest.raises(ValueError, match=r"lenet6.*lenet5"):
        models.build("lenet6", (1, 28, 28), 10)
    with pytest.raises(ValueError, match=r"\(784,\)"):
        models.build("lenet5", (784,), 10)
    with pytest.raises(ValueError, match="conv2d"):
        models.build("lenet5", (1, 4, 4), 10)


def test_building_a_model_draws_only_its_weights():
    from cnnx import random

    random.manual_seed(0)
    first = models.lenet5()[0].weight.data
    random.manual_seed(0)
    bound = 1 / np.sqrt(25)
    expected = random.generator().uniform(-bound, bound, (6, 1, 5, 5)).astype(np.float32)
    assert np.array_equal(first, expected)
