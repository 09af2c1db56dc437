"""The result of all passes: what runs for one shape of the inputs."""

# Design:
# A value of the network is a part of the arena, or an array that each call brings: an input, an
# output, or what a step in Python returns. Several values may be the same memory: views, and what
# an elementwise step computes in place. Their `root` is the one of them that was made first. It
# lives until the last reader of any of them, and of whatever may be a view of them: a step in
# Python may return a part of its input.
# Outputs are fresh arrays, which belong to the caller. An output that would be memory of an input,
# of the arena, or of another output is copied.
# A program changes nothing of itself while it runs but the list of idle arenas. Each call takes one
# of these, so any number of threads may run it.

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnx.engine import report
from cnnx.engine.lower import JobStep, Output, Scratch, Value, lower
from cnnx.engine.memory import Lifetime, place
from cnnx.engine.record import Recorded, record
from cnnx.graph.run import Plan
from cnnx.graph.steps import Step
from cnnx.layers.run import no_grad, run_mode

__all__ = ["Entry", "Piece", "Program"]

_MOST_ARENAS = 8  # idle ones that are kept


class Entry(NamedTuple):
    """A step of a program. `job`, or it is a view of value `view_of`, or it runs in Python.

    holds  the inputs with which the output may share memory
    kind   the algorithm of the Job, "view", or what it runs in Python
    macs   multiply-adds
    bytes  of its inputs, weights and output
    """

    step: Step
    job: JobStep | None
    view_of: int | None
    holds: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    kind: str
    macs: int
    bytes: int


class Piece(NamedTuple):
    """A part of the arena: for a value, or scratch memory of a step (value None)."""

    value: int | None
    offset: int
    lifetime: Lifetime


