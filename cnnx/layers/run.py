"""What holds for a run of layers, and is written on none of them: `no_grad` and `run_mode`."""

# Design:
# One model may be in use by several threads. So what a caller wants of its own run (answers of
# inference, nothing kept) is a context variable, read by the layers where they need it: every
# thread and asyncio task has its own. `train()` and `eval()` set a layer's own mode, which counts
# where the run says nothing; nothing else of cnnx writes it.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Mode", "grad_enabled", "no_grad", "run_mode"]

_enabled: ContextVar[bool] = ContextVar("cnnx_grad_enabled", default=True)
_training: ContextVar[bool | None] = ContextVar("cnnx_training", default=None)


def grad_enabled() -> bool:
    """Whether a forward keeps what its backward needs: True outside of `no_grad`."""
    return _enabled.get()


class Mode:
    """The attribute `training`: the mode of the run if it has one (`run_mode`), else the object's
    own, which assigning sets, and which is `own` before.
    """

    def __init__(self, own: bool = True) -> None:
        self.own = own

    def __get__(self, layer: Any, cls: Any = None) -> bool:
        mode = None if layer is None else _training.get()
        if mode is not None:
            return mode
        return self.own if layer is None else vars(layer).get("training", self.own)

    def __set__(self, layer: Any, mode: bool) -> None:
        vars(layer)["training"] = mode


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside ``with no_grad():`` (or a function decorated ``@no_grad()``) forward saves nothing.

    Inference needs a fraction of the memory then, and writes nothing on the layers: what an earlier
    forward saved stays for its backward. Only the thread (or asyncio task) that entered is
    concerned. It does not change train or eval mode.

    Example: ``with cnnx.no_grad(): scores = model(x)``
    """
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


@contextmanager
def run_mode(training: bool | None) -> Iterator[None]:
    """Inside ``with run_mode(training=False):`` every layer is in eval mode, whatever its own mode.

    training  True: all train; False: all are in eval mode; None: every layer's own mode counts,
              the one that `train` and `eval` set

    No layer is changed, and only the thread (or asyncio task) that entered is concerned, so others
    may train or use the same model meanwhile. `predict` and `evaluate` run so.

    Example: ``with run_mode(training=False), no_grad(): scores = model(x)``
    """
    if training is not None and not isinstance(training, bool):
        raise TypeError(f"run_mode: training is {training!r}, expected True, False or None")
    token = _training.set(training)
    try:
        yield
    finally:
        _training.reset(token)
