"""Standardisation of images: `channel_stats` and `normalize`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import unmasked
from .datasets import Dataset, as_dataset

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cnnx.typing import Samples

_BLOCK = 1024  # samples whose float64 deviations are in memory at a time


def channel_stats(data: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel (axis 1) over all samples and pixels.

    data     Dataset or (x, y) pair, x (n, c, ...)
    returns  mean (c,), std (c,) float64; std is the population's (divided by the count)

    Example: `mean, std = cnnx.data.channel_stats(train)`
    """
    x = as_dataset(data).x
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"channel_stats: x has shape {x.shape}, expected samples (n, c, ...)")
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(x), _BLOCK):
        deviation = x[start : start + _BLOCK] - _along_channels(mean, x.ndim)
        squares += np.square(deviation, out=deviation).sum(axes)
    return mean, np.sqrt(squares / (x.size // x.shape[1]))


def normalize(*data: Samples, mean: ArrayLike | None = None, std: ArrayLike | None = None) -> Any:
    """Standardise each channel: x -> (x - mean) / std, channels along axis 1.

    data       one or more Datasets or (x, y) pairs, x (n, c, ...)
    mean, std  numbers or arrays (c,), both or neither; by default those of the first data set
               (`channel_stats`), with std 1 for a constant channel

    returns    a new Dataset, or a tuple with one for each argument; float64 x stays float64, any
               other x becomes float32

    To apply the same transformation to later data, keep mean and std:

    Example:
        mean, std = channel_stats(train)
        train, test = normalize(train, test, mean=mean, std=std)    # = normalize(train, test)
        later = normalize(later, mean=mean, std=std)
    """
    if not data:
        raise TypeError("normalize: expected one or more data sets, got none")
    sets = [as_dataset(one, f"normalize: data set {i + 1}") for i, one in enumerate(data)]
    if (mean is None) != (std is None):
        raise ValueError("normalize: give both mean and std, or neither")
    if mean is None or std is None:
        mean, std = channel_stats(sets[0])
        std = np.where(std > 0, std, 1.0)
    unmasked("normalize", "mean", mean)
    unmasked("normalize", "std", std)
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError(f"normalize: mean must be finite and std positive, got {mean} and {std}")
    for i, one in enumerate(sets):
        channels = one.x.shape[1] if one.x.ndim > 1 else None
        if channels is None or any(v.shape not in ((), (1,), (channels,)) for v in (mean, std)):
            raise ValueError(
                f"normalize: data set {i + 1} has x {one.x.shape}, which does not fit "
                f"mean {mean.shape} and std {std.shape} along axis 1"
            )
    results = tuple(_standardised(one, mean, std) for one in sets)
    return results[0] if len(results) == 1 else results


def _standardised(data: Dataset, mean: np.ndarray, std: np.ndarray) -> Dataset:
    dtype = np.float64 if data.x.dtype == np.float64 else np.float32
    x = data.x.astype(dtype)
    np.subtract(x, _along_channels(mean, x.ndim), out=x, casting="same_kind")
    np.divide(x, _along_channels(std, x.ndim), out=x, casting="same_kind")
    return Dataset(x, data.y, data.classes, data.names)


def _along_channels(values: np.ndarray, ndim: int) -> np.ndarray:
    return values.reshape(-1, *(1,) * (ndim - 2))
