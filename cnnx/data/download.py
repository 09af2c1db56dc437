"""The published data sets: their files and mirrors, and downloads into the cache directory."""

# Design:
# A file is received into `<name>.part` and renamed only if its length and MD5 match those published
# by its authors, so a file with the final name is complete. Mirrors therefore need not be trusted,
# any mirror can continue another's partial download, and an interrupted download resumes.
# If a mirror fails, the reason (a str) is recorded and the next one is tried; an error of the local
# disk is raised as OSError at once, since no mirror can help.
# Network modules are imported where they are used, so that `import cnnx` stays fast.

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NamedTuple

from .. import terminal

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18  # bytes
_ATTEMPTS = 5  # per mirror, each continuing where the last one stopped


class RemoteFile(NamedTuple):
    """A published file: its name, length in bytes, MD5 (hex), and the URLs that serve it."""

    name: str
    size: int
    md5: str
    mirrors: tuple[str, ...]


class Source(NamedTuple):
    """What a loader looks for: title, sub-directories, file name patterns, files to download.

    archive is the name of an .npz file that contains all of them.
    """

    loader: str
    title: str
    folders: tuple[str, ...]
    patterns: tuple[str, ...]
    remote: tuple[RemoteFile, ...]
    classes: tuple[str, ...]
    archive: str | None = None


_IDX_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _idx_files(
    sizes: tuple[int, ...], sums: tuple[str, ...], *bases: str
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, size, md5, tuple(base + name for base in bases))
        for name, size, md5 in zip(_IDX_NAMES, sizes, sums, strict=True)
    )


