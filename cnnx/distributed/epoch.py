"""`SharedEpoch`: one pass over the training data, shared by the ranks."""

# Design:
# It is the `Epoch` of `fit` with shards for a group of batches: `Epoch` weights the gradients of a
# group relative to its first batch, here relative to the first shard of all ranks. For this the
# ranks tell each other, between forward and backward, loss and share of their shards. The message
# is small, and it makes the run one: history, metrics, a loss that is not finite, and a request to
# stop are known to all ranks at the same batch, whatever rank they come from.
# Each shard has random numbers of its own (dropout), a function of the seed, the batch and its
# number, as the ranks compute them at the same time.

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnx import random
from cnnx.distributed.agreement import check_same, digest
from cnnx.distributed.buckets import Buckets
from cnnx.distributed.ordered import Ordered
from cnnx.distributed.shards import Shards, shards_of, split, too_few
from cnnx.distributed.statistics import Statistics
from cnnx.distributed.sync_batch_norm import is_synchronised
from cnnx.graph.steps import call_backward
from cnnx.history import Row
from cnnx.inference import call_model, single
from cnnx.meter import Measured
from cnnx.objective import SeveralLosses, call_loss, is_sum
from cnnx.training.epoch import Epoch, NotFiniteError

if TYPE_CHECKING:
    from cnnx.distributed.trainer import SharedTrainer

__all__ = ["SharedEpoch"]


class _Told(NamedTuple):
    """What a rank tells the others between forward and backward of a shard.

    measured     loss, share and metrics; None: the shard has no samples
    streamed     outputs, targets and weights, if there are streaming metrics
    interrupted  whether a signal asked this rank to stop
    stops        whether a callback did
    counters     of running statistics, after the forward
    """

    measured: Measured | None
    streamed: Any
    interrupted: bool
    stops: bool
    counters: Any = ()


