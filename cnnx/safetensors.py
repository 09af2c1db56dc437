"""Arrays in `.safetensors` files, by the package of that name (extra ``safetensors``).

PyTorch's models are exchanged in this format, and the names in cnnx's `state_dict` are PyTorch's:

>>> cnnx.safetensors.save(model.state_dict(), "net.safetensors")
>>> model.load_state_dict(cnnx.safetensors.load("net.safetensors"))
"""

# Design:
# The package checks what a file declares (sizes, offsets, overlaps) before it reads an array; its
# errors become one ValueError. The bytes are made in memory and written by `io.atomic_write`: the
# package's own `save_file` would leave half a file on a full disk.

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnx import checks, io

__all__ = ["load", "save"]

Path = str | os.PathLike[str]

_KINDS = "biuf"


def save(arrays: Mapping[str, Any], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays to exactly `path`, completely or not at all.

    arrays    name -> array of booleans, integers or floats, as `state_dict` returns; also PyTorch's
              CPU tensors
    metadata  strings by name, stored beside them

    TypeError for other dtypes, before anything is written; ImportError, with advice, without the
    package; OSError if the disk fails: an existing file is unchanged then. The order of the
    arguments is that of ``safetensors.numpy.save_file``.

    Example: ``cnnx.safetensors.save(model.state_dict(), "net.safetensors")``
    """
    op = "safetensors.save"
    package = _package()
    made: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        checks.unmasked(op, repr(name), value)
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS or array.dtype.itemsize > 8:
            raise TypeError(f"{op}: array {name!r} has dtype {array.dtype}, expected real numbers")
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        made[str(name)] = np.require(native, requirements=["C", "ENSUREARRAY"])
    content = package.save(made, metadata=None if metadata is None else dict(metadata))
    with io.atomic_write(path) as file:
        file.write(content)


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name: {name: array}, which the caller may change.

    A file that is damaged, truncated, of another kind or with a dtype that NumPy lacks (bfloat16)
    is a ValueError that names the file; a missing one the usual FileNotFoundError; ImportError,
    with advice, without the package.

    Example: ``model.load_state_dict(cnnx.safetensors.load("net.safetensors"))``
    """
    package = _package()
    with open(path, "rb") as file:
        content = file.read()
    try:
        arrays = package.load(content)
        return {name: np.array(array) for name, array in arrays.items()}
    except Exception as error:  # the package raises its own kind, and others of NumPy for dtypes
        raise ValueError(
            f"{io.name_of(path)} cannot be read as .safetensors: {type(error).__name__}: {error}"
        ) from None


def _package() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "files .safetensors need the package safetensors: pip install 'cnnx[safetensors]'"
        ) from error
    return safetensors.numpy
