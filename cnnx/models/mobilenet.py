"""MobileNetV2, for small images and for large ones."""

from __future__ import annotations

from cnnx import checks
from cnnx.layers import Flatten, GlobalAvgPool2D, Layer, Linear, ReLU6, Residual, Sequential

from .parts import FORMS, classes_too, conv_norm

__all__ = ["mobilenet_v2"]

# Table 2 of the paper: expansion, channels, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@classes_too
def mobilenet_v2(num_classes: int = 10, in_channels: int = 3, form: str = "cifar") -> Sequential:
    """MobileNetV2 for CIFAR or for ImageNet. (n, 3, 32, 32) -> (n, 10); images of any size

    form  "imagenet", for images of about 224x224: the strides of the paper, five of which are 2, so
          the last maps are h/32 x w/32 (rounded up); "cifar": the stride is 1 in the stem and in
          the stage of 24 channels, and the last maps are h/8 x w/8

    3x3 convolution of 32 channels; 17 inverted residual blocks; 1x1 convolution of 1280 channels;
    global average pooling and Linear. A block widens its channels by a 1x1 convolution (six times;
    the first block does not), filters each of them by a 3x3 depthwise convolution, and narrows them
    by a 1x1 convolution without an activation; x is added if the shape is the same. Batch norm
    follows every convolution, ReLU6 the first two of a block. 2,236,682 parameters, with a thousand
    classes 3,504,872; initialised by the layers' defaults. torchvision's has a dropout of 0.2
    before Linear, this one has none.

    ValueError for another form.

    M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and
    Linear Bottlenecks", CVPR 2018.

    Example: ``model = cnnx.models.mobilenet_v2(1000, form="imagenet")``
    """
    small = checks.choice("mobilenet_v2", "form", form, FORMS) == "cifar"
    layers: list[Layer] = [*conv_norm(in_channels, 32, stride=1 if small else 2), ReLU6()]
    channels = 32
    for expansion, width, blocks, first_stride in STAGES:
        for block in range(blocks):
            stride = 1 if block or (small and width == 24) else first_stride
            layers.append(_inverted(channels, width, expansion, stride))
            channels = width
    layers += [*conv_norm(channels, 1280, 1), ReLU6()]
    return Sequential(*layers, GlobalAvgPool2D(), Flatten(), Linear(1280, num_classes))


def _inverted(in_channels: int, out_channels: int, expansion: int, stride: int) -> Layer:
    """An inverted residual block."""
    wide = in_channels * expansion
    widen = [*conv_norm(in_channels, wide, 1), ReLU6()] if expansion > 1 else []
    deep = [*conv_norm(wide, wide, 3, stride, groups=wide), ReLU6()]
    body = Sequential(*widen, *deep, *conv_norm(wide, out_channels, 1))
    return Residual(body) if stride == 1 and in_channels == out_channels else body
