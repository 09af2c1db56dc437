"""`Comm`: the ranks of an MPI program, and what they do together."""

# Design:
# Whatever waits for other ranks waits in `Comm.wait`: it gives up the core between two looks, as
# ranks may share cores, and it ends after `timeout`, so that no rank waits for ever for one that
# hangs. MPI has no message for "this rank has an error"; the others would wait for its part of the
# next sum. So an error is of one of two kinds. An agreed one is raised on all ranks at the same
# place, after they have told each other of it (`together`, `agreed`): it is an exception like
# any other. One that a rank meets alone ends the processes of all ranks (MPI_Abort), once `guard`
# has printed it. A process that dies is noticed by mpirun, which ends the others.
# Messages between ranks are pickled: they come from the same program of the same user.

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cnnx import checks

if TYPE_CHECKING:
    from cnnx.distributed.optimizer import SharedOptimizer
    from cnnx.optim import Optimizer

__all__ = ["Comm", "RankError", "init"]

Result = TypeVar("Result")
AnyError = TypeVar("AnyError", bound=BaseException)

_FRAME = 512  # bytes: a message that fits needs one collective call, a longer one two
_LOOKS = 200  # looks at once before the first sleep: some tens of microseconds
_SLEEP, _LONGEST = 50e-6, 2e-3  # seconds between later looks: an eighth of the wait so far
_EACH = 0.5  # seconds by which a rank lets the one before it report the same error first


class _Failed(NamedTuple):
    """What a rank sends in the place of a value."""

    text: str


class RankError(RuntimeError):
    """An error of another rank, which all ranks raise; the text says which rank, and what."""


