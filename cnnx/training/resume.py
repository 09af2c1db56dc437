"""The state of a run as a tree, and how `fit` continues from one."""

# Design:
# Everything that the next step depends on is in the tree, or is an argument of `fit`. Arguments
# that change the bits are in it as well (`settings`), so that a run with others is refused instead
# of continuing as something else. The state from before the epoch is not in it: it would double the
# file, and is needed only if a loss is not finite before the epoch's end.

from __future__ import annotations

import os
import time
import warnings
from typing import TYPE_CHECKING, Any

from cnnx import random
from cnnx.callbacks.checkpoint import checkpoints
from cnnx.checkpoint import load_checkpoint
from cnnx.data import Batches
from cnnx.history import History
from cnnx.meter import Meter

if TYPE_CHECKING:
    from cnnx.training.trainer import Trainer

__all__ = ["restore", "restore_callbacks", "settings", "state_dict"]

_KIND = "training of cnnx"


def state_dict(trainer: Trainer) -> dict[str, Any]:
    """The state of a run, at a place where it is whole."""
    meter = trainer.meter
    return {
        "kind": _KIND,
        "settings": settings(trainer),
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "ema": None if trainer.ema is None else trainer.ema.state_dict(),
        "random": random.get_state(),
        "data_seed": getattr(trainer.data.source, "seed", None),
        "callbacks": trainer.hooks.state_dict(),
        "history": trainer.history.rows,
        "batch": 0 if meter is None else trainer.batch,
        "sums": None if meter is None else meter.state_dict(),
        "seconds": 0.0 if meter is None else time.perf_counter() - trainer.started,
        "stopped": trainer.stopped,
    }


def settings(trainer: Trainer) -> dict[str, Any]:
    """Arguments on which the bits depend, and which must be the same after a resume."""
    data, source = trainer.data, trainer.data.source
    own = isinstance(source, Batches)
    return {
        "seed": trainer.seed,
        "batch_size": source.batch_size if own else None,
        "shuffle": source.shuffle if own else None,
        "drop_last": source.drop_last if own else None,
        "augment": own and source.transform is not None,
        "number of samples": len(source.data) if own else None,
        "number of batches": data.batches,
        "steps_per_epoch": data.steps,
        "accumulate": trainer.accumulate,
        "clip_grad_norm": trainer.clip_norm,
        "clip_grad_value": trainer.clip_value,
        "optimizer": type(trainer.optimizer).__name__,
        "loss": type(trainer.loss).__name__,
        "schedule": None if trainer.schedule is None else type(trainer.schedule).__name__,
        "ema": trainer.ema is not None,
        "dtype": sorted({str(parameter.dtype) for parameter in trainer.model.parameters()}),
        **trainer.more_settings,
    }


def restore(trainer: Trainer, path: Any) -> list[Any]:
    """Continue from a checkpoint, if there is one; returns the states of the callbacks."""
    if path is None:
        return []
    found = _newest(os.fspath(path))
    if found is None:
        return []
    name, tree = found
    for setting, value in settings(trainer).items():
        saved = tree["settings"].get(setting)
        if saved != value:
            raise ValueError(
                f"fit: resume: {setting} is {value!r}, but {name!r} was written with {saved!r}"
            )
    before = trainer.model.state_dict(), trainer.optimizer.state_dict()
    try:
        trainer.model.load_state_dict(tree["model"])
        trainer.optimizer.load_state_dict(tree["optimizer"])
        if trainer.ema is not None:
            trainer.ema.load_state_dict(tree["ema"])
    except ValueError as error:
        trainer.model.load_state_dict(before[0])
        trainer.optimizer.load_state_dict(before[1])
        raise ValueError(f"fit: resume: {name!r} is of another model: {error}") from error
    trainer.history = History(tree["history"])
    if tree["data_seed"] is not None and isinstance(trainer.data.source, Batches):
        trainer.data.source.seed = tree["data_seed"]
    random.set_state(tree["random"])
    trainer.stopped, trainer.resumed_from = tree["stopped"], name
    if tree["sums"] is not None:
        trainer.meter = Meter(trainer.loss, trainer.measures)
        trainer.meter.load_state_dict(tree["sums"])
        trainer.batch = tree["batch"]
        trainer.started = time.perf_counter() - tree["seconds"]
    return tree["callbacks"]


def restore_callbacks(trainer: Trainer, states: list[Any]) -> None:
    """Give the callbacks their states, after `on_train_begin`."""
    missing = trainer.hooks.load_state_dict(states)
    if missing:
        warnings.warn(
            f"fit: resume: the checkpoint has the state of {', '.join(missing)}, which is not "
            "among the callbacks",
            UserWarning,
            stacklevel=4,
        )


def _newest(path: str) -> tuple[str, Any] | None:
    """(path, tree) of a checkpoint; of a directory the newest that can be read, None if it has
    none.
    """
    if not os.path.isdir(path):
        return path, _read(path)
    errors = []
    for _, candidate in reversed(checkpoints(path)):
        try:
            tree = _read(candidate)
        except (OSError, ValueError) as error:
            errors.append(str(error))
            continue
        if errors:
            warnings.warn(
                f"fit: resume: {errors[0]}: continuing from {candidate!r} instead",
                RuntimeWarning,
                stacklevel=5,
            )
        return candidate, tree
    if errors:
        raise ValueError(f"fit: resume: no checkpoint in {path!r} can be read: {errors[0]}")
    return None


def _read(path: str) -> Any:
    tree = load_checkpoint(path)
    if not isinstance(tree, dict) or tree.get("kind") != _KIND:
        raise ValueError(f"{path!r} is no state of a training, as `cnnx.Checkpoint` writes it")
    return tree
