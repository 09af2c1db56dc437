"""Ready-made networks, and `build(name, input_shape, classes)` to make one by name."""

from __future__ import annotations

import math
from collections.abc import Callable

from cnnx.layers import (
    BatchNorm2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    Sequential,
)

__all__ = ["build", "digits_cnn", "lenet5", "mnist_cnn", "names"]

Size = int | tuple[int, int]


def lenet5(classes: int = 10, in_channels: int = 1, image_size: Size = 28) -> Sequential:
    """LeNet-5 as it is trained today: ReLU and max-pooling. (n, 1, 28, 28) -> (n, 10)

    conv 6 5x5 (padding 2), pool 2, conv 16 5x5, pool 2, then Linear 120, 84, classes; a ReLU after
    each but the last. 61,706 parameters. With Adam(1e-3), batches of 64 and 5 epochs, about 99 %
    on MNIST.

    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document
    Recognition", Proc. IEEE 1998.

    Example: ``model = cnnx.models.lenet5()``
    """
    model = Sequential(
        Conv2D(in_channels, 6, 5, padding=2),
        ReLU(),
        MaxPool2D(2),
        Conv2D(6, 16, 5),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
    )
    features = _features(model, in_channels, image_size)
    head = [Linear(features, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, classes)]
    return _extended(model, head)


def mnist_cnn(classes: int = 10, in_channels: int = 1, image_size: Size = 28) -> Sequential:
    """Two convolutions and a dense layer with dropout. (n, 1, 28, 28) -> (n, 10)

    conv 16 3x3, pool 2, conv 32 3x3, pool 2 (padding 1, ReLU after each), Linear 128, ReLU, dropout
    one half, Linear classes. 206,922 parameters.

    Example: ``model = cnnx.models.mnist_cnn()``
    """
    model = Sequential(
        Conv2D(in_channels, 16, 3, padding=1),
        ReLU(),
        MaxPool2D(2),
        Conv2D(16, 32, 3, padding=1),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
    )
    features = _features(model, in_channels, image_size)
    return _extended(model, [Linear(features, 128), ReLU(), Dropout(0.5), Linear(128, classes)])


def digits_cnn(classes: int = 10, in_channels: int = 1, image_size: Size = 8) -> Sequential:
    """For the bundled 8x8 digits: three convolutions with batch norm. (n, 1, 8, 8) -> (n, 10)

    conv 16, conv 32, pool 2, conv 64 (3x3, padding 1, batch norm and ReLU after each), dropout one
    half, Linear classes. 33,658 parameters. With Adam(1e-3), batches of 32 and 15 epochs, about
    99.2 % on the digits' test set.

    Example: ``model = cnnx.models.digits_cnn()``
    """
    model = Sequential(
        *_conv_norm_relu(in_channels, 16),
        *_conv_norm_relu(16, 32),
        MaxPool2D(2),
        *_conv_norm_relu(32, 64),
        Flatten(),
        Dropout(0.5),
    )
    return _extended(model, [Linear(_features(model, in_channels, image_size), classes)])


_MODELS: dict[str, Callable[..., Sequential]] = {
    "digits_cnn": digits_cnn,
    "lenet5": lenet5,
    "mnist_cnn": mnist_cnn,
}


def names() -> tuple[str, ...]:
    """The names that `build` knows."""
    return tuple(_MODELS)


def build(name: str, input_shape: tuple[int, ...], classes: int) -> Sequential:
    """A fresh model by name.

    name         one of `names()`
    input_shape  of one sample, (channels, height, width)
    classes      number of outputs

    ValueError for an unknown name, samples that are no images, and images too small for the model.

    Example: ``cnnx.models.build("lenet5", (3, 32, 32), 10)``
    """
    if name not in _MODELS:
        raise ValueError(f"models: {name!r} is not known, expected one of {', '.join(_MODELS)}")
    if len(input_shape) != 3:
        raise ValueError(
            f"models: {name} takes images (channels, height, width), got samples of shape "
            f"{tuple(input_shape)}"
        )
    channels, *image_size = input_shape
    return _MODELS[name](classes, channels, tuple(image_size))


def _features(model: Sequential, in_channels: int, image_size: Size) -> int:
    """How many numbers a sample has behind the model's layers so far."""
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    return math.prod(model.output_shape((in_channels, *size)))


def _conv_norm_relu(in_channels: int, out_channels: int) -> list[Layer]:
    # Without a bias: batch norm takes the mean away again.
    conv = Conv2D(in_channels, out_channels, 3, padding=1, bias=False)
    return [conv, BatchNorm2D(out_channels), ReLU()]


def _extended(model: Sequential, layers: list[Layer]) -> Sequential:
    for layer in layers:
        model.append(layer)
    return model
