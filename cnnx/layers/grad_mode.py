"""`no_grad`: run layers without keeping anything for backward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["grad_enabled", "no_grad"]

_enabled: ContextVar[bool] = ContextVar("cnnx_grad_enabled", default=True)


def grad_enabled() -> bool:
    """Whether a forward keeps what its backward needs: True outside of `no_grad`."""
    return _enabled.get()


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside ``with no_grad():`` (or a function decorated ``@no_grad()``) forward saves nothing.

    Inference needs a fraction of the memory then; a backward afterwards is an error in words. Only
    the thread that entered is concerned. It does not change train or eval mode.

    Example: ``with cnnx.no_grad(): scores = model(x)``
    """
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)
