"""What a run of `fit` writes to the logger ``cnnx.training``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnx import config
from cnnx.log import logger

if TYPE_CHECKING:
    from cnnx.history import Row
    from cnnx.training.trainer import Trainer

__all__ = ["begins", "breaks_off", "ends", "epoch_ends"]


def begins(trainer: Trainer) -> None:
    log, known = logger("training"), config.config_dict()
    log.info(
        "training begins: %d epochs of %s batches, %d parameters, %r, %r",
        trainer.epochs,
        "?" if trainer.batches is None else trainer.batches,
        sum(parameter.size for parameter in trainer.model.parameters()),
        trainer.loss,
        trainer.optimizer,
    )
    if trainer.resumed_from is not None:
        epochs, batches = trainer.position
        where = trainer.resumed_from
        log.info("resumes from %r: %d epochs and %d batches are done", where, epochs, batches)
    log.debug(
        "backend %s, kernel set %s, threads %d",
        known["backend"],
        known.get("kernel set (ISA)", "none"),
        known["threads"],
    )


def epoch_ends(row: Row) -> None:
    """At level DEBUG: `verbose` prints the same."""
    measured = ", ".join(f"{k} {value:.6g}" for k, value in row.items() if k != "epoch")
    logger("training").debug("epoch %d: %s", row["epoch"], measured)


def ends(trainer: Trainer) -> None:
    early = ", stopped before the last" if len(trainer.history) < trainer.epochs else ""
    logger("training").info("training ends after %d epochs%s", len(trainer.history), early)


def breaks_off(trainer: Trainer, error: BaseException) -> None:
    epochs, batches = trainer.position
    logger("training").info(
        "training breaks off after %d epochs and %d batches: %s: %s",
        *(epochs, batches, type(error).__name__, error),
    )
