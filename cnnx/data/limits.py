"""What a file may be and claim: a file, labels that number classes, arrays that memory can hold."""

from __future__ import annotations

import os
import stat

import numpy as np

__all__ = ["DEFLATE_RATIO", "MAX_CLASSES", "check_labels", "check_memory", "check_regular"]

DEFLATE_RATIO = 1032  # bytes that one byte of deflate can become at most
MAX_CLASSES = 1 << 16  # more than any known image data set has (ImageNet-21k: 21,841)


def check_regular(path: str, what: str) -> None:
    """ValueError where a path is a folder, or a pipe or device that may never answer."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
        kind = kinds.get(stat.S_IFMT(mode), "device")
        raise ValueError(f"{path}: a {kind}, expected the file of {what}")


def check_labels(where: str, labels: np.ndarray) -> None:
    """ValueError where integers (n,) are no numbering of classes from 0.

    A model has an output for each number up to the largest, so few may be left out: the largest is
    below a thousand, or a hundred times the number of classes, and below `MAX_CLASSES`.
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
    """ValueError where float32 numbers of a shape take more than half of the machine's memory.

    Half of it, since to split a data set is to copy it.
    """
    needed, memory = 4 * int(np.prod(shape, dtype=object)), _memory()
    if 2 * needed > memory:
        raise ValueError(
            f"{where}: {what} {shape} takes {needed / 1e9:.1f} GB as float32, more than half of "
            f"this machine's {memory / 1e9:.1f} GB: {remedy}"
        )


def _memory() -> float:
    """Bytes of the machine's memory; infinite where it is not known."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not on Windows
        return float("inf")
