"""Building blocks that several networks share."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from cnnx import init
from cnnx.layers import BatchNorm2D, Conv2D, Layer, ReLU, Sequential

from .weights import load_weights, other_classes, read_weights

__all__ = [
    "FORMS",
    "Size",
    "classes_too",
    "conv_norm",
    "conv_norm_relu",
    "extended",
    "features",
    "he_normal",
    "height_width",
]

FORMS = ("cifar", "imagenet")  # of networks for images of about 32x32, and of about 224x224
Size = int | tuple[int, int]
Arguments = ParamSpec("Arguments")
Model = TypeVar("Model", bound=Layer)


def classes_too(make: Callable[Arguments, Model]) -> Callable[Arguments, Model]:
    """Decorator: `classes` is an alias of the argument `num_classes`, and `weights` is a file, or a
    state_dict, to load into the model; without `num_classes` it has as many classes as those.
    """
    signature = inspect.signature(make)

    @functools.wraps(make)
    def named(*args: Arguments.args, **options: Arguments.kwargs) -> Model:
        if "classes" in options:
            classes = options.pop("classes")
            if "num_classes" in options:
                raise TypeError(
                    f"{make.__name__}: classes={classes!r} and num_classes="
                    f"{options['num_classes']!r} are the same argument: pass one of them"
                )
            options["num_classes"] = classes
        weights: Any = options.pop("weights", None)
        model = make(*args, **options)
        if weights is None:
            return model
        arrays, name = read_weights(weights)
        if "num_classes" not in signature.bind(*args, **options).arguments:
            other = other_classes(model, arrays)
            if other is not None:
                options["num_classes"] = other.there
                model = make(*args, **options)
        load_weights(make.__name__, model, arrays, name)
        return model

    return named


def height_width(image_size: Size) -> tuple[int, int]:
    """A number or a pair, as a pair."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def features(model: Sequential, in_channels: int, image_size: Size) -> int:
    """The size of a sample after the model's layers so far."""
    return math.prod(model.output_shape((in_channels, *height_width(image_size))))


def conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1
) -> list[Layer]:
    """A convolution that preserves the image size (at stride 1), and batch norm."""
    # No bias: batch norm subtracts the mean.
    padding = kernel_size // 2
    conv = Conv2D(
        in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
    )
    return [conv, BatchNorm2D(out_channels)]


def conv_norm_relu(in_channels: int, out_channels: int) -> list[Layer]:
    """3x3 convolution, batch norm, ReLU."""
    return [*conv_norm(in_channels, out_channels), ReLU()]


def extended(model: Sequential, layers: list[Layer]) -> Sequential:
    """The model, with more layers appended."""
    for layer in layers:
        model.append(layer)
    return model


def he_normal(model: Model) -> Model:
    """The model, with the weights of its convolutions drawn from N(0, 2 / fan_in).

    K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015.
    """
    for layer in model.modules():
        if isinstance(layer, Conv2D):
            layer.weight.data = init.kaiming_normal(layer.weight.shape)
    return model