class Program:
    """The steps of a network for inputs of certain shapes and dtypes.

    plan    the steps of any shape
    inputs  arrays of these shapes and dtypes, of zeros
    jobs    the compiled backend's module of prepared ops, `cnnx.backends.compiled.jobs`

    ValueError or TypeError, from the layers, for inputs that the network does not accept.
    """

    def __init__(self, plan: Plan, inputs: Sequence[np.ndarray], jobs: Any) -> None:
        self.inputs, self.outputs = plan.inputs, plan.outputs
        self.entries = [_entry(recorded, jobs) for recorded in record(plan, inputs)]
        self._shapes = {i: x.shape for i, x in enumerate(inputs)}
        self._shapes.update({entry.step.output: entry.shape for entry in self.entries})
        self._dtypes = {i: x.dtype for i, x in enumerate(inputs)}
        self._dtypes.update({entry.step.output: entry.dtype for entry in self.entries})
        self._assign_roots()
        self._assign_slots()
        self._place()
        self._executor = jobs.Executor(
            [
                (entry.job.job, self._operands(number, entry.job, entry.step.output))
                for number, entry in enumerate(self.entries)
                if entry.job is not None
            ],
            self.arena_bytes,
        )
        self._runs = self._grouped()
        self._in_python = any(end is None for _, end in self._runs)
        self._arenas: list[Any] = []

    # -- where the values are ------------------------------------------------------------------

    def _assign_roots(self) -> None:
        """The root of each value, and the values that keep each root alive."""
        last = {i: number for number, e in enumerate(self.entries) for i in e.step.inputs}
        last.update(dict.fromkeys(self.outputs, len(self.entries)))
        self.root = {i: i for i in range(self.inputs)}
        users = {i: {i} for i in range(self.inputs)}  # of each root
        made: dict[int, bool] = {}  # by a Job
        for number, entry in enumerate(self.entries):
            output, source = entry.step.output, entry.view_of
            if entry.job is not None and entry.job.in_place and entry.job.operands[0]:
                x = entry.job.operands[0].number
                root = self.root[x]
                alive = max(last.get(user, 0) for user in users[root])
                if made.get(root) and alive <= number and self._bytes(x) == self._bytes(output):
                    source = x
            sources = entry.holds if source is None else (source,)
            for root in users:
                if users[root].intersection(sources):
                    users[root].add(output)
            if source is None:
                self.root[output] = output
                users[output] = {output}
                made[output] = entry.job is not None
            else:
                self.root[output] = self.root[source]
        self._made_by_jobs = [root for root, by_job in made.items() if by_job]
        self._last = {
            root: max(last.get(user, -1) for user in users[root]) for root in self._made_by_jobs
        }

    def _assign_slots(self) -> None:
        """The values that are arrays of the call, by their numbers in its list."""
        self._fresh = [r for r in self._made_by_jobs if r in {self.root[o] for o in self.outputs}]
        outside = {*range(self.inputs), *self._made_by_jobs}
        roots = dict.fromkeys(self.root.values())
        returned = [root for root in roots if root not in outside]
        order = [*range(self.inputs), *self._fresh, *returned]
        self._slots = {value: slot for slot, value in enumerate(order)}

    def _place(self) -> None:
        """Offsets in the arena, of values and of scratch memory."""
        numbers = {entry.step.output: number for number, entry in enumerate(self.entries)}
        wanted: list[tuple[Any, Lifetime]] = []
        for root in self._made_by_jobs:
            if root not in self._slots:
                first = numbers[root]
                life = Lifetime(self._bytes(root), first, max(first, self._last[root]))
                wanted.append((root, life))
        for number, entry in enumerate(self.entries):
            for k, operand in enumerate(entry.job.operands if entry.job else ()):
                if isinstance(operand, Scratch):
                    wanted.append(((number, k), Lifetime(operand.size, number, number)))
        offsets, self.arena_bytes = place([lifetime for _, lifetime in wanted])
        self._offsets = {key: offset for (key, _), offset in zip(wanted, offsets, strict=True)}
        self.pieces = [
            Piece(None if isinstance(key, tuple) else key, offset, lifetime)
            for (key, lifetime), offset in zip(wanted, offsets, strict=True)
        ]

    def _operands(self, number: int, job: JobStep, output: int) -> list[Any]:
        """As the executor takes them."""
        found = []
        for k, operand in enumerate(job.operands):
            if isinstance(operand, Scratch):
                found.append(("arena", self._offsets[number, k]))
            elif isinstance(operand, (Value, Output)):
                found.append(self._location(operand.number if type(operand) is Value else output))
            else:
                found.append(operand)
        return found

    def _location(self, value: int) -> tuple[str, int]:
        root = self.root[value]
        if root in self._slots:
            return "given", self._slots[root]
        return "arena", self._offsets[root]

    def _bytes(self, value: int) -> int:
        return math.prod(self._shapes[value]) * self._dtypes[value].itemsize

    def _grouped(self) -> list[tuple[int, int | None]]:
        """(first, end) of Jobs that follow each other, and (number of the entry, None) of steps in
        Python.
        """
        runs: list[tuple[int, int | None]] = []
        jobs = 0
        for number, entry in enumerate(self.entries):
            if entry.job is not None:
                if runs and runs[-1][1] == jobs:
                    runs[-1] = runs[-1][0], jobs + 1
                else:
                    runs.append((jobs, jobs + 1))
                jobs += 1
            elif entry.view_of is None:
                runs.append((number, None))
        return runs

    # -- running -------------------------------------------------------------------------------

    def run(self, xs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs. xs: C-contiguous arrays of the shapes and dtypes of the inputs."""
        given = self._given(xs)
        arena = self._take_arena()
        try:
            if self._in_python:
                with no_grad(), run_mode(training=False):
                    self._run(arena, given)
            else:
                self._run(arena, given)
            return self._results(arena, given)
        finally:
            if len(self._arenas) < _MOST_ARENAS:
                self._arenas.append(arena)

    def times(self, xs: Sequence[np.ndarray]) -> list[float]:
        """Seconds of each entry, of one run."""
        given, arena, jobs, seconds = self._given(xs), self._take_arena(), 0, []
        with no_grad(), run_mode(training=False):
            for number, entry in enumerate(self.entries):
                start = time.perf_counter()
                if entry.job is not None:
                    self._executor.run(arena, given, jobs, jobs + 1)
                    jobs += 1
                elif entry.view_of is None:
                    self._run_in_python(number, arena, given)
                seconds.append(time.perf_counter() - start)
        return seconds

    def _given(self, xs: Sequence[np.ndarray]) -> list[Any]:
        fresh = [np.empty(self._shapes[root], self._dtypes[root]) for root in self._fresh]
        return [*xs, *fresh, *[None] * (len(self._slots) - len(xs) - len(fresh))]

    def _take_arena(self) -> Any:
        try:
            return self._arenas.pop()
        except IndexError:
            return self._executor.new_arena()

    def _run(self, arena: Any, given: list[Any]) -> None:
        for first, end in self._runs:
            if end is None:
                self._run_in_python(first, arena, given)
            else:
                self._executor.run(arena, given, first, end)

    def _run_in_python(self, number: int, arena: Any, given: list[Any]) -> None:
        entry = self.entries[number]
        xs = [self._array(value, arena, given) for value in entry.step.inputs]
        y = np.ascontiguousarray(entry.step.run(None, xs, True))
        if y.shape != entry.shape or y.dtype != entry.dtype:
            raise ValueError(
                f"{report.names(entry.step)}: forward returned {y.dtype} of {y.shape}, but for "
                f"zeros {entry.dtype} of {entry.shape}: a plan needs layers whose output shape "
                "depends on the input's shape alone"
            )
        given[self._slots[entry.step.output]] = y

    def _array(self, value: int, arena: Any, given: list[Any]) -> np.ndarray:
        place, where = self._location(value)
        shape, dtype = self._shapes[value], self._dtypes[value]
        if place == "given":
            return given[where].reshape(shape)
        return arena[where : where + self._bytes(value)].view(dtype).reshape(shape)

    def _results(self, arena: Any, given: list[Any]) -> tuple[np.ndarray, ...]:
        found, seen = [], set()
        for value in self.outputs:
            y, root = self._array(value, arena, given), self.root[value]
            if root not in self._fresh or root in seen:
                y = y.copy()
            seen.add(root)
            found.append(y)
        return tuple(found)


def _entry(recorded: Recorded, jobs: Any) -> Entry:
    job = None if recorded.view_of is not None else lower(recorded, jobs)
    if job is not None:
        kind = job.job.name
    elif recorded.view_of is not None:
        kind = "view"
    else:
        kind = "Python" if recorded.call is None else f"op {recorded.call.op}"
    batch = recorded.shape[0] if recorded.shape else 1
    shapes = [x.shape[1:] for x in recorded.reads]
    layer = recorded.step.nodes()[0].layer
    macs = batch * layer.macs(*shapes[: len(recorded.step.nodes()[0].inputs)])
    arrays = recorded.reads + recorded.weights
    moved = sum(array.nbytes for array in arrays)
    moved += math.prod(recorded.shape) * recorded.dtype.itemsize
    return Entry(
        recorded.step,
        job,
        recorded.view_of,
        recorded.holds,
        recorded.shape,
        recorded.dtype,
        kind,
        macs,
        moved,
    )
