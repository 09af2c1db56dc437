"""`ImageFolder`: a folder of images that is read as it is used."""

# Design:
# Pixels are kept as bytes, a quarter of the floats, and images that are not in the cache are
# rounded to bytes too: a sample has the same bits from the cache and from its file, so the size of
# the cache, and which thread came first, do not matter.
# The cache keeps what it read first, and replaces nothing. An epoch reads every sample once, in
# random order: a cache of the most recently used would have thrown out most of them before they
# come again, while this one always serves its share. It is one array, whose memory the system
# provides as it is filled; a slot is published (in `_slot`) after its pixels are written.

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from .folders import Path, class_samples, sample_names
from .images import Look, read_header, read_image
from .limits import integer
from .sources import Subset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ImageFolder"]

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

    `len`, `y` (n,) int64, `classes` and `names` are known at once. `folder[3]` is (x, y), x
    (channels, h, w) float32 from 0 to 1; `folder[indices]` and `folder[10:20]` are `Subset`s.
    `fit`, `evaluate`, `predict` and `batches` read it batch by batch, in worker threads with
    ``workers=2``. Pixels are rounded to 8 bits.

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
        background: Any = None,
        invert: bool = False,
        cache_bytes: int = 256 << 20,
    ) -> None:
        look = Look.of("ImageFolder", size, channels, background, invert)
        cache_bytes = integer("ImageFolder", "cache_bytes", cache_bytes, 0)
        self.root = os.path.expanduser(os.fsdecode(path))
        self.classes, samples = class_samples("ImageFolder", self.root, classes)
        self._files = [file for file, _ in samples]
        self.y = np.array([label for _, label in samples], np.int64)
        self.names = sample_names(self._files)
        if look.size is None:
            self.size = read_header(os.path.join(self.root, self._files[0])).size
        else:
            self.size = look.size
        self._look = look
        self.shape = (look.channels or 3, *self.size)
        self.cache_bytes = cache_bytes
        self._reset()

    def _reset(self) -> None:
        """An empty cache."""
        room = min(self.cache_bytes // int(np.prod(self.shape)), len(self))
        self._pixels = np.empty((room, *self.shape), np.uint8)
        self._slot = np.full(len(self), _EMPTY, np.int64)
        self._used = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

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
            pixels = np.empty((len(chosen), *self.shape), np.uint8)
            pixels[known] = self._pixels[slots[known]]
            for k in np.flatnonzero(~known).tolist():
                pixels[k] = self._read(int(chosen[k]))
                self._keep(int(chosen[k]), pixels[k])
        return np.divide(pixels, np.float32(255), dtype=np.float32), self.y[chosen]

    def _read(self, index: int) -> np.ndarray:
        """The pixels of a file, as bytes."""
        file = os.path.join(self.root, self._files[index])
        x = read_image(file, self._look)
        if x.shape != self.shape:
            raise ValueError(
                f"{file}: {x.shape[2]} x {x.shape[1]} pixels (width x height), but {self.names[0]} "
                f"has {self.size[1]} x {self.size[0]}; all must have one size: size= scales them"
            )
        return np.rint(x * np.float32(255)).astype(np.uint8)

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
