"""Image folders with one subfolder per class: `load_folder`, and `load_folders` for train/test."""

# Design:
# A file in a class folder is an image (by its suffix), a file that is known to accompany images, or
# one that the user may miss; the last kind is reported in one warning. Headers are read first: they
# give the size of the whole array, and images of different sizes are found before any is decoded.
# Then images are read one by one, each into its place in the array.
# Names are written to text files (tables, models): bytes that are not UTF-8 are escaped as \xe9.

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .datasets import Dataset
from .images import SUFFIXES, Look, behind, read_header, read_image, uniform
from .limits import check_memory

if TYPE_CHECKING:
    from cnnx.typing import Colour

__all__ = [
    "Sample",
    "Survey",
    "class_samples",
    "load_folder",
    "load_folders",
    "sample_names",
    "survey",
]

Path = str | os.PathLike[str]
Sample = tuple[str, int]  # path of an image relative to the root, and its label

_BESIDE = (
    *(".txt", ".md", ".rst", ".html", ".htm", ".pdf", ".log", ".ini", ".db"),
    *(".csv", ".tsv", ".json", ".xml", ".yaml", ".yml"),
)
_NO_CLASSES = ("__MACOSX", "@eaDir")  # created by archive tools and network drives
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")


class Survey(NamedTuple):
    """What a folder holds, known from names and headers."""

    root: str
    classes: tuple[str, ...]
    parts: list[list[Sample]]  # of one set, or of train and test
    shape: tuple[int, int, int]  # channels, height, width of all images, as they will be read
    deep: bool  # whether some pixels are not just 8-bit numbers


def load_folder(
    path: Path,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    background: Colour | None = None,
    invert: bool = False,
) -> Dataset:
    """Data set of a folder that contains one folder of images per class.

    size, channels, background, invert
               as in `load_image`, which reads each image; without size, all images must have the
               same size; without channels, it is 1 if all images are grey, else 3

    returns    x (n, channels, h, w) float32 in [0, 1]; y (n,) int64; classes, the sorted names of
               the folders; names, the sorted image paths relative to `path` ("cat/1.png")

    Text files and names that begin with a dot are ignored; a UserWarning lists other files that are
    left out, and images of one colour. Raises ValueError naming an image that has another size or
    cannot be read, and if x would take more than half of the machine's memory.

    Example: `train, test = train_test_split(load_folder("flowers", size=64))`
    """
    look = Look.of("load_folder", size, channels, background, invert)
    root = os.path.expanduser(os.fsdecode(path))
    _check_one("load_folder", root, _parts(root))
    return _read(survey(path, look), look)[0]


def load_folders(
    path: Path,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    background: Colour | None = None,
    invert: bool = False,
) -> tuple[Dataset, Dataset | None]:
    """Training and test set of a folder with subfolders ``train`` and ``test``.

    Each subfolder, and the arguments, are as in `load_folder`. ``training``, and ``testing``,
    ``val``, ``valid`` or ``validation`` are accepted too. Classes are matched by name: labels are
    indices of the training set's classes, some of which the test set may lack. Names are paths
    relative to `path` ("train/cat/1.png").

    returns    train, test; test is None if `path` contains class folders

    Raises and warns as `load_folder`; a class that only the test set has is a ValueError.

    Example: `train, test = load_folders("flowers", size=64)`
    """
    look = Look.of("load_folders", size, channels, background, invert)
    train, *test = _read(survey(path, look), look)
    return train, (test[0] if test else None)


def class_samples(
    op: str, path: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[Sample]]:
    """Class names, and each image's path relative to `path` with its label; nothing is read.

    classes  names of the labels, of which some folders may be missing; None: those of the folders
    """
    _check_one(op, path, _parts(path))
    found = [*classes] if classes is not None else _folders(path)
    left_out = _images_at(path)
    if not _folders(path):
        held = _some(left_out, "image") if left_out else "no folder"
        raise ValueError(f"{path}: expected a folder of images for each class, found {held}")
    samples = _samples(path, "", found, left_out)
    if left_out:
        _warn(_left_out_words(path, left_out))
    return tuple(map(_text, found)), samples


def survey(path: Path, look: Look) -> Survey:
    """What `load_folders` would read: all names and all headers, but no pixels."""
    root = os.path.expanduser(os.fsdecode(path))
    parts = _parts(root)
    classes = _folders(os.path.join(root, parts[0]))
    left_out = _images_at(root)
    if not classes:
        held = _some(left_out, "image") if left_out else "no folder"
        raise ValueError(f"{root}: expected a folder of images for each class, found {held}")
    samples = [_samples(root, part, classes, left_out) for part in parts]
    if left_out:
        _warn(_left_out_words(root, left_out))
    files = [file for part in samples for file, _ in part]
    return Survey(root, tuple(map(_text, classes)), samples, *_common_shape(root, files, look))


def sample_names(files: list[str]) -> tuple[str, ...]:
    """Names of samples: paths with slashes."""
    return tuple(_text(file).replace(os.sep, "/") for file in files)