class Comm:
    """The ranks of an MPI program; returned by `init`.

    rank        of this process, from 0
    size        the number of ranks
    local_size  how many of them are on this machine
    timeout     seconds that a rank waits for the others before it ends the run
    weight      of this rank's loss in the gradients that are summed
    tracebacks  whether an error of one rank, which ends all, is printed with its traceback

    Example::

        comm = cnnx.distributed.init()
        optimizer = comm.wrap(cnnx.Adam(model.parameters()))
        for x, y in cnnx.data.batches(train, 64, shuffle=True, seed=0):
            rows = comm.rows(len(x))
            optimizer.zero_grad(samples=rows.stop - rows.start)
            loss(model(x[rows]), y[rows])
            model.backward(loss.backward())
            optimizer.step()
    """

    def __init__(self, mpi: Any, timeout: float) -> None:
        self._mpi, self._world = mpi, mpi.COMM_WORLD.Dup()
        self._sums = mpi.COMM_WORLD.Dup()  # a rank that is elsewhere must not mix up two messages
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        here = self._world.Split_type(mpi.COMM_TYPE_SHARED)
        self.local_size: int = here.Get_size()
        here.Free()
        self.timeout, self.tracebacks = timeout, True
        self.weight = 1.0

    def wrap(self, optimizer: Optimizer, *, overlap: bool = True) -> SharedOptimizer:
        """The optimiser with gradients averaged over the ranks: see `SharedOptimizer`.

        overlap  send gradients while backward still runs

        ValueError on all ranks if their parameters differ.

        Example: ``optimizer = comm.wrap(cnnx.SGD(model.parameters(), lr=0.1))``
        """
        from cnnx.distributed.optimizer import SharedOptimizer

        return SharedOptimizer(self, optimizer, overlap)

    def rows(self, count: int) -> slice:
        """This rank's part of a batch of `count` samples: parts are contiguous, in the order of
        the ranks, and differ by one sample at most.

        Example: ``x[comm.rows(len(x))]``
        """
        first, stop = part(count, self.rank, self.size)
        return slice(first, stop)

    # -- messages ------------------------------------------------------------------------------

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank. Every rank must call it."""
        if self.size == 1:
            return [value]
        message = pickle.dumps(value, protocol=5)
        frame = np.zeros(_FRAME, np.uint8)
        frame[:8] = np.frombuffer(len(message).to_bytes(8, "little"), np.uint8)
        room = message[: _FRAME - 8]
        frame[8 : 8 + len(room)] = np.frombuffer(room, np.uint8)
        frames = np.empty((self.size, _FRAME), np.uint8)
        self.wait(self._world.Iallgather(frame, frames))
        lengths = [int.from_bytes(frame[:8].tobytes(), "little") for frame in frames]
        if max(lengths) <= _FRAME - 8:
            return [pickle.loads(f[8 : 8 + n].tobytes()) for f, n in zip(frames, lengths)]
        starts = [sum(lengths[:rank]) for rank in range(self.size)]
        whole = np.empty(sum(lengths), np.uint8)
        mine = np.frombuffer(message, np.uint8)
        self.wait(self._world.Iallgatherv(mine, [whole, lengths, starts, self._mpi.BYTE]))
        return [pickle.loads(whole[s : s + n].tobytes()) for s, n in zip(starts, lengths)]

    def sum_later(self, vector: np.ndarray) -> Any:
        """Begin to sum a vector over the ranks, in place; the result is a request for `wait`."""
        return self._sums.Iallreduce(self._mpi.IN_PLACE, vector)

    def exchange(self, parts: np.ndarray) -> np.ndarray:
        """(size, ...) -> (size, ...): part r goes to rank r; what came from each rank."""
        received = np.empty_like(parts)
        self.wait(self._world.Ialltoall(parts, received))
        return received

    def collect(self, part: np.ndarray) -> np.ndarray:
        """(...) -> (size, ...): the arrays of all ranks."""
        whole = np.empty((self.size, *part.shape), part.dtype)
        self.wait(self._world.Iallgather(part, whole))
        return whole

    def wait(self, request: Any) -> None:
        """Return when a request is done; TimeoutError if it takes longer than `timeout`."""
        looks, start = 0, time.monotonic()
        while not request.Test():
            looks += 1
            if looks > _LOOKS:
                waited = time.monotonic() - start
                time.sleep(min(max(waited / 8, _SLEEP), _LONGEST))
                if waited > self.timeout:
                    raise TimeoutError(
                        f"rank {self.rank} has waited {self.timeout:g} s for the others: a rank "
                        "hangs, or has left the run; init(timeout=...) sets the limit"
                    )
            elif hasattr(os, "sched_yield"):
                os.sched_yield()

    # -- errors --------------------------------------------------------------------------------

    def together(self, work: Callable[[], Result]) -> list[Result]:
        """`work()` on every rank, and the results of all, by rank. An error on one of them is an
        (agreed) error on all: its own there, and RankError, with its text, elsewhere.
        """
        try:
            result = work()
        except Exception as error:
            if not is_agreed(error):
                self.gather(_Failed(f"{type(error).__name__}: {error}"))
            raise self.agreed(error)  # noqa: B904 - the same one
        return self.share(result)

    def share(self, value: Result) -> list[Result]:
        """`gather` in the work of `together`: an error that another rank met there is raised."""
        every: list[Any] = self.gather(value)
        for rank, one in enumerate(every):
            if isinstance(one, _Failed):
                raise self.agreed(RankError(f"rank {rank}: {one.text}"))
        return every

    def all_or_none(self, work: Callable[[], Result]) -> Result:
        """`work()` on every rank; an error on one of them is an error on all, as in `together`."""
        results: list[Result] = []
        self.together(lambda: results.append(work()))
        return results[0]

    def agreed(self, error: AnyError) -> AnyError:
        """Mark an error that every rank raises at this place."""
        # Any exception object takes attributes.
        error.on_all_ranks = True  # type: ignore[attr-defined]
        return error

    @contextmanager
    def guard(self) -> Iterator[None]:
        """A block whose errors end the processes of all ranks, unless they are agreed."""
        try:
            yield
        except BaseException as error:
            if self.size > 1 and not is_agreed(error):
                self.abort(error)
            raise

    def abort(self, error: BaseException) -> None:
        """Print the error and end the processes of all ranks."""
        time.sleep(_EACH * min(self.rank, 8))  # of the ranks with this error, the first prints it
        lines = "".join(traceback.format_exception(error)) if self.tracebacks else ""
        line = " ".join(f"{type(error).__name__}: {error}".split())
        print(
            f"{lines}cnnx: rank {self.rank} of {self.size} ends the run on all ranks: {line}",
            file=sys.__stderr__,
            flush=True,
        )
        self._world.Abort(1)

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """`sys.excepthook`: an agreed error is printed by rank 0, another one ends all ranks."""
        if not is_agreed(error):
            self.abort(error)
            return
        if self.rank == 0:
            sys.__excepthook__(kind, error, trace)
        with contextlib.suppress(TimeoutError):  # mpirun ends all ranks at the first exit code
            self.wait(self._world.Ibarrier())


def init(timeout: float = 300.0) -> Comm:
    """The ranks of this program, as started by ``mpirun -n 4 python program.py``; without mpirun
    it has one rank.

    timeout  seconds that a rank waits for the others before it ends the run

    From here on, an uncaught exception on one rank ends the processes of all of them, with its
    traceback. ImportError, with advice, without mpi4py or an MPI library.

    Example: ``comm = cnnx.distributed.init()``
    """
    seconds = checks.real("init", "timeout", timeout, 0.0)
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: it finds no MPI library
        raise ImportError(
            f"cnnx.distributed needs mpi4py and an MPI library: pip install cnnx[mpi] ({error})"
        ) from error
    comm = Comm(MPI, seconds)
    if comm.size > 1:
        sys.excepthook = comm._uncaught
    return comm


def part(count: int, index: int, parts: int) -> tuple[int, int]:
    """(first, stop) of part `index` when `count` things are dealt out in order, evenly.

    >>> [part(5, i, 3) for i in range(3)]
    [(0, 2), (2, 4), (4, 5)]
    """
    size, rest = divmod(count, parts)
    first = index * size + min(index, rest)
    return first, first + size + (index < rest)


def is_agreed(error: BaseException) -> bool:
    """Whether every rank raises this error: see `Comm.agreed`."""
    return bool(getattr(error, "on_all_ranks", False))
