"""`ImageFolder`: a folder of images that is read as it is used."""

# Design:
# Pixels are kept as bytes, a quarter of the floats, and images that are not in the cache are
# rounded to bytes too: a sample has the same bits from the cache and from its file, so the size of
# the cache, and which thread came first, do not matter. Where rounding would change numbers (16
# bits, transparency), the cache can hold the floats.
# The cache keeps what it read first, and replaces nothing. An epoch reads every sample once, in
# random order: a cache of the most recently used would have thrown out most of them before they
# come again, while this one always serves its share. It is one array, whose memory the system
# provides as it is filled; a slot is published (in `_slot`) after its pixels are written.

from __future__ import annotations

import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from .folders import Path, Sample, class_samples, sample_names, survey
from .images import Look, read_header, read_image
from .limits import integer
from .sources import Subset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from cnnx.typing import Colour

__all__ = ["ImageFolder", "open_folders"]

_EMPTY, _PENDING = -1, -2  # slots of samples that are not in the cache, and that are being written


class ImageFolder:
    """A folder with one folder of images per class, which are read when a batch needs them.

    path         the folder; names of its folders are the classes, as in `load_folder`
    size         (height, width), or one number for both: each image is scaled to it; None: the size
                 of the first image, which all must have
    channels     3 (colour) or 1 (grey): what each image is converted to
    classes      names of the labels, for a validation set that may lack some of the training set's;
                 None: the sorted names of the folders
    background, invert
                 as in `load_image`
    cache_bytes  memory for decoded images, h * w * channels bytes each; those that are read first
                 are kept, the others are read again in each epoch. 0: none
    dtype        of the pixels in the cache: uint8 rounds them to 8 bits; float32 takes four times
                 the memory, and keeps 16-bit and transparent pixels as `load_image` reads them

    `len`, `y` (n,) int64, `classes` and `names` are known at once. `folder[3]` is (x, y), x
    (channels, h, w) float32 from 0 to 1; `folder[indices]` and `folder[10:20]` are `Subset`s.
    `fit`, `evaluate`, `predict` and `batches` read it batch by batch, in worker threads with
    ``workers=2``.

    ValueError that names the file for an image that is damaged or has another size, when it is
    read; ImportError without Pillow.

    Example:
        train = cnnx.data.ImageFolder("flowers/train", size=64)
        cnnx.fit(model, train, epochs=5, workers=2)
    """

    def __init__(
        self,
        path: Path,
        size: int | tuple[int, int] | None = None,
        channels: int = 3,
        *,
        classes: Sequence[str] | None = None,
        background: Colour | None = None,
        invert: bool = False,
        cache_bytes: int = 256 << 20,
        dtype: DTypeLike = np.uint8,
    ) -> None:
        look = Look.of("ImageFolder", size, channels, background, invert)
        cache_bytes = integer("ImageFolder", "cache_bytes", cache_bytes, 0)
        if np.dtype(dtype) not in (np.uint8, np.float32):
            raise ValueError(f"ImageFolder: dtype is {np.dtype(dtype)}, expected uint8 or float32")
        root = os.path.expanduser(os.fsdecode(path))
        names, samples = class_samples("ImageFolder", root, classes)
        found = look.size or read_header(os.path.join(root, samples[0][0])).size
        self._fill(root, names, samples, look, (channels, *found), dtype, cache_bytes)

    def _fill(
        self,
        root: str,
        classes: tuple[str, ...],
        samples: list[Sample],
        look: Look,
        shape: tuple[int, int, int],
        dtype: DTypeLike,
        cache_bytes: int,
    ) -> None:
        """Set all attributes; shape: that of every image."""
        self.root, self.classes, self.shape, self.cache_bytes = root, classes, shape, cache_bytes
        self._files = [file for file, _ in samples]
        self.y = np.array([label for _, label in samples], np.int64)
        self.names = sample_names(self._files)
        self.size = shape[1:]
        self.dtype = np.dtype(dtype)
        self._look = look._replace(channels=shape[0])
        self._reset()

    def _reset(self) -> None:
        """An empty cache."""
        room = min(self.cache_bytes // self.image_bytes, len(self))
        self._pixels = np.empty((room, *self.shape), self.dtype)
        self._slot = np.full(len(self), _EMPTY, np.int64)
        self._used = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    @property
    def image_bytes(self) -> int:
        """The memory of one image in the cache."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def cached(self) -> int:
        """The number of images in the cache."""
        return self._used

    def take(self, indices: NDArray[np.intp]) -> tuple[np.ndarray, np.ndarray]:
        """The batch x (m, c, h, w), y (m,) of some samples; any number of threads may call it."""
        chosen = np.asarray(indices, np.intp)
        slots = self._slot[chosen]
        known = slots >= 0
        if known.all():
            pixels = self._pixels[slots]
        else:
            pixels = np.empty((len(chosen), *self.shape), self.dtype)
            pixels[known] = self._pixels[slots[known]]
            for k in np.flatnonzero(~known).tolist():
                pixels[k] = self._read(int(chosen[k]))
                self._keep(int(chosen[k]), pixels[k])
        if self.dtype == np.uint8:
            pixels = np.divide(pixels, np.float32(255), dtype=np.float32)
        return pixels, self.y[chosen]

    def _read(self, index: int) -> np.ndarray:
        """The pixels of a file, as the cache holds them."""
        file = os.path.join(self.root, self._files[index])
        x = read_image(file, self._look)
        if x.shape != self.shape:
            raise ValueError(
                f"{file}: {x.shape[2]} x {x.shape[1]} pixels (width x height), but {self.names[0]} "
                f"has {self.size[1]} x {self.size[0]}; all must have one size: size= scales them"
            )
        return np.rint(x * np.float32(255)).astype(np.uint8) if self.dtype == np.uint8 else x

    def _keep(self, index: int, pixels: np.ndarray) -> None:
        with self._lock:
            if self._used == len(self._pixels) or self._slot[index] != _EMPTY:
                return
            place, self._slot[index] = self._used, _PENDING
            self._used += 1
        self._pixels[place] = pixels
        self._slot[index] = place

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (slice, list, np.ndarray)):
            return Subset(self, np.arange(len(self))[index])
        number = checks.integer("ImageFolder", "index", index, -len(self))
        if number >= len(self):
            raise IndexError(f"ImageFolder: index {number}, but there are {len(self)} images")
        x, y = self.take(np.array([number % len(self)]))
        return x[0], y[0]

    def __getstate__(self) -> dict[str, Any]:
        skipped = ("_pixels", "_slot", "_used", "_lock")
        return {name: value for name, value in vars(self).items() if name not in skipped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def __repr__(self) -> str:
        return (
            f"ImageFolder({self.root!r}: {len(self)} images {self.shape}, "
            f"{len(self.classes)} classes)"
        )


def open_folders(
    path: Path,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    background: Colour | None = None,
    cache_bytes: int = 256 << 20,
) -> tuple[ImageFolder, ImageFolder | None]:
    """Training and test set as of `load_folders`, whose images are read when they are needed.

    The samples have the same bits: the cache, which both share, holds floats if some image has 16
    bits or transparent pixels. Headers are read at once, for errors before any work.
    """
    look = Look.of("open_folders", size, channels, background, False)
    found = survey(path, look)
    folders = []
    for samples in found.parts:
        folder = ImageFolder.__new__(ImageFolder)
        dtype = np.float32 if found.deep else np.uint8
        folder._fill(found.root, found.classes, samples, look, found.shape, dtype, cache_bytes)
        cache_bytes -= min(cache_bytes, len(folder) * folder.image_bytes)
        folders.append(folder)
    return folders[0], (folders[1] if len(folders) > 1 else None)
