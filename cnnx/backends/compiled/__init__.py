"""The compiled backend: the ops of the extension built from csrc/, under the names of the reference
backend.

`jobs` has prepared ops: csrc/jobs.pyx explains them, and `jobs.prepare_linear`, ... make them.
"""

# Design:
# All modules of csrc are in one shared library, `_core`. Python finds a module in a library by its
# name, if told where to look: so the others are loaded from there here, those that are imported by
# others first.

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType

# Not `from . import _core`: only this form raises ModuleNotFoundError if the extension is missing.
import cnnx.backends.compiled._core as _core

from ..names import OP_NAMES as _OP_NAMES

MODULES = (
    "memory",
    "busy",
    "crew",
    "parallel",
    "jobs",
    "sums",
    "epilogue",
    "activation",
    "arithmetic",
    "concat",
    "curves",
    "dropout",
    "embedding",
    "loss",
    "optim",
    "pad",
    "prelu",
    "reduce",
    "response_norm",
    "resample",
    "strided",
    "layout",
    "gemm",
    "linear",
    "lstm",
    "conv.geometry",
    "conv.staging",
    "conv.direct",
    "conv.direct_dx",
    "conv.direct_dweight",
    "conv.im2col",
    "conv.pointwise",
    "conv.gather",
    "conv.pixels_panels",
    "conv.pointwise_panels",
    "conv.columns_panels",
    "conv.winograd",
    "conv.winograd_panels",
    "conv.winograd_dweight",
    "conv.lanes",
    "conv.grouped",
    "conv.depthwise",
    "conv.depthwise_last",
    "conv.dispatch",
    "pool.pooling",
    "pool.windows",
    "pool.pairs",
    "pool.dilated",
    "pool.ties",
    "pool.global_average",
    "pool.global_average_last",
    "pool.adaptive",
    "pool.pool2d",
    "norm_tasks",
    "norm",
    "group_norm",
    "executor",
)


def _load(name: str) -> ModuleType:
    """A module of the library."""
    full, path = f"{__name__}.{name}", _core.__file__
    loader = ExtensionFileLoader(full, path)
    try:
        module = module_from_spec(ModuleSpec(full, loader, origin=path))
    except ImportError:  # the library itself has been loaded: the module is not in it
        raise ImportError(f"{path} is older than these sources: it lacks {name}") from None
    sys.modules[full] = module
    loader.exec_module(module)
    return module


_loaded = [_load(name) for name in MODULES]
memory, busy, _, parallel, jobs = _loaded[:5]
_names = {name: found for module in _loaded for name, found in vars(module).items()}
_missing = [name for name in _OP_NAMES if name not in _names]
if _missing:
    raise ImportError(f"{_core.__file__} is older than these sources: it lacks {_missing[0]}")

globals().update({name: _names[name] for name in _OP_NAMES})
# An op may have the name of its module; the functions that prepare its jobs are all in `jobs`,
# and so is what runs them.
vars(jobs).update({name: f for name, f in _names.items() if name.startswith("prepare_")})
vars(jobs)["Executor"] = _names["Executor"]

build_config, isa, set_isa = _core.build_config, _core.isa, _core.set_isa
usable_isas = _core.usable_isas
empty_cache, memory_stats = memory.empty_cache, memory.memory_stats
reset_peak_memory_stats = memory.reset_peak_memory_stats
get_num_threads, set_num_threads = parallel.get_num_threads, parallel.set_num_threads

__all__ = [
    *_OP_NAMES,
    "MODULES",
    "busy",
    "build_config",
    "empty_cache",
    "get_num_threads",
    "isa",
    "jobs",
    "memory",
    "memory_stats",
    "parallel",
    "reset_peak_memory_stats",
    "set_isa",
    "set_num_threads",
    "usable_isas",
]
