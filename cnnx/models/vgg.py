"""VGG for small images."""

from __future__ import annotations

from cnnx.layers import Flatten, Layer, Linear, MaxPool2D, Sequential

from .parts import Size, classes_too, conv_norm_relu, extended, features, height_width

__all__ = ["vgg"]

WIDTHS = (64, 128, 256, 256, 512)


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


def _halved(size: tuple[int, int]) -> MaxPool2D:
    """A pool that halves an image of this size, rounding up; one pixel stays one pixel."""
    h, w = size
    return MaxPool2D((min(2, h), min(2, w)), ceil_mode=bool(h % 2 or w % 2))
