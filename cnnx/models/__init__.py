"""Ready-made networks, and `build(name, input_shape, num_classes)` to create one by name.

`num_classes` is PyTorch's name for the number of outputs; `classes=` is an alias. All take
``weights=path`` too: a file `.safetensors`, or `.npz` of ``model.save``, whose arrays are copied
into the model after a check of their names and shapes; or a `state_dict`, also PyTorch's. The model
then has the file's number of classes, unless `num_classes` says another, which is a ValueError.

>>> model = cnnx.models.resnet20()
>>> cnnx.models.build("lenet5", (3, 32, 32), 10)(x).shape
(n, 10)
>>> cnnx.models.build("mlp", (2,), 3)(points).shape
(n, 3)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from cnnx import checks
from cnnx.layers import Layer

from .dense import mlp
from .densenet import densenet
from .inception import inception_small
from .mobilenet import mobilenet_v2
from .parts import classes_too
from .resnet import resnet18, resnet20, resnet50, se_resnet20
from .small import digits_cnn, lenet5, mnist_cnn
from .squeezenet import squeezenet
from .unet import unet
from .vgg import vgg, vgg11

__all__ = [
    "build",
    "densenet",
    "digits_cnn",
    "inception_small",
    "lenet5",
    "mlp",
    "mnist_cnn",
    "mobilenet_v2",
    "names",
    "resnet18",
    "resnet20",
    "resnet50",
    "se_resnet20",
    "squeezenet",
    "unet",
    "vgg",
    "vgg11",
]

# What a model predicts: one class for a sample, or one for each of its pixels.
_TASKS: dict[str, tuple[Callable[..., Layer], ...]] = {
    "classification": (
        *(digits_cnn, lenet5, mnist_cnn, mlp, vgg, resnet20, resnet18, mobilenet_v2),
        *(densenet, squeezenet, se_resnet20, inception_small, resnet50, vgg11),
    ),
    "segmentation": (unet,),
}
_MODELS = {make.__name__: make for task in _TASKS.values() for make in task}


def names(task: str | None = None) -> tuple[str, ...]:
    """The names that `build` knows.

    task  "classification": models with outputs (n, classes); "segmentation": with outputs
          (n, classes, h, w), a class for every pixel; None: all. ValueError for other tasks

    >>> cnnx.models.names("segmentation")
    ('unet',)
    """
    if task is None:
        return tuple(_MODELS)
    task = checks.choice("models", "task", task, tuple(_TASKS))
    return tuple(make.__name__ for make in _TASKS[task])


@classes_too
def build(name: str, input_shape: tuple[int, ...], num_classes: int, **options: Any) -> Layer:
    """Create a model by name.

    name         one of `names()`
    input_shape  of one sample, (channels, height, width); any for "mlp"
    num_classes  number of outputs
    options      further arguments of the model, such as ``form="imagenet"``

    ValueError for an unknown name, samples that are not images for a model with convolutions, and
    images of a size that the model does not support.

    Example: ``cnnx.models.build("resnet18", (3, 224, 224), 10, form="imagenet")``
    """
    if name not in _MODELS:
        raise ValueError(f"models: {name!r} is unknown, expected one of {', '.join(_MODELS)}")
    make = _MODELS[name]
    if make is mlp:
        return mlp(math.prod(input_shape), num_classes=num_classes, **options)
    if len(input_shape) != 3:
        raise ValueError(
            f"models: {name} takes images (channels, height, width), got samples of shape "
            f"{tuple(input_shape)}: mlp takes any"
        )
    channels, *image_size = input_shape
    if "image_size" in inspect.signature(make).parameters:  # others take images of any size
        options["image_size"] = tuple(image_size)
    return make(num_classes, channels, **options)
