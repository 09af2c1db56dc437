"""The choice of a convolution's algorithm: the table of rules, and `use_algorithm`."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import cnnx
from cnnx.backends import choose
from cnnx.backends.choose import Convolution


def _layer(
    direction,
    n,
    c,
    size,
    oc,
    kernel=3,
    stride=1,
    dilation=1,
    groups=1,
    dtype="float32",
    packed=False,
):
    """A convolution of square images with padding kernel // 2."""
    out = (size + 2 * (kernel // 2) - dilation * (kernel - 1) - 1) // stride + 1
    x, weight, y = (n, c, size, size), (oc, c // groups, kernel, kernel), (n, oc, out, out)
    strides, dilations = (stride, stride), (dilation, dilation)
    return Convolution.of(direction, x, weight, y, strides, dilations, np.dtype(dtype), packed)


# Layers of known networks and their algorithms: (n, c, size, oc, more) -> forward
TABLE = [
    (("forward", 64, 1, 28, 6, 5), "direct"),  # LeNet-5
    (("forward", 64, 6, 10, 16, 5), "direct"),  # its second convolution
    (("forward", 64, 3, 32, 64), "direct"),  # the first of a CIFAR network
    (("forward", 64, 64, 32, 64), "winograd"),
    (("forward", 64, 128, 16, 128), "winograd"),
    (("forward", 64, 512, 4, 512), "winograd_by_filters"),
    (("forward", 8, 512, 7, 512), "winograd_by_filters"),
    (("forward", 1, 512, 7, 512), "columns"),  # one image: mostly weights
    (("backward_data", 1, 512, 7, 512), "columns"),
    (("backward_weight", 4, 512, 4, 512), "columns"),
    (("forward", 1, 256, 14, 512, 3, 2), "columns"),
    (("forward", 1, 128, 4, 64, 5, 1, 1, 1, "float64"), "columns"),
    (("forward", 2, 512, 7, 512), "winograd_by_filters"),  # more windows
    (("forward", 1, 64, 7, 64), "direct"),  # four tiles
    (("forward", 2, 64, 7, 64), "winograd"),
    (("forward", 1, 512, 7, 512, 1), "pointwise"),
    (("backward_data", 64, 64, 32, 64), "winograd"),
    (("backward_data", 64, 512, 4, 512), "winograd_by_filters"),
    (("backward_data", 64, 3, 32, 64), "direct"),
    (("forward", 64, 16, 32, 16), "winograd"),
    (("forward", 64, 15, 32, 64), "direct"),  # too few channels
    (("backward_data", 64, 64, 32, 15), "direct"),  # too few filters
    (("backward_weight", 64, 16, 32, 16), "winograd_by_strips"),
    (("backward_weight", 64, 16, 14, 32), "winograd_by_strips"),
    (("backward_weight", 64, 32, 16, 32), "winograd"),  # larger sums
    (("backward_weight", 64, 64, 32, 64), "winograd"),
    (("backward_weight", 64, 512, 4, 512), "winograd"),
    (("backward_weight", 64, 3, 32, 64), "direct"),
    (("forward", 64, 64, 32, 128, 3, 2), "direct"),  # strided
    (("forward", 64, 256, 8, 512, 3, 2), "direct"),
    (("backward_data", 64, 64, 16, 128, 3, 2), "implicit_gemm"),  # and its rows are short
    (("backward_weight", 64, 256, 8, 512, 3, 2), "direct"),
    (("forward", 64, 64, 32, 64, 3, 1, 2), "direct"),  # dilated
    (("forward", 64, 64, 32, 64, 3, 1, 1, 2), "direct"),  # grouped
    (("forward", 32, 96, 32, 96, 3, 1, 1, 96), "depthwise_by_planes"),
    (("forward", 32, 96, 32, 96, 5, 2, 2, 96), "depthwise"),
    (("forward", 32, 96, 7, 96, 3, 1, 1, 96), "depthwise"),  # short rows
    (("forward", 32, 96, 32, 96, 3, 2, 1, 96), "depthwise_by_planes"),
    (("forward", 32, 96, 14, 96, 3, 2, 1, 96), "depthwise"),  # short rows, too
    (("backward_data", 32, 96, 32, 96, 3, 1, 1, 96), "depthwise_by_planes"),
    (("backward_data", 32, 96, 32, 96, 3, 2, 1, 96), "depthwise"),
    (("backward_weight", 32, 96, 32, 96, 3, 2, 1, 96, "float64"), "depthwise"),
    (("forward", 32, 16, 32, 32, 3, 1, 1, 16), "depthwise"),  # two filters a channel
    (("forward", 8, 128, 28, 128, 3, 1, 1, 32), "depthwise"),  # ResNeXt: 4 channels a group
    (("backward_data", 8, 256, 14, 256, 3, 1, 1, 32), "depthwise"),  # and 8
    (("forward", 8, 512, 14, 512, 3, 1, 1, 32), "direct"),  # 16 fill a product of matrices
    (("forward", 8, 64, 28, 64, 3, 1, 1, 4), "direct"),
    (("forward", 64, 1, 28, 4, 3, 1, 1, 1), "direct"),  # one channel is not depthwise
    (("forward", 8, 64, 56, 256, 1), "pointwise"),
    (("backward_data", 64, 64, 32, 128, 1, 2), "pointwise"),
    (("backward_weight", 32, 384, 4, 64, 1, 1, 1, 1, "float64"), "pointwise"),
    (("forward", 64, 64, 32, 64, 1, 1, 1, 2), "direct"),  # of groups
    (("forward", 64, 64, 32, 64, 5), "direct"),
    (("forward", 64, 64, 32, 64, 3, 1, 1, 1, "float64"), "direct"),
]


# And with weights that are packed once: (direction, n, c, size, oc, kernel, stride)
PACKED = [
    (("forward", 1, 512, 4, 512, 3, 1), "direct"),  # packed weights are read in order
    (("forward", 1, 256, 14, 512, 3, 2), "direct"),
    (("backward_data", 1, 512, 7, 512, 3, 1), "columns"),
    (("forward", 1, 128, 40, 128, 3, 1), "winograd"),  # transformed once
    (("forward", 1, 128, 16, 128, 3, 1), "winograd_by_panels"),
    (("forward", 1, 64, 8, 64, 3, 1), "winograd_by_panels"),
    (("forward", 32, 32, 16, 32, 3, 1), "winograd_by_panels"),  # of small planes
    (("forward", 1, 64, 4, 64, 3, 1), "direct"),  # one tile
    (("forward", 1, 512, 14, 512, 3, 1), "winograd_by_filters"),  # 38 MB, if transformed
    (("forward", 1, 512, 7, 512, 1, 1), "pointwise_by_panels"),
    (("forward", 1, 512, 7, 512, 1, 2), "pointwise_by_panels"),
    (("forward", 1, 512, 1, 128, 1, 1), "columns_by_panels"),  # filters fill vectors
    (("forward", 8, 256, 2, 512, 3, 1), "columns_by_panels"),
    (("forward", 32, 512, 2, 128, 1, 1), "pointwise_by_panels"),  # enough pixels of all images
    (("forward", 1, 64, 2, 32, 3, 1), "direct"),  # has filters in lanes, too
    (("backward_data", 1, 512, 7, 512, 1, 1), "pointwise"),
]


@pytest.mark.parametrize(("layer", "algorithm"), PACKED, ids=str)
def test_the_rules_for_weights_that_are_packed_once(layer, algorithm):
    assert choose.choose(_layer(*layer, packed=True)) == algorithm


@pytest.mark.parametrize(("layer", "algorithm"), TABLE, ids=str)
def test_the_rules(layer, algorithm):
    assert choose.choose(_layer(*layer)) == algorithm


@pytest.mark.parametrize(("layer", "algorithm"), TABLE, ids=str)
def test_direct_is_never_winograd(layer, algorithm):
    with cnnx.use_algorithm("direct"):
        assert not choose.is_winograd(choose.choose(_layer(*layer)))


def test_winograd_is_used_wherever_it_is_applicable():
    small, strided = (
        _layer("forward", 1, 1, 5, 1, dtype="float64"),
        _layer("forward", 1, 1, 5, 1, 3, 2),
    )
    with cnnx.use_algorithm("winograd"):
        assert choose.choose(small) == "winograd"
        assert choose.choose(strided) == "direct"


def test_backward_data_sums_over_filters_and_writes_the_pixels_of_x():
    conv = _layer("backward_data", 2, 8, 9, 6, stride=2)
    assert (conv.channels, conv.filters, conv.pixels) == (6, 8, (9, 9))


def test_every_rule_has_a_reason_and_the_last_one_always_applies():
    assert all(rule.why for rule in choose.RULES)
    assert choose.RULES[-1].holds(_layer("forward", 1, 1, 1, 1, 1, dtype="float64"))


def test_use_algorithm_acts_immediately_and_ends_with_its_block():
    conv = _layer("forward", 64, 64, 32, 64)
    with cnnx.use_algorithm("direct"):
        assert choose.choose(conv) == "direct"
        cnnx.use_algorithm("auto")
        assert choose.choose(conv) == "winograd"
    assert choose.choose(conv) == "winograd"
    switch = cnnx.use_algorithm("direct")
    assert choose.choose(conv) == "direct"
    switch.__exit__()
    assert choose.choose(conv) == "winograd"


def test_use_algorithm_affects_one_thread():
    seen = []
    with cnnx.use_algorithm("direct"):
        thread = threading.Thread(
            target=lambda: seen.append(choose.choose(_layer("forward", 64, 64, 32, 64)))
        )
        thread.start()
        thread.join()
    assert seen == ["winograd"]


def test_an_unknown_algorithm_is_an_error_that_lists_the_known():
    with pytest.raises(
        ValueError, match="'fft' is unknown: expected one of auto, direct, winograd"
    ):
        cnnx.use_algorithm("fft")
