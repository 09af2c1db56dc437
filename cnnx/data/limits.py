"""Limits for input: integers, regular files, labels numbered from 0, arrays that fit in memory."""

from __future__ import annotations

import operator
import os
import stat
from typing import Any

import numpy as np

__all__ = [
    "DEFLATE_RATIO",
    "MAX_CLASSES",
    "check_labels",
    "check_memory",
    "check_regular",
    "integer",
]

DEFLATE_RATIO = 1032  # at most this many bytes come out of one byte of deflate
MAX_CLASSES = 1 << 16  # more than any known image data set has (ImageNet-21k: 21,841)


def integer(op: str, name: str, value: Any, least: int) -> int:
    """An int of at least `least`, and of 63 bits; TypeError or ValueError otherwise."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{op}: {name} must be {least} or more, got {number}")
    if number >= 2**63:
        bits = number.bit_length()
        raise ValueError(f"{op}: {name} must be less than 2**63, got a number of {bits} bits")
    return number


def check_regular(path: str, what: str) -> None:
    """ValueError if a path is a folder, or a pipe or device that may never answer."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
        kind = kinds.get(stat.S_IFMT(mode), "device")
        raise ValueError(f"{path}: a {kind}, expected the file of {what}")


def check_labels(where: str, labels: np.ndarray) -> None:
    """ValueError unless integers (n,) number classes from 0.

    A model has one output per number up to the largest label, so few numbers may be unused: the
    largest label must be below a thousand, or below a hundred times the number of classes, and
    below `MAX_CLASSES`.
    """
    if not labels.size:
        return
    least, largest = int(labels.min()), int(labels.max())
    if least < 0 or largest >= MAX_CLASSES:
        raise ValueError(
            f"{where} has labels {least}..{largest}, expected 0..(classes - 1), at most "
            f"{MAX_CLASSES - 1}"
        )
    count = int(np.count_nonzero(np.bincount(labels.astype(np.int64))))
    if largest >= max(1000, 100 * count):
        raise ValueError(
            f"{where} has {count} different labels up to {largest}, expected 0..{count - 1}: "
            f"np.unique(labels, return_inverse=True) numbers them so"
        )


def check_memory(where: str, what: str, shape: tuple[int, ...], remedy: str) -> None:
    """ValueError if a float32 array of this shape takes more than half of the machine's memory.

    Half of it, because splitting a data set copies it.
    """
    needed, memory = 4 * int(np.prod(shape, dtype=object)), _memory()
    if 2 * needed > memory:
        raise ValueError(
            f"{where}: {what} {shape} takes {needed / 1e9:.1f} GB as float32, more than half of "
            f"this machine's {memory / 1e9:.1f} GB: {remedy}"
        )


def _memory() -> float:
    """Bytes of the machine's memory; infinite if unknown."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not on Windows
        return float("inf")
