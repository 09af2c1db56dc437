"""File format: arrays and JSON in one `.npz`, written atomically, read as untrusted input.

An `.npz` file of cnnx is a zip archive of uncompressed `.npy` entries and one text entry,
`meta.json`. `numpy.load` opens it too; nothing in it is ever unpickled.
"""

# Design:
# A file is written to a temporary file in the same directory, flushed to the disk (fsync), and
# renamed over the old file in one step (`os.replace`). If anything fails (a full disk, Ctrl-C, a
# power cut), the old file is unchanged. If the process is killed, the temporary file remains, and
# the next write to the same name removes it: the writer holds a lock (flock) on its temporary file,
# which ends with the process, so a file that can be locked is not in use.
# Reading trusts no size that the file declares: entries are stored, not compressed, so together
# they cannot be larger than the file, and an array's header must match the number of bytes that
# follow it. This is checked before memory is allocated. `numpy.load` would allocate first.
# json is imported where it is used, and zipfile where files are written (archive.py reads them).

from __future__ import annotations

import errno
import io
import math
import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

from cnnx import archive, checks

__all__ = [
    "atomic_write",
    "leftovers",
    "load_npz",
    "name_of",
    "parse_array",
    "save_npz",
    "write_text_atomic",
]

Path = str | os.PathLike[str]

_META = "meta.json"
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_DTYPES = frozenset(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
)
# Exceptions of the .npy reader and json on invalid bytes.
_DAMAGE = (
    ValueError,  # UnicodeDecodeError and JSONDecodeError are ValueErrors
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    struct.error,
)


@contextmanager
def atomic_write(path: Path, *, new: bool = False) -> Iterator[IO[bytes]]:
    """A binary file to write to, which is renamed to `path` when the ``with`` block succeeds.

    If the block or the disk fails, `path` is unchanged (or absent) and no other file remains.

    new  True: FileExistsError if the file exists by then; of two processes, only one succeeds

    Example: ``with atomic_write("a.bin") as file: file.write(b"...")``
    """
    target = os.path.realpath(path)  # a symbolic link stays, its target is replaced
    if os.path.exists(target) and not os.path.isfile(target):
        raise IsADirectoryError(errno.EISDIR, "not a regular file", os.fspath(path))
    directory, name = os.path.split(target)
    leftovers(directory, (name,), remove=True)
    temporary = ""
    try:
        temporary, descriptor, lock = _open_temporary(directory, name)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if os.path.exists(target):
                os.chmod(temporary, os.stat(target).st_mode & 0o7777)
            (_rename_to_new if new else os.replace)(temporary, target)
        finally:
            if lock is not None:
                os.close(lock)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        # Named after the user's path: a temporary name, or none at all, would be confusing.
        if isinstance(error, OSError) and error.errno and _names_no_file(error):
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        raise
    _sync_directory(directory)


def _names_no_file(error: OSError) -> bool:
    name = error.filename
    return name is None or bool(re.fullmatch(_TEMPORARY, os.path.basename(str(name))))


def leftovers(directory: Path, names: Iterable[str], *, remove: bool = False) -> list[str]:
    """Paths of temporary files of writes to `names` in `directory` whose process was killed.

    Files of writes in progress are not included. [] if the system has no locks to detect them.

    remove  whether to remove them
    """
    wanted = {name[:_NAME_LENGTH] for name in names}
    found = []
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            match = re.fullmatch(_TEMPORARY, entry.name)
            if match and match[1] in wanted and _is_abandoned(entry.path, remove):
                found.append(entry.path)
    return found


_NAME_LENGTH = 100  # of the name within a temporary name: file systems allow 255 bytes
_TEMPORARY = r"(?s)\.(.+)\.[0-9a-f]{8}\.tmp"  # compiled when a file is written
_BINARY = getattr(os, "O_BINARY", 0)  # defined on Windows only


