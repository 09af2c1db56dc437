"""`Statistics`: running means of layers such as batch norm, averaged over the shards."""

# Design:
# Each shard is normalised by its own mean and variance, as on one process with batches of its size.
# Running statistics take a step from the same start in every shard; their mean is the start for the
# next batch: running = (1 - momentum) * running + momentum * mean over the shards of the batch's.
# So all ranks have the same, and those of a checkpoint do not depend on which rank wrote it.
# Layers of any class are treated alike: float buffers are averaged, and counters, which every shard
# increases by the same, are taken from the first, as a rank may have none with samples.

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx.distributed.comm import Comm
from cnnx.layers import Layer

__all__ = ["Statistics"]


class Statistics:
    """The buffers of the layers in train mode. `begin` before a batch, `reset` before each of its
    shards, `take` after the forward of each, `send` after the last, `give` before the step.
    """

    def __init__(self, comm: Comm, model: Layer, slots: int, ordered: bool) -> None:
        self._comm, self._ordered = comm, ordered
        self._places = [
            (layer, name)
            for layer in model.modules()
            if layer.training
            for name in layer.buffer_names
            if getattr(layer, name) is not None
        ]
        self._before: list[np.ndarray] = []
        size = sum(b.size for b in self._floats())
        self._rows = np.zeros((slots, size))  # float64: the mean of equal values is the value
        self._sum = np.zeros(size)
        self._request: Any = None

    def _buffers(self) -> list[np.ndarray]:
        """The arrays; a layer may put a new one in the place of the last."""
        return [getattr(layer, name) for layer, name in self._places]

    def _floats(self) -> list[np.ndarray]:
        return [buffer for buffer in self._buffers() if buffer.dtype.kind == "f"]

    def begin(self) -> None:
        """Remember the state before the batch."""
        self._before = [buffer.copy() for buffer in self._buffers()]
        self._rows[:] = 0

    def reset(self) -> None:
        """Restore it, before a shard after the first."""
        for buffer, before in zip(self._buffers(), self._before, strict=True):
            buffer[...] = before

    def take(self, slot: int) -> None:
        """Note the state after the forward of a shard."""
        at = 0
        for buffer in self._floats():
            self._rows[slot, at : at + buffer.size] = buffer.ravel()
            at += buffer.size

    def send(self) -> None:
        """Begin to sum over the ranks."""
        if self._sum.size and not self._ordered and self._comm.size > 1:
            self._sum = self._rows.sum(axis=0)
            self._request = self._comm.sum_later(self._sum)

    def counters(self) -> list[Any]:
        """The counters after the forward of a shard."""
        return [buffer.tolist() for buffer in self._buffers() if buffer.dtype.kind != "f"]

    def give(self, filled: int, counters: list[Any]) -> None:
        """Set the means over the `filled` shards, and the counters of one of them."""
        counted = [buffer for buffer in self._buffers() if buffer.dtype.kind != "f"]
        for buffer, count in zip(counted, counters, strict=True):
            buffer[...] = count
        if not self._sum.size:
            return
        if self._request is not None:
            self._comm.wait(self._request)
            self._request, total = None, self._sum
        else:
            total = np.zeros(self._rows.shape[1])
            for rows in self._comm.gather(self._rows):
                for row in rows:  # one without samples is 0
                    total += row
        at = 0
        for buffer in self._floats():
            buffer[...] = (total[at : at + buffer.size] / filled).reshape(buffer.shape)
            at += buffer.size
