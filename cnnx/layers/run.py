"""Settings of a run rather than of the layers: `no_grad` and `run_mode`."""

# Design:
# Several threads may use one model. So the settings of a run (eval mode, nothing saved) are context
# variables, which the layers read: every thread and asyncio task has its own. `train()` and
# `eval()` set a layer's own mode, which applies unless the run sets one; nothing else of cnnx
# writes it.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from typing import Any

__all__ = ["Mode", "grad_enabled", "no_grad", "run_mode"]

_enabled: ContextVar[bool] = ContextVar("cnnx_grad_enabled", default=True)
_training: ContextVar[bool | None] = ContextVar("cnnx_training", default=None)


def grad_enabled() -> bool:
    """Whether forward saves what backward needs: True outside of `no_grad`."""
    return _enabled.get()


class Mode:
    """The attribute `training`: the mode of the run if it has one (`run_mode`), else the layer's
    own, which assignment sets and which is `own` by default.
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


class no_grad(ContextDecorator):
    """Inside ``with no_grad():`` (or a function decorated ``@no_grad()``) forward saves nothing.

    Inference then needs a fraction of the memory, and does not modify the layers: what an earlier
    forward saved remains for its backward. It affects only the thread (or asyncio task) that
    entered it, and does not change train or eval mode.

    Example: ``with cnnx.no_grad(): scores = model(x)``
    """

    _token: Token[bool]

    def __enter__(self) -> None:
        self._token = _enabled.set(False)

    def __exit__(self, *error: object) -> None:
        _enabled.reset(self._token)

    def _recreate_cm(self) -> no_grad:
        return no_grad()  # for each call of a decorated function, which may call itself


@contextmanager
def run_mode(training: bool | None) -> Iterator[None]:
    """Inside ``with run_mode(training=False):`` every layer is in eval mode, whatever its own mode.

    training  True: train mode for all layers; False: eval mode for all; None: each layer's own
              mode, as set by `train` and `eval`

    No layer is modified, and only the thread (or asyncio task) that entered is affected, so others
    may train or use the same model meanwhile. `predict` and `evaluate` use it.

    Example: ``with run_mode(training=False), no_grad(): scores = model(x)``
    """
    if training is not None and not isinstance(training, bool):
        raise TypeError(f"run_mode: training is {training!r}, expected True, False or None")
    token = _training.set(training)
    try:
        yield
    finally:
        _training.reset(token)
