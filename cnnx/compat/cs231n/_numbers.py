"""Helper shared by the modules: converts arrays to one dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["alike"]


def alike(where: str, *values: Any) -> list[np.ndarray]:
    """The values as arrays of one dtype: float32 if all floats among them are, else float64.

    A network with float32 parameters and images is therefore computed in float32, as in NumPy, and
    everything else in float64. TypeError for values that are not real numbers.

    >>> alike("example", np.ones(2, np.float32), [1, 2])[1].dtype
    dtype('float32')
    """
    arrays = [np.asarray(value) for value in values]
    for array in arrays:
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{where} expects numbers, but an array has dtype {array.dtype}")
    floats = {array.dtype for array in arrays if array.dtype.kind == "f"}
    dtype = np.float32 if floats == {np.dtype(np.float32)} else np.float64
    return [array.astype(dtype, copy=False) for array in arrays]
