"""`Dataset`, and loaders of well-known data sets.

Example:
    train, test = cnnx.data.load_digits()          # bundled, needs no network
    train, test = cnnx.data.load_mnist()           # from CNNX_DATA, the cache, or a download
    x, y = test
"""

# Design:
# A loader searches in this order, and uses the first place that has the files:
#   1. the argument `directory`: the files must be there, nothing is downloaded;
#   2. CNNX_DATA, which may contain several data sets: if one is missing there, the search goes on,
#      but an incomplete one is an error, since a download would hide that files are missing;
#   3. the cache directory; 4. a download into it.
# In each place, the sub-directory named after the data set is tried first, then those used by
# torchvision, then the place itself, and last the single file used by Keras.

from __future__ import annotations

import fnmatch
import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import unmasked
from . import download, formats
from .download import CIFAR10, CIFAR10_MEMBERS, FASHION_MNIST, MNIST, Source
from .npz import read_npz

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cnnx.typing import Samples

_DIGITS = os.path.join(os.path.dirname(__file__), "digits.npz")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples with their targets: `x[i]` belongs to `y[i]`.

    x        (n, ...) array of numbers, images as (n, c, h, w)
    y        (n, ...) array: integer labels (n,), per pixel (n, h, w), or regression targets
    classes  names of the labels, `classes[label]`; may be empty
    names    a name for each sample, such as its file; may be empty

    `len(data)` is n, and `x, y = data` unpacks it. `data[10:20]`, `data[indices]` and `data[mask]`
    are Datasets, `data[3]` is the pair (x[3], y[3]). Raises ValueError if x, y and names differ in
    length, TypeError if x or y do not contain real numbers.

    Example:
        data = Dataset(np.zeros((6, 1, 8, 8), np.float32), np.arange(6) % 2, classes=("a", "b"))
        x, y = data[:4]
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        x, y = _pair(self.x, self.y, "Dataset")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "names", tuple(self.names))
        if self.names and len(self.names) != len(x):
            raise ValueError(f"Dataset: {len(x)} samples, but {len(self.names)} names")

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[np.ndarray]:
        yield self.x
        yield self.y

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Dataset(self.x[index], self.y[index], self.classes, self.names[index])
        unmasked("Dataset", "index", index)
        chosen = np.asarray(index if np.size(index) else np.asarray(index, np.intp))
        if isinstance(index, tuple) or chosen.ndim > 1 or chosen.dtype.kind not in "iub":
            raise TypeError(
                f"Dataset: expected an index, a slice, indices or a mask along the samples, "
                f"got {index!r}; index data.x and data.y for more"
            )
        if chosen.ndim == 0:
            return self.x[operator.index(index)], self.y[operator.index(index)]
        places = np.arange(len(self))[chosen] if self.names else ()
        names = tuple(self.names[i] for i in places)
        return Dataset(self.x[chosen], self.y[chosen], self.classes, names)

    def __repr__(self) -> str:
        names = f", {len(self.classes)} classes" if self.classes else ""
        return (
            f"Dataset({len(self)} samples: x {self.x.shape} {self.x.dtype}, "
            f"y {self.y.shape} {self.y.dtype}{names})"
        )


