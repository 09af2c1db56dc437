"""The dtype rule of all layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import checks

__all__ = ["FLOATS", "as_float"]

FLOATS = _FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def as_float(owner: str, x: Any, dtype: np.dtype[Any] | None = None) -> np.ndarray:
    """`x` as an array that ops accept; the same array if it already is one.

    With a dtype (that of a layer's parameters) x is cast to it. Without one, float32 and float64
    are unchanged, and booleans, integers and float16 become float32. Complex numbers, objects and
    text are a TypeError that names the `owner`; so are masked arrays, whose mask would be lost.
    """
    if checks.plain(x, dtype):
        return x
    checks.unmasked(owner, "x", x)
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{owner}: x has dtype {array.dtype}, expected real numbers: cast it with "
            "x.astype('float32') first"
        )
    if dtype is None:
        double = array.dtype.kind == "f" and array.dtype.itemsize >= 8
        dtype = _FLOAT64 if double else _FLOAT32
    return array if array.dtype == dtype else array.astype(dtype)