def _open_temporary(directory: str, name: str) -> tuple[str, int, int | None]:
    """Path and descriptor of a new temporary file, and the descriptor that holds its lock."""
    while True:
        path = os.path.join(directory, f".{name[:_NAME_LENGTH]}.{os.urandom(4).hex()}.tmp")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        except FileExistsError:
            continue
        lock = _lock(descriptor)
        # Between opening and locking, another process may have removed the file as abandoned.
        if lock is None or os.path.exists(path):
            return path, descriptor, lock
        os.close(lock)
        os.close(descriptor)


def _lock(descriptor: int) -> int | None:
    """A second descriptor, which keeps the file locked until it is closed; None without locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return os.dup(descriptor)
    except (ImportError, OSError):
        return None


def _is_abandoned(path: str, remove: bool) -> bool:
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            abandoned = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if abandoned and remove:  # while locked: a writer that begins waits for the lock
                os.unlink(path)
            return abandoned
        finally:
            os.close(descriptor)
    except (ImportError, OSError):
        return False


def _rename_to_new(temporary: str, target: str) -> None:
    """Rename the file unless the target exists."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "already exists", temporary) from None
    except OSError:  # a file system without hard links: other processes cannot be excluded
        if os.path.exists(target):
            raise FileExistsError(errno.EEXIST, "already exists", temporary) from None
        os.replace(temporary, target)
    else:
        os.unlink(temporary)


def _sync_directory(directory: str) -> None:
    # The rename is stored in the directory. Not every system can sync one; the file itself is safe.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text_atomic(path: Path, text: str, *, new: bool = False) -> None:
    """Write UTF-8 text (CSV, JSON) to `path`, completely or not at all; `new` as in `atomic_write`.

    Example: ``write_text_atomic("history.csv", "epoch,loss\\n1,0.5\\n")``
    """
    with atomic_write(path, new=new) as file:
        file.write(text.encode("utf-8"))


def name_of(path: Any) -> str:
    """The name of a path or a file object in a message."""
    if hasattr(path, "read") or hasattr(path, "write"):
        name = getattr(path, "name", None)
        return repr(name) if isinstance(name, str) else f"a {type(path).__name__}"
    return repr(os.fspath(path))


def save_npz(path: Path | IO[bytes], arrays: Mapping[str, np.ndarray], meta: Any = None) -> None:
    """Write named arrays and a JSON value to exactly `path` (no ``.npz`` is added).

    path    or a binary file object (``io.BytesIO``), written in one piece from its current position
    arrays  name -> array of booleans, integers, floats or complex numbers
    meta    anything that `json.dumps` accepts

    TypeError for another dtype or a meta that is not JSON, ValueError for the name ``meta.json``,
    OSError if the disk fails; in all cases an existing file at `path` is unchanged.

    Example: ``save_npz("a.npz", {"w": np.ones(3)}, {"epoch": 4})``
    """
    import json

    text = json.dumps({"arrays": list(arrays), "meta": meta}, indent=1)
    for name, array in arrays.items():
        checks.unmasked("save_npz", repr(name), array)
        if np.asarray(array).dtype.kind not in "biufc":
            raise TypeError(f"save_npz: array {name!r} has dtype {np.asarray(array).dtype}")
        if f"{name}.npy" == _META or name == _META:
            raise ValueError(f"save_npz: the name {name!r} is taken")
    if not hasattr(path, "write"):
        with atomic_write(path) as file:
            _write_archive(file, arrays, text)
        return
    # Offsets in an archive count from its start, and an error must leave the object unchanged.
    whole = io.BytesIO()
    _write_archive(whole, arrays, text)
    if isinstance(path, io.TextIOBase):
        raise TypeError(f"save: {name_of(path)} is open as text, expected a binary file: mode 'wb'")
    path.write(whole.getbuffer())


