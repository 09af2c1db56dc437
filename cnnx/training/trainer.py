"""`Trainer`: a run of `fit`, and what callbacks see of it."""

# Design:
# The state of a run is whole between two batches, after the optimiser's step (`stepped`), and
# between two epochs. Checkpoints are written there, and an interrupt that a callback noted
# (`interrupt`) is raised there; `resumable` says that an exception left the state whole.
# All randomness of a run comes from its seed (random.seeded), whatever ran before.

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from cnnx import random
from cnnx.callbacks import Callback, Hooks
from cnnx.feed import Feed
from cnnx.history import History, Row
from cnnx.inference import score
from cnnx.layers import Layer, run_mode
from cnnx.meter import Meter
from cnnx.optim import Optimizer
from cnnx.scoring import Measures
from cnnx.training import journal, resume
from cnnx.training.epoch import Epoch

__all__ = ["Trainer"]


class Trainer:
    """The attribute `trainer` of callbacks: see `cnnx.Callback`.

    batches       batches per epoch, None if that is not known
    stepped       whether the optimiser made a step after the last batch
    position      (finished epochs, batches of the next one that are done)
    resumed_from  path of the checkpoint with which the run began, or None
    """

    epoch_type: type[Epoch] = Epoch
    more_settings: Mapping[str, Any] = {}  # that a resumed run must have, too

    def __init__(
        self,
        model: Layer,
        optimizer: Optimizer,
        loss: Any,
        measures: Measures,
        *,
        data: Feed,
        held_out: Feed | None,
        hooks: Hooks,
        epochs: int,
        accumulate: int,
        clip_norm: float | None,
        clip_value: float | None,
        schedule: Any,
        ema: Any,
    ) -> None:
        self.model, self.optimizer, self.loss, self.measures = model, optimizer, loss, measures
        self.data, self.held_out, self.hooks = data, held_out, hooks
        self.epochs, self.accumulate = epochs, accumulate
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.schedule, self.ema = schedule, ema
        self.history = History()
        self.epoch, self.batch = 0, 0
        self.stepped = True
        self.stopped = False
        self.seed: int | None = None
        self.error: BaseException | None = None
        self.pending: BaseException | None = None
        self.resumable = False
        self.resumed_from: str | None = None
        self.meter: Meter | None = None  # of the epoch in progress
        self.started = 0.0  # when that began, by time.perf_counter
        self.in_callback = False
        self._idle = False

    # -- for callbacks -------------------------------------------------------------------------

    @property
    def batches(self) -> int | None:
        return self.data.batches

    @property
    def position(self) -> tuple[int, int]:
        return len(self.history), 0 if self.meter is None else self.batch

    def stop(self) -> None:
        """End training after the present batch or epoch."""
        self.stopped = True

    def interrupt(self, error: BaseException) -> None:
        """Raise an exception as soon as the state is whole: for handlers of signals."""
        if self._idle:
            raise error
        self.pending = error

    def scored_weights(self) -> dict[str, np.ndarray]:
        """A copy of the weights and statistics that the validation used: the averaged ones if
        there is an EMA.
        """
        with self._averaged():
            return self.model.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """The state of the run, from which `fit(resume=...)` continues."""
        return resume.state_dict(self)

    # -- the run -------------------------------------------------------------------------------

    def run(self, seed: int | None, resume_from: Any) -> History:
        """All epochs, from the start or from a checkpoint."""
        self.seed = seed
        stream = nullcontext() if seed is None else random.seeded(seed)
        with stream, self._carried():
            callbacks = resume.restore(self, resume_from)
            for callback in self.hooks.callbacks:
                if isinstance(callback, Callback):
                    callback.trainer = self
            with self._ended():
                self._begin()
                resume.restore_callbacks(self, callbacks)
                while len(self.history) < self.epochs and self._goes_on():
                    self._run_epoch()
                    self.raise_pending()
                if self.ema is not None:
                    self.ema.copy_to_model()
        journal.ends(self)
        return self.history

    def _begin(self) -> None:
        """What comes before the first epoch, or the first after a resume."""
        journal.begins(self)
        self.call(self.hooks.on_train_begin)

    def _goes_on(self) -> bool:
        return not self.stopped or self.meter is not None  # stopped within an epoch: it is ended

    def call(self, hooks: list[Callable[..., None]], *values: Any) -> None:
        """Call a hook of the callbacks; a dict is copied for each."""
        self.in_callback = True
        for hook in hooks:
            hook(*[dict(value) if isinstance(value, dict) else value for value in values])
        self.in_callback = False

    def raise_pending(self) -> None:
        """Raise a noted interrupt; the state is whole here."""
        if self.pending is not None:
            self.resumable = True
            raise self.pending

    def _run_epoch(self) -> None:
        self.epoch = len(self.history) + 1
        if self.meter is None:
            self.batch, self.started = 0, time.perf_counter()
        self.call(self.hooks.on_epoch_begin, self.epoch)
        with run_mode(self._mode()):
            means = self.epoch_type(self).run()
        row: Row = {"epoch": self.epoch, **means}
        if self.held_out is not None:
            scores = self._validated(self.held_out)
            row.update({f"val_{name}": value for name, value in scores.items()})
        row["seconds"] = time.perf_counter() - self.started
        self.history.append(row)
        self.meter = None
        journal.epoch_ends(row)
        self.call(self.hooks.on_epoch_end, self.epoch, row)

    def _validated(self, held_out: Feed) -> Row:
        """Nothing changes meanwhile, so an interrupt need not wait."""
        with self._averaged():
            self._idle = True
            try:
                self.raise_pending()
                return score(self.model, held_out, 256, self.loss, self.measures, per_sample=True)
            except (KeyboardInterrupt, SystemExit):
                self.resumable = True
                raise
            finally:
                self._idle = False

    def _averaged(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.ema is None else self.ema.averaged()

    def _mode(self) -> bool | None:
        """The `run_mode` of an epoch: each layer's own mode, or train mode if the model is in
        eval.
        """
        with run_mode(None):
            return None if self.model.training else True

    @contextmanager
    def _carried(self) -> Iterator[None]:
        """Attach the finished epochs to the exception that ends training early."""
        try:
            yield
        except BaseException as error:
            # Any exception object takes attributes.
            error.history = self.history  # type: ignore[attr-defined]
            raise

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """Call `on_train_end` of all callbacks in any case; the first exception counts."""
        try:
            yield
        except BaseException as error:
            self.error = error
            journal.breaks_off(self, error)
            raise
        finally:
            later = None
            for hook in self.hooks.on_train_end:
                try:
                    hook()
                except BaseException as error:
                    later = later or error
            if later is not None and self.error is None:
                raise later