def _pair(x: ArrayLike, y: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    for part, values in (("x", x), ("y", y)):
        unmasked(name, part, values)  # NumPy would drop the mask
    samples, targets = _as_numbers(x, f"{name}: x"), _as_numbers(y, f"{name}: y")
    if len(samples) != len(targets):
        raise ValueError(f"{name}: x has {len(samples)} samples, but y has {len(targets)}")
    return samples, targets


def _as_numbers(values: ArrayLike, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not a regular array: {error}") from error
    if array.dtype.kind in "US":
        raise TypeError(
            f"{name} holds text (dtype {array.dtype}), expected numbers; "
            f"np.unique(labels, return_inverse=True) gives names and integer labels"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers")
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number, expected an array of samples")
    return array


def as_dataset(data: Samples, name: str = "data") -> Dataset:
    """`data` as a `Dataset`: a Dataset is returned unchanged, an `(x, y)` pair is wrapped.

    data  Dataset, or tuple or list of two array-likes with the same number of samples
    name  how the user calls it, for error messages

    Arrays are not copied. Raises TypeError if data is neither, ValueError if the lengths differ.

    Example: `as_dataset((np.zeros((4, 1, 8, 8)), [0, 1, 0, 1]), "train")`
    """
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, (tuple, list)):
        shape = f" of shape {data.shape}" if isinstance(data, np.ndarray) else ""
        raise TypeError(
            f"{name}: expected a Dataset or an (x, y) pair, got {type(data).__name__}{shape}"
        )
    if len(data) != 2:
        raise TypeError(
            f"{name}: expected a Dataset or an (x, y) pair, got a {type(data).__name__} of "
            f"{len(data)}"
        )
    return Dataset(*_pair(data[0], data[1], name))


# Bundled


def load_digits() -> tuple[Dataset, Dataset]:
    """Training and test set of the UCI handwritten digits: 1437 and 360 images of 8x8, bundled.

    x (n, 1, 8, 8) float32 in [0, 1] (counts 0..16, divided by 16), y (n,) int64, classes "0".."9".
    The split is stored in the file: the same fifth of every class is held out for all users.

    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0, see DIGITS.md).

    Example: `train, test = cnnx.data.load_digits()`
    """
    with np.load(_DIGITS, allow_pickle=False) as stored:
        pixels, labels, held_out = stored["x"], stored["y"], stored["test"].astype(bool)
    x = np.divide(pixels[:, None], np.float32(16), dtype=np.float32)
    whole = Dataset(x, labels.astype(np.int64), tuple("0123456789"))
    return whole[~held_out], whole[held_out]


# Published


# CRC-32 of the label values in the published files, since the two data sets share file names.
_LABEL_SUMS = {
    0xBA07E8EF: MNIST.title,
    0xEE8604D9: MNIST.title,
    0x2ED6E46A: FASHION_MNIST.title,
    0x242BC73F: FASHION_MNIST.title,
}


def load_mnist(directory: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """Training and test set of MNIST: 60,000 and 10,000 handwritten digits of 28x28 pixels.

    x (n, 1, 28, 28) float32 in [0, 1] (pixels / 255), y (n,) int64, classes "0".."9".

    directory  contains the four IDX files (.gz or unpacked, also named train-images.idx3-ubyte), or
               a sub-directory `mnist`, or torchvision's `MNIST/raw`, or Keras' file `mnist.npz`; or
               that file itself. None: `CNNX_DATA`, then the cache directory, then a download of
               12 MB into the cache.

    Raises FileNotFoundError if `directory` lacks the files, `DownloadError` (a ConnectionError) if
    no mirror answers, ValueError if a file is damaged.

    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document
    recognition, Proceedings of the IEEE 86, 1998.

    Example: `train, test = cnnx.data.load_mnist()`
    """
    return _load_digits_or_clothes(MNIST, directory)


def load_fashion_mnist(directory: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """Training and test set of Fashion-MNIST: 60,000 and 10,000 images of clothing, 28x28 pixels.

    x (n, 1, 28, 28) float32 in [0, 1] (pixels / 255), y (n,) int64, classes "T-shirt/top" ...

    directory  as in `load_mnist`, with the sub-directory `fashion-mnist` or `FashionMNIST/raw`; the
               download is 31 MB.

    H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine
    learning algorithms, arXiv:1708.07747, 2017 (MIT licence).

    Example: `train, test = cnnx.data.load_fashion_mnist()`
    """
    return _load_digits_or_clothes(FASHION_MNIST, directory)


def _load_digits_or_clothes(source: Source, directory: Any) -> tuple[Dataset, Dataset]:
    import zlib

    files = [found[0] for found in _files(source, directory)]
    if len(files) == 1:
        pairs, origins = _read_archive(files[0]), files * 2
    else:
        pairs, origins = [formats.read_mnist(*files[k : k + 2]) for k in (0, 2)], files[1::2]
    for (_, y), origin in zip(pairs, origins, strict=True):
        title = _LABEL_SUMS.get(zlib.crc32(y.astype(np.uint8).tobytes()), source.title)
        if title != source.title:
            raise ValueError(f"{origin}: expected the labels of {source.title}, found {title}'s")
    train, test = (Dataset(x, y, source.classes) for x, y in pairs)
    return train, test


def _read_archive(path: str) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = read_npz(path)
    if len(pairs) != 2:
        raise ValueError(f"{path}: expected x_test and y_test in addition to the training arrays")
    for x, y in pairs:
        if x.shape[1:] != (1, 28, 28) or y.max(initial=0) > 9:
            raise ValueError(
                f"{path}: expected images (1, 28, 28) with labels 0..9, found {x.shape[1:]} with "
                f"labels up to {y.max(initial=0)}"
            )
    return pairs


def load_cifar10(directory: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """Training and test set of CIFAR-10: 50,000 and 10,000 colour images of 32x32 pixels.

    x (n, 3, 32, 32) float32 in [0, 1] (pixels / 255), y (n,) int64, classes "airplane" ...

    directory  contains the binary version, or has it in the sub-directory `cifar10` or
               `cifar-10-batches-bin`: all data_batch_*.bin files are the training set,
               test_batch.bin is the test set, each with any number of complete records. None:
               `CNNX_DATA`, then the cache directory, then a download of 170 MB into the cache.

    Raises as `load_mnist`.

    A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.

    Example: `train, test = cnnx.data.load_cifar10()`
    """
    files = _files(CIFAR10, directory)
    train, test = (Dataset(*formats.read_cifar(paths), CIFAR10.classes) for paths in files)
    return train, test


def _files(source: Source, directory: Any) -> list[list[str]]:
    """Paths of the files of each pattern, from the first directory that has them, or a download."""
    if directory is not None:
        place = os.path.expanduser(os.fspath(directory))
        if source.archive and place.endswith(".npz") and os.path.isfile(place):
            return [[place]]
        found = find_files(source, place, source.loader)
        if found is None:
            raise FileNotFoundError(
                f"{source.loader}: found no {source.title} in {place}: looked for "
                f"{', '.join(source.patterns)} there and in its {' and '.join(source.folders)}"
            )
        return found
    if os.environ.get("CNNX_DATA"):
        found = find_files(source, os.path.expanduser(os.environ["CNNX_DATA"]), "CNNX_DATA")
        if found is not None:
            return found
    folder = os.path.join(download.cache_directory(), source.folders[0])
    matches, lacking = match_files(source, folder)
    if lacking:
        with download.lock(folder):
            _download(source, folder)
        matches, _ = match_files(source, folder)
    return matches


def _download(source: Source, folder: str) -> None:
    """Download what the cache lacks; another process may have done so while this one waited."""
    _, lacking = match_files(source, folder)
    if source is not CIFAR10:
        for file in source.remote:
            if file.name in lacking:
                download.fetch(file, folder)
    elif lacking:
        archive = download.fetch(source.remote[0], folder)
        download.unpack(archive, CIFAR10_MEMBERS, folder)
        os.remove(archive)


def find_files(source: Source, place: str, name: str) -> list[list[str]] | None:
    """The data set's files in a directory named by the user; an incomplete set is an error."""
    if not os.path.isdir(place):
        raise FileNotFoundError(f"{name}: {place} is not a directory")
    partial = ""
    for folder in (*(os.path.join(place, sub) for sub in source.folders), place):
        found, lacking = match_files(source, folder)
        if not lacking:
            return found
        if any(found) and not partial:
            partial = f"{source.loader}: {folder} lacks {', '.join(lacking)}"
    archive = os.path.join(place, source.archive or "")
    if os.path.isfile(archive):
        return [[archive]]
    if partial:
        raise FileNotFoundError(partial)
    return None


def match_files(source: Source, folder: str) -> tuple[list[list[str]], list[str]]:
    """Files in `folder` for each pattern, and the patterns without a match.

    .gz files may be unpacked, and `-idx` may be `.idx`, as in some copies of MNIST.
    """
    names = []
    if os.path.isdir(folder):
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    found = []
    for pattern in source.patterns:
        bare = pattern.removesuffix(".gz")
        forms = [p for name in (pattern, bare) for p in (name, name.replace("-idx", ".idx"))]
        fitting = next((some for p in forms if (some := fnmatch.filter(names, p))), [])
        # Sorted by length first: data_batch_10 comes after data_batch_9.
        fitting.sort(key=lambda name: (len(name), name))
        found.append([os.path.join(folder, name) for name in fitting])
    lacking = [name for name, paths in zip(source.patterns, found, strict=True) if not paths]
    return found, lacking


# The user's own


def load_arrays(
    path: str | os.PathLike[str], layout: str | None = None
) -> tuple[Dataset, Dataset | None]:
    """Training and test set of an .npz file with arrays x and y, and optionally x_test and y_test.

    path    the file; x_train and y_train (Keras), and train_images and train_labels with
            test_images and test_labels (MedMNIST), are accepted too
    layout  "channels_first" or "channels_last", for images of four dimensions; None: channels
            first, with an error if the shape is ambiguous or looks like channels last

    x is (n, c, h, w), or (n, h, w, c) with layout="channels_last"; (n, h, w), which gets a channel
    axis; or (n, features). uint8 becomes float32 in [0, 1], other numbers are kept. y contains
    integers from 0, (n,) or (n, 1), or one-hot rows (n, classes). test is None if the file has
    none. Objects are never unpickled. A damaged or unrelated file is a ValueError that names it,
    and so are labels that are not numbered from 0.

    Example:
        np.savez("mine.npz", x=images, y=labels)
        train, test = cnnx.data.load_arrays("mine.npz")     # test is None
    """
    pairs = read_npz(os.path.expanduser(os.fsdecode(path)), layout)
    count = max((int(y.max()) + 1 for _, y in pairs if y.size), default=0)
    train, *test = (Dataset(x, y, tuple(map(str, range(count)))) for x, y in pairs)
    return train, (test[0] if test else None)
