"""`cnnx.distributed.fit`: `cnnx.fit` on all ranks of an MPI program."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from cnnx import checks
from cnnx.callbacks import Hooks
from cnnx.data import Batches
from cnnx.distributed.comm import Comm, init
from cnnx.distributed.shards import too_few
from cnnx.distributed.sync_batch_norm import is_synchronised
from cnnx.distributed.trainer import SharedTrainer
from cnnx.history import History
from cnnx.scoring import check_loss
from cnnx.training import fit as fit_on_one
from cnnx.training.fit import prepare

if TYPE_CHECKING:
    from cnnx.layers import Layer
    from cnnx.typing import Data

__all__ = ["fit"]

_REDUCTIONS = ("mpi", "ordered")


def fit(
    model: Layer,
    train: Data,
    *,
    reduction: str = "mpi",
    shards: int | None = None,
    comm: Comm | None = None,
    **options: Any,
) -> History:
    """`cnnx.fit`, with each batch shared by the ranks of an MPI program. Every rank calls it with
    the same arguments, an equal model and equal data; all return the same model and history.

    options    the arguments of `cnnx.fit`. batch_size is that of all ranks together
    reduction  of the gradients: "mpi", MPI's own sum, sent while backward still runs, whose last
               bits may depend on the number of ranks; or "ordered", the sum in the order of the
               shards, which does not depend on it
    shards     parts of each batch, consecutive and of the same size, dealt out to the ranks in
               order; None: one for each rank. batch_size must be a multiple of it
    comm       from `init`; None: of all ranks of the program

    "ordered" with ``shards=4`` gives the same bits on 1, 2, 3 and 4 ranks, in the model and in the
    history (but for its seconds), and those of ``cnnx.fit(..., batch_size=batch_size // 4,
    accumulate=4)`` on one process for weights without dropout. It needs the same kernel set on all
    ranks, and sends nothing while backward runs.

    Batch norm normalises each shard by its own statistics, and running statistics are the mean over
    the shards; `sync_batch_norm` makes it use those of the whole batch. A loss that is a mean is
    the mean over the samples of the whole batch, of any shard sizes, with class and sample weights.
    Validation is computed by all ranks together. Callbacks run on every rank, with the same rows,
    but those with `first_rank_only` (`Checkpoint`, `CSVLogger`, `ProgressBar`, ...) on rank 0 only;
    their files are resumed by all ranks, so they must be on a disk that all see, or be copied.
    After a resume the number of ranks may differ. An iterable of batches is read whole by every
    rank.

    ValueError on all ranks if they differ in code, arguments, data, weights or the checkpoint, with
    what and where; for more ranks than shards; and for a batch_size that cannot be divided. An
    error that all ranks meet, or one in the data or forward pass of a rank, is raised on all of
    them. Any other error of one rank, or a rank that does not answer for the `timeout` of `init`,
    ends the processes of all ranks, with one message: the last checkpoint can be resumed.

    Example::

        comm = cnnx.distributed.init()
        cnnx.distributed.fit(model, train, batch_size=256, epochs=5, seed=0, comm=comm)
    """
    team = init() if comm is None else comm
    with team.guard():
        trainer, seed, resume = team.all_or_none(
            lambda: _prepared(team, model, train, reduction, shards, options)
        )
        if isinstance(trainer.data.source, Batches):  # without a seed, each rank has drawn one
            trainer.data.source.seed = team.gather(trainer.data.source.seed)[0]
        return trainer.run(seed, resume)


def _prepared(
    comm: Comm,
    model: Layer,
    train: Data,
    reduction: str,
    shards: int | None,
    options: dict[str, Any],
) -> tuple[SharedTrainer, int | None, Any]:
    """The run of this rank, its seed, and from where it resumes."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f'fit: reduction is {reduction!r}, expected "mpi" or "ordered"')
    parts = comm.size if shards is None else checks.integer("fit", "shards", shards, least=1)
    if parts < comm.size:
        raise ValueError(f"fit: shards is {parts}, but there are {comm.size} ranks: each needs one")
    bound = inspect.signature(fit_on_one).bind(model, train, **options)
    bound.apply_defaults()
    given = dict(bound.arguments)
    resume = given.pop("resume")
    if comm.rank > 0:
        hooks = Hooks(given["callbacks"])
        given["callbacks"] = [
            c for c in hooks.callbacks if not getattr(c, "first_rank_only", False)
        ]
        given["verbose"] = False
    trainer = prepare(SharedTrainer, **given)
    with warnings.catch_warnings():
        if comm.rank > 0:
            warnings.simplefilter("ignore")  # rank 0 says it
        check_loss("fit", model, trainer.loss)
    source = trainer.data.source
    if isinstance(source, Batches) and source.batch_size % parts:
        raise ValueError(
            f"fit: batch_size is {source.batch_size}, which {parts} shards of the same size cannot "
            f"make up: use {source.batch_size // parts * parts or parts}, or other shards"
        )
    if is_synchronised(model):
        _check_synchronised(source, parts, comm.size)
    trainer.share(comm, parts, reduction == "ordered")
    return trainer, given["seed"], resume


def _check_synchronised(source: Any, shards: int, ranks: int) -> None:
    """ValueError unless every rank has one part of each batch."""
    if shards != ranks:
        raise ValueError(
            f"fit: shards is {shards}, but with synchronised batch norm each of the {ranks} ranks "
            f"has one: use shards={ranks}"
        )
    if isinstance(source, Batches):
        last = len(source.data) % source.batch_size
        if 0 < last < ranks and not (source.drop_last and len(source.data) > last):
            raise too_few("fit", last, ranks)
