"""The ranks of ``mpirun -n 4 cnnx train --distributed``: all train, rank 0 speaks and writes."""

# Design:
# What a rank other than 0 would print is discarded, and it leaves the exit code of an error that
# all ranks met to rank 0: mpirun ends all of them at the first code that is not 0, and rank 0 may
# still be writing. An error that one rank met alone ends the others at once (Comm.guard).
# Wrong arguments are found before the ranks know of each other, usually by all of them. Rank 0 says
# so and exits, whereupon mpirun ends the others; these say it only if they are still there later,
# since they may have arguments of their own (mpirun -n 1 ... : -n 1 ...).

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar

from cnnx import config
from cnnx.cli.expected import EXPECTED
from cnnx.distributed import Comm, fit, init
from cnnx.distributed.comm import is_agreed
from cnnx.distributed.scores import shared_evaluate
from cnnx.inference import evaluate
from cnnx.training import fit as fit_on_one

if TYPE_CHECKING:
    from cnnx.cli.data import Samples
    from cnnx.history import History
    from cnnx.inference import Scores
    from cnnx.layers import Layer
    from cnnx.losses import Loss
    from cnnx.typing import Data

__all__ = ["Ranks", "after_rank_0", "check", "entered"]

Result = TypeVar("Result")

_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # set by Open MPI; by MPICH and Intel MPI
_NUMBERED = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
_TIMEOUT = 300.0
_PATIENCE = 3.0  # seconds: above the differences between the times at which ranks start


class Ranks:
    """The processes that run a command together; without a `comm` it is this one alone."""

    def __init__(
        self, comm: Comm | None, reduction: str = "mpi", shards: int | None = None
    ) -> None:
        self.comm, self.reduction, self.shards = comm, reduction, shards

    @property
    def writes(self) -> bool:
        """Whether this process prints, and writes files."""
        return self.comm is None or self.comm.rank == 0

    @property
    def start(self) -> str:
        """How the command was started, as text."""
        if self.comm is None or self.comm.size == 1:
            return "cnnx train"
        return f"mpirun -n {self.comm.size} cnnx train"

    def prepare(self, work: Callable[[], Result]) -> Result:
        """`work()` on every rank: first on rank 0, which may download files that the others then
        find. An error of one rank is an error of all.
        """
        if self.comm is None:
            return work()
        done: list[Result] = []
        for turn in (True, False):
            mine = self.writes is turn
            self.comm.together(lambda: done.append(work()) if mine else None)  # noqa: B023
        return done[0]

    def on_first(self, work: Callable[[], Result]) -> Result | None:
        """`work()` on rank 0, None elsewhere; an error is one of all ranks."""
        if self.comm is None:
            return work()
        return self.comm.all_or_none(lambda: work() if self.writes else None)

    def told(self, value: Any) -> Any:
        """The value that rank 0 has."""
        return value if self.comm is None else self.comm.gather(value)[0]

    def fit(self, model: Layer, train: Data, **options: Any) -> History:
        """`cnnx.fit`, or that of all ranks."""
        if self.comm is None:
            return fit_on_one(model, train, **options)
        how: dict[str, Any] = {"reduction": self.reduction, "shards": self.shards}
        return fit(model, train, comm=self.comm, **how, **options)

    def evaluate(self, model: Layer, data: Samples, loss: Loss) -> Scores:
        """`cnnx.evaluate`; of several ranks, each computes a part."""
        if self.comm is None:
            return evaluate(model, data, loss=loss)
        return shared_evaluate(self.comm, model, data, loss)

    def describe(self) -> str:
        """How the ranks share the work; "" for one process."""
        if self.comm is None:
            return ""
        ranks = "1 rank" if self.comm.size == 1 else f"{self.comm.size} ranks"
        shards = f"{self.shards or self.comm.size} shards"
        return f"{ranks}, {shards}, {'ordered' if self.reduction == 'ordered' else 'MPI'} sums"


def check(args: argparse.Namespace) -> None:
    """Usage errors: options of ranks without --distributed, and mpirun without it."""
    if args.distributed:
        return
    for name in ("reduction", "shards", "sync_batch_norm", "timeout"):
        if getattr(args, name) not in (None, False):
            args.parser.error(f"--{name.replace('_', '-')} is for --distributed")
    for name in _LAUNCHED:
        if os.environ.get(name, "1") not in ("", "1"):
            args.parser.error(
                f"mpirun started {os.environ[name]} processes, which would all do the same: "
                "--distributed shares the training among them"
            )


def after_rank_0() -> None:
    """Wait before a usage error is printed, unless this is rank 0: see the design block above."""
    if any(os.environ.get(name, "0") not in ("", "0") for name in _NUMBERED):
        time.sleep(_PATIENCE)


@contextmanager
def entered(args: argparse.Namespace) -> Iterator[Ranks]:
    """The ranks of --distributed, or this process alone."""
    if not args.distributed:
        yield Ranks(None)
        return
    comm = init(timeout=_TIMEOUT if args.timeout is None else args.timeout)
    comm.tracebacks = getattr(args, "traceback", False)
    args.reduction = args.reduction or "mpi"
    if args.reduction == "ordered":
        args.shards = args.shards or comm.size  # a resumed run has the same, on any ranks
    if args.threads is None and not os.environ.get("OMP_NUM_THREADS"):
        share = (os.cpu_count() or 1) // comm.local_size
        config.set_num_threads(max(min(share, config.get_num_threads()), 1))
    with _quiet(comm.rank > 0), comm.guard():
        yield Ranks(comm, args.reduction, args.shards)


@contextmanager
def _quiet(silent: bool) -> Iterator[None]:
    """Discard what this rank prints, and end it well after an error that rank 0 reports."""
    with ExitStack() as stack:
        if silent:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        try:
            yield
        except (*EXPECTED, KeyboardInterrupt, SystemExit) as error:
            if not (silent and is_agreed(error)):
                raise
            sys.exit(0)
