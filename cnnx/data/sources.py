"""What can be a data set: arrays, or any object of a length whose samples can be asked for."""

# Design:
# Three forms, one function `take(data, indices)` that reads a batch of any of them:
#   arrays     Dataset, (x, y), (x, y, sample_weight): indexed by NumPy in one go;
#   `take`     an object with `take(indices)`, which reads a batch itself (ImageFolder, Subset);
#   map-style  any object with `__len__` and `__getitem__(int) -> (x, y)`, PyTorch's protocol.
# A tuple or list is always of arrays: a list of two samples could not be told from a pair.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from .datasets import Dataset, as_dataset

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cnnx.typing import Source

__all__ = ["Subset", "WeightedDataset", "as_source", "labels_of", "take"]


class WeightedDataset:
    """Samples, targets and a weight for each sample: the triple (x, y, sample_weight).

    `data` is the `Dataset` of x and y, `sample_weight` (n,) float. Its batches are triples.
    """

    def __init__(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike, name: str = "data"
    ) -> None:
        self.data = as_dataset((x, y), name)
        self.sample_weight = checks.from_anything(name, "sample_weight", sample_weight)
        weight = self.sample_weight
        if weight.dtype.kind not in "biuf":
            raise TypeError(f"{name}: sample_weight has dtype {weight.dtype}, expected numbers")
        if weight.shape != (len(self.data),):
            raise ValueError(
                f"{name}: sample_weight has shape {weight.shape}, but one number for each of "
                f"{len(self.data)} samples is expected"
            )
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ValueError(f"{name}: sample_weight must be finite, and 0 or more")

    @property
    def x(self) -> np.ndarray:
        return self.data.x

    @property
    def y(self) -> np.ndarray:
        return self.data.y

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.classes

    def __len__(self) -> int:
        return len(self.data)

    def take(self, indices: NDArray[np.intp]) -> tuple[np.ndarray, ...]:
        """Copies (x, y, sample_weight) of some samples."""
        return self.data.x[indices], self.data.y[indices], self.sample_weight[indices]

    def __repr__(self) -> str:
        return f"WeightedDataset({self.data!r})"


class Subset:
    """Some samples of a data set, without a copy; named as in `torch.utils.data`.

    dataset  Dataset, (x, y) pair, ImageFolder, or any map-style data set
    indices  of its samples, negative ones from the end; each as often as it occurs

    `y`, `classes` and `names` are those of the data set, where it has them.

    Example: ``first = cnnx.data.Subset(data, range(100))``
    """

    def __init__(self, dataset: Source, indices: ArrayLike) -> None:
        self.dataset = as_source(dataset, "Subset")
        self.indices = _indices("Subset", indices, len(self.dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (slice, list, np.ndarray)):
            return Subset(self.dataset, self.indices[index])
        return tuple(part[0] for part in self.take(np.array([index])))

    def take(self, indices: NDArray[np.intp]) -> tuple[np.ndarray, ...]:
        """The batch of some of its samples."""
        return take(self.dataset, self.indices[indices])

    @property
    def y(self) -> np.ndarray:
        return labels_of("Subset", self.dataset)[self.indices]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(getattr(self.dataset, "classes", ()))

    @property
    def names(self) -> tuple[str, ...]:
        names = getattr(self.dataset, "names", ())
        return tuple(names[i] for i in self.indices) if names else ()

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


def as_source(data: Source, name: str = "data") -> Any:
    """The data set that a user means: a pair becomes a Dataset, a triple a WeightedDataset.

    Other objects are returned as they are if they have `__len__`, and `take` or `__getitem__`;
    TypeError for anything else.
    """
    if isinstance(data, (tuple, list)) and len(data) == 3:
        return WeightedDataset(data[0], data[1], data[2], name)
    if isinstance(data, (Dataset, tuple, list, np.ndarray, str, bytes, dict, set)):
        return as_dataset(data, name)
    array = hasattr(data, "__array__")  # a tensor or a table, whose `take` is another one
    reads = hasattr(data, "take") or hasattr(data, "__getitem__")
    if reads and hasattr(data, "__len__") and not array:
        return data
    raise TypeError(
        f"{name}: expected a Dataset, an (x, y) pair, or an object with __len__ and "
        f"__getitem__(i) -> (x, y), got {type(data).__name__}"
    )


def take(data: Any, indices: NDArray[np.intp]) -> tuple[np.ndarray, ...]:
    """The batch (x, y) or (x, y, sample_weight) of some samples, as new arrays.

    data     as returned by `as_source`
    indices  (m,) intp
    """
    if isinstance(data, Dataset):
        return data.x[indices], data.y[indices]
    if hasattr(data, "take"):
        return tuple(data.take(indices))
    return _collated([data[i] for i in indices.tolist()], indices, type(data).__name__)


def _collated(samples: list[Any], indices: NDArray[np.intp], name: str) -> tuple[np.ndarray, ...]:
    """Samples (x, y) of a map-style data set as arrays with a batch axis."""
    for i, sample in zip(indices.tolist(), samples, strict=True):
        if not isinstance(sample, (tuple, list)) or len(sample) not in (2, 3):
            kind = type(sample).__name__
            raise TypeError(f"{name}: sample {i} is a {kind}, expected (x, y)")
    parts = []
    for values in zip(*samples, strict=True):
        arrays = [np.asarray(value) for value in values]
        for i, array in zip(indices.tolist(), arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise ValueError(
                    f"{name}: sample {indices[0]} has an array of shape {arrays[0].shape}, but "
                    f"sample {i} one of {array.shape}: all samples of a batch need one shape"
                )
        parts.append(np.stack(arrays))
    return tuple(parts)


def labels_of(op: str, data: Any) -> np.ndarray:
    """The targets of all samples, without reading these: `y`, or torchvision's `targets`."""
    for attribute in ("y", "targets"):
        found = getattr(data, attribute, None)
        if found is not None:
            return np.asarray(found)
    raise ValueError(
        f"{op}: a {type(data).__name__} does not tell its labels: give it an attribute y (n,), or "
        "pass the labels themselves"
    )


def _indices(op: str, indices: Any, count: int) -> NDArray[np.intp]:
    """Checked indices, without negative ones."""
    chosen = np.asarray(indices if np.size(indices) else np.asarray(indices, np.intp))
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise TypeError(f"{op}: indices must be integers (m,), got {chosen.shape} {chosen.dtype}")
    if chosen.size and not (-count <= chosen.min() and chosen.max() < count):
        raise ValueError(
            f"{op}: indices from {chosen.min()} to {chosen.max()}, but the data set has {count} "
            "samples"
        )
    return np.where(chosen < 0, chosen + count, chosen).astype(np.intp)
