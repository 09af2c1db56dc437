"""File formats of the published data sets: IDX (MNIST) and CIFAR-10 records.

Functions take paths and return plain arrays, from which `datasets` makes `Dataset`s.
"""

# Design:
# Files are untrusted until they are parsed. The size that a header claims is compared with the
# file's length before memory is allocated; compressed data is limited by deflate's maximum ratio.
# Invalid content is a ValueError that begins with the path, then states what was expected and what
# was found. Errors of the file system (missing, not readable) remain OSErrors.
# Modules for single formats are imported where they are used, so that `import cnnx` stays fast.

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from .limits import DEFLATE_RATIO

_MAX_IDX_BYTES = 1 << 31  # 45 times the training images of MNIST
_CHUNK = 1 << 20  # bytes read at a time
_CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes: label, then the red, green and blue planes


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels 0..255 as float32 in [0, 1]."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def _check_labels(path: str, labels: np.ndarray, classes: int) -> None:
    if labels.size and labels.max() >= classes:
        where = int(np.argmax(labels >= classes))
        raise ValueError(
            f"{path}: label {labels[where]} at position {where}; expected 0..{classes - 1}"
        )


# IDX


def read_idx(
    path: str, shape: tuple[int | None, ...], note: str = "", limit: int = _MAX_IDX_BYTES
) -> np.ndarray:
    """Array of an IDX file of unsigned bytes, gzip-compressed or not (detected from its content).

    path   the file
    shape  the expected dimensions; None stands for any size
    note   added to the message when the dimensions differ
    limit  maximum number of data bytes that the file may claim
    returns uint8 array of that shape

    The format: two zero bytes, type code (08 = unsigned byte), number of dimensions, each
    dimension as a big-endian 32-bit integer, then the values in C order.
    """
    import gzip
    import zlib

    size = os.path.getsize(path)
    with open(path, "rb") as plain:
        if plain.read(2) != b"\x1f\x8b":
            plain.seek(0)
            return _parse_idx(plain, path, shape, note, min(size, limit))
        plain.seek(0)
        try:
            with gzip.GzipFile(fileobj=plain, mode="rb") as unpacked:
                return _parse_idx(unpacked, path, shape, note, min(size * DEFLATE_RATIO, limit))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged or truncated gzip file ({error})") from error


def _parse_idx(
    file: IO[bytes] | Any, path: str, shape: tuple[int | None, ...], note: str, possible: int
) -> np.ndarray:
    magic = file.read(4)
    wanted = bytes((0, 0, 8, len(shape)))
    if magic != wanted:
        raise ValueError(
            f"{path}: not an IDX file of unsigned bytes in {len(shape)} dimensions: it begins with "
            f"{magic.hex(' ') or 'nothing'}, expected {wanted.hex(' ')}"
        )
    header = file.read(4 * len(shape))
    if len(header) != 4 * len(shape):
        raise ValueError(
            f"{path}: ends within its IDX header, after {4 + len(header)} of "
            f"{4 + 4 * len(shape)} bytes"
        )
    dims = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    if any(want is not None and want != got for want, got in zip(shape, dims, strict=True)):
        expected = "(" + ", ".join("n" if want is None else str(want) for want in shape) + ")"
        raise ValueError(f"{path}: expected dimensions {expected}{note}, found {dims}")
    length = math.prod(dims)
    if length > possible:
        raise ValueError(
            f"{path}: its header claims {dims} = {length:,} bytes, but the file can hold at most "
            f"{possible:,}"
        )
    # Read one byte more than the header claims: this detects surplus data, and makes the reader
    # verify the checksum at the end of a gzip file.
    data = bytearray()
    while len(data) <= length:
        chunk = file.read(min(_CHUNK, length + 1 - len(data)))
        if not chunk:
            break
        data += chunk
    if len(data) != length:
        found = "more" if len(data) > length else f"{len(data):,}"
        raise ValueError(
            f"{path}: its header claims {dims} = {length:,} bytes of data, found {found}"
        )
    return np.frombuffer(data, np.uint8).reshape(dims)


def read_mnist(images: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) float32 in [0, 1] and labels (n,) int64 from a pair of IDX files.

    Example: `x, y = read_mnist("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")`
    """
    y = read_idx(labels, (None,), limit=_MAX_IDX_BYTES // (28 * 28))  # as many as images allowed
    _check_labels(labels, y, 10)
    note = f" ({os.path.basename(labels)} holds {len(y)} labels)"
    pixels = read_idx(images, (len(y), 28, 28), note)
    return to_unit(pixels[:, None]), y.astype(np.int64)


# CIFAR-10


def read_cifar(paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) float32 in [0, 1] and labels (n,) int64 from CIFAR-10 binary files.

    A file contains any number of complete records of 3073 bytes: the label, then the red, green and
    blue planes of 1024 bytes, row by row. Records are returned in the order of the files.
    """
    counts = []
    for path in paths:
        size = os.path.getsize(path)
        if size == 0 or size % _CIFAR_RECORD:
            raise ValueError(
                f"{path}: expected whole CIFAR-10 records of {_CIFAR_RECORD} bytes, found "
                f"{size:,} bytes = {size // _CIFAR_RECORD:,} records and {size % _CIFAR_RECORD} "
                f"bytes"
            )
        counts.append(size // _CIFAR_RECORD)
    x = np.empty((sum(counts), 3, 32, 32), np.float32)
    y = np.empty(sum(counts), np.int64)
    start = 0
    for path, count in zip(paths, counts, strict=True):
        records = np.fromfile(path, np.uint8, count * _CIFAR_RECORD)
        records = records.reshape(count, _CIFAR_RECORD)
        _check_labels(path, records[:, 0], 10)
        y[start : start + count] = records[:, 0]
        x[start : start + count] = to_unit(records[:, 1:]).reshape(count, 3, 32, 32)
        start += count
    return x, y
