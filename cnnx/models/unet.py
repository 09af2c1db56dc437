"""U-Net, which predicts a class for every pixel."""

from __future__ import annotations

from cnnx import checks
from cnnx.graph import Graph, Input
from cnnx.layers import Concat, Conv2D, ConvTranspose2D, Layer, MaxPool2D, Sequential

from .parts import Size, classes_too, conv_norm_relu, he_normal, height_width

__all__ = ["unet"]


@classes_too
def unet(
    num_classes: int = 2,
    in_channels: int = 3,
    image_size: Size = 32,
    width: int = 16,
    depth: int = 3,
) -> Layer:
    """U-Net, for segmentation. (n, 3, h, w) -> (n, 2, h, w): logits for each pixel

    width       channels at the full size; each level below has twice as many
    depth       how many times the image is halved
    image_size  height and width, or one number for both: multiples of 2^depth. The model accepts
                other multiples too

    A level is two 3x3 convolutions, each with batch norm and ReLU. Down: max-pool 2 between the
    levels. Up: a 2x2 transposed convolution of stride 2, which halves the channels; its output is
    concatenated with that of the level of the same size on the way down, and two convolutions
    follow. Last a 1x1 convolution to the classes. 482,754 parameters; 31,037,698 with the paper's
    width=64, depth=4. Convolutions are initialised by He's N(0, 2 / fan_in).

    Unlike the paper's, the 3x3 convolutions are padded, so that the output has the size of the
    input, and have batch norm.

    `CrossEntropyLoss` accepts the outputs with masks (n, h, w) of class numbers, and
    `predict_labels` returns such masks.

    ValueError for an image_size that is not a multiple, and for a width or depth below 1.

    O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", MICCAI 2015; S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015.

    Example: ``model = cnnx.models.unet(num_classes=4, image_size=128)``
    """
    op = "unet"
    width, depth = (
        checks.integer(op, name, value, least=1)
        for name, value in (("width", width), ("depth", depth))
    )
    size = height_width(image_size)
    if any(side < 1 or side % 2**depth for side in size):
        raise ValueError(
            f"{op}: image_size is {size[0]}x{size[1]}, but multiples of 2^depth = {2**depth} are "
            f"expected: the image is halved {depth} times, and doubled again"
        )
    names: dict[str, Layer] = {}

    def named(name: str, layer: Layer) -> Layer:
        names[name] = layer
        return layer

    x = h = Input((in_channels, *size))
    channels, skips = in_channels, []
    for level in range(depth):
        h = named(f"down{level}", _level(channels, width << level))(h)
        skips.append(h)
        h = named(f"pool{level}", MaxPool2D(2))(h)
        channels = width << level
    h = named("bottom", _level(channels, 2 * channels))(h)
    for level in reversed(range(depth)):
        channels = width << level
        h = named(f"up{level}", ConvTranspose2D(2 * channels, channels, 2, stride=2))(h)
        h = named(f"concat{level}", Concat())(skips[level], h)
        h = named(f"join{level}", _level(2 * channels, channels))(h)
    h = named("head", Conv2D(width, num_classes, 1))(h)
    return he_normal(Graph(x, h, names))


def _level(in_channels: int, out_channels: int) -> Sequential:
    first = conv_norm_relu(in_channels, out_channels)
    return Sequential(*first, *conv_norm_relu(out_channels, out_channels))
