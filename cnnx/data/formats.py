"""The files that data sets come in: IDX (MNIST), CIFAR-10 records, npz archives, image folders.

Every function takes paths and returns plain arrays; `datasets` makes `Dataset`s of them.
"""

# Design:
# A file is hostile until it is parsed. What its header claims is compared with its real length
# before an array of the claimed size is made; compressed data is bounded by what deflate can do.
# Whatever is wrong with the content is a ValueError that begins with the path, then says what was
# expected and what was found. Errors of the file system (missing, not readable) stay OSErrors.
# Modules that only some formats need are imported where they are used: `import cnnx` stays light.

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import zipfile

    from PIL import Image

_DEFLATE_RATIO = 1032  # bytes that one byte of deflate can become at most
_MAX_IDX_BYTES = 1 << 31  # 45 times the training images of MNIST
_CHUNK = 1 << 20  # bytes read at a time
_CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes: label, then the red, green and blue planes
_MAX_CLASSES = 1 << 16  # more than any known image data set has (ImageNet-21k: 21,841)
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_GREY_MODES = ("1", "L", "LA")
_COLOUR_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")


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


def read_idx(path: str, shape: tuple[int | None, ...], note: str = "") -> np.ndarray:
    """Array of an IDX file of unsigned bytes, gzip-compressed or not (its first bytes tell).

    path   the file
    shape  the dimensions expected; None stands for any size
    note   added to the message when the dimensions differ
    returns uint8 array of that shape

    The format: two zero bytes, type code (08 = unsigned byte), number of dimensions, each
    dimension as a big-endian 32-bit integer, then the values in C order.
    """
    import gzip
    import zlib

    with open(path, "rb") as plain:
        if plain.read(2) != b"\x1f\x8b":
            plain.seek(0)
            return _parse_idx(plain, path, shape, note, ratio=1)
        plain.seek(0)
        try:
            with gzip.GzipFile(fileobj=plain, mode="rb") as unpacked:
                return _parse_idx(unpacked, path, shape, note, ratio=_DEFLATE_RATIO)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged or truncated gzip file ({error})") from error


def _parse_idx(
    file: IO[bytes] | Any, path: str, shape: tuple[int | None, ...], note: str, ratio: int
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
    possible = os.path.getsize(path) * ratio
    if length > min(possible, _MAX_IDX_BYTES):
        raise ValueError(
            f"{path}: its header claims {dims} = {length:,} bytes, but the file can hold at most "
            f"{min(possible, _MAX_IDX_BYTES):,}"
        )
    # One byte more than the header claims is asked for: it shows surplus data, and at the end of
    # a gzip file it makes the reader verify the checksum.
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
    """Images (n, 1, 28, 28) float32 in [0, 1] and labels (n,) int64 of a pair of IDX files.

    Example: `x, y = read_mnist("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")`
    """
    y = read_idx(labels, (None,))
    _check_labels(labels, y, 10)
    note = f" ({os.path.basename(labels)} holds {len(y)} labels)"
    pixels = read_idx(images, (len(y), 28, 28), note)
    return to_unit(pixels[:, None]), y.astype(np.int64)


# CIFAR-10


def read_cifar(paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) float32 in [0, 1] and labels (n,) int64 of CIFAR-10 binary files.

    A file is any number of whole records of 3073 bytes: the label, then the red, green and blue
    planes of 1024 bytes, row by row. The files' records follow each other in the order given.
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


# npz


def read_npz(path: str) -> dict[str, np.ndarray]:
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
        if min(shape, default=0) < 0 or length != held or held > packed * _DEFLATE_RATIO:
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


# Folders of images


def read_image_folder(path: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images (n, c, h, w) float32 in [0, 1], labels (n,) int64 and class names of a folder.

    Every sub-folder is a class, in the order of the names; its .png, .jpg and .jpeg files are the
    samples, other files and names that begin with a dot are left alone. c is 1 where all images
    are grey, else 3; transparency is dropped. All images must have one size.
    """
    names = sorted(entry.name for entry in os.scandir(path) if _is_class(entry))
    if not names:
        raise ValueError(f"{path}: expected a folder for each class, found no folder")
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "load_folder reads images with Pillow: pip install 'cnnx[images]'"
        ) from error
    files, labels = [], []
    for label, name in enumerate(names):
        images = sorted(
            entry.path
            for entry in os.scandir(os.path.join(path, name))
            if entry.name.lower().endswith(_IMAGE_SUFFIXES) and not entry.name.startswith(".")
        )
        if not images:
            raise ValueError(
                f"{os.path.join(path, name)}: expected images ({', '.join(_IMAGE_SUFFIXES)}), "
                f"found none"
            )
        files += images
        labels += [label] * len(images)
    size, grey = _size_and_colour(Image, files)
    x = np.empty((len(files), 1 if grey else 3, size[1], size[0]), np.float32)
    for pixels, file in zip(x, files, strict=True):
        image = read_pixels(Image, file, "L" if grey else "RGB")
        pixels[...] = to_unit(image.reshape(size[1], size[0], -1).transpose(2, 0, 1))
    return x, np.array(labels, np.int64), names


def _is_class(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _size_and_colour(image_module: Any, files: list[str]) -> tuple[tuple[int, int], bool]:
    """(width, height) that all files share, and whether all are grey; reads the headers only."""
    first: tuple[int, int] | None = None
    grey = True
    for file in files:
        with _open_image(image_module, file) as image:
            if image.mode not in _GREY_MODES + _COLOUR_MODES:
                raise ValueError(f"{file}: pixels of mode {image.mode}, expected 8-bit grey or RGB")
            if first is None:
                first = image.size
            if image.size != first:
                raise ValueError(
                    f"{file}: {image.size[0]} x {image.size[1]} pixels (width x height), but "
                    f"{files[0]} has {first[0]} x {first[1]}; all images must have one size"
                )
            grey = grey and image.mode in _GREY_MODES
    assert first is not None
    return first, grey


def _open_image(image_module: Any, file: str) -> Image.Image:
    import warnings

    with warnings.catch_warnings():
        # Pillow only warns of a header that claims more pixels than any photo has.
        warnings.simplefilter("error", image_module.DecompressionBombWarning)
        try:
            return image_module.open(file, formats=("PNG", "JPEG"))
        except (
            image_module.DecompressionBombWarning,
            image_module.DecompressionBombError,
            OSError,
            SyntaxError,
            ValueError,
        ) as error:
            # Pillow's own OSErrors, of damaged content, have no number.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(f"{file}: not a PNG or JPEG image ({error})") from error


def read_pixels(image_module: Any, file: str, mode: str) -> np.ndarray:
    with _open_image(image_module, file) as image:
        try:
            if image.mode in ("P", "PA"):
                # A palette may hold transparency, which Pillow takes off by way of RGBA only.
                return np.asarray(image.convert("RGBA").convert(mode))
            return np.asarray(image.convert(mode))
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise ValueError(f"{file}: damaged or truncated image ({error})") from error
