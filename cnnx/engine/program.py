"""The result of all passes: what runs for one shape of the inputs."""

# Design:
# A value of the network is a part of the arena, or an array that each call brings: an input, an
# output, or what a step in Python returns. Several values may be the same memory (sharing.py). A
# value is in use until its last reader, and that of whatever may be a view of it: a step in Python
# may return a part of its input.
# Outputs are fresh arrays, which belong to the caller. An output that would be memory of an input,
# of the arena, or of another output is copied.
# A program changes nothing of itself while it runs but the list of idle arenas. Each call takes one
# of these, so any number of threads may run it.

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx.engine.entries import entry_of, joined
from cnnx.engine.layout import with_channels_last
from cnnx.engine.lower import JobStep, Output, Scratch, Value, packed
from cnnx.engine.memory import Lifetime, place
from cnnx.engine.record import record
from cnnx.engine.sharing import Life, Sharing
from cnnx.graph.run import Plan
from cnnx.layers.run import no_grad, run_mode
from cnnx.tuples import NamedTuple

__all__ = ["Piece", "Program"]

_MOST_ARENAS = 8  # idle ones that are kept


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
        entries = [entry_of(recorded, jobs) for recorded in record(plan, inputs)]
        self._shapes = {i: x.shape for i, x in enumerate(inputs)}
        entries = with_channels_last(entries, inputs, self.outputs, jobs)
        self.entries = [entry._replace(job=packed(entry.job)) for entry in entries]
        self._shapes.update({entry.output: entry.shape for entry in self.entries})
        self._dtypes = {i: x.dtype for i, x in enumerate(inputs)}
        self._dtypes.update({entry.output: entry.dtype for entry in self.entries})
        self._share()
        self._assign_slots()
        self._place()
        self._executor = jobs.Executor(
            [
                (entry.job.job, self._operands(number, entry.job, entry.output))
                for number, entry in enumerate(self.entries)
                if entry.job is not None
            ],
            self.arena_bytes,
        )
        self._runs = self._in_order()
        self._in_python = any(end is None for _, end in self._runs)
        self._arenas: list[Any] = []
        self.batch = len(inputs[0]) if inputs and inputs[0].ndim else 0

    # -- where the values are ------------------------------------------------------------------

    def _share(self) -> None:
        """Which values are the same memory. A concatenation copies what is not in its place."""
        sizes = {value: self._bytes(value) for value in self._shapes}
        self._sharing = sharing = Sharing(sizes, *self._lives())
        for number, entry in enumerate(self.entries):
            y, job = entry.output, entry.job
            if entry.view_of is not None:
                sharing.view(y, entry.view_of)
            elif job is not None and job.parts:
                xs = [x.number for x in job.operands[: len(job.parts)]]
                self.entries[number] = joined(entry, job, sharing.join(y, xs, job.parts))
            elif job is not None and job.inside is not None:
                if sharing.slice(y, job.operands[0].number, job.inside):
                    self.entries[number] = entry._replace(job=None, kind="view", idle=True)
            elif job is not None:
                xs = [x.number for x in job.operands[: job.in_place] if isinstance(x, Value)]
                any(sharing.write_over(y, x) for x in xs)  # the first that it may

    def _lives(self) -> tuple[dict[int, Life], set[int]]:
        """When each value is in use; and those that are arrays of their own, or views of these."""
        end = len(self.entries)
        first = dict.fromkeys(range(self.inputs), -1)
        last: dict[int, int] = {}
        for number, entry in enumerate(self.entries):
            first[entry.output] = last[entry.output] = number
            last.update(dict.fromkeys(entry.inputs, number))
        last.update(dict.fromkeys(self.outputs, end))
        whole = {*range(self.inputs), *self.outputs}
        foreign = set(range(self.inputs))  # arrays that are not the plan's to write over
        for entry in reversed(self.entries):
            y = entry.output
            for x in entry.holds:
                last[x] = max(last[x], last[y])
            if entry.view_of is not None and y in whole:
                whole.add(entry.view_of)
            if entry.view_of is None and entry.job is None:
                foreign.add(y)
        last.update(dict.fromkeys(foreign, end))
        return {value: Life(first[value], last[value]) for value in first}, whole | foreign

    def _assign_slots(self) -> None:
        """The blocks that are arrays of the call, by their numbers in its list."""
        block = self._sharing.block
        inputs = [block[value] for value in range(self.inputs)]
        outside = dict.fromkeys(
            block[entry.output] for entry in self.entries if entry.job is None and not entry.idle
        )
        given = [block[value] for value in self.outputs if block[value] not in {*inputs, *outside}]
        self._fresh = list(dict.fromkeys(given))
        order = dict.fromkeys([*inputs, *self._fresh, *outside])
        self._slots = {block: slot for slot, block in enumerate(order)}
        values = [self._sharing.members[block][0] for block in self._fresh]
        self._kinds = [(self._shapes[value], self._dtypes[value]) for value in values]
        self._others = [None] * (len(order) - self.inputs - len(values))
        # The slots of the outputs, if each is a fresh array as it is; else none.
        whole = all(self._shapes[y] == self._shapes[x] for y, x in zip(self.outputs, values))
        alike = whole and [block[value] for value in self.outputs] == self._fresh
        self._whole = [self._slots[block] for block in self._fresh] if alike else []

    def _place(self) -> None:
        """Places in the arena, of blocks and of scratch memory."""
        found: dict[Any, list[tuple[int | None, Lifetime]]] = {}
        for block, values in self._sharing.members.items():
            if block not in self._slots:
                found[block] = self._ranges(values)
        for number, entry in enumerate(self.entries):
            for k, operand in enumerate(entry.job.operands if entry.job else ()):
                if isinstance(operand, Scratch):
                    found[number, k] = [(None, Lifetime(operand.size, number, number))]
        blocks = [[life for _, life in each] for each in found.values()]
        places, self.arena_bytes = place(blocks)
        self._places = dict(zip(found, places, strict=True))
        self.pieces = [
            Piece(value, self._places[block] + life.offset, life)
            for block, each in found.items()
            for value, life in each
        ]

    def _ranges(self, values: Sequence[int]) -> list[tuple[int | None, Lifetime]]:
        """Each range of bytes of a block: the first value there, and when the range is in use."""
        ranges: dict[tuple[int, int], tuple[int | None, Lifetime]] = {}
        for value in sorted(values):
            at, size = self._sharing.offset[value], self._bytes(value)
            first, last = self._sharing.lives[value]
            earliest, so_far = ranges.get((at, size), (value, Lifetime(size, first, last, at)))
            last = max(last, so_far.last)
            ranges[at, size] = earliest, so_far._replace(first=min(first, so_far.first), last=last)
        return list(ranges.values())

    def _operands(self, number: int, job: JobStep, output: int) -> list[Any]:
        """As the executor takes them."""
        found = []
        for k, operand in enumerate(job.operands):
            if isinstance(operand, Scratch):
                found.append(("arena", self._places[number, k]))
            elif isinstance(operand, (Value, Output)):
                found.append(self._location(operand.number if type(operand) is Value else output))
            else:
                found.append(operand)
        return found

    def _location(self, value: int) -> tuple[str, int]:
        block = self._sharing.block[value]
        if block in self._slots:
            return "given", self._slots[block]
        return "arena", self._places[block] + self._sharing.offset[value]

    def _bytes(self, value: int) -> int:
        return math.prod(self._shapes[value]) * self._dtypes[value].itemsize

    def _in_order(self) -> list[tuple[int, int | None]]:
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
            elif not entry.idle:
                runs.append((number, None))
        return runs

    @property
    def by_sample(self) -> bool:
        """Whether it computes each sample by itself, without Python."""
        return not self._in_python and all(entry.by_sample for entry in self.entries)

    @property
    def value_bytes(self) -> int:
        """Of all values that the steps compute."""
        return sum(self._bytes(entry.output) for entry in self.entries if not entry.idle)

    @property
    def weight_bytes(self) -> int:
        """Of all weights, as the jobs read them."""
        return sum(
            job.packed or operand.nbytes
            for job, operands, *_ in [entry.job for entry in self.entries if entry.job]
            for wanted, operand in zip(job.arrays, operands, strict=True)
            if wanted.role == "weight"
        )

    # -- running -------------------------------------------------------------------------------

    def run(self, xs: Sequence[np.ndarray], groups: int = 1) -> tuple[np.ndarray, ...]:
        """The outputs. xs: C-contiguous arrays of the shapes and dtypes of the inputs.

        groups  xs are so many times as many samples (groups.py)
        """
        given = self._given(xs, groups)
        if groups > 1:
            self._executor.run_groups(given, groups)
            return self._results(None, given, groups)
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
                elif not entry.idle:
                    self._run_in_python(number, arena, given)
                seconds.append(time.perf_counter() - start)
        return seconds

    def _given(self, xs: Sequence[np.ndarray], groups: int = 1) -> list[Any]:
        kinds = self._kinds
        if groups > 1:
            kinds = [((groups * shape[0], *shape[1:]), dtype) for shape, dtype in kinds]
        return [*xs, *[np.empty(*kind) for kind in kinds], *self._others]

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
        assert entry.step is not None  # changes of the layout are Jobs
        xs = [self._array(value, arena, given) for value in entry.inputs]
        y = np.asarray(entry.step.run(None, xs, True), order="C")
        if y.shape != entry.shape or y.dtype != entry.dtype:
            from cnnx.engine.report import names

            raise ValueError(
                f"{names(entry.step)}: forward returned {y.dtype} of {y.shape}, but for "
                f"zeros {entry.dtype} of {entry.shape}: a plan needs layers whose output shape "
                "depends on the input's shape alone"
            )
        given[self._slots[self._sharing.block[entry.output]]] = y

    def _shape(self, value: int, groups: int) -> tuple[int, ...]:
        """Of a value of so many groups."""
        shape = self._shapes[value]
        return shape if groups == 1 else (groups * shape[0], *shape[1:])

    def _array(self, value: int, arena: Any, given: list[Any], groups: int = 1) -> np.ndarray:
        place, where = self._location(value)
        shape, dtype = self._shape(value, groups), self._dtypes[value]
        if place == "given":
            return given[where].reshape(shape)
        return arena[where : where + self._bytes(value)].view(dtype).reshape(shape)

    def _results(self, arena: Any, given: list[Any], groups: int = 1) -> tuple[np.ndarray, ...]:
        if self._whole:
            return tuple([given[slot] for slot in self._whole])
        found, seen = [], set()
        for value in self.outputs:
            y, block = self._array(value, arena, given, groups), self._sharing.block[value]
            if block not in self._fresh or block in seen:
                y = y.copy()
            seen.add(block)
            found.append(y)
        return tuple(found)
