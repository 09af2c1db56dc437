"""Small networks for small greyscale images: LeNet-5, and two with 3x3 convolutions."""

from __future__ import annotations

from cnnx.layers import Conv2D, Dropout, Flatten, Linear, MaxPool2D, ReLU, Sequential

from .parts import Size, classes_too, conv_norm_relu, extended, features

__all__ = ["digits_cnn", "lenet5", "mnist_cnn"]


@classes_too
def lenet5(num_classes: int = 10, in_channels: int = 1, image_size: Size = 28) -> Sequential:
    """LeNet-5 with ReLU and max-pooling, as is usual today. (n, 1, 28, 28) -> (n, 10)

    conv 6 5x5 (padding 2), pool 2, conv 16 5x5, pool 2, then Linear 120, 84, classes; ReLU after
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
    inputs = features(model, in_channels, image_size)
    head = [Linear(inputs, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, num_classes)]
    return extended(model, head)


@classes_too
def mnist_cnn(num_classes: int = 10, in_channels: int = 1, image_size: Size = 28) -> Sequential:
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
    inputs = features(model, in_channels, image_size)
    return extended(model, [Linear(inputs, 128), ReLU(), Dropout(0.5), Linear(128, num_classes)])


@classes_too
def digits_cnn(num_classes: int = 10, in_channels: int = 1, image_size: Size = 8) -> Sequential:
    """For the bundled 8x8 digits: three convolutions with batch norm. (n, 1, 8, 8) -> (n, 10)

    conv 16, conv 32, pool 2, conv 64 (3x3, padding 1, batch norm and ReLU after each), dropout one
    half, Linear classes. 33,658 parameters. With Adam(1e-3), batches of 32 and 15 epochs, about
    99.2 % on the digits' test set.

    Example: ``model = cnnx.models.digits_cnn()``
    """
    model = Sequential(
        *conv_norm_relu(in_channels, 16),
        *conv_norm_relu(16, 32),
        MaxPool2D(2),
        *conv_norm_relu(32, 64),
        Flatten(),
        Dropout(0.5),
    )
    return extended(model, [Linear(features(model, in_channels, image_size), num_classes)])
