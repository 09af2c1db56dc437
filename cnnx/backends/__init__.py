"""Backends: modules with one function per op, named as in OP_NAMES.

reference    plain NumPy, the specification
compiled     Cython and C; available if cnnx was installed with a C compiler
"""

from __future__ import annotations

import importlib
import os
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType

from .names import OP_NAMES

__all__ = ["IS_PURE", "OP_NAMES", "NotBuiltError", "available", "load"]

_NAMES = ("compiled", "reference")


_FOLDER = os.path.dirname(os.path.abspath(__file__))

# setup.py adds this file to a pure installation, in which no extension is missing.
IS_PURE = os.path.exists(os.path.join(_FOLDER, "PURE"))


class NotBuiltError(ImportError):
    """The compiled backend is not part of this installation, or does not load."""


def load(name: str) -> ModuleType:
    """The backend's module. ValueError for an unknown name; NotBuiltError, with advice, if it was
    not built or does not load."""
    if name not in _NAMES:
        raise ValueError(
            f"backend {name!r} is unknown: there are {' and '.join(map(repr, _NAMES))}"
        )
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        if name != "compiled":
            raise
        raise NotBuiltError(_why_not_there(error)) from error


def _why_not_there(error: ImportError) -> str:
    """Why the extension cannot be used, with advice."""
    if IS_PURE:
        return (
            "backend 'compiled' is not part of this installation, which was built in pure Python "
            "(CNNX_PURE=1). Install a C compiler, then cnnx again without that variable."
        )
    folder = os.path.join(_FOLDER, "compiled")
    found = os.listdir(folder) if os.path.isdir(folder) else []
    there = sorted(
        name for name in found if name.startswith("_core.") and name.endswith((".so", ".pyd"))
    )
    if not isinstance(error, ModuleNotFoundError) or error.name != f"{__name__}.compiled._core":
        return (
            f"backend 'compiled' does not load: {error}. Build it again with this Python and "
            f"NumPy: in a checkout python -m pip install -e ., elsewhere install cnnx again."
        )
    if there:
        return (
            f"backend 'compiled' was built for another Python: {folder} holds {', '.join(there)}, "
            f"and this Python loads _core{EXTENSION_SUFFIXES[0]}. Build it for this one: in a "
            f"checkout python -m pip install -e ., elsewhere install cnnx again."
        )
    return (
        f"backend 'compiled' is not part of this installation: {folder} holds no extension. If "
        f"that is a checkout, compile it there by python -m pip install -e ., or, where cnnx is "
        f"installed elsewhere, start Python in another directory."
    )


def available() -> tuple[str, ...]:
    """Names of the backends that can be used here, fastest first."""
    usable = []
    for name in _NAMES:
        try:
            load(name)
        except NotBuiltError:
            continue
        usable.append(name)
    return tuple(usable)
