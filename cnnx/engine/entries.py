"""The steps of a program, each with the Job that computes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx.engine.lower import JobStep, lower
from cnnx.engine.record import Recorded
from cnnx.engine.samples import by_sample
from cnnx.graph.steps import Step
from cnnx.tuples import NamedTuple

__all__ = ["Entry", "entry_of", "joined"]


class Entry(NamedTuple):
    """A step of a program. `job`, or it is a view of value `view_of`, or it runs in Python.

    step   of the network; None for a change of the layout
    inputs, output   numbers of values
    idle   nothing is to be done: it is a view, or its inputs have been computed in their places
    holds  the inputs with which the output may share memory
    kind   the algorithm of the Job, "view", "in place", or what it runs in Python
    macs   multiply-adds
    bytes  of its inputs, weights and output
    by_sample  whether it computes each sample of its output from the same sample of its inputs
    """

    step: Step | None
    inputs: tuple[int, ...]
    output: int
    job: JobStep | None
    view_of: int | None
    holds: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    kind: str
    macs: int
    bytes: int
    by_sample: bool
    idle: bool


def entry_of(recorded: Recorded, jobs: Any) -> Entry:
    """The step with its Job, whose weights are not packed yet."""
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
        recorded.step.inputs,
        recorded.step.output,
        job,
        recorded.view_of,
        recorded.holds,
        recorded.shape,
        recorded.dtype,
        kind,
        macs,
        moved,
        by_sample(recorded, batch),
        idle=recorded.view_of is not None,
    )


def joined(entry: Entry, job: JobStep, in_place: Sequence[bool]) -> Entry:
    """A concatenation of which some inputs are in their places in the output."""
    if all(in_place):
        return entry._replace(job=None, kind="in place", idle=True)
    if not any(in_place):
        return entry
    copied = [None if there else x for x, there in zip(job.operands, in_place, strict=False)]
    operands = (*copied, *job.operands[len(copied) :])
    kind = f"{entry.kind}, {in_place.count(True)} of {len(in_place)} in place"
    return entry._replace(job=job._replace(operands=operands), kind=kind)
