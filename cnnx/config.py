"""Configuration: the backend, the algorithms, the number of threads, and `show_config()`.

# Design:
# The backend of a `with use_backend(...)` block is stored in a ContextVar, so two threads can use
# different backends, and so is the choice of `use_algorithm`. The process default is a module
# variable. Ops call `backend()` on every call; its result is never stored.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import ModuleType
from typing import Any

import numpy as np

from . import backends
from ._version import __version__
from .backends.choose import ALGORITHMS, wanted_algorithm

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
    with compute_with(backends.load(name)):
        yield


@contextmanager
def compute_with(functions: Any) -> Iterator[None]:
    """Inside a `with` block, in this thread only, the ops call the functions of this object: of a
    backend, or of something that looks like one."""
    token = _in_context.set(functions)
    try:
        yield
    finally:
        _in_context.reset(token)


def available_backends() -> tuple[str, ...]:
    """Names of the backends that this installation can use, fastest first."""
    return backends.available()


class use_algorithm:
    """Select how the compiled backend computes convolutions, in this thread or asynchronous task.

    "auto"      the fastest algorithm for each shape (the default): for float32 and many channels
                that is Winograd's, with rounding errors a few times those of direct summation; a
                NaN or infinity in x then spreads to the 4x4 pixels of its tiles, and a value some
                hundred times larger than the others reduces their precision (docs/winograd.md,
                "Outliers")
    "direct"    never Winograd's: sums of products, with no error but their own rounding
    "winograd"  Winograd's wherever it is applicable: 3x3, stride 1, in float64 too

    Takes effect immediately; used as a context manager, until the end of the block. The reference
    backend is always direct. ValueError for another name.

    A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

    >>> with cnnx.use_algorithm("direct"):
    ...     y = cnnx.ops.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)))
    """

    _before: Token[str] | None

    def __init__(self, name: str) -> None:
        if name not in ALGORITHMS:
            raise ValueError(
                f"use_algorithm: {name!r} is unknown: expected one of {', '.join(ALGORITHMS)}"
            )
        self._before = wanted_algorithm.set(name)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            wanted_algorithm.reset(self._before)
            self._before = None


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
    import platform

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
