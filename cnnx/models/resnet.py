"""Residual networks: ResNet-20 and SE-ResNet-20 for small images, ResNet-18 and 50 for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnnx import checks
from cnnx.graph import Graph, Input
from cnnx.layers import (
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
)

from .parts import FORMS, classes_too, conv_norm, conv_norm_relu, extended, he_normal

__all__ = ["resnet18", "resnet20", "resnet50", "se_resnet20"]

WIDTHS = (64, 128, 256, 512)  # of ResNet-18; those of ResNet-50 are four times as wide


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
    body = [*conv_norm_relu(in_channels, 16), *_stages(_basic, 16, (16, 32, 64), (3, 3, 3))]
    return _classifier(body, 64, num_classes)


@classes_too
def resnet18(num_classes: int = 10, in_channels: int = 3, form: str = "cifar") -> Sequential:
    """ResNet-18 for CIFAR or for ImageNet. (n, 3, 32, 32) -> (n, 10); images of any size

    form  "cifar": the stem is a 3x3 convolution and keeps the size of the image; "imagenet", for
          images of about 224x224: a 7x7 convolution of stride 2 and a 3x3 max-pool of stride 2

    Stem of 64 channels; four stages of two blocks with 64, 128, 256 and 512 channels, each but the
    first starting with stride 2, so the last maps are h/8 x w/8, or h/32 x w/32 (rounded up); then
    global average pooling and Linear. Blocks and initialisation as in `resnet20`. 11,173,962
    parameters (11.17M); 11,689,512 in the form for ImageNet with a thousand classes.

    ValueError for another form.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    table 1.

    Example: ``model = cnnx.models.resnet18(1000, form="imagenet")``
    """
    stem = _stem("resnet18", in_channels, form)
    return _classifier([*stem, *_stages(_basic, 64, WIDTHS, (2, 2, 2, 2))], 512, num_classes)


@classes_too
def resnet50(num_classes: int = 1000, in_channels: int = 3, form: str = "imagenet") -> Sequential:
    """ResNet-50 for ImageNet or for CIFAR. (n, 3, 224, 224) -> (n, 1000); images of any size

    form  of the stem, as in `resnet18`

    Stem of 64 channels; four stages of 3, 4, 6 and 3 blocks with 256, 512, 1024 and 2048 channels;
    then global average pooling and Linear. A block is relu(x + body(x)) with the body conv 1x1 to
    a quarter of the channels, conv 3x3, conv 1x1, each followed by batch norm, the first two by
    ReLU (a bottleneck). Each stage but the first halves the image by the 3x3 convolution of its
    first block, where the paper has the 1x1 before it: "ResNet v1.5", as in torchvision.
    Shortcuts and initialisation as in `resnet20`. 25,557,032 parameters.

    ValueError for another form.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    table 1.

    Example: ``model = cnnx.models.resnet50()``
    """
    stem = _stem("resnet50", in_channels, form)
    widths = [4 * width for width in WIDTHS]
    return _classifier([*stem, *_stages(_bottleneck, 64, widths, (3, 4, 6, 3))], 2048, num_classes)


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

    def body(in_channels: int, out_channels: int, stride: int) -> list[Layer]:
        return [*_basic(in_channels, out_channels, stride), _gated(out_channels, reduction)]

    stages = _stages(body, 16, (16, 32, 64), (3, 3, 3))
    return _classifier([*conv_norm_relu(in_channels, 16), *stages], 64, num_classes)


def _stem(op: str, in_channels: int, form: str) -> list[Layer]:
    if checks.choice(op, "form", form, FORMS) == "cifar":
        return conv_norm_relu(in_channels, 64)
    return [*conv_norm(in_channels, 64, 7, 2), ReLU(), MaxPool2D(3, 2, padding=1)]


def _stages(
    body: Callable[[int, int, int], list[Layer]],
    channels: int,
    widths: Sequence[int],
    blocks: Sequence[int],
) -> list[Layer]:
    """For each width a stage of so many blocks, whose bodies have the layers that `body` makes."""
    layers: list[Layer] = []
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            same = channels == width and stride == 1
            path = Sequential(*body(channels, width, stride))
            shortcut = None if same else Sequential(*conv_norm(channels, width, 1, stride))
            layers += [Residual(path, shortcut), ReLU()]
            channels = width
    return layers


def _classifier(layers: list[Layer], channels: int, num_classes: int) -> Sequential:
    body = he_normal(Sequential(*layers))
    return extended(body, [GlobalAvgPool2D(), Flatten(), Linear(channels, num_classes)])


def _basic(in_channels: int, out_channels: int, stride: int) -> list[Layer]:
    first = [*conv_norm(in_channels, out_channels, stride=stride), ReLU()]
    return [*first, *conv_norm(out_channels, out_channels)]


def _bottleneck(in_channels: int, out_channels: int, stride: int) -> list[Layer]:
    narrow = out_channels // 4
    first = [*conv_norm(in_channels, narrow, 1), ReLU()]
    return [
        *first,
        *conv_norm(narrow, narrow, 3, stride),
        ReLU(),
        *conv_norm(narrow, out_channels, 1),
    ]


def _gated(channels: int, reduction: int) -> Layer:
    """x * gate(x), a factor from 0 to 1 for each channel."""
    few = channels // reduction
    gate = Sequential(
        GlobalAvgPool2D(), Conv2D(channels, few, 1), ReLU(), Conv2D(few, channels, 1), Sigmoid()
    )
    x = Input((channels, 1, 1))  # for images of any size: the gate does not depend on it
    return Graph(x, x * gate(x), {"gate": gate})
