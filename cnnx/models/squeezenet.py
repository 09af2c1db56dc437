"""SqueezeNet for small images: few parameters, and no batch norm."""

from __future__ import annotations

from cnnx.layers import (
    Concat,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
)

from .parts import classes_too, he_normal

__all__ = ["squeezenet"]

# For each fire module: channels of the squeeze, and of each expand convolution. None is a pool.
FIRES: tuple[tuple[int, int] | None, ...] = (
    *(None, (16, 64), (16, 64), None, (32, 128), (32, 128), None),
    *((48, 192), (48, 192), (64, 256), (64, 256)),
)


@classes_too
def squeezenet(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """SqueezeNet 1.1 for CIFAR. (n, 3, 32, 32) -> (n, 10); images of any size

    3x3 convolution of 64 channels; eight fire modules; dropout one half; 1x1 convolution to the
    classes, and their global average. A fire module reduces the channels by a 1x1
    convolution (squeeze), and concatenates a 1x1 and a 3x3 convolution of the result (expand); ReLU
    follows each. Three 3x3 max-pools of stride 2 halve the image, rounding up: after the first
    convolution, whose stride is 1 where the paper has 2, and after the second and the fourth fire
    module. 727,626 parameters; convolutions are initialised by He's N(0, 2 / fan_in).

    No ReLU follows the last convolution, so that outputs may be negative. Without batch norm the
    network learns slowly at first: use a learning rate of 3e-4 with Adam.

    F. N. Iandola, S. Han, M. W. Moskewicz, K. Ashraf, W. J. Dally, K. Keutzer, "SqueezeNet:
    AlexNet-Level Accuracy with 50x Fewer Parameters and <0.5MB Model Size", arXiv:1602.07360, 2016;
    version 1.1 by the authors, https://github.com/forresti/SqueezeNet.

    Example: ``model = cnnx.models.squeezenet()``
    """
    channels = 64
    layers: list[tuple[str, Layer]] = [
        ("conv1", Conv2D(in_channels, channels, 3, padding=1)),
        ("relu1", ReLU()),
    ]
    fires = pools = 0
    for widths in FIRES:
        if widths is None:
            pools += 1
            layers.append((f"pool{pools}", MaxPool2D(3, 2, padding=1)))
        else:
            fires += 1
            layers.append((f"fire{fires + 1}", _fire(channels, *widths)))
            channels = 2 * widths[1]
    layers += [("dropout", Dropout(0.5)), ("conv10", Conv2D(channels, num_classes, 1))]
    return he_normal(Sequential(*layers, ("pool", GlobalAvgPool2D()), ("flatten", Flatten())))


def _fire(in_channels: int, squeeze: int, expand: int) -> Layer:
    """A fire module: squeeze, then two parallel convolutions."""
    ones = Sequential(("1x1", Conv2D(squeeze, expand, 1)), ("relu", ReLU()))
    threes = Sequential(("3x3", Conv2D(squeeze, expand, 3, padding=1)), ("relu", ReLU()))
    narrow = Conv2D(in_channels, squeeze, 1)
    return Sequential(("squeeze", narrow), ("relu", ReLU()), ("expand", Concat(ones, threes)))
