"""Networks without convolutions: the multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from cnnx.layers import Flatten, Layer, Linear, ReLU, Sequential

from .parts import classes_too

__all__ = ["mlp"]


@classes_too
def mlp(
    in_features: int = 784, hidden: Sequence[int] = (128, 64), num_classes: int = 10
) -> Sequential:
    """A multi-layer perceptron, for points or images. (n, 1, 28, 28) -> (n, 10)

    in_features  size of a sample: for an image channels * height * width
    hidden       outputs of each hidden Linear, which is followed by ReLU; () gives a linear model
    num_classes  outputs of the last Linear: logits, or the predictions of a regression

    Flatten comes first, so samples may have any shape with in_features elements. 109,386
    parameters. With Adam(1e-3), batches of 64 and 5 epochs, about 97.5 % on MNIST.

    ValueError for a size below 1, TypeError for one that is not an integer.

    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning Representations by Back-Propagating
    Errors", Nature 323, 1986.

    Example: ``model = cnnx.models.mlp(2, hidden=(64, 64), num_classes=3)``
    """
    if not isinstance(hidden, Sequence):
        raise TypeError(f"mlp: hidden={hidden!r} is not a sequence of sizes such as (128, 64)")
    layers: list[Layer] = [Flatten()]
    for outputs in hidden:
        layers += [Linear(in_features, outputs), ReLU()]
        in_features = outputs
    return Sequential(*layers, Linear(in_features, num_classes))
