"""Converts files and data sets to samples in the form that the model was trained on."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cnnx import io
from cnnx.cli.console import listed, warn
from cnnx.data import formats
from cnnx.data.images import SUFFIXES
from cnnx.preprocessing import Preprocessing

__all__ = ["ARRAYS", "Doubts", "find_images", "prepare", "read"]

ARRAYS = (".npy", ".npz")
_DEFLATE_RATIO = 1032  # at most this many bytes come out of one byte of deflate


def prepare(how: Preprocessing, x: np.ndarray, unit: bool, name: str) -> np.ndarray:
    """A data set's samples as the model's input; unit: our own loaders scaled them to [0, 1].

    Loaders return images channels first, whatever the layout in the file.
    """
    if len(how.input_shape) == 3 and os.path.isdir(name):
        _, height, width = how.input_shape
        if height not in (None, x.shape[2]) or width not in (None, x.shape[3]):
            raise ValueError(
                f"{name}: images of {x.shape[3]} x {x.shape[2]} pixels (width x height), but the "
                f"model takes {width} x {height}: --resize makes them fit"
            )
    if unit:
        return how.from_unit(x, name)
    return replace(how, layout="channels_first")(x, name)


def find_images(folder: str) -> list[str]:
    """The image files in a folder and its subfolders, sorted; ValueError if there are none."""
    found: list[str] = []
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            (found if name.lower().endswith(SUFFIXES) else others).append(os.path.join(place, name))
    if not found:
        held = f"found {listed(others)}" if others else "found no file"
        raise ValueError(f"{folder}: {held}, expected images: {', '.join(SUFFIXES)}")
    if others:
        warn("predict", f"{folder}: left out, not images: {listed(others)}")
    return found


def read(path: str, how: Preprocessing | None) -> Iterator[tuple[str, np.ndarray]]:
    """(name, sample) for each sample of a file."""
    if path.lower().endswith(ARRAYS):
        samples = _as_samples(path, _read_array(path), how)
        for index, sample in enumerate(samples):
            yield (path if len(samples) == 1 else f"{path}[{index}]"), sample
    elif how is None:
        raise ValueError(
            f"{path}: the shape of the arrays that the model expects is unknown, and an image may "
            "have 1 channel or 3: give an .npy file"
        )
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # `Doubts` reports images of one colour
            sample = how.read(path)
        yield path, sample


def _as_samples(path: str, x: np.ndarray, how: Preprocessing | None) -> np.ndarray:
    if how is not None:
        return how(x, path)
    if x.ndim < 2:
        raise ValueError(f"{path}: shape {x.shape}, expected samples (n, ...)")
    return formats.to_unit(x) if x.dtype == np.uint8 else x


def _read_array(path: str) -> np.ndarray:
    """The array of an .npy file, or x, or the only array of an .npz file; never unpickles."""
    try:
        if not path.lower().endswith(".npz"):
            # Memory-mapped, so that a header which claims more than the file has takes no memory.
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            array = _read_member(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # NumPy parses Python literals, and parsers raise any error
        raise ValueError(f"{path}: not a file of numbers, or a damaged one ({error})") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: holds {array.dtype}, expected real numbers")
    return array


def _read_member(path: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if "x" not in names and len(names) != 1:
            raise ValueError(
                f"expected an array x, or a single one, found {', '.join(names) or 'nothing'}"
            )
        entry = archive.getinfo(("x" if "x" in names else names[0]) + ".npy")
        if entry.file_size > os.path.getsize(path) * _DEFLATE_RATIO:
            raise ValueError(f"{entry.filename} claims {entry.file_size:,} bytes")
        return io.parse_array(entry.filename, archive.read(entry))


class Doubts:
    """Collects samples that differ from the training data, and warns about them once."""

    def __init__(self, command: str, how: Preprocessing | None) -> None:
        self.command, self.how = command, how
        self.uniform: list[str] = []
        self.inverted: list[str] = []
        self.unusual: list[tuple[str, float]] = []

    def look(self, names: list[str], x: np.ndarray) -> None:
        """Note anything odd about images (n, c, h, w)."""
        if self.how is None or len(self.how.input_shape) != 3 or x.ndim != 4 or not len(x):
            return
        flat = x.reshape(*x.shape[:2], -1)
        plain = (flat == flat[:, :, :1]).all(axis=(1, 2)) & (flat.shape[2] > 1)
        inverted, unusual = self.how.looks_inverted(x), self.how.looks_unusual(x)
        for name, is_plain, is_inverted, is_unusual, sample in zip(
            names, plain, inverted, unusual, x, strict=True
        ):
            if is_plain:
                self.uniform.append(name)
            elif is_inverted:
                self.inverted.append(name)
            elif is_unusual:
                self.unusual.append((name, float(sample.mean())))

    def say(self) -> None:
        """Warn about everything that was noted."""
        if self.uniform:
            warn(
                self.command,
                f"all pixels have the same value in {listed(self.uniform)}: for transparent "
                "images, --background sets the colour behind them",
            )
        usual = "" if self.how is None or self.how.brightness is None else self.how.brightness[0]
        if self.inverted:
            warn(
                self.command,
                f"similar to negatives of the training images, whose mean brightness is "
                f"{usual:.2f}: {listed(self.inverted)}: --invert converts them",
            )
        if self.unusual:
            names = [f"{name} ({mean:.2f})" for name, mean in self.unusual]
            warn(
                self.command,
                f"far from the training images, whose mean brightness is {usual:.2f}: "
                f"{listed(names)}: predictions for them are unreliable",
            )
