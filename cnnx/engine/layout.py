"""Pass 7: the layout of values between the steps, channels last where that is faster.

A region is steps that hand images to each other and can all compute them channels last: as
(n, pixels, channels) in memory. What comes into a region, or leaves it, is copied into the other
layout. Where the region gains more time than that takes, it is computed so.
"""

# Design:
# With channels last, a 1x1 convolution reads pixels as the rows of its product, and filters are
# lanes: it packs nothing, and small planes waste nothing. Channels are the lanes of a depthwise
# convolution as they lie. Winograd's algorithm does the same in either layout.
# The estimates are of shapes alone: a network has the same layouts, and so the same bits, on any
# machine and for any number of threads.

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cnnx.backends.choose import is_winograd
from cnnx.engine.channels_last import moved, same_in_both
from cnnx.engine.entries import Entry
from cnnx.engine.lower import JobStep, Output, Value

__all__ = ["with_channels_last"]

# Nanoseconds, of one thread, roughly: what a convolution gains for each multiply-add, or for each
# byte of a depthwise one; and what a change of the layout takes for a byte.
_MAC, _DEPTHWISE_BYTE, _COPIED_BYTE = 0.15 / 40, 0.03, 0.1


def with_channels_last(
    entries: Sequence[Entry], inputs: Sequence[np.ndarray], outputs: Sequence[int], jobs: Any
) -> list[Entry]:
    """The same steps, with regions channels last and the copies at their borders.

    entries  in order; their weights are not packed yet
    """
    values = _Values(entries, inputs)
    chosen: set[int] = set()
    for region in _regions(entries, values):
        if _gain(entries, region) > _copied(entries, region, values, outputs) * _COPIED_BYTE:
            chosen |= region
    return _rewritten(entries, chosen, values, outputs, jobs) if chosen else list(entries)


class _Values:
    """The shapes and dtypes of all values."""

    def __init__(self, entries: Sequence[Entry], inputs: Sequence[np.ndarray]) -> None:
        self.shape = {i: x.shape for i, x in enumerate(inputs)}
        self.dtype = {i: x.dtype for i, x in enumerate(inputs)}
        self.shape.update({entry.output: entry.shape for entry in entries})
        self.dtype.update({entry.output: entry.dtype for entry in entries})

    def images(self, entry: Entry) -> set[int]:
        """The values of a step for which the layout matters."""
        each = {*entry.inputs, entry.output}
        return {value for value in each if not same_in_both(self.shape[value])}

    def bytes(self, value: int) -> int:
        return math.prod(self.shape[value]) * self.dtype[value].itemsize


def _regions(entries: Sequence[Entry], values: _Values) -> Iterable[set[int]]:
    """The steps of each region, by their numbers."""
    region: dict[int, set[int]] = {}
    of_value: dict[int, set[int]] = {}
    for number, entry in enumerate(entries):
        if not _is_able(entry, values):
            continue
        joined = {number}
        for value in values.images(entry):
            joined |= of_value.get(value, set())
        for member in joined:
            region[member] = joined
            of_value.update(dict.fromkeys(values.images(entries[member]), joined))
    return {id(each): each for each in region.values()}.values()


def _is_able(entry: Entry, values: _Values) -> bool:
    """Whether the step has a Job for images whose channels are last, with no more arithmetic."""
    step, rank = entry.job, len(entry.shape)
    if step is None or step.channels_last is None or not values.images(entry):
        return False
    if is_winograd(step.job.name) and not is_winograd(step.channels_last.name):
        return False
    shapes = [values.shape[x] for x in entry.inputs if len(values.shape[x]) != rank]
    shapes += [
        operand.shape
        for wanted, operand in zip(step.job.arrays, step.operands, strict=True)
        if isinstance(operand, np.ndarray) and wanted.role == "in"
    ]
    return all(same_in_both((1,) * (rank - len(shape)) + shape) for shape in shapes)


def _gain(entries: Sequence[Entry], region: set[int]) -> float:
    """Nanoseconds that a region takes less, without the copies."""
    total = 0.0
    for number in region:
        entry = entries[number]
        assert entry.job is not None
        name = entry.job.channels_last.name
        if name.startswith("depthwise"):
            total += entry.bytes * _DEPTHWISE_BYTE
        elif not is_winograd(name):
            total += entry.macs * _MAC * (entry.dtype.itemsize / 4)
    return total


def _copied(
    entries: Sequence[Entry], region: set[int], values: _Values, outputs: Sequence[int]
) -> int:
    """The bytes that are copied at the borders of a region."""
    inside = {entries[number].output for number in region}
    read = {value for number in region for value in values.images(entries[number])}
    others = {x for n, entry in enumerate(entries) if n not in region for x in entry.inputs}
    leaving = inside & read & {*others, *outputs}
    return sum(values.bytes(value) for value in (read - inside) | leaving)


def _rewritten(
    entries: Sequence[Entry], chosen: set[int], values: _Values, outputs: Sequence[int], jobs: Any
) -> list[Entry]:
    """The steps with the chosen ones channels last, and the copies that this needs."""
    found: list[Entry] = []
    other: dict[int, int] = {}  # the number of a value's form with channels last
    planes = set(range(len(values.shape) - len(entries)))  # values that there are in planes
    free = max(values.shape) + 1

    def demand_planes(value: int) -> None:
        if value in other and value not in planes:
            planes.add(value)
            found.append(_copy(value, other[value], values, "planes", jobs))

    for number, entry in enumerate(entries):
        if number not in chosen:
            for value in entry.inputs:
                demand_planes(value)
            planes.add(entry.output)
            found.append(entry)
            continue
        for value in sorted(values.images(entry)):
            if value not in other:
                other[value], free = free, free + 1
                if value != entry.output:
                    found.append(_copy(value, other[value], values, "channels_last", jobs))
        found.append(_turned(entry, other))
    for value in outputs:
        demand_planes(value)
    return found


def _turned(entry: Entry, other: dict[int, int]) -> Entry:
    """A step on images whose channels are last."""
    step = entry.job
    assert step is not None
    job = step.channels_last
    operands = []
    for wanted, operand in zip(job.arrays, step.operands, strict=True):
        if isinstance(operand, Value):
            operand = Value(other.get(operand.number, operand.number))
        elif isinstance(operand, np.ndarray) and wanted.role == "in":
            operand = operand.reshape(wanted.shape)
        operands.append(operand)
    return entry._replace(
        job=step._replace(job=job, operands=tuple(operands)),
        inputs=tuple([other.get(x, x) for x in entry.inputs]),
        output=other.get(entry.output, entry.output),
        holds=tuple([other.get(x, x) for x in entry.holds]),
        shape=moved(entry.shape) if entry.output in other else entry.shape,
        kind=job.name,
    )


def _copy(value: int, last: int, values: _Values, to: str, jobs: Any) -> Entry:
    """A copy of an image into the other layout."""
    shape, dtype, size = values.shape[value], values.dtype[value], values.bytes(value)
    job = jobs.prepare_layout(shape, dtype, to)
    x, y = (value, last) if to == "channels_last" else (last, value)
    made, kind = (moved(shape), "channels last") if y == last else (shape, "planes")
    step = JobStep(job, (Value(x), Output()), 0)
    return Entry(None, (x,), y, step, None, (), made, dtype, kind, 0, 2 * size, True, False)
