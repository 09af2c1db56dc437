"""Checks the arguments of plots: arrays, class numbers and class names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cnnx.data import Dataset
from cnnx.layers import Layer

__all__ = ["Names", "array", "class_name", "class_names", "class_numbers", "finite"]

Names = tuple[str, ...]

# Characters that no font draws: control characters, line ends, and undecodable bytes of file names.
_ILLEGIBLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def array(op: str, name: str, value: Any, instead: str = "expected an array") -> np.ndarray:
    """The value as an array of numbers. TypeError, ending in `instead`, for anything else."""
    if isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"{op}: {name} is a path, {os.fspath(value)!r}: read the file first, with "
            "cnnx.data.load_image(path) or np.load(path)"
        )
    if value is None or isinstance(value, (Layer, Dataset, Mapping)):
        what = "None" if value is None else f"a {type(value).__name__}"
        raise TypeError(f"{op}: {name} is {what}, {instead}")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{op}: {name} is a masked array: fill it first, with {name}.filled(...)")
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"no array ({error})"
        if isinstance(value, (list, tuple)):
            what = f"a {type(value).__name__} of parts that differ in shape"
        raise TypeError(f"{op}: {name} is {what}, {instead}") from None
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"{op}: {name} has shape {found.shape} and dtype {found.dtype}, expected numbers"
        )
    return found


def finite(op: str, name: str, numbers: np.ndarray) -> np.ndarray:
    """The numbers, which must not contain NaN or inf."""
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        raise ValueError(
            f"{op}: {name} hold NaN or inf, at {where} the first, expected finite numbers: a "
            "model with such outputs has diverged, or its input holds them"
        )
    return numbers


def class_numbers(op: str, name: str, given: Any, n: int) -> np.ndarray | None:
    """(n,) class numbers, one per image; None if there are none."""
    if given is None:
        return None
    labels = array(op, name, given)
    if labels.shape != (n,) or labels.dtype.kind not in "iub":
        raise ValueError(
            f"{op}: {name} has shape {labels.shape} and dtype {labels.dtype}, expected {n} class "
            "numbers, one for each image"
        )
    return labels


def class_names(op: str, classes: Any) -> Names:
    """The class names as strings, from a list, tuple, array or series of any kind."""
    if classes is None:
        return ()
    shaped = isinstance(classes, np.ndarray) and classes.ndim != 1
    unordered = isinstance(classes, (str, bytes, set, frozenset, Mapping))
    if shaped or unordered or not isinstance(classes, Iterable):
        raise TypeError(
            f"{op}: classes is {classes!r}, expected names in the order of the class numbers: "
            "classes=['cat', 'dog']"
        )
    return tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        for name in classes
    )


def class_name(names: Names, label: int, longest: int = 32) -> str:
    """The name of a class, on one line and shortened if it is long; its number if it has none."""
    if not 0 <= label < len(names):
        return str(label)
    name = _ILLEGIBLE.sub("\N{REPLACEMENT CHARACTER}", names[label])
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
