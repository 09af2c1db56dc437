"""The compiled backend: the ops of `_core`, the extension built from csrc/, under the names of the
reference backend."""

# Not `from . import _core`: only this form raises ModuleNotFoundError if the extension is missing.
import cnnx.backends.compiled._core as _core

from .. import reference as _reference
from ._core import (
    build_config,
    empty_cache,
    get_num_threads,
    isa,
    memory_stats,
    reset_peak_memory_stats,
    set_isa,
    set_num_threads,
    usable_isas,
)

_missing = [name for name in _reference.__all__ if not hasattr(_core, name)]
if _missing:
    raise ImportError(f"{_core.__file__} is older than these sources: it lacks {_missing[0]}")

globals().update({name: getattr(_core, name) for name in _reference.__all__})

__all__ = [
    *_reference.__all__,
    "build_config",
    "empty_cache",
    "get_num_threads",
    "isa",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_isa",
    "set_num_threads",
    "usable_isas",
]