def _check_one(op: str, root: str, parts: list[str]) -> None:
    """ValueError for a folder of folders for train and test."""
    if len(parts) > 1:
        raise ValueError(
            f"{root}: expected a folder of images for each class, found {' and '.join(parts)}, "
            f"which hold such folders: load_folders reads both, {op} one of them"
        )


def _images_at(root: str) -> list[str]:
    """Images beside the class folders, which are left out."""
    return [name for name in _names(root) if name.lower().endswith(SUFFIXES)]


def _left_out_words(root: str, left_out: list[str]) -> str:
    return f"{root}: left out: {_some(left_out, 'file')}; images are {', '.join(SUFFIXES)}"


def _parts(root: str) -> list[str]:
    """The folders for train and test; [""], the root itself, if there are none."""
    folders = {name.lower(): name for name in _folders(root)}
    train = [folders[name] for name in _TRAIN if name in folders]
    test = [folders[name] for name in _TEST if name in folders]
    if not train or not test or len(train) + len(test) < len(folders):
        return [""]
    if not all(_folders(os.path.join(root, name)) for name in train + test):
        return [""]  # classes that happen to have these names
    for name in (*train[1:], *test[1:]):
        _warn(f"{os.path.join(root, name)} is left out: {train[0]} and {test[0]} are read")
    return [train[0], test[0]]


def _read(found: Survey, look: Look) -> list[Dataset]:
    """One data set per part, all with the classes of the first part."""
    shape = (sum(map(len, found.parts)), *found.shape)
    check_memory(found.root, "the array", shape, "scale them by size= (--resize)")
    look = look._replace(channels=found.shape[0])
    plain: dict[str, str] = {}  # images of one colour, and the remark about them
    sets = [_load(found, samples, look, plain) for samples in found.parts]
    if plain:
        said = max(plain.values(), key=len)
        _warn(
            f"{found.root}: all pixels have the same value in {_some(list(plain), 'image')}{said}"
        )
    return sets


def _load(found: Survey, samples: list[Sample], look: Look, plain: dict[str, str]) -> Dataset:
    x = np.empty((len(samples), *found.shape), np.float32)
    for pixels, (file, _) in zip(x, samples, strict=True):
        pixels[...] = read_image(os.path.join(found.root, file), look)
        if uniform(pixels):
            plain[file] = behind(pixels, look)
    y = np.array([label for _, label in samples], np.int64)
    names = sample_names([file for file, _ in samples])
    return Dataset(x, y, found.classes, names)


def _samples(root: str, part: str, classes: list[str], left_out: list[str]) -> list[Sample]:
    """The images of a part; appends paths that the user may miss to left_out."""
    found = _folders(os.path.join(root, part))
    labels = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in found if name not in labels]
    if unknown:
        raise ValueError(
            f"{os.path.join(root, part)}: found a folder for {', '.join(unknown)}, but the classes "
            f"are {', '.join(classes)}"
        )
    samples = []
    for name in found:
        folder = os.path.join(part, name)
        entries = [os.path.join(folder, entry) for entry in _names(os.path.join(root, folder))]
        images = [entry for entry in entries if entry.lower().endswith(SUFFIXES)]
        others = [entry for entry in entries if not entry.lower().endswith(SUFFIXES + _BESIDE)]
        if not images:
            held = _some(others, "file") if others else "none"
            raise ValueError(
                f"{os.path.join(root, folder)}: found {held}, expected images: "
                f"{', '.join(SUFFIXES)}"
            )
        samples += [(image, labels[name]) for image in images]
        left_out += others
    return samples


def _common_shape(root: str, files: list[str], look: Look) -> tuple[tuple[int, int, int], bool]:
    """(channels, height, width) of all images, and whether one is deep, from their headers."""
    first = read_header(os.path.join(root, files[0]))
    size, channels, deep = look.size or first.size, first.channels, False
    for file in files:
        header = read_header(os.path.join(root, file))
        if look.size is None and header.size != size:
            raise ValueError(
                f"{os.path.join(root, file)}: {header.size[1]} x {header.size[0]} pixels (width x "
                f"height), but {files[0]} has {size[1]} x {size[0]}; all must have one size: size= "
                f"(on the command line --resize) scales them"
            )
        channels, deep = max(channels, header.channels), deep or header.deep
    return (look.channels or channels, *size), deep


def _names(folder: str) -> list[str]:
    """The sorted names in a folder, without those that begin with a dot."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _folders(folder: str) -> list[str]:
    found = []
    for name in _names(folder):
        path = os.path.join(folder, name)
        if os.path.islink(path) and not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, "a broken link", path)
        if os.path.isdir(path) and name not in _NO_CLASSES:
            found.append(name)
    return found


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _some(names: list[str], unit: str) -> str:
    """Text for one name or several; for none, that there is none."""
    if len(names) < 2:
        return names[0] if names else f"no {unit}"
    return f"{len(names)} {unit}s such as {names[0]}"


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)
