"""The published data sets: their files and mirrors, and downloads into the cache directory."""

# Design:
# pooch receives a file under another name, and renames it only if its MD5 is that published by its
# authors, so a file with the final name is complete and mirrors need not be trusted.
# If a mirror fails, the reason is recorded and the next one is tried; an error of the local disk is
# raised as OSError at once, since no mirror can help.
# pooch and network modules are imported where they are used: a data set that is in CNNX_DATA or in
# the cache needs neither, and `import cnnx` stays fast.

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from .. import terminal
from ..log import logger

_TIMEOUT = 30.0  # seconds without a byte


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

    An existing file with the right checksum is used. Raises `DownloadError` if every mirror failed,
    OSError if the disk did, ImportError without pooch.
    """
    by_hand = (
        f"put {file.name} (MD5 {file.md5}) into {folder}, or point the variable CNNX_DATA to a "
        "directory that holds the data set."
    )
    try:
        import pooch
        from requests.exceptions import RequestException
    except ImportError as error:
        raise ImportError(
            f"{file.name} is downloaded with pooch: pip install 'cnnx[data]'. Without it, {by_hand}"
        ) from error
    pooch.get_logger().setLevel("WARNING")
    terminal.note(f"downloading {file.name} ({file.size / 1e6:.1f} MB)")
    log, reasons = logger("data"), []
    for url in file.mirrors:
        loader = pooch.HTTPDownloader(
            progressbar=_bar(file), timeout=timeout, headers={"Accept-Encoding": "identity"}
        )
        log.info("downloading %s", url)
        try:
            path = pooch.retrieve(url, f"md5:{file.md5}", file.name, folder, downloader=loader)
        except RequestException as error:  # an OSError; others are those of the disk
            status = getattr(error.response, "status_code", None)
            reasons.append(f"  {url}: {f'HTTP {status}' if status else error}")
        except ValueError:
            reasons.append(f"  {url}: wrong checksum, expected MD5 {file.md5}")
        else:
            log.info("downloaded %s", path)
            return str(path)
        log.warning("download failed: %s", reasons[-1].strip())
    raise DownloadError(
        f"could not download {file.name}:\n" + "\n".join(reasons) + f"\n"
        f"Without a network, {by_hand}"
    )


def _bar(file: RemoteFile) -> Any:
    """A progress bar of tqdm; False without it, or without a place to draw one."""
    try:
        from tqdm import tqdm
    except ImportError:
        return False
    if sys.stderr is None or getattr(sys.stderr, "closed", False):
        return False
    return tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, file=sys.stderr)


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
