"""What the networks are made of: pieces that several families share."""

from __future__ import annotations

import math

from cnnx.layers import BatchNorm2D, Conv2D, Layer, ReLU, Sequential

__all__ = ["Size", "conv_norm", "conv_norm_relu", "extended", "features", "height_width"]

Size = int | tuple[int, int]


def height_width(image_size: Size) -> tuple[int, int]:
    """A number, or a pair, as a pair."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def features(model: Sequential, in_channels: int, image_size: Size) -> int:
    """How many numbers a sample has behind the model's layers so far."""
    return math.prod(model.output_shape((in_channels, *height_width(image_size))))


def conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1
) -> list[Layer]:
    """A convolution that keeps the image size (at stride 1), and batch norm."""
    # Without a bias: batch norm takes the mean away again.
    padding = kernel_size // 2
    conv = Conv2D(
        in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
    )
    return [conv, BatchNorm2D(out_channels)]


def conv_norm_relu(in_channels: int, out_channels: int) -> list[Layer]:
    """3x3, batch norm, ReLU."""
    return [*conv_norm(in_channels, out_channels), ReLU()]


def extended(model: Sequential, layers: list[Layer]) -> Sequential:
    """The model with more layers at its end."""
    for layer in layers:
        model.append(layer)
    return model