class SharedEpoch(Epoch):
    """One pass over the training data; every rank does its shards of each batch."""

    trainer: SharedTrainer

    def __init__(self, trainer: SharedTrainer) -> None:
        super().__init__(trainer)
        self.comm, self.shards = trainer.comm, trainer.shards
        self.comm.weight = 1.0  # gradients are weighted here already
        self._even = is_synchronised(trainer.model)
        self._own = shards_of(self.comm.rank, self.comm.size, self.shards)
        self._turns = -(-self.shards // self.comm.size)  # shards of rank 0, which has the most
        parameters = [p for p in trainer.optimizer.parameters() if p.requires_grad]
        self._ordered = Ordered(self.comm, parameters, self.shards) if trainer.ordered else None
        self._buckets = None if trainer.ordered else Buckets(self.comm, parameters)
        self._statistics: Statistics | None = None
        if self.shards > 1:
            self._statistics = Statistics(self.comm, self.model, len(self._own), trainer.ordered)

    def run(self) -> Row:
        try:
            row = super().run()
        finally:
            if self._buckets is not None:
                self._buckets.end()
        weights = {"trained weights": digest(self.model.state_dict())}
        check_same(self.comm, f"fit: epoch {self.trainer.epoch}", weights)
        return row

    def _batches(self, start: int) -> Iterator[Any]:
        trainer = self.trainer
        how = self._own, self.shards, self._even
        return split(trainer.data, trainer.epoch - 1, start, *how)

    def _batch(self, number: int, batch: Shards, last: bool) -> tuple[float, Row]:
        """Forward, loss and backward of the own shards, and, after the last batch of a group, a
        step of all ranks.
        """
        trainer, statistics = self.trainer, self._statistics
        if self._even and batch.filled < self.shards:
            raise self.comm.agreed(too_few("fit", batch.filled, self.shards))
        if trainer.stepped:
            self.optimizer.zero_grad()
        key = random.dropout_key() if self.shards > 1 else None
        if statistics is not None:
            statistics.begin()
        told: list[list[_Told]] = []
        for turn in range(self._turns):
            shard = batch.own[turn] if turn < len(self._own) else None
            final = turn == self._turns - 1
            with self._random(key, turn):
                told.append(self.comm.together(lambda: self._forward(shard, turn)))  # noqa: B023
                self._check(told, number)
                if statistics is not None and final:
                    statistics.send()
                mine = told[turn][self.comm.rank].measured
                if mine is not None:
                    self._backward(mine.share, turn, last and final)
        if self._ordered is not None:
            self._ordered.add(batch.filled)
        if statistics is not None:
            statistics.give(batch.filled, told[0][0].counters)
        trainer.stepped = False
        logs = self._include(told)
        if last:
            self._step()
        return logs

    def _random(self, key: tuple[int, int] | None, turn: int) -> AbstractContextManager[Any]:
        """The random numbers of a shard."""
        if key is None:
            return nullcontext()
        seed, call = key
        shard = self._own.start + turn
        return random.seeded((seed << 96) + (call << 32) + shard)

    def _forward(self, shard: Any, turn: int) -> _Told:
        """Forward and loss of a shard, and what the other ranks must know."""
        trainer, meter, statistics = self.trainer, self.trainer.meter, self._statistics
        signs = trainer.noted is not None, trainer.asked
        if shard is None:
            return _Told(None, None, *signs)
        assert meter is not None
        if statistics is not None and turn > 0:
            statistics.reset()
        outputs = call_model(self.model, shard[0])
        if not isinstance(self.loss, SeveralLosses):
            outputs = single(outputs, "fit")
        if statistics is not None:
            statistics.take(turn)
        y, weight = shard[1], shard[2] if len(shard) == 3 else None
        if trainer.measures.settled is None:
            self._check_targets(outputs, y)
        loss = float(call_loss(self.loss, outputs, y, weight))
        measured = meter.measure(loss, outputs, y, weight)
        streamed = (outputs, y, weight) if meter.streaming else None
        counters = () if statistics is None else statistics.counters()
        return _Told(measured, streamed, *signs, counters)

    def _check(self, told: list[list[_Told]], number: int) -> None:
        """Raise and stop on all ranks alike; and the weight of the first shard of the group."""
        latest = told[-1]
        for one in latest:
            if one.measured is not None and not math.isfinite(one.measured.loss):
                where = f"at epoch {self.trainer.epoch}, batch {number}"
                raise self._not_finite(f"the loss is {one.measured.loss} {where}")
        if self._is_weighted() and not self._first:
            shares = [one.measured.share for one in latest if one.measured is not None]
            self._first = next(filter(None, shares), 0.0)
        self.trainer.agree(any(one.interrupted for one in latest), any(one.stops for one in latest))

    def _is_weighted(self) -> bool:
        """Whether the gradients of several shards are added for a mean."""
        several = self.shards > 1 or self.trainer.accumulate > 1
        return several and not is_sum(self.loss)

    def _backward(self, share: float, turn: int, sends: bool) -> None:
        dy = self.loss.backward()
        if self._is_weighted():
            dy = self._relative(dy, share)
        if self._buckets is not None and sends:
            self._buckets.begin()
        call_backward(self.model, dy, need_dx=False)
        if self._ordered is not None:
            self._ordered.take(turn)

    def _include(self, told: list[list[_Told]]) -> tuple[float, Row]:
        """Add all shards to the means of the epoch, in order; loss and metrics of the batch."""
        meter = self.trainer.meter
        assert meter is not None
        batch = type(meter)(self.loss, self.trainer.measures)
        for rank in range(self.comm.size):
            for turn in range(len(shards_of(rank, self.comm.size, self.shards))):
                measured, streamed = told[turn][rank].measured, told[turn][rank].streamed
                if measured is None:
                    continue
                self._total += measured.share if self._is_weighted() else 0.0
                meter.include(measured)
                batch.include(measured)
                if streamed is not None:
                    meter.stream(*streamed)
        row = batch.means()
        loss = batch.sums["loss"] if is_sum(self.loss) else row["loss"]
        return loss, {name: value for name, value in row.items() if name != "loss"}

    def _step(self) -> None:
        if self._buckets is not None:
            self._buckets.finish()
        if self._ordered is not None:
            self._ordered.give()
        super()._step()

    def _not_finite(self, what: str) -> NotFiniteError:
        return self.comm.agreed(super()._not_finite(what))
