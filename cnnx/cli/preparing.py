"""How images become the input of a model: as its file says, changed by the user's options."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import replace
from typing import Any

from cnnx.cli.arguments import size
from cnnx.cli.models import Opened
from cnnx.graph.graph import Graph
from cnnx.layers import Conv2D
from cnnx.preprocessing import Preprocessing

__all__ = ["add_preparation", "preprocessing_of", "says_something"]

_MOST_BYTES = 1 << 24  # of a file of labels: a million names


def add_preparation(parser: argparse.ArgumentParser) -> None:
    """--mean, --std, --size and --labels: what a file from elsewhere does not say."""
    parser.add_argument(
        "--mean",
        type=_numbers,
        metavar="M",
        help="subtracted from pixels, which are 0 (black) to 1 (white): one number, or one each "
        "for red, green and blue: 0.485,0.456,0.406",
    )
    parser.add_argument(
        "--std",
        type=_numbers,
        metavar="S",
        help="by which pixels are then divided; 0.00392157, which is 1/255, for a network of "
        "pixels from 0 to 255",
    )
    parser.add_argument(
        "--size", type=size, metavar="SIZE", help="scale images to 224x224 (height x width), or 224"
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="the names of the classes, in order, one on each line"
    )


def says_something(args: argparse.Namespace) -> bool:
    """Whether any of these options is given."""
    return any(vars(args)[name] is not None for name in ("mean", "std", "size", "labels"))


def preprocessing_of(
    opened: Opened, settings: dict[str, Any], args: argparse.Namespace
) -> Preprocessing | None:
    """The model's preprocessing: from its file, overridden by the user's options.

    For files that do not store one: from the run.json next to the model, the shape of a graph's
    input, or else from the channels of the first convolution, with pixels in [0, 1]. None if
    nothing is known.
    """
    found = opened.model.preprocessing or _derived(opened, settings)
    if found is None:
        if says_something(args):
            raise ValueError(
                f"{opened.path}: --mean, --std, --size and --labels are for models of images, and "
                "this one does not say that it takes any"
            )
        return None
    shape = found.input_shape
    if args.size is not None:
        if len(shape) != 3:
            raise ValueError(f"{opened.path}: --size is for images, the model takes {shape}")
        shape = (shape[0], *args.size)
    elif args.resize and None in shape:
        raise ValueError(
            f"{args.model}: --resize needs a model file or a run.json that states the size"
        )
    mean, std = _standardisation(args, found)
    return replace(
        found,
        input_shape=shape,
        classes=found.classes if args.labels is None else _read_labels(args.labels),
        mean=mean,
        std=std,
        layout=args.layout or found.layout,
        background=found.background if args.background is None else args.background,
        resize=found.resize or args.resize or args.size is not None,
        invert=found.invert != args.invert,
    )


def _derived(opened: Opened, settings: dict[str, Any]) -> Preprocessing | None:
    if settings:
        shape, classes = settings["data"]["sample_shape"], settings["data"]["classes"]
        return Preprocessing(tuple(shape), tuple(classes))
    model = opened.model
    if isinstance(model, Graph) and len(model.input_shapes) == 1:
        sizes = tuple(n if isinstance(n, int) else None for n in model.input_shapes[0])
        return None if not sizes or sizes[0] is None else Preprocessing(sizes)
    convolutions = (layer for layer in model.modules() if isinstance(layer, Conv2D))
    channels = next((layer.in_channels for layer in convolutions), None)
    return None if channels is None else Preprocessing((channels, None, None))


def _standardisation(args: argparse.Namespace, found: Preprocessing) -> tuple[Any, Any]:
    """Mean and std: those of the options, of which one alone goes with 0 or 1."""
    if args.mean is None and args.std is None:
        return found.mean, found.std
    channels = found.input_shape[0] or 1  # it is never None
    both = []
    for name, numbers, other in (("--mean", args.mean, (0.0,)), ("--std", args.std, (1.0,))):
        numbers = other if numbers is None else numbers
        if len(found.input_shape) != 3 or len(numbers) not in (1, channels):
            raise ValueError(
                f"{name} has {len(numbers)} numbers, but the model takes samples of "
                f"{found.input_shape}: give one, or one for each channel of images"
            )
        both.append(numbers * channels if len(numbers) == 1 else numbers)
    return both[0], both[1]


def _read_labels(path: str) -> tuple[str, ...]:
    """The lines of a text file, without empty ones at the end."""
    if os.path.getsize(path) > _MOST_BYTES:
        raise ValueError(f"{path} has {os.path.getsize(path):,} bytes: not a list of names")
    try:
        with open(path, encoding="utf-8-sig") as file:
            names = [line.strip() for line in file.read().rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from None
    if not names:
        raise ValueError(f"{path} is empty, expected the name of a class on each line")
    if "" in names:
        raise ValueError(f"{path}: line {names.index('') + 1} is empty, expected a name")
    return tuple(names)


def _numbers(text: str) -> tuple[float, ...]:
    """argparse type: finite numbers, separated by commas."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number, or numbers with commas between them: 0.485,0.456,0.406"
        )
    return found
