"""`SharedTrainer`: a run of `cnnx.distributed.fit` on one rank."""

# Design:
# A callback or a signal may ask one rank alone to stop. It only notes that (`asked`, `noted`), and
# the ranks tell each other with the next shard, or between epochs: all stop at the same batch.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnx.distributed.agreement import check_same, digest, of_run
from cnnx.distributed.comm import Comm
from cnnx.distributed.epoch import SharedEpoch
from cnnx.distributed.scores import shared_score
from cnnx.feed import Feed
from cnnx.history import Row
from cnnx.training.resume import settings
from cnnx.training.trainer import Trainer

__all__ = ["SharedTrainer"]


class SharedTrainer(Trainer):
    """A `Trainer` whose batches are shared by the ranks. `share` must be called before `run`.

    shards   parts of a global batch
    ordered  whether gradients are added in the order of the shards
    noted    the exception by which a signal asks this rank to stop
    asked    whether a callback of this rank asks to stop
    """

    epoch_type = SharedEpoch
    noted: BaseException | None = None
    asked = False

    def share(self, comm: Comm, shards: int, ordered: bool) -> None:
        """Share the run with the other ranks."""
        self.comm, self.shards, self.ordered = comm, shards, ordered
        # With MPI's sum, the number of ranks may be another after a resume; an ordered sum would
        # be another one.
        how: Mapping[str, Any] = {"reduction": "ordered", "shards": shards}
        self.more_settings = how if ordered else {}

    def stop(self) -> None:
        """End training after the present batch or epoch: the next one that all ranks know of."""
        self.asked = True

    def interrupt(self, error: BaseException) -> None:
        """Raise an exception on all ranks as soon as the state is whole."""
        self.noted = error

    def agree(self, interrupted: bool, stops: bool) -> None:
        """What any of the ranks asked for, on all of them."""
        if interrupted and self.pending is None:
            self.pending = self.comm.agreed(self.noted or KeyboardInterrupt())
        self.stopped = self.stopped or stops

    def state_dict(self) -> dict[str, Any]:
        between = self.meter is None
        return {**super().state_dict(), "stopped": self.stopped or (between and self.asked)}

    def _begin(self) -> None:
        groups = [
            [setting for setting in group.items() if setting[0] != "params"]  # lr, weight_decay...
            for group in self.optimizer.param_groups
        ]
        facts = digest([sorted(settings(self).items()), self.epochs, groups])
        check_same(self.comm, "fit", of_run(self, facts, self.ordered))
        super()._begin()

    def _goes_on(self) -> bool:
        told = self.comm.gather((self.noted is not None, self.asked))
        self.agree(any(noted for noted, _ in told), any(asked for _, asked in told))
        self.raise_pending()
        return super()._goes_on()

    def _validated(self, held_out: Feed) -> Row:
        with self._averaged():
            return shared_score(self.comm, self.model, held_out, self.loss, self.measures)