MNIST = Source(
    "load_mnist",
    "MNIST",
    ("mnist", "MNIST/raw", "raw"),
    _IDX_NAMES,
    _idx_files(
        (9912422, 28881, 1648877, 4542),
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    tuple("0123456789"),
    archive="mnist.npz",
)
FASHION_MNIST = Source(
    "load_fashion_mnist",
    "Fashion-MNIST",
    ("fashion-mnist", "FashionMNIST/raw", "raw"),
    _IDX_NAMES,
    _idx_files(
        (26421880, 29515, 4422102, 5148),
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)
CIFAR10 = Source(
    "load_cifar10",
    "CIFAR-10",
    ("cifar10", "cifar-10-batches-bin"),
    ("data_batch_*.bin", "test_batch.bin"),
    (
        RemoteFile(
            "cifar-10-binary.tar.gz",
            170052171,
            "c32a1d4ab5d03f1284b67883e8d87530",
            (
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
            ),
        ),
    ),
    (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
)
CIFAR10_MEMBERS = {
    f"cifar-10-batches-bin/{name}.bin": 10_000 * 3073
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
}


class DownloadError(ConnectionError):
    """No mirror could serve a file; the message lists the reasons, and what to do by hand."""


def cache_directory() -> str:
    """Where downloads are stored: `CNNX_CACHE`, or `cnnx` in the user's cache directory.

    That is `$XDG_CACHE_HOME/cnnx` or `~/.cache/cnnx` on Linux, `~/Library/Caches/cnnx` on macOS and
    `%LOCALAPPDATA%\\cnnx\\cache` on Windows. The first download creates the directory.

    Example: `cnnx.data.cache_directory()`
    """
    chosen = os.environ.get("CNNX_CACHE")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join("~", "AppData", "Local")
        return os.path.join(os.path.expanduser(base), "cnnx", "cache")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Caches/cnnx")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return os.path.join(os.path.expanduser(base), "cnnx")


def fetch(file: RemoteFile, folder: str, timeout: float = _TIMEOUT) -> str:
    """Path of `file` in `folder`, downloaded from the first mirror that serves it completely.

    An existing file with the right checksum is used, and `<name>.part` is continued.
    Raises `DownloadError` if every mirror failed, OSError if the disk did.
    """
    target = os.path.join(folder, file.name)
    part = target + ".part"
    os.makedirs(folder, exist_ok=True)
    if os.path.isfile(target) and _md5(target) == file.md5:
        return target
    reasons = []
    for url in file.mirrors:
        reason = _from_mirror(url, file, part, timeout)
        if reason is None:
            os.replace(part, target)
            return target
        reasons.append(f"  {url}: {reason}")
    raise DownloadError(
        f"could not download {file.name}:\n" + "\n".join(reasons) + f"\n"
        f"Without a network, put {file.name} (MD5 {file.md5}) into {folder}, or point the variable "
        f"CNNX_DATA to a directory that holds the data set."
    )


def _from_mirror(url: str, file: RemoteFile, part: str, timeout: float) -> str | None:
    """Complete `part` from one mirror. Returns None, or the reason why it could not."""
    reason: str | None = None
    for _ in range(_ATTEMPTS):
        before = _size(part)
        if before < file.size:
            reason = _receive(url, file, part, timeout)
        after = _size(part)
        if after >= file.size:
            found = _md5(part)
            if found == file.md5:
                return None
            os.remove(part)
            reason = f"wrong checksum: MD5 {found}, expected {file.md5}"
            if before == 0:
                return reason
            # The beginning came from another mirror, so this one is not necessarily at fault.
        elif after == before:
            return reason
    return reason


def _receive(url: str, file: RemoteFile, part: str, timeout: float) -> str | None:
    """Append the rest of `url` to `part`. Returns None, or the reason why it ended."""
    import http.client
    import urllib.error
    import urllib.request

    have = _size(part)
    headers = {"User-Agent": "cnnx", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            os.remove(part)
        return f"HTTP {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, http.client.HTTPException) as error:
        return _words(error)
    with response:
        wrong = _unusable(response, have, file.size)
        if wrong:
            return wrong
        start = have if response.status == 206 else 0
        with (
            open(part, "ab" if start else "wb") as out,
            _progress(file.name, file.size, start) as bar,
        ):
            while start < file.size:
                try:  # read1 returns what has arrived, so a timeout loses nothing
                    chunk = response.read1(min(_CHUNK, file.size - start))
                except (OSError, http.client.HTTPException) as error:
                    return f"{_words(error)} after {start:,} of {file.size:,} bytes"
                if not chunk:
                    return f"ended after {start:,} of {file.size:,} bytes"
                out.write(chunk)
                bar.update(len(chunk))
                start += len(chunk)
    return None


def _unusable(response: Any, have: int, size: int) -> str | None:
    """Why the response is not (the rest of) the file; None if it is."""
    if response.status == 206:
        content_range = response.headers.get("Content-Range", "")
        if not content_range.startswith(f"bytes {have}-"):
            return f"asked for bytes from {have}, was sent {content_range or 'an unnamed range'}"
    elif response.status != 200:
        return f"HTTP {response.status}"
    else:
        length = response.headers.get("Content-Length")
        if length is not None and length != str(size):
            return f"offers {length} bytes, expected {size}"
    return None


def unpack(archive: str, members: Mapping[str, int], folder: str) -> None:
    """Extract the files `members` (path in the archive -> bytes) of a .tar.gz into `folder`.

    Only these names are written, under their last path component, as regular files of exactly that
    length; everything else in the archive is ignored. The files get their final names once all of
    them are extracted, in the order of `members`: if the last one exists, all do.
    Raises ValueError that names the archive if it is damaged or lacks a member.
    """
    import shutil
    import tarfile
    import zlib

    paths = {name: os.path.join(folder, name.rpartition("/")[2]) for name in members}
    missing = set(members)
    os.makedirs(folder, exist_ok=True)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.name not in missing or not member.isreg():
                    continue
                if member.size != members[member.name]:
                    raise ValueError(
                        f"{archive}: {member.name} has {member.size:,} bytes, "
                        f"expected {members[member.name]:,}"
                    )
                source = tar.extractfile(member)
                assert source is not None  # never None for a regular file
                with source, open(paths[member.name] + ".part", "wb") as out:
                    shutil.copyfileobj(source, out)
                missing.discard(member.name)
        if missing:
            raise ValueError(f"{archive}: lacks {', '.join(sorted(missing))}")
        for path in paths.values():
            os.replace(path + ".part", path)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive}: damaged or truncated archive ({error})") from error
    finally:
        for path in paths.values():
            if os.path.exists(path + ".part"):
                os.remove(path + ".part")


@contextmanager
def lock(folder: str) -> Iterator[None]:
    """Lock held while files are downloaded to `folder`: other processes wait, then find them."""
    os.makedirs(folder, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows: only the checksum protects from mixed-up files
        yield
        return
    with open(os.path.join(folder, ".lock"), "w") as file:
        # Some network file systems have no locks; the checksum still protects the file.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _md5(path: str) -> str:
    import hashlib

    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


class _Lines(AbstractContextManager[Any]):
    """Progress without tqdm: a line on stderr at the start and at each quarter."""

    def __init__(self, name: str, size: int, start: int) -> None:
        self.name, self.size, self.done = name, size, start
        terminal.note(f"downloading {name} ({size / 1e6:.1f} MB)")

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, count: int) -> None:
        before, self.done = self.done, self.done + count
        if self.done * 4 // self.size > before * 4 // self.size:
            terminal.note(f"downloading {self.name}: {100 * self.done // self.size} %")


def _progress(name: str, size: int, start: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return _Lines(name, size, start)
    if sys.stderr is None or getattr(sys.stderr, "closed", False):
        return _Lines(name, size, start)
    return tqdm(total=size, initial=start, desc=name, unit="B", unit_scale=True, file=sys.stderr)