def _write_archive(file: IO[bytes], arrays: Mapping[str, np.ndarray], text: str) -> None:
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        # ZipInfo's own date, 1980, instead of today's: the same content gives the same bytes.
        archive.writestr(zipfile.ZipInfo(_META), text)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def load_npz(path: Path | IO[bytes]) -> tuple[dict[str, np.ndarray], Any]:
    """Read a file of `save_npz`: ({name: array}, meta); `path` may be a binary file object.

    A file that is damaged, truncated, of another kind, or that declares wrong sizes is a ValueError
    that names the file and the problem; a missing file is the usual FileNotFoundError.

    Example: ``arrays, meta = load_npz("a.npz")``
    """
    with _open_to_read(path) as file:
        try:
            return _read_archive(file)
        except _DAMAGE as error:
            reason = _explain(file, error)
    raise ValueError(f"{name_of(path)} cannot be read: {reason}")


def _open_to_read(path: Path | IO[bytes]) -> IO[bytes]:
    if not hasattr(path, "read"):
        return open(path, "rb")
    content = path.read()
    if not isinstance(content, (bytes, bytearray)):
        raise TypeError(f"load: {name_of(path)} is open as text, expected a binary file: mode 'rb'")
    return io.BytesIO(content)


def _read_archive(file: IO[bytes]) -> tuple[dict[str, np.ndarray], Any]:
    import json

    entries = archive.entries(file)
    [meta, *_] = [*(entry for entry in entries if entry.name == _META), None]
    if meta is None:
        raise ValueError(f"not a file of cnnx (it has no {_META})")
    content = json.loads(archive.read(file, meta).decode("utf-8"))
    if not isinstance(content, dict) or not {"arrays", "meta"} <= set(content):
        raise ValueError(f"not a file of cnnx (its {_META} is of another kind)")
    arrays = {
        entry.name.removesuffix(".npy"): parse_array(entry.name, archive.read(file, entry))
        for entry in entries
        if entry is not meta
    }
    if list(arrays) != content["arrays"]:
        raise ValueError(f"damaged: it holds arrays {list(arrays)}, not {content['arrays']}")
    return arrays, content["meta"]


def parse_array(name: str, content: bytes) -> np.ndarray:
    """The array in the bytes of one `.npy` entry; ValueError unless header and length agree."""
    shape, fortran_order, dtype, start = _header(name, content)
    if dtype.kind not in "biufc":
        raise ValueError(f"entry {name!r} holds {dtype}, and only numbers are read (no pickles)")
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != len(content) - start:
        raise ValueError(
            f"damaged: entry {name!r} claims shape {shape} of {dtype}, but holds "
            f"{len(content) - start} bytes"
        )
    flat = np.frombuffer(content, dtype, offset=start).astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _header(name: str, content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether columns come first, dtype, and where the numbers begin."""
    found = _usual_header(content)
    if found is not None:
        return found
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _READ_HEADER:
        raise ValueError(f"entry {name!r} has .npy version {version}, expected 1.0 or 2.0")
    try:
        return (*_READ_HEADER[version](stream), stream.tell())
    except Exception as error:  # NumPy parses Python literals, and parsers raise any error
        raise ValueError(f"damaged: entry {name!r} has no array header ({error})") from error


def _usual_header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int] | None:
    """`_header`, if it is as NumPy writes it, to the letter: parsing Python takes much longer."""
    if content[:8] != b"\x93NUMPY\1\0":
        return None
    start = 10 + int.from_bytes(content[8:10], "little")
    words = content[10:start].decode("latin-1").split("'")
    if len(words) != 9:
        return None
    dtype, order, sizes = words[3], words[6][2:-2], words[8][3:].partition(")")[0].rstrip(",")
    shape = tuple([int(n) for n in sizes.split(", ") if n.isdecimal() and len(n) < 19])
    text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}"
    written = content[10:start].rstrip(b" \n") == text.encode("latin-1")
    known = dtype[:1] in ("<", ">", "|") and dtype[1:] in _DTYPES and order in ("False", "True")
    if not (written and known):
        return None
    return shape, order == "True", np.dtype(dtype), start


def _explain(file: IO[bytes], error: BaseException) -> str:
    """The actual kind of the file, as far as its first bytes show."""
    size = file.seek(0, os.SEEK_END)
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
