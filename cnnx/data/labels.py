"""Utilities for labelled data: `select_classes` and `one_hot`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..checks import unmasked
from .datasets import Dataset, as_dataset
from .limits import MAX_CLASSES, check_memory, integer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from cnnx.typing import Samples

__all__ = ["one_hot", "select_classes"]


def select_classes(data: Samples, classes: Sequence[int], per_class: int | None = None) -> Dataset:
    """The samples of some classes, relabelled 0, 1, ... in the order of `classes`.

    data       Dataset or (x, y) pair with integer labels y (n,)
    classes    labels to keep, without repetition
    per_class  number of samples of each, taken from the beginning; None: all

    returns    Dataset, copied, in the original order; its `classes` are the names of the selected
               labels

    Raises ValueError for labels that are not integers (n,), and for a class that is repeated or has
    fewer samples than per_class.

    Example:
        train = select_classes(train, [0, 1], per_class=100)     # 0 against 1
    """
    op = "select_classes"
    whole = as_dataset(data)
    labels = _labels(op, whole.y)
    wanted = [integer(op, "a class", label, 0) for label in classes]
    if not wanted or len(set(wanted)) != len(wanted):
        raise ValueError(f"{op}: classes is {wanted}, expected one or more, each once")
    if per_class is not None:
        per_class = integer(op, "per_class", per_class, 1)
    chosen = []
    for label in wanted:
        found = np.flatnonzero(labels == label)
        if len(found) < (per_class or 1):
            raise ValueError(
                f"{op}: class {label} has {len(found)} samples, expected {per_class or 1} or more"
            )
        chosen.append(found[:per_class])
    order = np.sort(np.concatenate(chosen))
    rank = np.argsort(wanted)
    places = rank[np.searchsorted(np.sort(wanted), labels[order])]
    names = tuple(whole.classes[k] if k < len(whole.classes) else str(k) for k in wanted)
    return replace(whole[order], y=places, classes=names)


def one_hot(
    labels: ArrayLike, classes: int | None = None, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Labels as rows with a one at the label's index: y[i, labels[i]] = 1, else 0.

    labels   integers (n,) from 0
    classes  number of columns; None: the largest label plus one

    returns  (n, classes) of `dtype`

    Raises ValueError for labels that are not integers (n,), below 0, or not below `classes`.

    >>> one_hot([1, 0]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    op = "one_hot"
    unmasked(op, "labels", labels)
    chosen = _labels(op, np.asarray(labels))
    largest = int(chosen.max(initial=-1))
    if classes is None and largest >= MAX_CLASSES:
        raise ValueError(
            f"{op}: labels go up to {largest}, expected {MAX_CLASSES - 1} at most: pass their "
            f"number as classes="
        )
    count = largest + 1 if classes is None else integer(op, "classes", classes, 0)
    check_memory(op, "y", (len(chosen), count), "keep the labels as they are")
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < count):
        raise ValueError(
            f"{op}: labels lie between {chosen.min()} and {chosen.max()}, expected 0 to {count - 1}"
        )
    y = np.zeros((len(chosen), count), dtype)
    y[np.arange(len(chosen)), chosen] = 1
    return y


def _labels(op: str, y: np.ndarray) -> np.ndarray:
    if y.ndim != 1 or (y.size and y.dtype.kind not in "iub"):
        raise ValueError(f"{op}: labels are {y.shape} {y.dtype}, expected integers (n,)")
    return y.astype(np.int64)
