"""`Callback`: the base class, and `Hooks`: how `fit` calls callbacks."""

# Design:
# A training step of a small network takes 200 microseconds, so `fit` must not call what does
# nothing. `Hooks` looks once which callbacks define which hook; a hook that nobody defines is an
# empty list, which the loop skips.
# Checkpoints hold the state of the other callbacks, so they are called after all others
# (`runs_last`): whatever the order of the list, a checkpoint has their state after the same event.

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cnnx.history import Row

if TYPE_CHECKING:
    from cnnx.training.trainer import Trainer

__all__ = ["Callback", "Hooks"]

HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_batch_begin",
    "on_batch_end",
)


class Callback:
    """Base of callbacks of `fit`: override the hooks that are needed.

    trainer    set by `fit` before the first hook. It has `model`, `optimizer`, `loss`, `schedule`,
               `ema`, `history`, `epochs`, `epoch` (from 1), `batch` (the number of batches of the
               epoch that are done), `error` (the exception that ends training, else None), and the
               method `stop`
    runs_last  whether it is called after the callbacks for which this is False
    first_rank_only  whether `cnnx.distributed.fit` calls it on rank 0 alone: for those that write
               files or print

    Callbacks are called in the order of the list, first those with `runs_last` False. A row `logs`
    is a dict of its own for each callback.

    ``self.trainer.stop()`` ends training: called in a batch, after this batch, in which case the
    epoch's row is that of the batches so far and validation still takes place; called in
    `on_epoch_end`, after this epoch.

    An exception in a callback comes out of `fit`, with the finished epochs as its ``history``. The
    model stays as it is at that moment. In any case `on_train_end` of all callbacks is called;
    `trainer.error` tells whether training succeeded. An exception in `on_train_end` does not
    replace an earlier one.

    A callback with a state that training depends on has `state_dict()`, made of dicts, lists,
    numbers, strings, None and arrays, and `load_state_dict(state)`. `fit(resume=...)` calls the
    latter after `on_train_begin`.

    Example::

        class StopAtAccuracy(cnnx.Callback):
            def on_epoch_end(self, epoch, logs):
                if logs["val_accuracy"] > 0.99:
                    self.trainer.stop()
    """

    trainer: Trainer
    runs_last = False
    first_rank_only = False

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, and after an exception, which is `trainer.error` then."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before the first batch of an epoch, or its first batch after a resume."""

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        """After an epoch and its validation, with its row of the history."""

    def on_batch_begin(self, batch: int) -> None:
        """Before a batch, numbered from 1 in each epoch."""

    def on_batch_end(self, batch: int, logs: Row) -> None:
        """After a batch, and after the optimiser's step if one follows it, with the loss and the
        metrics of the batch.
        """

    def state_dict(self) -> dict[str, Any]:
        """The state that `fit(resume=...)` needs. By default there is none."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""


class Hooks:
    """The callbacks of a run, and for each hook the methods to call.

    callbacks  as `fit` takes them: a list, or one object; objects that are not a `Callback` need
               one of the hooks
    """

    def __init__(self, callbacks: Any) -> None:
        self.callbacks = sorted(_listed(callbacks), key=_runs_last)
        for name in HOOKS:
            setattr(self, name, [getattr(c, name) for c in self.callbacks if _has(c, name)])

    on_train_begin: list[Callable[[], None]]
    on_train_end: list[Callable[[], None]]
    on_epoch_begin: list[Callable[[int], None]]
    on_epoch_end: list[Callable[[int, Row], None]]
    on_batch_begin: list[Callable[[int], None]]
    on_batch_end: list[Callable[[int, Row], None]]

    def state_dict(self) -> list[dict[str, Any]]:
        """The states of the callbacks that have one, each with the name of its class."""
        states = []
        for callback in self.callbacks:
            state = callback.state_dict() if hasattr(callback, "state_dict") else {}
            if state:
                states.append({"class": type(callback).__name__, "state": state})
        return states

    def load_state_dict(self, states: Iterable[dict[str, Any]]) -> list[str]:
        """Restore the states by class, in order; returns the classes that are missing now."""
        free = list(self.callbacks)
        missing = []
        for entry in states:
            found = next((c for c in free if type(c).__name__ == entry["class"]), None)
            if found is None:
                missing.append(entry["class"])
            else:
                free.remove(found)
                found.load_state_dict(entry["state"])
        return missing


def _runs_last(callback: Any) -> bool:
    return bool(getattr(callback, "runs_last", False))


def _has(callback: Any, name: str) -> bool:
    method = getattr(callback, name, None)
    return callable(method) and getattr(type(callback), name, None) is not getattr(Callback, name)


def _listed(callbacks: Any) -> list[Any]:
    if _is_callback(callbacks):
        return [callbacks]
    try:
        listed = list(callbacks)
    except TypeError:
        raise TypeError(
            f"fit: callbacks is {callbacks!r}, expected a list of objects with "
            "on_epoch_end(epoch, logs)"
        ) from None
    for callback in listed:
        if not _is_callback(callback):
            raise TypeError(
                f"fit: callback {callback!r} has no method on_epoch_end(epoch, logs), nor another "
                "hook of cnnx.Callback"
            )
    return listed


def _is_callback(value: Any) -> bool:
    if isinstance(value, type):
        return False
    return isinstance(value, Callback) or any(callable(getattr(value, n, None)) for n in HOOKS)
