"""`Epoch`: one pass over the training data."""

# Design:
# "The last good weights" are those after the last finished epoch (before the first: the initial
# ones), whose loss was finite over a whole pass. They and the optimiser's state are copied once per
# epoch, at negligible cost, and are restored when a loss or, at the end of an epoch, a weight is
# not finite. A copy before each step would be newer, but one step before NaN the weights are
# usually unusable already. Other errors within an epoch (a sample that a layer rejects) restore
# them too. Ctrl-C and an error of a callback do not: the steps so far are kept.
# The gradients of a group of batches (accumulate) are to be that of the group's mean loss, whose
# divisor is known only after its last batch. So each is weighted by its share relative to that of
# the first batch, and the sum is divided once. With equal batches the weights are exactly 1, and
# with a power of two of them the division is exact.

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx.graph.steps import call_backward
from cnnx.history import Row
from cnnx.inference import call_model, single
from cnnx.meter import Meter
from cnnx.objective import SeveralLosses, call_loss, is_sum, main, share_of
from cnnx.optim import clip_grad_norm, clip_grad_value

if TYPE_CHECKING:
    from cnnx.training.trainer import Trainer

__all__ = ["Epoch", "NotFiniteError"]


class NotFiniteError(FloatingPointError, ValueError):
    """A loss or weights became inf or NaN in training; the last good weights are restored.

    ``error.history`` holds the finished epochs.
    """


class Epoch:
    """One pass over the training data; an error restores the state before it."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.model, self.optimizer, self.loss = trainer.model, trainer.optimizer, trainer.loss
        self._before = [(part, part.state_dict()) for part in self._parts()]
        self._first, self._total = 0.0, 0.0  # shares of the group: of its first batch, of all

    def _parts(self) -> list[Any]:
        parts = (self.model, self.optimizer, self.trainer.ema, self.trainer.schedule)
        return [part for part in parts if hasattr(part, "state_dict")]

    def run(self) -> Row:
        """The means of loss and metrics over the samples."""
        try:
            return self._run()
        except Exception:
            if not self.trainer.in_callback:
                for part, state in self._before:
                    part.load_state_dict(state)
                self.model.zero_grad()
            raise

    def _run(self) -> Row:
        trainer = self.trainer
        hooks = trainer.hooks
        if trainer.meter is None:
            trainer.meter = Meter(self.loss, trainer.measures)
        if not trainer.stopped:
            for number, batch, last in self._numbered():
                if hooks.on_batch_begin:
                    trainer.call(hooks.on_batch_begin, number)
                loss, values = self._batch(number, batch, last)
                trainer.batch = number
                if hooks.on_batch_end:
                    trainer.call(hooks.on_batch_end, number, {"loss": loss, **values})
                if trainer.pending is not None and trainer.stepped:
                    trainer.raise_pending()
                if trainer.stopped:
                    break
        if not trainer.stepped:
            self._step()
        if not all(np.isfinite(p.data).all() for p in self.model.parameters()):
            raise self._not_finite(f"the weights are not finite after epoch {trainer.epoch}")
        return trainer.meter.result()

    def _numbered(self) -> Iterator[tuple[int, Any, bool]]:
        """(number from 1, batch, whether the optimiser steps after it)."""
        trainer = self.trainer
        start, group = trainer.batch, trainer.accumulate
        batches = self._batches(start)
        if group == 1:
            for number, batch in enumerate(batches, start + 1):
                yield number, batch, True
            return
        number, present = start, next(batches, None)
        while present is not None:  # one batch ahead, to know the last one
            number, following = number + 1, next(batches, None)
            yield number, present, number % group == 0 or following is None
            present = following

    def _batches(self, start: int) -> Iterator[Any]:
        """The batches of the epoch from number `start` on, from 0."""
        return self.trainer.data.epoch(self.trainer.epoch - 1, start)

    def _batch(self, number: int, batch: Any, last: bool) -> tuple[float, Row]:
        """Forward, loss, backward, and, if it is the last of its group, a step."""
        trainer = self.trainer
        x, y = batch[:2]
        weight = batch[2] if len(batch) == 3 else None
        outputs = call_model(self.model, x)
        if not isinstance(self.loss, SeveralLosses):
            outputs = single(outputs, "fit")
        if trainer.measures.settled is None:
            self._check_targets(outputs, y)
        loss = float(call_loss(self.loss, outputs, y, weight))
        if not math.isfinite(loss):
            where = f"at epoch {trainer.epoch}, batch {number}"
            raise self._not_finite(f"the loss is {loss} {where}")
        if trainer.stepped:
            self.optimizer.zero_grad()
        dy = self.loss.backward()
        if trainer.accumulate > 1:
            dy = self._weighted(dy, outputs, y, weight)
        call_backward(self.model, dy, need_dx=False)
        trainer.stepped = False
        if last:
            self._step()
        assert trainer.meter is not None
        return loss, trainer.meter.add(loss, outputs, y, weight)[1]

    def _weighted(self, dy: Any, outputs: Any, target: Any, weight: Any) -> Any:
        """The gradient of a batch of a group, weighted by its share."""
        if is_sum(self.loss):
            return dy
        share = share_of(self.loss, target, main(outputs).shape, weight)
        self._first = self._first or share
        self._total += share
        return self._relative(dy, share)

    def _relative(self, dy: Any, share: float) -> Any:
        """The gradient of a batch with this share, relative to the first of its group."""
        if share in (0, self._first):  # 0: the gradient is 0 already
            return dy
        ratio = share / self._first
        if isinstance(dy, tuple):
            return tuple([None if d is None else d * d.dtype.type(ratio) for d in dy])
        return dy * dy.dtype.type(ratio)

    def _step(self) -> None:
        """A step of the optimiser, with the gradient of the mean loss of its batches."""
        trainer, optimizer = self.trainer, self.optimizer
        if self._total not in (0, self._first):
            factor = self._first / self._total
            for parameter in optimizer.parameters():
                if parameter.grad is not None:
                    parameter.grad *= parameter.grad.dtype.type(factor)
        self._first = self._total = 0.0
        if trainer.clip_value is not None:
            clip_grad_value(optimizer.parameters(), trainer.clip_value)
        if trainer.clip_norm is not None:
            clip_grad_norm(optimizer.parameters(), trainer.clip_norm)
        optimizer.step()
        if trainer.ema is not None:
            trainer.ema.update()
        trainer.stepped = True

    def _not_finite(self, what: str) -> NotFiniteError:
        return NotFiniteError(
            f"fit: {what}: the weights from before this epoch are restored. Try a smaller learning "
            f"rate than {self.optimizer.lr:g}, and look for inf or NaN in the data"
        )

    def _check_targets(self, outputs: Any, target: Any) -> None:
        """Detect wrong targets anywhere in the data before the first step."""
        trainer = self.trainer
        whole, held_out = trainer.data.whole, trainer.held_out
        trainer.measures.settle(outputs, target if whole is None else whole.y, "train")
        if whole is not None:
            shape = (len(whole), *main(outputs).shape[1:])
            weight = getattr(whole, "sample_weight", None)
            if share_of(self.loss, whole.y, shape, weight) == 0:
                kind = "class weight" if weight is None else "weight"
                raise ValueError(
                    f"fit: every label of train is ignored or has the {kind} 0, so there is "
                    "nothing to train: give a class that occurs a weight above 0"
                )
        if held_out is not None and held_out.whole is not None:
            trainer.measures.check(outputs, held_out.whole.y, "validation")
