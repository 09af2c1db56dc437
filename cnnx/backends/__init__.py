"""Backends: modules that hold one function per op, by the names in OP_NAMES.

reference    plain NumPy, the specification
compiled     Cython and C; there where cnnx was installed with a C compiler
"""

from __future__ import annotations

import importlib
from types import ModuleType

from . import reference

OP_NAMES: tuple[str, ...] = tuple(reference.__all__)

_NAMES = ("compiled", "reference")


class NotBuiltError(ImportError):
    """The compiled backend is not part of this installation."""


def load(name: str) -> ModuleType:
    """The backend's module. ValueError for a name that is none; NotBuiltError, with what to do, if
    it was not built."""
    if name not in _NAMES:
        raise ValueError(
            f"backend {name!r} is unknown: there are {' and '.join(map(repr, _NAMES))}"
        )
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if name != "compiled" or error.name != f"{__name__}.compiled._core":
            raise
        raise NotBuiltError(
            "backend 'compiled' is not part of this installation: it was built in pure Python "
            "(CNNX_PURE=1), or not built at all. Install a C compiler, then cnnx again."
        ) from None


def available() -> tuple[str, ...]:
    """Names of the backends that can be used here, the fastest first."""
    usable = []
    for name in _NAMES:
        try:
            load(name)
        except NotBuiltError:
            continue
        usable.append(name)
    return tuple(usable)
