"""The command-line arguments shared by the examples: --data and --epochs."""

from __future__ import annotations

import argparse
import os
import zipfile

import numpy as np

from cnnx.cli.arguments import integer
from cnnx.data import Dataset, load_csv

__all__ = ["images", "masks", "points"]


_SEARCHED = "CNNX_DATA, then the cache, otherwise they are downloaded"


def images(
    program: str, text: str | None, epochs: int, default: str = _SEARCHED
) -> argparse.ArgumentParser:
    """The arguments of a program on image data sets; `text` is its docstring."""
    parser = _parser(program, text, epochs)
    parser.add_argument(
        "--data",
        type=_directory,
        metavar="DIR",
        help=f"directory with mnist/ or fashion-mnist/, or with their files (default: {default})",
    )
    return parser


def points(program: str, text: str | None, epochs: int, default: str) -> argparse.ArgumentParser:
    """The arguments of a program on points in a plane; args.data is None or a Dataset."""
    parser = _parser(program, text, epochs)
    parser.add_argument(
        "--data",
        type=_points,
        metavar="FILE",
        help="table of points written by cnnx.data.save_csv, columns x0,x1,label (default: "
        f"{default})",
    )
    return parser


def masks(program: str, text: str | None, epochs: int, default: str) -> argparse.ArgumentParser:
    """The arguments of a program on images with masks; args.data is None or a Dataset."""
    parser = _parser(program, text, epochs)
    parser.add_argument(
        "--data",
        type=_masks,
        metavar="FILE",
        help=".npz file with images x (n, channels, height, width) and class numbers of their "
        f"pixels y (n, height, width), as numpy.savez writes it (default: {default})",
    )
    return parser


def _parser(program: str, text: str | None, epochs: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m cnnx.examples.{program}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--epochs",
        type=integer(1),
        default=epochs,
        metavar="N",
        help=f"passes over the training data (default: {epochs})",
    )
    return parser


def _directory(text: str) -> str:
    path = os.path.expanduser(text)
    if not os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return path


def _points(text: str) -> Dataset:
    try:
        data = load_csv(os.path.expanduser(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if len(data) == 0 or data.x.shape[1] != 2 or data.y.ndim != 1 or data.y.min() < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} holds x {data.x.shape} and y {data.y.shape}, expected points (n, 2) with "
            "labels from 0 (n,)"
        )
    return data


def _masks(text: str) -> Dataset:
    try:
        with np.load(os.path.expanduser(text), allow_pickle=False) as stored:
            data = Dataset(stored["x"].astype(np.float32), stored["y"])
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    (n, *image), mask = data.x.shape, data.y.shape
    if len(image) != 3 or mask != (n, *image[1:]) or data.y.dtype.kind not in "iu" or n < 2:
        raise argparse.ArgumentTypeError(
            f"{text!r} contains x {data.x.shape} and y {mask} of {data.y.dtype}, expected images "
            "(n, channels, height, width), two or more, and class numbers (n, height, width)"
        )
    if data.y.min() < 0:
        raise argparse.ArgumentTypeError(f"{text!r} contains the class {data.y.min()}, below 0")
    return data
