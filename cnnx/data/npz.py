"""Arrays of a data set in an .npz file: `read_npz`."""

# Design:
# Files are untrusted until they are parsed. The headers of all arrays are read first and compared
# with each other, with the lengths in the archive, and with deflate's maximum ratio: a few bytes
# may claim gigabytes, which are then never unpacked. Labels, which are short, are read before
# samples. Invalid content is a ValueError that begins with the path. Objects are never unpickled.

from __future__ import annotations

import errno
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..targets import read_labels
from .formats import to_unit
from .limits import DEFLATE_RATIO, check_labels, check_memory, check_regular

if TYPE_CHECKING:
    import zipfile

__all__ = ["read_npz", "stored_dtype"]

Pair = tuple[np.ndarray, np.ndarray]

_NAMES = (  # the arrays of the training and the test set
    (("x", "y"), ("x_test", "y_test")),
    (("x_train", "y_train"), ("x_test", "y_test")),  # Keras
    (("train_images", "train_labels"), ("test_images", "test_labels")),  # MedMNIST
)
_CHANNELS = (1, 3, 4)  # of images: grey, colour, colour with alpha
_ONE_HOT = 1000  # maximum number of one-hot columns; more would be mostly zeros
_LAYOUTS = ("channels_first", "channels_last")


class _Member(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def read_npz(path: str, layout: str | None = None) -> list[Pair]:
    """(x, y) of the training set and, if present, the test set, as in `datasets.load_arrays`.

    x (n, c, h, w) or (n, features): uint8 becomes float32 in [0, 1], other numbers are kept; y (n,)
    int64.
    """
    import struct
    import zipfile
    import zlib

    if layout not in (None, *_LAYOUTS):
        raise ValueError(
            f"load_arrays: layout is {layout!r}, expected 'channels_first' or 'channels_last'"
        )
    check_regular(path, "arrays, as numpy.savez writes it")
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                pairs = _headers(archive, path)
                last = [_channels_last(path, x, layout) for x, _ in pairs]
                labels = [_read_labels(archive, path, y) for _, y in pairs]
                samples = [_read_samples(archive, x, turned) for (x, _), turned in zip(pairs, last)]
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            struct.error,
            RuntimeError,
            NotImplementedError,
            UnicodeDecodeError,
            OSError,
        ) as error:
            # A damaged directory makes the reader seek to before the file: EINVAL.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise ValueError(f"{path}: not an .npz file, or a damaged one ({error})") from error
    return list(zip(samples, labels, strict=True))


def stored_dtype(path: str) -> np.dtype:
    """The stored dtype of the samples in a file that `read_npz` has read."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return _headers(archive, path)[0][0].dtype


def _headers(archive: zipfile.ZipFile, path: str) -> list[tuple[_Member, _Member]]:
    """The headers of x and y of training and test set, checked against each other."""
    names = archive.namelist()
    stored = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
    pairs = []
    for x_name, y_name in _wanted(path, stored):
        x, y = _header(archive, x_name, path), _header(archive, y_name, path)
        if len(x.shape) not in (2, 3, 4):
            raise ValueError(
                f"{path}: {x.name} has shape {x.shape}, expected (n, c, h, w), (n, h, w) or "
                f"(n, features)"
            )
        columns = y.shape[1:] or (1,)
        if y.dtype.kind not in "biuf" or len(columns) > 1 or not 0 < columns[0] <= _ONE_HOT:
            raise ValueError(
                f"{path}: {y.name} has shape {y.shape} of {y.dtype}, expected (n,) integer labels, "
                f"or one-hot rows of at most {_ONE_HOT} classes"
            )
        if x.shape[0] != y.shape[0]:
            raise ValueError(
                f"{path}: {x.name} has {x.shape[0]} samples, but {y.name} has {y.shape[0]}"
            )
        check_memory(path, x.name, x.shape, "store fewer samples, or smaller ones")
        pairs.append((x, y))
    for x, _ in pairs[1:]:
        first = pairs[0][0]
        if x.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{path}: samples of {first.name} have shape {first.shape[1:]}, but those of "
                f"{x.name} {x.shape[1:]}"
            )
    return pairs


def _wanted(path: str, stored: set[str]) -> list[tuple[str, str]]:
    """The names of x and y for the training set and, if one of them exists, the test set."""
    train, test = next((known for known in _NAMES if set(known[0]) & stored), _NAMES[0])
    wanted = [train, test] if set(test) & stored else [train]
    for name in (name for pair in wanted for name in pair):
        if name not in stored:
            raise ValueError(
                f"{path}: expected arrays x and y (and x_test with y_test), or x_train and "
                f"y_train, found no {name}, but: {', '.join(sorted(stored)) or 'nothing'}"
            )
    return wanted


def _header(archive: zipfile.ZipFile, name: str, path: str) -> _Member:
    """The header of one array, checked against the length of its data."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
            elif version == (2, 0):
                shape, _, dtype = np.lib.format.read_array_header_2_0(member)
            else:
                raise ValueError(f"npy version {version}")
        except Exception as error:  # NumPy parses Python literals, and parsers raise any error
            raise ValueError(f"{path}: {name} has a damaged npy header ({error})") from error
        held = info.file_size - member.tell()
    if dtype.kind not in "biuf":
        kind = "Python objects" if dtype.hasobject else f"dtype {dtype}"
        raise ValueError(f"{path}: {name} holds {kind}, expected real numbers")
    length = math.prod(shape) * dtype.itemsize
    packed = min(info.compress_size, os.path.getsize(path))
    if min(shape, default=0) < 0 or length != held or held > packed * DEFLATE_RATIO:
        raise ValueError(
            f"{path}: the header of {name} claims {shape} of {dtype} = {length:,} bytes, "
            f"found {held:,} bytes, {packed:,} compressed"
        )
    return _Member(name, shape, dtype)


def _channels_last(path: str, x: _Member, layout: str | None) -> bool:
    """Whether x is (n, h, w, c): as `layout` says, which is required if x looks like it."""
    if layout is not None or len(x.shape) != 4:
        return layout == "channels_last" and len(x.shape) == 4
    _, first, middle, last = x.shape
    picture = last in _CHANNELS and last < min(first, middle) and first not in (*_CHANNELS, 2)
    square = last in _CHANNELS and first == middle and (first, middle, last) != (1, 1, 1)
    if picture or square:
        raise ValueError(
            f"{path}: {x.name} has shape {x.shape}: (channels, height, width) may be "
            f"{(first, middle, last)} or {(last, first, middle)}: choose with "
            f"layout='channels_first' or layout='channels_last' (--layout on the command line)"
        )
    return False


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _read_labels(archive: zipfile.ZipFile, path: str, y: _Member) -> np.ndarray:
    labels = read_labels(f"{path}: {y.name}", _read(archive, y.name))
    check_labels(f"{path}: {y.name}", labels)
    return labels.astype(np.int64)


def _read_samples(archive: zipfile.ZipFile, x: _Member, channels_last: bool) -> np.ndarray:
    samples = _read(archive, x.name)
    if channels_last:
        samples = np.ascontiguousarray(samples.transpose(0, 3, 1, 2))
    elif samples.ndim == 3:
        samples = samples[:, None]
    return to_unit(samples) if samples.dtype == np.uint8 else samples
