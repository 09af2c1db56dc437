"""Loss and metrics of a data set, each rank computing a part of the outputs."""

# Design:
# The batches are those of one process, and each is computed by one rank, so the scores have the
# bits of one process for any number of ranks.

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from cnnx.data import Batches
from cnnx.distributed.comm import Comm, part
from cnnx.feed import Feed, feed
from cnnx.inference import Scores, call_model, predict, score, score_outputs, single, ways_of
from cnnx.layers import Layer, no_grad, run_mode
from cnnx.meter import Measured, Meter
from cnnx.objective import SeveralLosses, call_loss
from cnnx.scoring import Measures

__all__ = ["shared_evaluate", "shared_score"]

_BATCH = 256  # samples, as in `cnnx.evaluate`


def shared_evaluate(comm: Comm, model: Layer, data: Any, loss: Any) -> Scores:
    """`cnnx.evaluate`, on every rank, with a loss that is a mean."""
    samples = feed("evaluate", "data", data, ways_of(model), batch_size=_BATCH)
    return shared_score(comm, model, samples, loss, Measures("evaluate", model, loss, None))


def shared_score(comm: Comm, model: Layer, data: Feed, loss: Any, measures: Measures) -> Scores:
    """`cnnx.inference.score`, on every rank; a user's iterable of batches is read by each."""
    source, whole = data.source, data.whole
    if comm.size == 1 or not isinstance(source, Batches):
        return score(model, data, _BATCH, loss, measures, per_sample=True)
    if whole is None or not measures.needs_all:
        return _streamed(comm, model, source, loss, measures)
    first, stop = part(len(source), comm.rank, comm.size)
    size = source.batch_size
    x = _cut(whole.x, first * size, min(stop * size, len(whole)))
    every = comm.together(lambda: predict(model, x, size) if stop > first else None)
    return score_outputs(_joined(every), whole, loss, measures, per_sample=True)


def _streamed(comm: Comm, model: Layer, source: Batches, loss: Any, measures: Measures) -> Scores:
    """The scores without holding the outputs of more than a batch of each rank."""
    loss = copy.copy(loss)
    several = isinstance(loss, SeveralLosses)
    meter = Meter(loss, measures)

    def measured(number: int) -> tuple[Measured, Any] | None:
        if number >= len(source):
            return None
        x, y, *rest = next(source.epoch(0, number))
        outputs = call_model(model, x)
        outputs = outputs if several else single(outputs, "evaluate")
        if measures.settled is None:
            measures.settle(outputs, y)
        weight = rest[0] if rest else None
        value = float(call_loss(loss, outputs, y, weight))
        streamed = (outputs, y, weight) if meter.streaming else None
        return meter.measure(value, outputs, y, weight), streamed

    with run_mode(training=False), no_grad():
        for first in range(0, len(source), comm.size):
            number = first + comm.rank
            for one in comm.together(lambda: measured(number)):  # noqa: B023
                if one is not None:
                    meter.include(one[0])
                    if one[1] is not None:
                        meter.stream(*one[1])
    return Scores(meter.result())


def _cut(x: Any, first: int, stop: int) -> Any:
    if isinstance(x, tuple):
        return tuple([array[first:stop] for array in x])
    return x[first:stop]


def _joined(parts: list[Any]) -> Any:
    """The outputs of all ranks, of which some may have none."""
    given = [outputs for outputs in parts if outputs is not None]
    if isinstance(given[0], tuple):
        return tuple([np.concatenate(arrays) for arrays in zip(*given, strict=True)])
    return np.concatenate(given)
