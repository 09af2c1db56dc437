"""A small Inception for small images: parallel branches, concatenated along the channels."""

from __future__ import annotations

from cnnx.layers import (
    Concat,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Sequential,
)

from .parts import classes_too, conv_norm, conv_norm_relu

__all__ = ["inception_small"]

# For each module the channels of its 1x1 and 3x3 branch; for one that halves the image those of its
# 3x3 branch of stride 2, which is parallel to a max-pool.
MODULES = (
    *((32, 32), (32, 48), (80,)),
    *((112, 48), (96, 64), (80, 80), (48, 96), (96,)),
    *((176, 160), (176, 160)),
)


@classes_too
def inception_small(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """Inception in a small form for CIFAR. (n, 3, 32, 32) -> (n, 10); images of any size

    3x3 convolution of 96 channels; ten modules, two of which halve the image (rounded up); global
    average pooling and Linear. A module concatenates a 1x1 and a 3x3 convolution of its
    input; one that halves the image, a 3x3 convolution and a 3x3 max-pool of stride 2. Batch norm
    and ReLU follow every convolution. 1,651,114 parameters; in the paper, where batch norm has a
    bias but no weight, 1,649,402. Initialised by the layers' defaults.

    C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals, "Understanding Deep Learning Requires
    Rethinking Generalization", ICLR 2017, figure 3; after C. Szegedy et al., "Going Deeper with
    Convolutions", CVPR 2015.

    Example: ``model = cnnx.models.inception_small()``
    """
    layers: list[tuple[str, Layer]] = [("stem", Sequential(*conv_norm_relu(in_channels, 96)))]
    channels = 96
    for number, widths in enumerate(MODULES, start=1):
        if len(widths) == 1:
            layers.append((f"down{number}", _down(channels, *widths)))
            channels += widths[0]
        else:
            layers.append((f"module{number}", _module(channels, *widths)))
            channels = sum(widths)
    layers += [("pool", GlobalAvgPool2D()), ("flatten", Flatten())]
    return Sequential(*layers, ("head", Linear(channels, num_classes)))


def _module(in_channels: int, ones: int, threes: int) -> Layer:
    one = Sequential(*conv_norm(in_channels, ones, 1), ReLU())
    return Concat(one, Sequential(*conv_norm_relu(in_channels, threes)))


def _down(in_channels: int, threes: int) -> Layer:
    three = Sequential(*conv_norm(in_channels, threes, 3, stride=2), ReLU())
    return Concat(three, MaxPool2D(3, 2, padding=1))
