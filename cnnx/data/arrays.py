"""Arrays of the user in an .npz file: `load_arrays`."""

# Design:
# A file is hostile until it is parsed: what its header claims is compared with its real length
# before an array of the claimed size is made; compressed data is bounded by what deflate can do.
# Whatever is wrong with the content is a ValueError that begins with the path. Pickled objects are
# never read.

from __future__ import annotations

import errno
import math
import os
from typing import TYPE_CHECKING

import numpy as np

from .datasets import Dataset
from .formats import DEFLATE_RATIO, to_unit

if TYPE_CHECKING:
    import zipfile

__all__ = ["load_arrays"]

_MAX_CLASSES = 1 << 16  # more than any known image data set has (ImageNet-21k: 21,841)


def load_arrays(path: str | os.PathLike[str]) -> tuple[Dataset, Dataset | None]:
    """Train and test of an .npz file with arrays x and y, and optionally x_test and y_test.

    x is (n, c, h, w), (n, h, w), which gets a channel axis, or (n, features); uint8 becomes float32
    in [0, 1], other numbers are kept. y (n,) are integers from 0. test is None where the file has
    none. Objects are never unpickled; a damaged or foreign file is a ValueError that names it.

    Example:
        np.savez("mine.npz", x=images, y=labels)
        train, test = cnnx.data.load_arrays("mine.npz")     # test is None
    """
    arrays = _read_npz(os.path.expanduser(os.fspath(path)))
    labels = [arrays[name] for name in ("y", "y_test") if name in arrays]
    count = max((int(y.max()) + 1 for y in labels if y.size), default=0)
    classes = tuple(str(label) for label in range(count))
    train = Dataset(arrays["x"], arrays["y"], classes)
    if "x_test" not in arrays:
        return train, None
    return train, Dataset(arrays["x_test"], arrays["y_test"], classes)


def _read_npz(path: str) -> dict[str, np.ndarray]:
    """The arrays x, y and, where they are there, x_test and y_test of an .npz file.

    x is (n, c, h, w), (n, h, w), which gets a channel axis, or (n, features); uint8 becomes
    float32 in [0, 1], other numbers are kept. y is (n,) integers from 0, returned as int64.
    Pickled objects are never read.
    """
    import struct
    import zipfile
    import zlib

    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
                stored = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
                wanted = ["x", "y"]
                if stored & {"x_test", "y_test"}:
                    wanted += ["x_test", "y_test"]
                for name in wanted:
                    if name not in stored:
                        raise ValueError(
                            f"{path}: expected arrays x and y (and x_test with y_test), "
                            f"found no {name}, but: {', '.join(sorted(stored)) or 'nothing'}"
                        )
                arrays = {name: _read_npy(archive, name, path) for name in wanted}
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
            # A damaged directory sends the reader to a place before the file: EINVAL.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise ValueError(f"{path}: not an .npz file, or a damaged one ({error})") from error
    for x, y in (("x", "y"), ("x_test", "y_test"))[: len(arrays) // 2]:
        arrays[x] = _as_images(path, x, arrays[x])
        arrays[y] = _as_labels(path, y, arrays[y], x, len(arrays[x]))
    if "x_test" in arrays and arrays["x_test"].shape[1:] != arrays["x"].shape[1:]:
        raise ValueError(
            f"{path}: samples of x have shape {arrays['x'].shape[1:]}, "
            f"but those of x_test {arrays['x_test'].shape[1:]}"
        )
    return arrays


def _read_npy(archive: zipfile.ZipFile, name: str, path: str) -> np.ndarray:
    """One member of an npz archive; its header is compared with its length before allocation."""
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
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise ValueError(f"{path}: {name} has a damaged npy header ({error})") from error
        if dtype.kind not in "biuf":
            kind = "Python objects" if dtype.hasobject else f"dtype {dtype}"
            raise ValueError(f"{path}: {name} holds {kind}, expected real numbers")
        length = math.prod(shape) * dtype.itemsize
        held = info.file_size - member.tell()
        packed = min(info.compress_size, os.path.getsize(path))
        if min(shape, default=0) < 0 or length != held or held > packed * DEFLATE_RATIO:
            raise ValueError(
                f"{path}: the header of {name} claims {shape} of {dtype} = {length:,} bytes, "
                f"found {held:,} bytes, {packed:,} compressed"
            )
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _as_images(path: str, name: str, x: np.ndarray) -> np.ndarray:
    if x.ndim not in (2, 3, 4):
        raise ValueError(
            f"{path}: {name} has shape {x.shape}, expected (n, c, h, w), (n, h, w) or (n, features)"
        )
    if x.dtype == np.uint8:
        x = to_unit(x)
    return x[:, None] if x.ndim == 3 else x


def _as_labels(path: str, name: str, y: np.ndarray, x_name: str, count: int) -> np.ndarray:
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: {name} has shape {y.shape} of {y.dtype}, expected (n,) integer labels"
        )
    if len(y) != count:
        raise ValueError(f"{path}: {x_name} has {count} samples, but {name} has {len(y)}")
    if y.size and (y.min() < 0 or y.max() >= _MAX_CLASSES):
        raise ValueError(
            f"{path}: {name} has labels {y.min()}..{y.max()}, expected 0..(classes - 1), "
            f"at most {_MAX_CLASSES - 1}"
        )
    return y.astype(np.int64)
