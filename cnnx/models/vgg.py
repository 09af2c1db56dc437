"""VGG: with batch norm for small images, and VGG-11 as in its paper."""

from __future__ import annotations

from cnnx import checks
from cnnx.layers import (
    AdaptiveAvgPool2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Sequential,
)

from .parts import (
    Size,
    classes_too,
    conv_norm_relu,
    extended,
    features,
    he_normal,
    height_width,
)

__all__ = ["vgg", "vgg11"]

WIDTHS = (64, 128, 256, 256, 512)
STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # table 1 of the paper, column A


@classes_too
def vgg(num_classes: int = 10, in_channels: int = 3, image_size: Size = 32) -> Sequential:
    """VGG with batch norm, for CIFAR. (n, 3, 32, 32) -> (n, 10)

    Five stages of 64, 128, 256, 256 and 512 channels: a 3x3 convolution, batch norm, ReLU, max-pool
    2, which rounds an odd size up. Then one Linear layer: 512 * ceil(h / 32) * ceil(w / 32) numbers
    -> classes. 2,147,402 parameters; initialised by the layers' defaults.

    K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    ICLR 2015. Without the dense layers of the paper and with batch norm, as is usual on CIFAR.

    Example: ``model = cnnx.models.vgg()``
    """
    layers: list[Layer] = []
    size, channels = height_width(image_size), in_channels
    for width in WIDTHS:
        layers += [*conv_norm_relu(channels, width), _halved(size)]
        size, channels = (-(-size[0] // 2), -(-size[1] // 2)), width
    model = Sequential(*layers, Flatten())
    return extended(model, [Linear(features(model, in_channels, image_size), num_classes)])


@classes_too
def vgg11(
    num_classes: int = 1000, in_channels: int = 3, image_size: Size = 224, hidden: int = 4096
) -> Sequential:
    """VGG-11, for ImageNet. (n, 3, 224, 224) -> (n, 1000)

    image_size  height and width, or one number for both: at least 32. The model accepts others, too
    hidden      outputs of each of the two hidden Linear layers

    Five stages of 64, 128, 2 x 256, 2 x 512 and 2 x 512 channels, 3x3 convolutions with ReLU, each
    stage followed by max-pool 2; average pooling to 7x7, which changes nothing of images of
    224x224; Linear, ReLU and dropout one half twice, and Linear. 132,863,336 parameters, as in
    torchvision; convolutions are initialised by He's N(0, 2 / fan_in).

    ValueError for smaller images, and for a `hidden` below 1.

    K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    ICLR 2015, configuration A.

    Example: ``model = cnnx.models.vgg11()``
    """
    h, w = height_width(image_size)
    if min(h, w) < 32:
        raise ValueError(
            f"vgg11: image_size is {h}x{w}, but at least 32x32 is expected: the image is halved "
            "five times"
        )
    hidden = checks.integer("vgg11", "hidden", hidden, least=1)
    layers: list[Layer] = []
    channels = in_channels
    for widths in STAGES:
        for width in widths:
            layers += [Conv2D(channels, width, 3, padding=1), ReLU()]
            channels = width
        layers.append(MaxPool2D(2))
    body = he_normal(Sequential(*layers))
    head: list[Layer] = [AdaptiveAvgPool2D(7), Flatten()]
    for inputs in (49 * channels, hidden):
        head += [Linear(inputs, hidden), ReLU(), Dropout(0.5)]
    return extended(body, [*head, Linear(hidden, num_classes)])


def _halved(size: tuple[int, int]) -> MaxPool2D:
    """A pool that halves an image of this size, rounding up; one pixel stays one pixel."""
    h, w = size
    return MaxPool2D((min(2, h), min(2, w)), ceil_mode=bool(h % 2 or w % 2))
