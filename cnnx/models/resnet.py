"""Residual networks for small images: ResNet-20, ResNet-18 in its CIFAR form, SE-ResNet-20."""

from __future__ import annotations

from collections.abc import Sequence

from cnnx import checks
from cnnx.graph import Graph, Input
from cnnx.layers import (
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
)

from .parts import classes_too, conv_norm, conv_norm_relu, extended, he_normal

__all__ = ["resnet18", "resnet20", "se_resnet20"]


@classes_too
def resnet20(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """ResNet-20 for CIFAR. (n, 3, 32, 32) -> (n, 10); images of any size

    3x3 convolution of 16 channels; three stages of three blocks with 16, 32 and 64 channels, the
    second and third starting with stride 2: maps of h x w, h/2 x w/2, h/4 x w/4 (rounded up); then
    global average pooling and Linear. A block is relu(x + body(x)) with the body conv 3x3, batch
    norm, ReLU, conv 3x3, batch norm. If the shape changes, the shortcut is a 1x1 convolution of
    stride 2 with batch norm: option B of the paper. 272,474 parameters (0.27M); option A, which
    pads the new channels with zeros, has 269,722. Convolutions are initialised by He's
    N(0, 2 / fan_in).

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    section 4.2.

    Example: ``model = cnnx.models.resnet20()``
    """
    return _resnet((16, 32, 64), 3, num_classes, in_channels)


@classes_too
def resnet18(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """ResNet-18 for CIFAR: the stem is 3x3 and has no pool. (n, 3, 32, 32) -> (n, 10)

    3x3 convolution of 64 channels; four stages of two blocks with 64, 128, 256 and 512 channels,
    each but the first starting with stride 2, so the last maps are h/8 x w/8 (rounded up); then
    global average pooling and Linear. Blocks and initialisation as in `resnet20`. 11,173,962
    parameters (11.17M); images of any size.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    table 1.

    Example: ``model = cnnx.models.resnet18()``
    """
    return _resnet((64, 128, 256, 512), 2, num_classes, in_channels)


@classes_too
def se_resnet20(num_classes: int = 10, in_channels: int = 3, reduction: int = 16) -> Sequential:
    """ResNet-20 with squeeze and excitation. (n, 3, 32, 32) -> (n, 10); images of any size

    reduction  ratio of the channels to the hidden units of the gate

    `resnet20` with a gate after the last batch norm of each body: the channels' means over the
    image (squeeze) pass through Linear, ReLU, Linear and Sigmoid (excitation), and each channel is
    multiplied by its result. The linear layers are equivalent 1x1 convolutions of one pixel.
    274,847 parameters. Blocks and initialisation as in `resnet20`.

    ValueError for a reduction below 1 or above 16, the channels of the first stage.

    J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.

    Example: ``model = cnnx.models.se_resnet20()``
    """
    reduction = checks.integer("se_resnet20", "reduction", reduction, least=1, most=16)
    return _resnet((16, 32, 64), 3, num_classes, in_channels, reduction)


def _resnet(
    widths: Sequence[int], blocks: int, num_classes: int, in_channels: int, reduction: int = 0
) -> Sequential:
    """Stem, one stage of `blocks` blocks for each width, head."""
    layers: list[Layer] = conv_norm_relu(in_channels, widths[0])
    channels = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers += _block(channels, width, stride, reduction)
            channels = width
    body = he_normal(Sequential(*layers))
    return extended(body, [GlobalAvgPool2D(), Flatten(), Linear(channels, num_classes)])


def _block(in_channels: int, out_channels: int, stride: int, reduction: int) -> list[Layer]:
    first = [*conv_norm(in_channels, out_channels, stride=stride), ReLU()]
    gate = [_gated(out_channels, reduction)] if reduction else []
    body = Sequential(*first, *conv_norm(out_channels, out_channels), *gate)
    same = in_channels == out_channels and stride == 1
    shortcut = None if same else Sequential(*conv_norm(in_channels, out_channels, 1, stride))
    return [Residual(body, shortcut), ReLU()]


def _gated(channels: int, reduction: int) -> Layer:
    """x * gate(x), a factor from 0 to 1 for each channel."""
    few = channels // reduction
    gate = Sequential(
        GlobalAvgPool2D(), Conv2D(channels, few, 1), ReLU(), Conv2D(few, channels, 1), Sigmoid()
    )
    x = Input((channels, 1, 1))  # for images of any size: the gate does not depend on it
    return Graph(x, x * gate(x), {"gate": gate})
