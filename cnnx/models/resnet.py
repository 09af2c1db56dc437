"""Residual networks for small images: ResNet-20, and ResNet-18 in its CIFAR form."""

from __future__ import annotations

from collections.abc import Sequence

from cnnx import init
from cnnx.layers import (
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
)

from .parts import classes_too, conv_norm, conv_norm_relu

__all__ = ["resnet18", "resnet20"]


@classes_too
def resnet20(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """ResNet-20 for CIFAR. (n, 3, 32, 32) -> (n, 10); images of any size

    3x3 convolution of 16 channels; three stages of three blocks with 16, 32 and 64 channels, the
    second and third starting with stride 2: maps of h x w, h/2 x w/2, h/4 x w/4 (rounded up); then
    global average pooling and Linear. A block is relu(x + body(x)), its body conv 3x3, batch norm,
    ReLU, conv 3x3, batch norm. Where the shape changes the shortcut is a 1x1 convolution of stride
    2 with batch norm: option B of the paper. 272,474 parameters (0.27M); option A, which pads the
    new channels with zeros, has 269,722. Convolutions start as He's N(0, 2 / fan_in).

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    section 4.2.

    Example: ``model = cnnx.models.resnet20()``
    """
    return _resnet((16, 32, 64), 3, num_classes, in_channels)


@classes_too
def resnet18(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """ResNet-18 for CIFAR: the stem is 3x3 and has no pool. (n, 3, 32, 32) -> (n, 10)

    3x3 convolution of 64 channels; four stages of two blocks with 64, 128, 256 and 512 channels,
    each but the first starting with stride 2, so that maps end as h/8 x w/8 (rounded up); then
    global average pooling and Linear. Blocks and initialisation as in `resnet20`. 11,173,962
    parameters (11.17M); images of any size.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    table 1.

    Example: ``model = cnnx.models.resnet18()``
    """
    return _resnet((64, 128, 256, 512), 2, num_classes, in_channels)


def _resnet(widths: Sequence[int], blocks: int, num_classes: int, in_channels: int) -> Sequential:
    """Stages of so many blocks with these widths, between stem and head."""
    layers: list[Layer] = conv_norm_relu(in_channels, widths[0])
    channels = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers += _block(channels, width, stride)
            channels = width
    body = _he_normal(Sequential(*layers))
    for layer in (GlobalAvgPool2D(), Flatten(), Linear(channels, num_classes)):
        body.append(layer)
    return body


def _block(in_channels: int, out_channels: int, stride: int) -> list[Layer]:
    first = [*conv_norm(in_channels, out_channels, stride=stride), ReLU()]
    body = Sequential(*first, *conv_norm(out_channels, out_channels))
    same = in_channels == out_channels and stride == 1
    shortcut = None if same else Sequential(*conv_norm(in_channels, out_channels, 1, stride))
    return [Residual(body, shortcut), ReLU()]


def _he_normal(model: Sequential) -> Sequential:
    """The model, its convolutions' weights drawn again as in the paper."""
    for layer in model.modules():
        if isinstance(layer, Conv2D):
            layer.weight.data = init.kaiming_normal(layer.weight.shape)
    return model
