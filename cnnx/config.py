"""Configuration: the backend, the number of threads, and `show_config()`.

# Design:
# The backend of a `with use_backend(...)` block is stored in a ContextVar, so two threads can use
# different backends. The process default is a module variable. Ops call `backend()` on every call;
# its result is never stored.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np

from . import backends
from ._version import __version__

_in_context: ContextVar[ModuleType | None] = ContextVar("cnnx_backend", default=None)


def backend() -> ModuleType:
    """The module whose functions compute the ops."""
    return _in_context.get() or _default


def get_backend() -> str:
    """Name of the backend in use: "compiled" or "reference"."""
    return backend().__name__.rpartition(".")[2]


def set_backend(name: str) -> None:
    """Set the default backend of the process.

    name    "compiled" or "reference"; ValueError for another, ImportError if it was not built

    >>> cnnx.set_backend("reference"); cnnx.get_backend()
    'reference'
    """
    global _default
    _default = backends.load(name)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Use a backend inside a `with` block, in this thread (or asynchronous task) only.

    >>> with cnnx.use_backend("reference"):
    ...     y = cnnx.ops.relu(np.array([-1.0, 1.0]))
    """
    token = _in_context.set(backends.load(name))
    try:
        yield
    finally:
        _in_context.reset(token)


def available_backends() -> tuple[str, ...]:
    """Names of the backends that this installation can use, fastest first."""
    return backends.available()


def set_num_threads(n: int) -> None:
    """Let the compiled backend use up to n threads; results are bit-identical for every n.

    The limit applies to all threads of the program, but OpenMP gives more than the default only to
    the thread that requested it. n may exceed the number of cores. It does not affect the
    reference backend, because NumPy manages its own threads.

    `get_num_threads` returns the resulting number: 1 if cnnx was built without OpenMP, and at most
    OMP_THREAD_LIMIT. The default is the minimum of: cores that this process may use, the
    container's CPU quota, OMP_NUM_THREADS and CNNX_NUM_THREADS.
    """
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
        raise TypeError(f"set_num_threads: n={n!r} is not an integer")
    if not 1 <= n <= 1024:
        raise ValueError(f"set_num_threads: n={n}, but a number from 1 to 1024 is expected")
    if "compiled" in available_backends():
        backends.load("compiled").set_num_threads(int(n))


def get_num_threads() -> int:
    """The largest number of threads that a compiled op uses; 1 in a pure-Python installation."""
    return backends.load("compiled").get_num_threads() if "compiled" in available_backends() else 1


def memory_stats() -> dict[str, int]:
    """Bytes of the compiled backend's memory pool: in use, cached for reuse, and the peak in use.

    Empty without the compiled backend: NumPy allocates for the reference backend.
    """
    return backends.load("compiled").memory_stats() if "compiled" in available_backends() else {}


def reset_peak_memory_stats() -> None:
    """Reset the peak in `memory_stats` to the memory in use now.

    Example: reset, run a training step, then read ``memory_stats()["peak_bytes_in_use"]``.
    """
    if "compiled" in available_backends():
        backends.load("compiled").reset_peak_memory_stats()


def empty_cache() -> None:
    """Return the pool's cached memory that no array uses to the system."""
    if "compiled" in available_backends():
        backends.load("compiled").empty_cache()


def config_dict() -> dict[str, Any]:
    """Everything `show_config` prints, as a dictionary."""
    config = {
        "cnnx": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": get_backend(),
        "available backends": ", ".join(available_backends()),
        "threads": get_num_threads(),
    }
    if "compiled" in available_backends():
        config.update(backends.load("compiled").build_config())
    return config


def show_config() -> None:
    """Print the version, backend, kernel set (ISA), OpenMP, threads and compiler flags in use."""
    for name, value in config_dict().items():
        print(f"{name:20} {value}")


def _default_backend() -> ModuleType:
    name = os.environ.get("CNNX_BACKEND")
    if not name:
        try:
            return backends.load("compiled")
        except backends.NotBuiltError as error:
            if not backends.IS_PURE:
                warnings.warn(
                    f"cnnx uses its slow reference backend: {error} "
                    "(CNNX_BACKEND=reference selects it without this warning.)",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return backends.load("reference")
    try:
        return backends.load(name)
    except (ValueError, ImportError) as error:
        raise type(error)(f"environment variable CNNX_BACKEND={name}: {error}") from None


_default = _default_backend()
