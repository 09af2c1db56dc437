"""DenseNet for small images: each layer reads the outputs of all earlier layers of its block."""

from __future__ import annotations

from cnnx import checks
from cnnx.layers import (
    AvgPool2D,
    BatchNorm2D,
    Concat,
    Conv2D,
    Flatten,
    GlobalAvgPool2D,
    Identity,
    Layer,
    Linear,
    ReLU,
    Sequential,
)

from .parts import classes_too, he_normal

__all__ = ["densenet"]


@classes_too
def densenet(
    num_classes: int = 10, in_channels: int = 3, depth: int = 40, growth: int = 12
) -> Sequential:
    """DenseNet-BC for CIFAR. (n, 3, 32, 32) -> (n, 10); images of any size from 4x4

    depth   number of layers with weights, 4 more than a multiple of 6
    growth  number of channels that each layer adds

    3x3 convolution of 2 * growth channels; three blocks of (depth - 4) / 6 layers; between them a
    transition, which halves the channels by a 1x1 convolution and the image by average pooling;
    global average pooling and Linear. A layer of a block concatenates its input
    and its result, [x, f(x)]: f is a 1x1 convolution of 4 * growth channels and a 3x3 one of
    growth. Batch norm and ReLU precede each convolution except the first, and the last pool.
    176,122 parameters; 769,162 with depth=100. Convolutions are initialised by He's N(0, 2/fan_in).

    ValueError for a depth other than 10, 16, 22, ..., and for a growth below 1.

    G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger, "Densely Connected Convolutional
    Networks", CVPR 2017: DenseNet-BC with a compression of one half, section 3.

    Example: ``model = cnnx.models.densenet()``
    """
    op = "densenet"
    depth = checks.integer(op, "depth", depth, least=10)
    growth = checks.integer(op, "growth", growth, least=1)
    if (depth - 4) % 6:
        raise ValueError(f"{op}: depth={depth}, expected 4 more than a multiple of 6, such as 40")
    channels = 2 * growth
    layers: list[tuple[str, Layer]] = [
        ("stem", Conv2D(in_channels, channels, 3, padding=1, bias=False))
    ]
    for block in (1, 2, 3):
        dense = [_dense(channels + i * growth, growth) for i in range((depth - 4) // 6)]
        layers.append((f"block{block}", Sequential(*dense)))
        channels += len(dense) * growth
        if block < 3:
            shrink = _norm_relu_conv("", channels, channels // 2, 1)
            layers.append((f"transition{block}", Sequential(*shrink, ("pool", AvgPool2D(2)))))
            channels //= 2
    layers += [("norm", BatchNorm2D(channels)), ("relu", ReLU())]
    layers += [("pool", GlobalAvgPool2D()), ("flatten", Flatten())]
    return he_normal(Sequential(*layers, ("head", Linear(channels, num_classes))))


def _dense(channels: int, growth: int) -> Layer:
    """[x, f(x)]: x, and `growth` more channels."""
    wide = 4 * growth
    narrow = _norm_relu_conv("1", channels, wide, 1)
    body = Sequential(*narrow, *_norm_relu_conv("2", wide, growth, 3))
    return Concat(Identity(), body)


def _norm_relu_conv(
    number: str, in_channels: int, out_channels: int, kernel_size: int
) -> list[tuple[str, Layer]]:
    """Batch norm and activation before the convolution, not after it as elsewhere."""
    padding = kernel_size // 2
    conv = Conv2D(in_channels, out_channels, kernel_size, padding=padding, bias=False)
    norm = BatchNorm2D(in_channels)
    return [(f"norm{number}", norm), (f"relu{number}", ReLU()), (f"conv{number}", conv)]
