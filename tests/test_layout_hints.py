"""Image layouts of other libraries: the error suggests code, and that code works."""

from __future__ import annotations

import re

import numpy as np
import pytest

import cnnx
from cnnx.layers import (
    BatchNorm2D,
    Conv2D,
    ConvTranspose2D,
    Flatten,
    GlobalAvgPool2D,
    Linear,
    Sequential,
    Upsample,
)

OF_CHANNELS = [Conv2D(3, 4, 3), ConvTranspose2D(3, 4, 3), BatchNorm2D(3)]
NO_SINGLE_IMAGE = [BatchNorm2D(3), Upsample(scale_factor=2)]  # as in PyTorch


def written(layer, x):
    """The code that the error suggests, evaluated; the layer accepts the result."""
    with pytest.raises(ValueError) as error:
        layer(x)
    advice = re.search(r"write (x[.\[].*?)(, for|$)", str(error.value))
    assert advice, str(error.value)
    shown = eval(advice[1], {"x": x, "np": np})
    layer(shown)
    return shown


@pytest.mark.parametrize("layer", OF_CHANNELS, ids=lambda layer: type(layer).__name__)
def test_channels_last_get_the_transpose(layer):
    x = np.random.default_rng(0).random((2, 48, 40, 3), np.float32)
    assert np.array_equal(written(layer, x), np.moveaxis(x, 3, 1))
    with pytest.raises(ValueError, match="transpose"):
        layer.output_shape((48, 40, 3))


@pytest.mark.parametrize("layer", OF_CHANNELS, ids=lambda layer: type(layer).__name__)
def test_channels_that_match_no_axis_get_no_advice(layer):
    with pytest.raises(ValueError) as error:
        layer(np.ones((2, 48, 48, 4), np.float32))
    assert "write" not in str(error.value)


@pytest.mark.parametrize("layer", NO_SINGLE_IMAGE, ids=lambda layer: type(layer).__name__)
def test_a_single_image_gets_advice_to_add_the_batch_axis(layer):
    x = np.ones((3, 48, 48), np.float32)
    assert written(layer, x).shape == (1, 3, 48, 48)


def test_grey_images_get_advice_to_add_the_channel_axis():
    x = np.ones((48, 40), np.float32)
    conv = Conv2D(1, 2, 3)
    assert written(conv, x).shape == (1, 1, 48, 40)
    with pytest.raises(ValueError, match=re.escape("grey images (n, h, w) x[:, None]")):
        BatchNorm2D(1)(np.ones((7, 48, 40), np.float32))


def test_a_single_sample_and_a_missing_flatten_before_linear():
    model = Sequential(Flatten(), Linear(3 * 4 * 5, 2))
    with pytest.raises(ValueError, match=r"x holds a single sample: write x\[None\]"):
        model(np.ones((3, 4, 5), np.float32))
    with pytest.raises(ValueError, match=r"put Flatten\(\) before it"):
        Linear(60, 2)(np.ones((2, 3, 4, 5), np.float32))
    with pytest.raises(ValueError, match=r"put Flatten\(\) before it"):
        Sequential(Conv2D(3, 4, 1), GlobalAvgPool2D(), Linear(4, 2))(np.ones((2, 3, 4, 4), "f"))
    with pytest.raises(ValueError, match=r"7 features$"):
        Linear(7, 2)(np.ones((2, 3, 4, 5), np.float32))


def test_the_gradient_of_an_image_is_not_called_an_image():
    with pytest.raises(ValueError) as error:
        cnnx.ops.conv2d_backward(np.ones((2, 4, 4)), np.ones((1, 1, 4, 4)), np.ones((2, 1, 1, 1)))
    assert "write" not in str(error.value)
