"""What is in use: the backend, the number of threads, and `show_config()` to see it all.

# Design:
# The backend of a `with use_backend(...)` block lives in a ContextVar, so two threads can use two
# backends. The process default is a plain module variable under it. Ops ask `backend()` at every
# call; nobody stores the answer.
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
    """Make a backend the default of the process.

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
    """Names of the backends that this installation can use, the fastest first."""
    return backends.available()


def set_num_threads(n: int) -> None:
    """Let the compiled backend use up to n threads; the results are the same bits for every n.

    It is a limit for all threads of the program; OpenMP gives more than the default only to the
    thread that asked for it. n may be more than the machine has cores. It has no effect on the
    reference backend: NumPy's threads are NumPy's affair.

    `get_num_threads` tells how many it got: 1 where cnnx was built without OpenMP, and no more than
    OMP_THREAD_LIMIT allows. The default is the smallest of: cores this process may use, the
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
    """Bytes of the compiled backend's memory pool: in use, cached for later, and the peak in use.

    Empty where the compiled backend is not there: NumPy allocates for the reference.
    """
    return backends.load("compiled").memory_stats() if "compiled" in available_backends() else {}


def reset_peak_memory_stats() -> None:
    """Let the peak in `memory_stats` begin anew, at what is in use at this moment.

    Example: reset, run a training step, and ``memory_stats()["peak_bytes_in_use"]`` is the step's.
    """
    if "compiled" in available_backends():
        backends.load("compiled").reset_peak_memory_stats()


def empty_cache() -> None:
    """Give the memory that the pool keeps for later, and that no array uses, back to the system."""
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
                    f"cnnx computes with its slow reference backend: {error} "
                    "(CNNX_BACKEND=reference asks for it, without this warning.)",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return backends.load("reference")
    try:
        return backends.load(name)
    except (ValueError, ImportError) as error:
        raise type(error)(f"environment variable CNNX_BACKEND={name}: {error}") from None


_default = _default_backend()
