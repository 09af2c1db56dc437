"""Layers of signals, and of single images without a batch axis: views on batches of images."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import check_against_torch, images

import cnnx
from cnnx.layers import (
    AdaptiveAvgPool1D,
    AdaptiveAvgPool2D,
    AvgPool1D,
    AvgPool2D,
    BatchNorm2D,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Flatten,
    GlobalAvgPool1D,
    InstanceNorm2D,
    Linear,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    Sequential,
    ZeroPad1D,
    ZeroPad2D,
)

TWINS = [
    (Conv1D(4, 6, 3), "Conv1d(4, 6, 3)", (3, 4, 9)),
    (Conv1D(4, 6, (2,), 2, 1, 3, 2, False), "Conv1d(4, 6, (2,), 2, 1, 3, 2, False)", (3, 4, 9)),
    (Conv1D(4, 6, 5, padding="same"), "Conv1d(4, 6, 5, padding='same')", (3, 4, 9)),
    (Conv1D(4, 6, 3), "Conv1d(4, 6, 3)", (4, 9)),
    (ConvTranspose1D(4, 6, 3), "ConvTranspose1d(4, 6, 3)", (4, 5)),
    (ConvTranspose1D(4, 6, 4, 3, 1, 2, 2, False, 2),
     "ConvTranspose1d(4, 6, 4, 3, 1, 2, 2, False, 2)", (3, 4, 5)),
    (MaxPool1D(2), "MaxPool1d(2)", (3, 4, 9)),
    (MaxPool1D(3, 2, 1, True, 2), "MaxPool1d(3, 2, 1, 2, ceil_mode=True)", (4, 10)),
    (AvgPool1D(3, 2, 1, True, False), "AvgPool1d(3, 2, 1, True, False)", (3, 4, 10)),
    (AvgPool1D(3, 2, 1), "AvgPool1d(3, 2, 1)", (4, 10)),
    (AdaptiveAvgPool1D(4), "AdaptiveAvgPool1d(4)", (3, 4, 10)),
    (GlobalAvgPool1D(), "AdaptiveAvgPool1d(1)", (3, 4, 10)),
    (ZeroPad1D((1, -2)), "ZeroPad1d((1, -2))", (3, 4, 10)),
    (ZeroPad1D(2), "ZeroPad1d(2)", (4, 10)),
    (Conv2D(4, 6, 3), "Conv2d(4, 6, 3)", (4, 7, 6)),
    (ConvTranspose2D(4, 6, 3), "ConvTranspose2d(4, 6, 3)", (4, 7, 6)),
    (MaxPool2D(2), "MaxPool2d(2)", (4, 7, 6)),
    (AvgPool2D(2), "AvgPool2d(2)", (4, 7, 6)),
    (AdaptiveAvgPool2D(3), "AdaptiveAvgPool2d(3)", (4, 7, 6)),
    (ZeroPad2D(1), "ZeroPad2d(1)", (4, 7, 6)),
    (Sequential(Conv2D(4, 6, 3), ReLU(), MaxPool2D(2), ReLU(), Conv2D(6, 2, 2), ReLU()),
     "Sequential(Conv2d(4, 6, 3), ReLU(), MaxPool2d(2), ReLU(), Conv2d(6, 2, 2), ReLU())",
     (4, 7, 6)),
    (Sequential(Conv2D(4, 6, 3), ReLU(), AvgPool2D(2), Flatten(0), Linear(24, 3)),
     "Sequential(Conv2d(4, 6, 3), ReLU(), AvgPool2d(2), Flatten(0), Linear(24, 3))", (4, 7, 7)),
    (InstanceNorm2D(4, affine=True, track_running_stats=True),
     "InstanceNorm2d(4, affine=True, track_running_stats=True)", (4, 7, 6)),
    (Sequential(Conv2D(4, 6, 3), InstanceNorm2D(6), ReLU()),
     "Sequential(Conv2d(4, 6, 3), InstanceNorm2d(6), ReLU())", (4, 7, 6)),
]  # fmt: skip


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize(("layer", "twin", "shape"), TWINS, ids=[t for _, t, _ in TWINS])
def test_signals_and_single_images_are_those_of_torch(layer, twin, shape, backend):
    with cnnx.use_backend(backend):
        check_against_torch(layer, twin, shape)


def test_pooling_in_words_pads_as_keras_does():
    """Two windows on three pixels: the mean of the last is that of its one pixel."""
    x = np.array([[[1.0, 2.0, 6.0]]])
    assert AvgPool1D(2, padding="same")(x).tolist() == [[[1.5, 6.0]]]
    assert MaxPool1D(3, 2, padding="same")(x).tolist() == [[[2.0, 6.0]]]
    assert AvgPool1D(2, padding="valid")(x).tolist() == [[[1.5]]]
    with pytest.raises(ValueError, match="padding='full'"):
        MaxPool2D(2, padding="full")


def test_views_of_signals_and_single_images_refuse_other_ranks():
    for layer, shape, words in (
        (Conv1D(4, 2, 3), (2, 4, 5, 6), r"Conv1D: .*\(2, 4, 5, 6\).*\(n, c, l\)"),
        (MaxPool1D(2), (9,), r"MaxPool1D: .*\(9,\).*\(c, l\)"),
        (MaxPool2D(2), (6, 6), r"\(6, 6\).*4 dimensions"),
        (BatchNorm2D(4), (4, 6, 6), r"BatchNorm2D: x has shape \(4, 6, 6\)"),
        (Conv2D(4, 2, 3), (3, 6, 6), r"conv2d: .*3.*4"),
    ):
        with pytest.raises(ValueError, match=words):
            layer(np.zeros(shape))


def test_a_signal_is_a_view_of_an_image():
    pool, x = MaxPool1D(1), images(2, 3, 8)
    pool.forward(x)
    conv = Conv1D(3, 2, 3).astype(np.float64)
    conv.forward(x)
    (kept,) = conv._saved()
    assert kept.shape == (2, 3, 1, 8) and np.shares_memory(kept, x)
    assert conv.output_shape((3, 8)) == (2, 6) and conv.macs((3, 8)) == 2 * 3 * 3 * 6
    assert "stride=(1,)" in repr(conv) and "padding" not in repr(conv)
