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

# Of each fire module: channels of the squeeze, and of either expand. None is a pool.
FIRES: tuple[tuple[int, int] | None, ...] = (
    *(None, (16, 64), (16, 64), None, (32, 128), (32, 128), None),
    *((48, 192), (48, 192), (64, 256), (64, 256)),
)


@classes_too
def squeezenet(num_classes: int = 10, in_channels: int = 3) -> Sequential:
    """SqueezeNet 1.1 for CIFAR. (n, 3, 32, 32) -> (n, 10); images of any size

    3x3 convolution of 64 channels; eight fire modules; dropout one half; 1x1 convolution to the
    classes, and their global average. A fire module narrows its input by a 1x1 convolution
    (squeeze), and joins a 1x1 and a 3x3 convolution of that (expand); a ReLU follows each. Three
    3x3 max-pools of stride 2 halve the image, rounding up: behind the first convolution, whose
    stride is 1 where the paper has 2, and behind the second and the fourth fire module. 727,626
    parameters; convolutions start as He's N(0, 2 / fan_in).

    The last convolution has no ReLU behind it, so that a score may be negative. Without batch norm
    it learns slowly at first: a learning rate of 3e-4 suits Adam.

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
    """Narrow, then two convolutions side by side."""
    ones = Sequential(("1x1", Conv2D(squeeze, expand, 1)), ("relu", ReLU()))
    threes = Sequential(("3x3", Conv2D(squeeze, expand, 3, padding=1)), ("relu", ReLU()))
    narrow = Conv2D(in_channels, squeeze, 1)
    return Sequential(("squeeze", narrow), ("relu", ReLU()), ("expand", Concat(ones, threes)))
