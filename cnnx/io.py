"""Files: arrays and JSON in one `.npz`, written whole or not at all, read without trust.

An `.npz` of cnnx is a zip archive of uncompressed `.npy` entries beside one text entry,
`meta.json`. `numpy.load` opens it too; nothing in it is ever unpickled.
"""

# Design:
# Writing goes to a temporary file in the same directory, reaches the disk (fsync), and takes the
# old file's place in one step (`os.replace`). Whatever fails on the way (a full disk, Ctrl-C, a
# power cut) leaves the old file as it was.
# Reading believes no size that the file declares: entries are stored, not compressed, so all of
# them together can be no larger than the file, and an array's header must ask for exactly the
# bytes that follow it. That is checked before memory is taken. `numpy.load` would allocate first.
# zipfile is imported where it is used: it costs 10 ms, and most programs read no file first.

from __future__ import annotations

import errno
import io
import json
import math
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

__all__ = ["atomic_write", "load_npz", "save_npz", "write_text_atomic"]

Path = str | os.PathLike[str]

_META = "meta.json"
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What zipfile (beside BadZipFile), the .npy reader and json raise on bytes they did not write.
_DAMAGE = (
    ValueError,  # UnicodeDecodeError and JSONDecodeError are ValueErrors
    EOFError,
    KeyError,
    IndexError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,  # an encrypted entry
    struct.error,
)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write into, which becomes `path` when the ``with`` ends well.

    If the block or the disk fails, `path` stays as it was (or absent) and nothing else is left.

    Example: ``with atomic_write("a.bin") as file: file.write(b"...")``
    """
    target = os.path.realpath(path)  # a link stays a link: what it points to is replaced
    if os.path.exists(target) and not os.path.isfile(target):
        raise IsADirectoryError(errno.EISDIR, "not a regular file", os.fspath(path))
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f".{name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    except OSError as error:  # in the user's words: the temporary name would only puzzle
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(temporary, os.stat(target).st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(directory)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows alone has it


def _sync_directory(directory: str) -> None:
    # The rename itself lives in the directory. Not every system can sync one; the file is safe.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text (CSV, JSON) to `path`, whole or not at all.

    Example: ``write_text_atomic("history.csv", "epoch,loss\\n1,0.5\\n")``
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def save_npz(path: Path, arrays: Mapping[str, np.ndarray], meta: Any = None) -> None:
    """Write named arrays and a JSON value to exactly `path` (no ``.npz`` is added).

    arrays  name -> array of booleans, integers, floats or complex numbers
    meta    anything that `json.dumps` takes

    TypeError for another dtype or a meta that is not JSON, ValueError for the name ``meta.json``,
    OSError when the disk refuses; in all cases an older file at `path` is untouched.

    Example: ``save_npz("a.npz", {"w": np.ones(3)}, {"epoch": 4})``
    """
    import zipfile

    text = json.dumps({"arrays": list(arrays), "meta": meta}, indent=1)
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind not in "biufc":
            raise TypeError(f"save_npz: array {name!r} has dtype {np.asarray(array).dtype}")
        if f"{name}.npy" == _META or name == _META:
            raise ValueError(f"save_npz: the name {name!r} is taken")
    with (
        atomic_write(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        # ZipInfo's own date, 1980, and not today's: the same content is the same bytes.
        archive.writestr(zipfile.ZipInfo(_META), text)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def load_npz(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """Read what `save_npz` wrote: ({name: array}, meta).

    A file that is damaged, cut short, of another kind, or that lies about its sizes is a ValueError
    that names the file and what is wrong; no file at all is the usual FileNotFoundError.

    Example: ``arrays, meta = load_npz("a.npz")``
    """
    import zipfile

    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _read_archive(file, size)
        except (zipfile.BadZipFile, *_DAMAGE) as error:
            reason = _explain(file, size, error)
        except OSError as error:
            if error.errno != errno.EINVAL:  # an offset before the start of the file
                raise
            reason = f"damaged: {error}"
    raise ValueError(f"{os.fspath(path)!r} cannot be read: {reason}")


def _read_archive(file: IO[bytes], size: int) -> tuple[dict[str, np.ndarray], Any]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) != len(names):
            raise ValueError("damaged: two entries have the same name")
        if _META not in names:
            raise ValueError(f"not a file of cnnx (it has no {_META})")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it has compressed entries, which cnnx never writes")
        declared = sum(entry.file_size for entry in entries)
        if declared > size:
            raise ValueError(f"damaged: its entries claim {declared} bytes, it has {size}")
        content = json.loads(archive.read(_META).decode("utf-8"))
        if not isinstance(content, dict) or not {"arrays", "meta"} <= set(content):
            raise ValueError(f"not a file of cnnx (its {_META} is another one)")
        arrays = {
            name.removesuffix(".npy"): _parse_array(name, archive.read(name))
            for name in names
            if name != _META
        }
    if list(arrays) != content["arrays"]:
        raise ValueError(f"damaged: it holds arrays {list(arrays)}, not {content['arrays']}")
    return arrays, content["meta"]


def _parse_array(name: str, content: bytes) -> np.ndarray:
    """The array in the bytes of one `.npy` entry; ValueError unless header and length agree."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _READ_HEADER:
        raise ValueError(f"entry {name!r} has .npy version {version}, expected 1.0 or 2.0")
    shape, fortran_order, dtype = _READ_HEADER[version](stream)
    if dtype.kind not in "biufc":
        raise ValueError(f"entry {name!r} holds {dtype}, and only numbers are read (no pickles)")
    start = stream.tell()
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != len(content) - start:
        raise ValueError(
            f"damaged: entry {name!r} claims shape {shape} of {dtype}, but holds "
            f"{len(content) - start} bytes"
        )
    flat = np.frombuffer(content, dtype, offset=start).astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _explain(file: IO[bytes], size: int, error: BaseException) -> str:
    """What kind of file it is instead, as far as its first bytes tell."""
    file.seek(0)
    head = file.read(8)
    if size == 0:
        return "it is empty"
    if head.startswith(b"\x80"):
        return "it is a Python pickle, which cnnx never opens: it could run any code"
    if head.startswith(b"\x93NUMPY"):
        return "it is a single .npy array, not a file of cnnx"
    if not head.startswith(b"PK"):
        return "it is not a file of cnnx (no .npz archive)"
    if isinstance(error, ValueError):
        return str(error)
    return f"damaged or cut short ({type(error).__name__}: {error})"
